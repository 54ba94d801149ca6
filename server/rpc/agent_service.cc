#include <utility>

#include "agentruntime/v1/agent_service.grpc.pb.h"
#include "server/rpc/agent_handlers.h"
#include "server/rpc/services.h"
#include "server/rpc/unary.h"

namespace agentruntime::rpc {
namespace {

namespace asio = boost::asio;
using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using UnaryReactor = grpc::ServerUnaryReactor;

using S = v1::AgentService;
using Base = S::WithRawCallbackMethod_CreateAgent<S::WithRawCallbackMethod_UpdateAgent<S::WithRawCallbackMethod_GetAgent<
    S::WithRawCallbackMethod_ListAgents<S::WithRawCallbackMethod_ListTools<S::WithRawCallbackMethod_ListModels<S::Service>>>>>>;

class AgentServiceImpl final : public Base {
 public:
  AgentServiceImpl(Host& host, const Backend& backend) : host_(host), backend_(backend) {}

  UnaryReactor* CreateAgent(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return Start<v1::CreateAgentRequest>(OnLeave::kGoOn, "CreateAgent", Take(request), response, rpc::CreateAgent);
  }
  UnaryReactor* UpdateAgent(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return Start<v1::UpdateAgentRequest>(OnLeave::kGoOn, "UpdateAgent", Take(request), response, rpc::UpdateAgent);
  }
  UnaryReactor* GetAgent(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return Start<v1::GetAgentRequest>(OnLeave::kCancel, "GetAgent", Take(request), response, rpc::GetAgent);
  }
  UnaryReactor* ListAgents(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return Start<v1::ListAgentsRequest>(OnLeave::kCancel, "ListAgents", Take(request), response, rpc::ListAgents);
  }
  UnaryReactor* ListTools(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return Start<v1::ListToolsRequest>(OnLeave::kCancel, "ListTools", Take(request), response, rpc::ListTools);
  }
  UnaryReactor* ListModels(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return Start<v1::ListModelsRequest>(OnLeave::kCancel, "ListModels", Take(request), response, rpc::ListModels);
  }

 private:
  template <typename Request, typename Response>
  UnaryReactor* Start(OnLeave on_leave, absl::string_view method, ByteBuffer bytes, ByteBuffer* response,
                      Answer<Response> (*handler)(const Backend&, Request)) {
    return StartUnary(host_, response, on_leave, Serve<Request>(method, std::move(bytes), [&backend = backend_, handler](Request request) {
                        return handler(backend, std::move(request));
                      }));
  }

  Host& host_;
  const Backend& backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAgentService(Host& host, const Backend& backend) { return std::make_unique<AgentServiceImpl>(host, backend); }

}  // namespace agentruntime::rpc
