// Messages in and out of gRPC's bytes. The services take bytes and decode them here, because gRPC's own decoding answers INTERNAL to a text that is not
// UTF-8, which is the caller's fault, not ours.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/watch.h"

namespace agentruntime::rpc {

// What this server knows of the message; unknown fields, at any depth, are dropped. INVALID_ARGUMENT, naming the field if a text is not UTF-8.
absl::Status Decode(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

// The bytes of a request, taken out of gRPC's hands: it would keep them as long as the call is open, of thousands of calls that wait.
grpc::ByteBuffer Take(const grpc::ByteBuffer* request);

// RESOURCE_EXHAUSTED (MessageTooLarge) over kResponseBytesMax.
absl::StatusOr<grpc::ByteBuffer> Encode(const google::protobuf::Message& message);

// The same bytes, shared, not copied.
grpc::ByteBuffer Share(EncodedResponse message);

}  // namespace agentruntime::rpc
