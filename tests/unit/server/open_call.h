// A call that is sent and then left open.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/error.h"

namespace agentruntime::testing {

class OpenCall {
 public:
  OpenCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, std::string request)
      : request_(std::move(request)), stub_(channel), call_(stub_.PrepareCall(&context_, method, &queue_)) {
    call_->StartCall(nullptr);
    AwaitOne();
    const auto release = [](void* released) { static_cast<std::atomic<bool>*>(released)->store(true); };
    const grpc::Slice slice(request_.data(), request_.size(), release, &released_);
    call_->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    AwaitOne();
  }
  ~OpenCall() {
    if (!ended_) Leave();
  }
  OpenCall(const OpenCall&) = delete;
  OpenCall& operator=(const OpenCall&) = delete;

  // Whether neither side holds the request's bytes any more.
  bool released() const { return released_; }
  void Leave() {
    context_.TryCancel();
    End().IgnoreError();
  }
  // How the server ended it. What it sent is read and dropped.
  absl::Status End() {
    grpc::ByteBuffer response;
    do call_->Read(&response, nullptr);
    while (AwaitOne());
    grpc::Status status;
    call_->Finish(&status, nullptr);
    AwaitOne();
    ended_ = true;
    return client::FromGrpc(status);
  }

 private:
  bool AwaitOne() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  std::string request_;
  std::atomic<bool> released_ = false;
  bool ended_ = false;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

// `CODE REASON: message`; `OK`.
inline std::string Told(const absl::Status& status) {
  if (status.ok()) return "OK";
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ", client::DetailsOf(status).reason, ": ", std::string(status.message()));
}

}  // namespace agentruntime::testing
