#include "clients/cpp/admin.h"

#include <utility>

#include "agentruntime/v1/admin_service.grpc.pb.h"
#include "clients/cpp/call.h"
#include "proto/util/time.h"

namespace agentruntime::client {
namespace {

using Stub = v1::AdminService::Stub;

}  // namespace

struct AdminClient::Impl {
  std::unique_ptr<Stub> stub;
};

AdminClient::AdminClient(std::shared_ptr<grpc::Channel> channel) : impl_(std::make_unique<Impl>(v1::AdminService::NewStub(std::move(channel)))) {}
AdminClient::~AdminClient() = default;

absl::StatusOr<v1::ServerInfo> AdminClient::Info() { return Call(*impl_->stub, &Stub::GetServerInfo, v1::GetServerInfoRequest()); }

absl::Status AdminClient::Drain(std::optional<absl::Duration> grace) {
  v1::DrainRequest request;
  if (grace) *request.mutable_grace() = ToProto(*grace);
  return Call(*impl_->stub, &Stub::Drain, request).status();
}

}  // namespace agentruntime::client
