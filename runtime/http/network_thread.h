// The one thread that talks to the network, by libcurl's multi interface: one poll serves every transfer. Measured against a socket per Asio reactor it takes
// half the CPU at a thousand token streams, and has none of the traps of descriptors that two owners watch.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "proto/base/mutex.h"
#include "runtime/http/exchange.h"
#include "runtime/http/place.h"

namespace agentruntime {

struct NetworkOptions {
  int connections_max = 1024;            // requests at a time, whatever their origin: transfers, and answers that somebody keeps
  int connections_per_origin_max = 256;  // where the request says nothing else
  int waiting_max = 100'000;             // requests that wait for a connection; over it they are refused
  std::string proxy;                     // for AddressPolicy::kAny only; empty: none, whatever the environment says
  std::string ca_file;                   // PEM; empty: the system's
  std::string user_agent = "agentruntime";
};

// Public methods are thread-safe and only queue: the thread does the rest.
class NetworkThread {
 public:
  explicit NetworkThread(NetworkOptions options);
  // Ends what is under way as cancelled.
  ~NetworkThread();

  void Begin(std::shared_ptr<Exchange> exchange);
  // Ends as cancelled soon, unless it is over.
  void Abort(std::shared_ptr<Exchange> exchange);
  // There is room again for bytes.
  void Resume(std::shared_ptr<Exchange> exchange);
  // Nobody waits any more: read on for kTailTime and at most kTailBytes, so that the connection can be kept.
  void Leave(std::shared_ptr<Exchange> exchange);

  static absl::Duration Now();  // this thread's clock: monotonic

 private:
  struct Command {
    enum Kind { kBegin, kAbort, kResume, kLeave } kind;
    std::shared_ptr<Exchange> exchange;
  };
  struct Origin {
    int active = 0;  // requests that have a place
    int kept = 0;    // of those: by an answer
    std::deque<std::shared_ptr<Exchange>> waiting;
    bool in_turns = false;
  };
  using Origins = std::map<std::string, Origin>;  // by origin, and lane of the request

  void Queue(Command::Kind kind, std::shared_ptr<Exchange> exchange);
  void Run();
  void Do(Command command);
  void Admit(std::shared_ptr<Exchange> exchange);
  void StartWaiting();
  // After anything of it has changed: gives it a turn, or forgets it.
  void Settle(Origins::iterator at);
  bool HasRoom(const Origin& origin, const Exchange& exchange) const;
  // Why a request waits in vain, as the end of its message.
  std::string WhyNone(const Origin& origin) const;
  void Start(Origin& origin, std::shared_ptr<Exchange> exchange);
  void TakeReturned();
  void Reap();
  void Sweep();
  void CloseAll();
  void End(Transfer& transfer, HttpEnd end, std::string message);

  const NetworkOptions options_;
  void* multi_ = nullptr;  // CURLM
  std::shared_ptr<ReturnedPlaces> returned_;

  Mutex mu_;
  std::vector<Command> commands_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  // The thread's alone.
  Origins origins_;
  // Those with a request that only needs a place of `connections_max`, each once: they take turns, one request at a time, so that nobody waits behind the whole
  // queue of another. What changed meanwhile is seen when the turn comes.
  std::deque<Origins::iterator> turns_;
  int waiting_ = 0;
  int active_ = 0;  // of all origins
  int kept_ = 0;    // of those: by answers
  std::unordered_map<Transfer*, std::unique_ptr<Transfer>> transfers_;
  absl::Duration swept_ = absl::ZeroDuration();

  std::thread thread_;  // last: it uses the others
};

}  // namespace agentruntime
