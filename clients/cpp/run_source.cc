#include "clients/cpp/run_source.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <utility>

#include "agentruntime/v1/run_service.grpc.pb.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/client.h"
#include "clients/cpp/error.h"

namespace agentruntime::client {
namespace {

constexpr absl::Duration kReconnectWait = absl::Seconds(1);  // before each stream but the first

class GrpcStream final : public WatchStream {
 public:
  // `name` is set to the run's as soon as a snapshot tells it; it outlives the stream.
  explicit GrpcStream(std::string& name) : name_(name) {}

  bool Read(v1::WatchRunResponse& response) override {
    if (!reader_->Read(&response)) return false;
    if (response.has_run()) name_ = response.run().name();
    return true;
  }
  absl::Status Finish() override { return FromGrpc(reader_->Finish()); }
  void Cancel() override { context_.TryCancel(); }

  grpc::ClientContext& context() { return context_; }
  void set_reader(std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>> reader) { reader_ = std::move(reader); }

 private:
  grpc::ClientContext context_;  // outlives the reader
  std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>> reader_;
  std::string& name_;
};

class Source final : public WatchSource {
 public:
  Source(std::shared_ptr<grpc::Channel> channel, std::string name, v1::RunAgentRequest request)
      : channel_(std::move(channel)), stub_(v1::RunService::NewStub(channel_)), name_(std::move(name)), request_(std::move(request)) {}

  std::unique_ptr<WatchStream> Open(Sequence after) override {
    if (opened_) AwaitConnection(*channel_, kReconnectWait);
    opened_ = true;
    auto stream = std::make_unique<GrpcStream>(name_);
    if (name_.empty()) {
      stream->set_reader(stub_->RunAgent(&stream->context(), request_));
      return stream;
    }
    v1::WatchRunRequest request;
    request.set_name(name_);
    request.set_after_sequence(after);
    request.set_include_deltas(request_.include_deltas());
    stream->set_reader(stub_->WatchRun(&stream->context(), request));
    return stream;
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::RunService::Stub> stub_;
  bool opened_ = false;
  std::string name_;  // empty while it is not known
  const v1::RunAgentRequest request_;
};

}  // namespace

std::unique_ptr<WatchSource> WatchRunSource(std::shared_ptr<grpc::Channel> channel, std::string name, bool include_deltas) {
  v1::RunAgentRequest request;
  request.set_include_deltas(include_deltas);
  return std::make_unique<Source>(std::move(channel), std::move(name), std::move(request));
}

std::unique_ptr<WatchSource> RunAgentSource(std::shared_ptr<grpc::Channel> channel, v1::RunAgentRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  return std::make_unique<Source>(std::move(channel), "", std::move(request));
}

}  // namespace agentruntime::client
