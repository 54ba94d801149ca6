#include "tests/support/wire_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "agentruntime/internal/v1/rpc_error.pb.h"

namespace agentruntime::testing {

grpc::Status OnTheWire(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  internal::v1::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(status.message()));
  status.ForEachPayload([&details](absl::string_view type_url, const absl::Cord& payload) {
    auto* detail = details.add_details();
    detail->set_type_url(std::string(type_url));
    detail->set_value(std::string(payload));
  });
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message()), details.details().empty() ? "" : details.SerializeAsString()};
}

WireServer::WireServer() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

WireServer::~WireServer() { server_->Shutdown(std::chrono::system_clock::now()); }

void WireServer::AnswerCreate(absl::Status status) {
  MutexLock lock(mu_);
  create_answers_.push_back(std::move(status));
}

void WireServer::AnswerStream(StreamScript script) {
  MutexLock lock(mu_);
  streams_.push_back(std::move(script));
}

void WireServer::SetRun(const v1::Run& run) {
  MutexLock lock(mu_);
  run_ = run;
}

std::vector<v1::CreateRunRequest> WireServer::creates() const {
  MutexLock lock(mu_);
  return creates_;
}

std::vector<v1::RunAgentRequest> WireServer::run_agents() const {
  MutexLock lock(mu_);
  return run_agents_;
}

std::vector<v1::WatchRunRequest> WireServer::watches() const {
  MutexLock lock(mu_);
  return watches_;
}

grpc::Status WireServer::CreateRun(grpc::ServerContext*, const v1::CreateRunRequest* request, v1::Run* run) {
  MutexLock lock(mu_);
  creates_.push_back(*request);
  if (create_answers_.empty()) return {grpc::StatusCode::UNIMPLEMENTED, "no answer was prepared"};
  const grpc::Status status = OnTheWire(create_answers_.front());
  create_answers_.pop_front();
  if (status.ok()) {
    *run = request->run();
    run->set_name("runs/01jd3zk8v4m9q2c7h5n0xt6bwe");
  }
  return status;
}

grpc::Status WireServer::GetRun(grpc::ServerContext*, const v1::GetRunRequest*, v1::Run* run) {
  MutexLock lock(mu_);
  *run = run_;
  return grpc::Status::OK;
}

grpc::Status WireServer::RunAgent(grpc::ServerContext*, const v1::RunAgentRequest* request, grpc::ServerWriter<v1::WatchRunResponse>* writer) {
  {
    MutexLock lock(mu_);
    run_agents_.push_back(*request);
  }
  return Play(writer);
}

grpc::Status WireServer::WatchRun(grpc::ServerContext*, const v1::WatchRunRequest* request, grpc::ServerWriter<v1::WatchRunResponse>* writer) {
  {
    MutexLock lock(mu_);
    watches_.push_back(*request);
  }
  return Play(writer);
}

grpc::Status WireServer::Play(grpc::ServerWriter<v1::WatchRunResponse>* writer) {
  StreamScript script;
  {
    MutexLock lock(mu_);
    if (streams_.empty()) return {grpc::StatusCode::UNIMPLEMENTED, "no stream was prepared"};
    script = std::move(streams_.front());
    streams_.pop_front();
  }
  for (const v1::WatchRunResponse& message : script.messages) writer->Write(message);
  return OnTheWire(script.end);
}

}  // namespace agentruntime::testing
