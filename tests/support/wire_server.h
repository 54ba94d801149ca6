// A listener that speaks the services and answers what a test says: a double of the wire, for what a real server does only when it breaks (streams cut
// between two events, events left out, refusals under load).
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agentruntime/v1/run_service.grpc.pb.h"
#include "proto/base/mutex.h"

namespace agentruntime::testing {

// `status` as it travels: details in grpc-status-details-bin.
grpc::Status OnTheWire(const absl::Status& status);

// What one stream sends, and how it ends.
struct StreamScript {
  std::vector<v1::WatchRunResponse> messages;
  absl::Status end;
};

// Listens on a free port of loopback while it lives. Answers of each kind are used up in order; then UNIMPLEMENTED.
class WireServer final : public v1::RunService::Service {
 public:
  WireServer();
  ~WireServer() override;

  const std::string& address() const { return address_; }

  void AnswerCreate(absl::Status status) ABSL_LOCKS_EXCLUDED(mu_);  // OK: a run with the request's input
  void AnswerStream(StreamScript script) ABSL_LOCKS_EXCLUDED(mu_);  // of RunAgent and WatchRun alike
  void SetRun(const v1::Run& run) ABSL_LOCKS_EXCLUDED(mu_);         // what GetRun answers

  std::vector<v1::CreateRunRequest> creates() const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<v1::RunAgentRequest> run_agents() const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<v1::WatchRunRequest> watches() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  grpc::Status CreateRun(grpc::ServerContext*, const v1::CreateRunRequest* request, v1::Run* run) override;
  grpc::Status GetRun(grpc::ServerContext*, const v1::GetRunRequest* request, v1::Run* run) override;
  grpc::Status RunAgent(grpc::ServerContext*, const v1::RunAgentRequest* request, grpc::ServerWriter<v1::WatchRunResponse>* writer) override;
  grpc::Status WatchRun(grpc::ServerContext*, const v1::WatchRunRequest* request, grpc::ServerWriter<v1::WatchRunResponse>* writer) override;
  grpc::Status Play(grpc::ServerWriter<v1::WatchRunResponse>* writer) ABSL_LOCKS_EXCLUDED(mu_);

  mutable Mutex mu_;
  std::deque<absl::Status> create_answers_ ABSL_GUARDED_BY(mu_);
  std::deque<StreamScript> streams_ ABSL_GUARDED_BY(mu_);
  v1::Run run_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::CreateRunRequest> creates_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::RunAgentRequest> run_agents_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::WatchRunRequest> watches_ ABSL_GUARDED_BY(mu_);
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace agentruntime::testing
