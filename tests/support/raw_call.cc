#include "tests/support/raw_call.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>

#include "clients/cpp/error.h"

namespace agentruntime::testing {
namespace {

bool Await(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

}  // namespace

absl::StatusOr<std::string> RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method, const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  if (!Await(queue)) return absl::UnavailableError("the call did not start");
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  Await(queue);
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  const bool answered = Await(queue);
  grpc::Status status;
  call->Finish(&status, nullptr);
  Await(queue);
  if (!status.ok()) return client::FromGrpc(status);
  grpc::Slice bytes;
  if (!answered || !response.DumpToSingleSlice(&bytes).ok()) return absl::InternalError("no response");
  return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

}  // namespace agentruntime::testing
