// Short forms of a store's calls, and events to call them with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/base/mutex.h"
#include "storage/store.h"

namespace agentruntime {

// A value that another thread sets once.
template <typename T>
class Awaited {
 public:
  void Set(T value) {
    MutexLock lock(mu_);
    value_.emplace(std::move(value));
    set_.NotifyAll();
  }
  T Wait() {
    MutexLock lock(mu_);
    while (!value_) set_.Wait(mu_);
    return *std::move(value_);
  }

 private:
  Mutex mu_;
  CondVar set_;
  std::optional<T> value_ ABSL_GUARDED_BY(mu_);
};

// The `number`-th id of a test: ordered like its number.
RunId TestRunId(int number);
// A fixed instant, `seconds` after another.
absl::Time TestTime(double seconds);

// An event with an envelope and a body of about `bytes` bytes.
EventPtr TestEvent(Sequence sequence, Epoch epoch, int bytes = 100);

struct RunOptions {
  std::string request_id;
  std::string request_hash = "hash";
  std::string agent = "agents/docs/revisions/1";
  std::string tenant;
  std::map<std::string, std::string> labels;
  double created = 0;  // seconds of TestTime
  std::string conversation;
};
NewRun TestRun(const RunId& id, const RunOptions& options = {});

// A fork of `base` behind its event `sequence`.
NewRun TestFork(const RunId& id, const RunId& base, Sequence sequence, Epoch epoch, const RunOptions& options = {});

// A projection after event `last`, in `state`, with something in every field.
RunProjection TestProjection(Sequence last, v1::RunState state = v1::RUN_STATE_RUNNING);
RunProjection StoppedProjection(Sequence last, v1::StopReason reason = v1::STOP_REASON_FINAL_ANSWER);

// `count` events after `after`.
AppendRequest TestAppend(const RunId& run, Epoch epoch, Sequence after, int count = 1, std::optional<RunProjection> projection = std::nullopt);

// An artifact with `bytes` bytes of content that says nothing but is not all the same.
StagedArtifact TestArtifact(int32_t number, int64_t bytes, const std::string& hash = "hash", const std::string& media_type = "text/plain");

// Each waits until the call is done.
CreateOutcome CreateNow(Store& store, NewRun run);
AppendResult AppendNow(Store& store, AppendRequest request);
absl::Status DeleteNow(Store& store, const RunId& run);

// All events, by pages; the status of the first page that fails.
absl::StatusOr<std::vector<EventPtr>> ReadAll(Store& store, const RunId& run);

// Holds the store's thread until released, so that what is queued meanwhile is one batch.
class Plug {
 public:
  Plug(Store& store, const RunId& run) {
    store.Create(TestRun(run), [this](CreateOutcome) {
      plugged_.Set(true);
      release_.Wait();
      left_.Set(true);
    });
    plugged_.Wait();
  }
  void Release() {
    release_.Set(true);
    left_.Wait();
  }

 private:
  Awaited<bool> plugged_, release_, left_;
};

std::vector<Sequence> Sequences(const std::vector<EventPtr>& events);

// Text of every field, to compare whole values.
std::string ToText(const RunProjection& projection);
std::string ToText(const RunRecord& record);

}  // namespace agentruntime
