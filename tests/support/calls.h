// Calls of a server in one line each, and what came of them in one text.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "agentruntime/v1/admin_service.grpc.pb.h"
#include "agentruntime/v1/agent_service.grpc.pb.h"
#include "agentruntime/v1/run_service.grpc.pb.h"
#include "clients/cpp/error.h"
#include "tests/support/await.h"

namespace agentruntime::testing {

inline constexpr std::chrono::seconds kCallMax(60);

// Every service of one server over one connection.
struct Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : run(v1::RunService::NewStub(channel)), agent(v1::AgentService::NewStub(channel)), admin(v1::AdminService::NewStub(channel)) {}

  const std::unique_ptr<v1::RunService::Stub> run;
  const std::unique_ptr<v1::AgentService::Stub> agent;
  const std::unique_ptr<v1::AdminService::Stub> admin;
};

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(const std::unique_ptr<Stub>& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                              const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallMax);
  Response response;
  if (const grpc::Status status = (stub.get()->*method)(&context, request, &response); !status.ok()) return client::FromGrpc(status);
  return response;
}

// A stream read to its end.
struct Watched {
  std::vector<v1::WatchRunResponse> messages;
  absl::Status status;

  std::vector<v1::Event> events() const {
    std::vector<v1::Event> found;
    for (const auto& message : messages) {
      if (message.has_event()) found.push_back(message.event());
    }
    return found;
  }
};

inline Watched ReadAll(grpc::ClientReader<v1::WatchRunResponse>& reader) {
  Watched watched;
  v1::WatchRunResponse message;
  while (reader.Read(&message)) watched.messages.push_back(message);
  watched.status = client::FromGrpc(reader.Finish());
  return watched;
}

inline Watched Watch(const Stubs& stubs, const std::string& name, int64_t after = 0, bool deltas = false) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallMax);
  v1::WatchRunRequest request;
  request.set_name(name);
  request.set_after_sequence(after);
  request.set_include_deltas(deltas);
  return ReadAll(*stubs.run->WatchRun(&context, request));
}

inline v1::CreateRunRequest Submit(const std::string& text, const std::string& request_id = "") {
  v1::CreateRunRequest request;
  request.mutable_run()->set_agent("agents/tester");
  request.mutable_run()->add_input()->set_text(text);
  request.set_request_id(request_id);
  return request;
}

inline absl::StatusOr<v1::Run> Create(const Stubs& stubs, const v1::CreateRunRequest& request) {
  return Call(stubs.run, &v1::RunService::Stub::CreateRun, request);
}

// The run once it stopped or waits, or as it is after 30 s.
inline absl::StatusOr<v1::Run> AwaitStop(const Stubs& stubs, const std::string& name) {
  v1::GetRunRequest request;
  request.set_name(name);
  request.mutable_wait()->set_seconds(30);
  return Call(stubs.run, &v1::RunService::Stub::GetRun, request);
}

// A run that has answered.
inline v1::Run Answered(const Stubs& stubs) {
  const auto created = Create(stubs, Submit("add"));
  EXPECT_TRUE(created.ok()) << created.status();
  const auto run = created.ok() ? AwaitStop(stubs, created->name()) : created;
  EXPECT_TRUE(run.ok() && run->stop().reason() == v1::STOP_REASON_FINAL_ANSWER) << run.status();
  return run.ok() ? *run : v1::Run();
}

// Returns once there is a run of this name, which another one begins.
inline void AwaitRun(const Stubs& stubs, const std::string& name) {
  v1::GetRunRequest request;
  request.set_name(name);
  AwaitThat(absl::StrCat(name, " is there"), [&] { return Call(stubs.run, &v1::RunService::Stub::GetRun, request).ok(); });
}

// Returns once the run has so many events.
inline void AwaitEvents(const Stubs& stubs, const std::string& name, int64_t count) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallMax);
  v1::WatchRunRequest request;
  request.set_name(name);
  const auto reader = stubs.run->WatchRun(&context, request);
  v1::WatchRunResponse message;
  while (message.event().sequence() < count && reader->Read(&message)) {
  }
  context.TryCancel();
  const grpc::Status end = reader->Finish();
  EXPECT_GE(message.event().sequence(), count) << name << " has not come so far; the end of the stream: " << end.error_message();
}

// `CODE REASON: message`; `OK`.
inline std::string Say(const absl::Status& status) {
  if (status.ok()) return "OK";
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ", client::DetailsOf(status).reason, ": ", std::string(status.message()));
}

}  // namespace agentruntime::testing
