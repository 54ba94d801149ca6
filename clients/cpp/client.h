// Runs of a server: submit, read, control. Following one live is watch.h.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run_service.pb.h"
#include "clients/cpp/retry.h"

namespace grpc {
class Channel;
}

namespace agentruntime::client {

// Every method blocks, up to 30 s beyond any wait that it is asked for. Errors are the server's, with their details (error.h), or UNAVAILABLE and
// DEADLINE_EXCEEDED without details when it was not reached: a write may then have happened or not. Thread-safe.
class RunClient {
 public:
  explicit RunClient(std::shared_ptr<grpc::Channel> channel, RetryPolicy retry = {});
  ~RunClient();

  // Makes a run. Tries again on UNAVAILABLE, always under the same request id (one is made up if `request` has none), so that there is one run at most.
  absl::StatusOr<v1::Run> Submit(v1::CreateRunRequest request);
  // As it is, or as soon as it is STOPPED or WAITING, or after `wait` (up to 10 min).
  absl::StatusOr<v1::Run> Get(const std::string& name, absl::Duration wait = absl::ZeroDuration());
  absl::StatusOr<v1::ListRunsResponse> List(const v1::ListRunsRequest& request);
  // As Submit: tries again under one request id.
  absl::StatusOr<v1::Run> Cancel(const std::string& name, const std::string& cause);
  // As Submit: tries again under the same request id.
  absl::StatusOr<v1::Run> Resume(v1::ResumeRunRequest request);
  // As Submit: tries again under the same request id.
  absl::StatusOr<v1::Run> Fork(v1::ForkRunRequest request);
  // As Submit: tries again under the same request id.
  absl::StatusOr<v1::Run> SendInput(v1::SendInputRequest request);
  absl::StatusOr<v1::Run> Resolve(v1::ResolveCallRequest request);
  absl::Status Delete(const std::string& name);
  absl::StatusOr<v1::ListStepsResponse> Steps(const v1::ListStepsRequest& request);
  absl::StatusOr<v1::Step> GetStep(const std::string& name);
  absl::StatusOr<v1::ReadArtifactResponse> ReadArtifact(const v1::ReadArtifactRequest& request);
  absl::StatusOr<v1::ListEventsResponse> Events(const v1::ListEventsRequest& request);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

// 32 random hex digits: what Submit makes up.
std::string NewRequestId();

}  // namespace agentruntime::client
