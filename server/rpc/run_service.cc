#include <memory>
#include <string>
#include <utility>

#include "agentruntime/v1/run_service.grpc.pb.h"
#include "server/rpc/caller.h"
#include "server/rpc/run_handlers.h"
#include "server/rpc/services.h"
#include "server/rpc/stream.h"
#include "server/rpc/unary.h"
#include "server/rpc/watch_run.h"

namespace agentruntime::rpc {
namespace {

namespace asio = boost::asio;
using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using UnaryReactor = grpc::ServerUnaryReactor;
using StreamReactor = grpc::ServerWriteReactor<ByteBuffer>;

// Every method takes bytes: see codec.h.
using S = v1::RunService;
using Base = S::WithRawCallbackMethod_CreateRun<S::WithRawCallbackMethod_RunAgent<S::WithRawCallbackMethod_WatchRun<S::WithRawCallbackMethod_GetRun<
    S::WithRawCallbackMethod_ListRuns<S::WithRawCallbackMethod_CancelRun<S::WithRawCallbackMethod_ResumeRun<S::WithRawCallbackMethod_SendInput<
        S::WithRawCallbackMethod_ForkRun<S::WithRawCallbackMethod_ResolveCall<S::WithRawCallbackMethod_DeleteRun<S::WithRawCallbackMethod_ListSteps<
            S::WithRawCallbackMethod_GetStep<S::WithRawCallbackMethod_ListEvents<S::WithRawCallbackMethod_ReadArtifact<S::Service>>>>>>>>>>>>>>>;

asio::awaitable<absl::Status> ServeRunAgent(const Backend& backend, ByteBuffer bytes, Caller caller, ResponseStream& stream) {
  v1::RunAgentRequest request;
  CO_RETURN_IF_ERROR(Decode(bytes, request));
  bytes.Clear();  // the run is followed below
  const std::string agent = request.run().agent();
  co_return ForCaller(co_await RunAgent(backend, std::move(request), std::move(caller), stream), "RunAgent", agent);
}

asio::awaitable<absl::Status> ServeWatchRun(const Backend& backend, ByteBuffer bytes, ResponseStream& stream) {
  v1::WatchRunRequest request;
  CO_RETURN_IF_ERROR(Decode(bytes, request));
  bytes.Clear();  // thousands of watches idle below
  const std::string name = request.name();
  absl::StatusOr<std::unique_ptr<Watch>> watch = co_await OpenWatch(backend, std::move(request));
  if (!watch.ok()) co_return ForCaller(std::move(watch).status(), "WatchRun", name);
  co_return ForCaller(co_await Follow(*std::move(watch), stream), "WatchRun", name);
}

class RunServiceImpl final : public Base {
 public:
  RunServiceImpl(Host& host, const Backend& backend) : host_(host), backend_(backend) {}

  UnaryReactor* CreateRun(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(
        host_, response, OnLeave::kGoOn,
        Serve<v1::CreateRunRequest>("CreateRun", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::CreateRunRequest r) mutable {
          return rpc::CreateRun(backend, std::move(r), std::move(caller));
        }));
  }
  UnaryReactor* GetRun(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kCancel, Serve<v1::GetRunRequest>("GetRun", Take(request), [&backend = backend_](v1::GetRunRequest r) {
                        return rpc::GetRun(backend, std::move(r));
                      }));
  }
  UnaryReactor* ListRuns(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kCancel,
                      Serve<v1::ListRunsRequest>("ListRuns", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::ListRunsRequest r) mutable {
                        return rpc::ListRuns(backend, std::move(r), std::move(caller));
                      }));
  }
  UnaryReactor* CancelRun(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(
        host_, response, OnLeave::kGoOn,
        Serve<v1::CancelRunRequest>("CancelRun", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::CancelRunRequest r) mutable {
          return rpc::CancelRun(backend, std::move(r), std::move(caller));
        }));
  }
  UnaryReactor* ResumeRun(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(
        host_, response, OnLeave::kGoOn,
        Serve<v1::ResumeRunRequest>("ResumeRun", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::ResumeRunRequest r) mutable {
          return rpc::ResumeRun(backend, std::move(r), std::move(caller));
        }));
  }
  UnaryReactor* SendInput(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(
        host_, response, OnLeave::kGoOn,
        Serve<v1::SendInputRequest>("SendInput", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::SendInputRequest r) mutable {
          return rpc::SendInput(backend, std::move(r), std::move(caller));
        }));
  }
  UnaryReactor* ForkRun(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kGoOn,
                      Serve<v1::ForkRunRequest>("ForkRun", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::ForkRunRequest r) mutable {
                        return rpc::ForkRun(backend, std::move(r), std::move(caller));
                      }));
  }
  UnaryReactor* ResolveCall(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(
        host_, response, OnLeave::kGoOn,
        Serve<v1::ResolveCallRequest>("ResolveCall", Take(request), [&backend = backend_, caller = CallerOf(*context)](v1::ResolveCallRequest r) mutable {
          return rpc::ResolveCall(backend, std::move(r), std::move(caller));
        }));
  }
  UnaryReactor* DeleteRun(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kGoOn, Serve<v1::DeleteRunRequest>("DeleteRun", Take(request), [&backend = backend_](v1::DeleteRunRequest r) {
                        return rpc::DeleteRun(backend, std::move(r));
                      }));
  }
  UnaryReactor* ListSteps(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kCancel, Serve<v1::ListStepsRequest>("ListSteps", Take(request), [&backend = backend_](v1::ListStepsRequest r) {
                        return rpc::ListSteps(backend, std::move(r));
                      }));
  }
  UnaryReactor* GetStep(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kCancel, Serve<v1::GetStepRequest>("GetStep", Take(request), [&backend = backend_](v1::GetStepRequest r) {
                        return rpc::GetStep(backend, std::move(r));
                      }));
  }
  UnaryReactor* ListEvents(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kCancel,
                      Serve<v1::ListEventsRequest>("ListEvents", Take(request),
                                                   [&backend = backend_](v1::ListEventsRequest r) { return rpc::ListEvents(backend, std::move(r)); }));
  }

  UnaryReactor* ReadArtifact(CallbackServerContext*, const ByteBuffer* request, ByteBuffer* response) override {
    return StartUnary(host_, response, OnLeave::kCancel,
                      Serve<v1::ReadArtifactRequest>("ReadArtifact", Take(request),
                                                     [&backend = backend_](v1::ReadArtifactRequest r) { return rpc::ReadArtifact(backend, std::move(r)); }));
  }

  StreamReactor* RunAgent(CallbackServerContext* context, const ByteBuffer* request) override {
    return StartStream(host_, [this, bytes = Take(request), caller = CallerOf(*context)](ResponseStream& stream) mutable {
      return ServeRunAgent(backend_, std::move(bytes), std::move(caller), stream);
    });
  }
  StreamReactor* WatchRun(CallbackServerContext*, const ByteBuffer* request) override {
    return StartStream(host_, [this, bytes = Take(request)](ResponseStream& stream) mutable { return ServeWatchRun(backend_, std::move(bytes), stream); });
  }

 private:
  Host& host_;
  const Backend& backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeRunService(Host& host, const Backend& backend) { return std::make_unique<RunServiceImpl>(host, backend); }

}  // namespace agentruntime::rpc
