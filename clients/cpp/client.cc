#include "clients/cpp/client.h"

#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "agentruntime/v1/run_service.grpc.pb.h"
#include "clients/cpp/call.h"
#include "proto/base/random.h"
#include "proto/util/time.h"

namespace agentruntime::client {
namespace {

using Stub = v1::RunService::Stub;

constexpr absl::Duration kReconnectWait = absl::Seconds(1);  // before each repetition

}  // namespace

struct RunClient::Impl {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<Stub> stub;
  RetryPolicy retry;
  SystemRandom random;

  // For requests that the server tells apart by their request id.
  template <typename Request>
  absl::StatusOr<v1::Run> Repeat(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, v1::Run*), Request& request) {
    if (request.request_id().empty()) request.set_request_id(NewRequestId());
    for (int failures = 1;; ++failures) {
      absl::StatusOr<v1::Run> run = Call(*stub, method, request);
      if (!absl::IsUnavailable(run.status())) return run;
      const auto delay = NextDelay(retry, failures, run.status(), random.NextDouble());
      if (!delay) return run;
      std::this_thread::sleep_for(absl::ToChronoMicroseconds(*delay));
      AwaitConnection(*channel, kReconnectWait);
    }
  }
};

RunClient::RunClient(std::shared_ptr<grpc::Channel> channel, RetryPolicy retry)
    : impl_(std::make_unique<Impl>(channel, v1::RunService::NewStub(channel), retry)) {}
RunClient::~RunClient() = default;

absl::StatusOr<v1::Run> RunClient::Submit(v1::CreateRunRequest request) { return impl_->Repeat(&Stub::CreateRun, request); }

absl::StatusOr<v1::Run> RunClient::Get(const std::string& name, absl::Duration wait) {
  v1::GetRunRequest request;
  request.set_name(name);
  if (wait > absl::ZeroDuration()) *request.mutable_wait() = ToProto(wait);
  return Call(*impl_->stub, &Stub::GetRun, request, wait + kRpcTimeoutDefault);
}

absl::StatusOr<v1::ListRunsResponse> RunClient::List(const v1::ListRunsRequest& request) { return Call(*impl_->stub, &Stub::ListRuns, request); }

absl::StatusOr<v1::Run> RunClient::Cancel(const std::string& name, const std::string& cause) {
  v1::CancelRunRequest request;
  request.set_name(name);
  request.set_cause(cause);
  return impl_->Repeat(&Stub::CancelRun, request);
}

absl::StatusOr<v1::Run> RunClient::Resume(v1::ResumeRunRequest request) { return impl_->Repeat(&Stub::ResumeRun, request); }

absl::StatusOr<v1::Run> RunClient::Fork(v1::ForkRunRequest request) { return impl_->Repeat(&Stub::ForkRun, request); }

absl::StatusOr<v1::Run> RunClient::SendInput(v1::SendInputRequest request) { return impl_->Repeat(&Stub::SendInput, request); }

absl::StatusOr<v1::Run> RunClient::Resolve(v1::ResolveCallRequest request) { return impl_->Repeat(&Stub::ResolveCall, request); }

absl::Status RunClient::Delete(const std::string& name) {
  v1::DeleteRunRequest request;
  request.set_name(name);
  return Call(*impl_->stub, &Stub::DeleteRun, request).status();
}

absl::StatusOr<v1::ListStepsResponse> RunClient::Steps(const v1::ListStepsRequest& request) { return Call(*impl_->stub, &Stub::ListSteps, request); }

absl::StatusOr<v1::Step> RunClient::GetStep(const std::string& name) {
  v1::GetStepRequest request;
  request.set_name(name);
  return Call(*impl_->stub, &Stub::GetStep, request);
}

absl::StatusOr<v1::ListEventsResponse> RunClient::Events(const v1::ListEventsRequest& request) { return Call(*impl_->stub, &Stub::ListEvents, request); }

absl::StatusOr<v1::ReadArtifactResponse> RunClient::ReadArtifact(const v1::ReadArtifactRequest& request) {
  return Call(*impl_->stub, &Stub::ReadArtifact, request);
}

std::string NewRequestId() {
  SystemRandom random;
  return absl::StrFormat("%016x%016x", random.Next(), random.Next());
}

}  // namespace agentruntime::client
