#include "server/rpc/codec.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/slice.h>

#include <string>
#include <utility>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "server/rpc/invalid_text.h"

namespace agentruntime::rpc {

absl::Status Decode(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  grpc::ByteBuffer copy(bytes);  // counts references; decoding empties what it reads
  if (grpc::SerializationTraits<google::protobuf::Message>::Deserialize(&copy, &message).ok()) {
    message.DiscardUnknownFields();  // no check looks at them, so nothing of them may go on into a journal
    return absl::OkStatus();
  }
  copy = bytes;
  grpc::Slice slice;
  if (copy.Valid() && copy.DumpToSingleSlice(&slice).ok()) {
    const absl::string_view text(reinterpret_cast<const char*>(slice.begin()), slice.size());
    if (const std::string field = FindInvalidText(text, *message.GetDescriptor()); !field.empty()) {
      return InvalidField(field, "is not valid UTF-8; send text as UTF-8");
    }
  }
  return InvalidField("request", absl::StrCat("is not a ", message.GetTypeName(), " in protobuf's encoding"));
}

grpc::ByteBuffer Take(const grpc::ByteBuffer* request) {
  grpc::ByteBuffer taken;
  // The object is gRPC's, made for this call and looked at by nobody else; only the pointer that a handler gets is const.
  const_cast<grpc::ByteBuffer*>(request)->Swap(&taken);
  return taken;
}

absl::StatusOr<grpc::ByteBuffer> Encode(const google::protobuf::Message& message) {
  const auto bytes = static_cast<int64_t>(message.ByteSizeLong());
  if (bytes > kResponseBytesMax) return MessageTooLarge("the answer", bytes, kResponseBytesMax);
  grpc::ByteBuffer buffer;
  bool own_buffer = false;
  if (!grpc::SerializationTraits<google::protobuf::Message>::Serialize(message, &buffer, &own_buffer).ok()) {
    return absl::InternalError("an answer cannot be encoded");
  }
  return buffer;
}

grpc::ByteBuffer Share(EncodedResponse message) {
  const std::string_view bytes = message.bytes();
  // The slice owns one more reference to the message until the last byte is sent.
  auto* owner = new EncodedResponse(std::move(message));
  grpc::Slice slice(const_cast<char*>(bytes.data()), bytes.size(), [](void* held) { delete static_cast<EncodedResponse*>(held); }, owner);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace agentruntime::rpc
