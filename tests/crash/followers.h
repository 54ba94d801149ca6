// Clients that follow many runs at once and keep what they were told, over all lives of the server.
#pragma once

#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/run_service.grpc.pb.h"
#include "proto/base/mutex.h"

namespace agentruntime::testing {

// Thread-safe. Each run is followed by one WatchRun from the last event that was seen; how the server ends is no fault of the stream's.
class Followers {
 public:
  Followers() = default;
  ~Followers();

  // Over these connections from now on; runs that have not stopped are followed again.
  void Connect(std::vector<std::shared_ptr<grpc::Channel>> channels) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns when every stream has ended, as it does when the server is gone.
  void AwaitGone() ABSL_LOCKS_EXCLUDED(mu_);
  // `name` is known to its input as `input`.
  void Follow(const std::string& name, const std::string& input) ABSL_LOCKS_EXCLUDED(mu_);

  int64_t decisions() ABSL_LOCKS_EXCLUDED(mu_);  // acknowledged steps: decisions that were seen
  int open() ABSL_LOCKS_EXCLUDED(mu_);           // runs that have not stopped
  std::set<std::string> open_names() ABSL_LOCKS_EXCLUDED(mu_);
  // Until more decisions than that were seen, or fewer runs than that are open, or the time is over.
  void AwaitChange(int64_t decisions, int open, absl::Duration most) ABSL_LOCKS_EXCLUDED(mu_);
  // The decision of that step was seen. `input` of Follow.
  bool Knows(const std::string& input, int step) ABSL_LOCKS_EXCLUDED(mu_);
  // That the call with this idempotency key has finished was seen.
  bool Settled(const std::string& key) ABSL_LOCKS_EXCLUDED(mu_);
  // By name, the last event that was seen of each run.
  std::map<std::string, int64_t> sequences() ABSL_LOCKS_EXCLUDED(mu_);
  // By name, what was seen of each run.
  std::map<std::string, std::vector<v1::Event>> journals() ABSL_LOCKS_EXCLUDED(mu_);
  std::map<std::string, std::string> inputs() ABSL_LOCKS_EXCLUDED(mu_);
  // Gaps and repetitions that a stream showed; "" if none.
  std::string faults() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Stream;
  struct Run {
    std::string input;
    std::vector<v1::Event> journal;
    std::map<std::string, std::string> keys;  // of calls
    bool stopped = false;
  };

  void Start(const std::string& name, int64_t after) ABSL_LOCKS_EXCLUDED(mu_);
  void Take(const std::string& name, const v1::Event& event) ABSL_LOCKS_EXCLUDED(mu_);
  void Ended() ABSL_LOCKS_EXCLUDED(mu_);

  Mutex mu_;
  CondVar changed_;
  std::vector<std::unique_ptr<v1::RunService::Stub>> stubs_ ABSL_GUARDED_BY(mu_);
  size_t next_stub_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, Run> runs_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<std::string, int>> known_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> settled_ ABSL_GUARDED_BY(mu_);  // keys
  int streams_ ABSL_GUARDED_BY(mu_) = 0;
  int open_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t decisions_ ABSL_GUARDED_BY(mu_) = 0;
  std::string faults_ ABSL_GUARDED_BY(mu_);
};

}  // namespace agentruntime::testing
