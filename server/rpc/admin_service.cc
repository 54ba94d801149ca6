#include <utility>

#include "agentruntime/v1/admin_service.grpc.pb.h"
#include "server/rpc/admin_handlers.h"
#include "server/rpc/services.h"
#include "server/rpc/unary.h"

namespace agentruntime::rpc {
namespace {

namespace asio = boost::asio;
using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using UnaryReactor = grpc::ServerUnaryReactor;

using S = v1::AdminService;
using Base = S::WithRawCallbackMethod_GetServerInfo<S::WithRawCallbackMethod_Drain<S::Service>>;

class AdminServiceImpl final : public Base {
 public:
  AdminServiceImpl(Host& host, const Backend& backend) : host_(host), backend_(backend) {}

  UnaryReactor* GetServerInfo(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kGoOn,
                      Serve<v1::GetServerInfoRequest>("GetServerInfo", Take(request),
                                                      [&backend = backend_](v1::GetServerInfoRequest r) { return rpc::GetServerInfo(backend, std::move(r)); }));
  }
  UnaryReactor* Drain(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kGoOn,
                      Serve<v1::DrainRequest>("Drain", Take(request), [&backend = backend_](v1::DrainRequest r) { return rpc::Drain(backend, std::move(r)); }));
  }

 private:
  Host& host_;
  const Backend& backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(Host& host, const Backend& backend) { return std::make_unique<AdminServiceImpl>(host, backend); }

}  // namespace agentruntime::rpc
