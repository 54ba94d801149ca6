// What tools did, as the world outside of the server saw it: the endpoint of three `http_call` tools, one of each side effect, in the test's own process.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "proto/base/mutex.h"
#include "tests/crash/load_server.h"
#include "tests/support/http_server.h"

namespace agentruntime::testing {

// Writes down each execution by its idempotency key. Of all keys a few per cent are turned away at first (429: a definite failure), a few executed and answered
// with 500 or not at all, so that the server has to ask itself what became of them; everything else is executed and answered.
// Arguments are {"run": word, "step": number, ...}. Thread-safe.
class Witness {
 public:
  explicit Witness(absl::Duration latency);

  // `look` READ_ONLY, `note` IDEMPOTENT, `charge` UNSAFE.
  std::vector<LoadTool> tools() const;
  // `settled(key)`: whether anybody outside has been told that the call of this key has finished. Set before the first request.
  void AskWhetherSettled(std::function<bool(const std::string& key)> settled) { settled_ = std::move(settled); }
  // Returns when everything that a dead server had sent is written down.
  void AwaitQuiet() { server_.AwaitQuiet(); }

  // The keys under which anything was executed for `run` so far.
  std::set<std::string> ExecutedFor(const std::string& run) ABSL_LOCKS_EXCLUDED(mu_);
  // What no journal has to be read for: executed again after its finish was told, an UNSAFE key twice, one key with two contents, two keys of one call.
  // "" if nothing.
  std::string faults() ABSL_LOCKS_EXCLUDED(mu_);
  // What does not fit to the journal of the run that was submitted as `run`: executed without a durable intent or more often than there are intents, a result
  // without an execution, an UNSAFE attempt after one that did not certainly fail, an uncertain call that is repeatable. Each key may be asked for once.
  std::string Judge(const std::string& run, const std::vector<v1::Event>& journal) ABSL_LOCKS_EXCLUDED(mu_);
  // Executed, but in no journal that was judged.
  int64_t unjudged() ABSL_LOCKS_EXCLUDED(mu_);

  struct Counts {
    int64_t executions = 0;
    int64_t turned_away = 0;
    // Of judged journals:
    int64_t uncertain = 0;           // calls, for whatever reason
    int64_t interrupted_unsafe = 0;  // UNSAFE calls that were under way as a server died
    int64_t repeated = 0;            // other calls that were, and were executed once more behind that
  };
  Counts counts() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Key {
    std::string tool, run, arguments;
    std::vector<absl::Time> executions;
    int turned_away = 0;
    bool judged = false;
  };

  void Serve(const ServedRequest& request, HttpServer::Connection& connection) ABSL_LOCKS_EXCLUDED(mu_);

  const absl::Duration latency_;
  std::function<bool(const std::string&)> settled_;
  Mutex mu_;
  std::map<std::string, Key> keys_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> key_of_call_ ABSL_GUARDED_BY(mu_);  // by run, step and tool
  std::string faults_ ABSL_GUARDED_BY(mu_);
  Counts counts_ ABSL_GUARDED_BY(mu_);  // of judged journals
  HttpServer server_;                   // last: it calls the others
};

}  // namespace agentruntime::testing
