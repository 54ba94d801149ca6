#include "runtime/encoded_response.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>
#include <cstring>

#include "agentruntime/v1/run_service.pb.h"

namespace agentruntime {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

// A message as field `tag` of a WatchRunResponse, so that it need not be copied into one. The message is measured once: `size` is its ByteSizeLong.
size_t SizeOfField(uint32_t tag, size_t size) {
  return CodedOutputStream::VarintSize32(tag) + CodedOutputStream::VarintSize32(static_cast<uint32_t>(size)) + size;
}

uint8_t* WriteField(uint32_t tag, const google::protobuf::Message& message, size_t size, uint8_t* to) {
  to = CodedOutputStream::WriteVarint32ToArray(tag, to);
  to = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), to);
  return message.SerializeWithCachedSizesToArray(to);
}

constexpr uint32_t TagOf(int field) { return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED); }
constexpr uint32_t kEventTag = TagOf(v1::WatchRunResponse::kEventFieldNumber);

EncodedResponse EncodeField(int field, const google::protobuf::Message& message) {
  const uint32_t tag = TagOf(field);
  const size_t size = message.ByteSizeLong();
  const size_t bytes = SizeOfField(tag, size);
  auto memory = std::make_shared_for_overwrite<char[]>(bytes);
  WriteField(tag, message, size, reinterpret_cast<uint8_t*>(memory.get()));
  const char* begin = memory.get();
  return {std::move(memory), {begin, bytes}};
}

}  // namespace

EncodedResponse EncodedResponse::CopyOf(std::string_view bytes) {
  auto memory = std::make_shared_for_overwrite<char[]>(bytes.size());
  std::memcpy(memory.get(), bytes.data(), bytes.size());
  const char* begin = memory.get();
  return {std::move(memory), {begin, bytes.size()}};
}

EncodedResponse EncodeEvent(const v1::Event& event) { return EncodeField(v1::WatchRunResponse::kEventFieldNumber, event); }
EncodedResponse EncodeRun(const v1::Run& run) { return EncodeField(v1::WatchRunResponse::kRunFieldNumber, run); }
EncodedResponse EncodeDelta(const v1::Delta& delta) { return EncodeField(v1::WatchRunResponse::kDeltaFieldNumber, delta); }

std::vector<EncodedResponse> EncodeEvents(absl::Span<const EventPtr> events) {
  std::vector<size_t> sizes;
  sizes.reserve(events.size());
  size_t bytes = 0;
  for (const EventPtr& event : events) bytes += SizeOfField(kEventTag, sizes.emplace_back(event->ByteSizeLong()));
  const std::shared_ptr<char[]> memory = std::make_shared_for_overwrite<char[]>(bytes);
  char* at = memory.get();
  std::vector<EncodedResponse> encoded;
  encoded.reserve(events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    char* const end = reinterpret_cast<char*>(WriteField(kEventTag, *events[i], sizes[i], reinterpret_cast<uint8_t*>(at)));
    encoded.emplace_back(memory, std::string_view(at, static_cast<size_t>(end - at)));
    at = end;
  }
  return encoded;
}

}  // namespace agentruntime
