// Many watchers of many runs, on the client's side: each keeps its cursor, is cut off and comes back, and sees to it that nothing is missing or told twice.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run_service.grpc.pb.h"
#include "proto/base/mutex.h"

namespace agentruntime::testing {

// Thread-safe, but for Connect.
class WatcherCrowd {
 public:
  struct Counts {
    int64_t open = 0;       // streams
    int64_t answered = 0;   // of these have said something
    int64_t snapshots = 0;  // of the run, over all streams: at the beginning, at its end of the journal, and each that shows that the stream lives
    int64_t inputs = 0;     // events of that kind, over all watchers
    int64_t stopped = 0;    // watchers that were told of the stop
    int64_t faults = 0;     // events that were not the next of their watcher, and streams that ended otherwise than by a cut or behind the stop
  };

  WatcherCrowd(const std::vector<std::string>& runs, int watchers_of_a_run);
  ~WatcherCrowd();

  // Streams that are opened from now on share these connections.
  void Connect(const std::vector<std::shared_ptr<grpc::Channel>>& channels);
  size_t size() const { return watchers_.size(); }
  // Of a watcher that has no stream; from its cursor.
  void Open(size_t watcher) ABSL_LOCKS_EXCLUDED(mu_);
  void Cut(size_t watcher) ABSL_LOCKS_EXCLUDED(mu_);
  Counts counts() ABSL_LOCKS_EXCLUDED(mu_);
  // False if it does not hold within `most`.
  bool Await(absl::FunctionRef<bool(const Counts&)> holds, absl::Duration most) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Stream;
  struct Watcher {
    std::string run;
    int64_t cursor = 0;
    bool stopped = false;
    Stream* stream = nullptr;
    bool is_cut = false;
  };

  Mutex mu_;
  CondVar changed_;
  Counts counts_ ABSL_GUARDED_BY(mu_);
  std::vector<Watcher> watchers_;  // their number is fixed; what is in them is guarded by mu_
  std::vector<std::unique_ptr<v1::RunService::Stub>> stubs_;
};

}  // namespace agentruntime::testing
