#include "tests/bench/load.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "tests/bench/channels.h"
#include "tests/bench/fail.h"

namespace agentruntime::bench {
namespace {

// Callers share connections as the connections of one backend do.
constexpr int kCallersPerChannel = 64;

struct Shared {
  absl::Time until;
  std::mutex mu;
  LoadResult result;
  std::unique_ptr<absl::BlockingCounter> ended;

  void Add(absl::Duration latency) {
    std::lock_guard lock(mu);
    result.milliseconds.push_back(absl::ToDoubleMilliseconds(latency));
  }
  void Fail(std::string error) {
    std::lock_guard lock(mu);
    if (result.failed++ == 0) result.first_error = std::move(error);
  }
};

bool Answered(const v1::Run& run) { return run.stop().reason() == v1::STOP_REASON_FINAL_ANSWER; }

// One run after the other until the time is up; deletes itself.
class Watcher final : public grpc::ClientReadReactor<v1::WatchRunResponse> {
 public:
  Watcher(v1::RunService::Stub& stub, Shared& shared) : stub_(stub), shared_(shared) {}

  static void Begin(v1::RunService::Stub& stub, Shared& shared) {
    if (absl::Now() >= shared.until) {
      shared.ended->DecrementCount();
      return;
    }
    auto* const caller = new Watcher(stub, shared);
    *caller->request_.mutable_run() = RunOfBench(kExampleInput);
    caller->began_ = absl::Now();
    stub.async()->RunAgent(&caller->context_, &caller->request_, caller);
    caller->StartRead(&caller->response_);
    caller->StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_run()) answered_ = Answered(response_.run());
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    if (status.ok() && answered_) {
      shared_.Add(absl::Now() - began_);
    } else {
      shared_.Fail(status.ok() ? "a run ended without an answer" : status.error_message());
    }
    v1::RunService::Stub& stub = stub_;
    Shared& shared = shared_;
    delete this;
    Begin(stub, shared);
  }

 private:
  v1::RunService::Stub& stub_;
  Shared& shared_;
  grpc::ClientContext context_;
  v1::RunAgentRequest request_;
  v1::WatchRunResponse response_;
  absl::Time began_;
  bool answered_ = false;
};

struct Waiter {
  Waiter(v1::RunService::Stub& stub, Shared& shared, bool waits) : stub(stub), shared(shared), waits(waits) {}

  v1::RunService::Stub& stub;
  Shared& shared;
  const bool waits;
  absl::Time began = absl::Now();
  grpc::ClientContext create_context;
  grpc::ClientContext get_context;
  v1::CreateRunRequest create;
  v1::GetRunRequest get;
  v1::Run run;

  static void Begin(v1::RunService::Stub& stub, Shared& shared, bool waits) {
    if (absl::Now() >= shared.until) {
      shared.ended->DecrementCount();
      return;
    }
    auto* const caller = new Waiter(stub, shared, waits);
    *caller->create.mutable_run() = RunOfBench(kExampleInput);
    stub.async()->CreateRun(&caller->create_context, &caller->create, &caller->run, [caller](const grpc::Status& status) {
      if (!status.ok() || !caller->waits) return caller->End(status);
      caller->get.set_name(caller->run.name());
      caller->get.mutable_wait()->set_seconds(60);
      caller->stub.async()->GetRun(&caller->get_context, &caller->get, &caller->run, [caller](const grpc::Status& got) { caller->End(got); });
    });
  }
  void End(const grpc::Status& status) {
    if (status.ok() && (!waits || Answered(run))) {
      shared.Add(absl::Now() - began);
    } else {
      shared.Fail(status.ok() ? "a run ended without an answer" : status.error_message());
    }
    auto& next_stub = stub;
    auto& next_shared = shared;
    const bool next_waits = waits;
    delete this;
    Begin(next_stub, next_shared, next_waits);
  }
};

}  // namespace

LoadResult RunLoad(const std::string& address, Mode mode, int callers, absl::Duration duration) {
  const Stubs stubs = Connect(address, (callers + kCallersPerChannel - 1) / kCallersPerChannel);
  Shared shared;
  const absl::Time began = absl::Now();
  shared.until = began + duration;
  shared.ended = std::make_unique<absl::BlockingCounter>(callers);
  for (int i = 0; i < callers; ++i) {
    auto& stub = *stubs[i / kCallersPerChannel];
    mode == Mode::kWatch ? Watcher::Begin(stub, shared) : Waiter::Begin(stub, shared, mode == Mode::kWait);
  }
  shared.ended->Wait();
  shared.result.elapsed = absl::Now() - began;
  if (shared.result.failed > 0 || shared.result.milliseconds.empty()) {
    Fail(absl::StrCat(shared.result.failed, " runs of ", callers, " callers failed: ", shared.result.first_error));
  }
  return std::move(shared.result);
}

}  // namespace agentruntime::bench
