#include "tests/crash/watcher_crowd.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "absl/time/clock.h"

namespace agentruntime::testing {

// Deletes itself when it has ended, and counts as ended only then: it holds its channel, and whoever waits for the last stream lets go of the channels next.
// Were the last of all channels left to the end of a stream, on a thread of gRPC's, then that thread would join itself and poll a queue that it has freed.
class WatcherCrowd::Stream final : public grpc::ClientReadReactor<v1::WatchRunResponse> {
 public:
  Stream(WatcherCrowd& crowd, Watcher& watcher) : crowd_(crowd), watcher_(watcher) {
    request_.set_name(watcher.run);
    request_.set_after_sequence(watcher.cursor);
  }
  void Start(v1::RunService::Stub& stub) {
    stub.async()->WatchRun(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cut() { context_.TryCancel(); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      MutexLock lock(crowd_.mu_);
      if (!answered_) ++crowd_.counts_.answered;
      answered_ = true;
      if (response_.has_run()) ++crowd_.counts_.snapshots;
      if (response_.has_event()) Take(response_.event());
      crowd_.changed_.NotifyAll();
    }
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    WatcherCrowd& crowd = crowd_;
    {
      MutexLock lock(crowd.mu_);
      if (answered_) --crowd.counts_.answered;
      if (!watcher_.is_cut && !(status.ok() && watcher_.stopped)) ++crowd.counts_.faults;
      watcher_.stream = nullptr;
    }
    delete this;
    MutexLock lock(crowd.mu_);
    --crowd.counts_.open;
    crowd.changed_.NotifyAll();
  }

  void Take(const v1::Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(crowd_.mu_) {
    if (event.sequence() != watcher_.cursor + 1) ++crowd_.counts_.faults;
    watcher_.cursor = event.sequence();
    if (event.has_input_received()) ++crowd_.counts_.inputs;
    if (event.has_run_stopped() && !watcher_.stopped) {
      watcher_.stopped = true;
      ++crowd_.counts_.stopped;
    }
  }

  WatcherCrowd& crowd_;
  Watcher& watcher_;
  bool answered_ = false;
  grpc::ClientContext context_;
  v1::WatchRunRequest request_;
  v1::WatchRunResponse response_;
};

WatcherCrowd::WatcherCrowd(const std::vector<std::string>& runs, int watchers_of_a_run) {
  for (int i = 0; i < watchers_of_a_run; ++i) {
    for (const std::string& run : runs) watchers_.push_back({.run = run});
  }
}

WatcherCrowd::~WatcherCrowd() {
  for (size_t i = 0; i < size(); ++i) Cut(i);
  MutexLock lock(mu_);
  while (counts_.open > 0) changed_.Wait(mu_);
}

void WatcherCrowd::Connect(const std::vector<std::shared_ptr<grpc::Channel>>& channels) {
  stubs_.clear();
  for (const auto& channel : channels) stubs_.push_back(v1::RunService::NewStub(channel));
}

void WatcherCrowd::Open(size_t watcher) {
  Stream* stream = nullptr;
  {
    MutexLock lock(mu_);
    Watcher& at = watchers_[watcher];
    at.is_cut = false;
    at.stream = stream = new Stream(*this, at);
    ++counts_.open;
  }
  stream->Start(*stubs_[watcher % stubs_.size()]);
}

void WatcherCrowd::Cut(size_t watcher) {
  MutexLock lock(mu_);  // the stream deletes itself behind it
  Watcher& at = watchers_[watcher];
  if (at.stream == nullptr) return;
  at.is_cut = true;
  at.stream->Cut();
}

WatcherCrowd::Counts WatcherCrowd::counts() {
  MutexLock lock(mu_);
  return counts_;
}

bool WatcherCrowd::Await(absl::FunctionRef<bool(const Counts&)> holds, absl::Duration most) {
  const absl::Time until = absl::Now() + most;
  MutexLock lock(mu_);
  for (absl::Time now = absl::Now(); !holds(counts_) && now < until; now = absl::Now()) changed_.WaitFor(mu_, until - now);
  return holds(counts_);
}

}  // namespace agentruntime::testing
