#include "server/rpc/invalid_text.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"

namespace agentruntime::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kDepthMax = 64;

class Finder {
 public:
  explicit Finder(CodedInputStream& in) : in_(in) {}

  // False when there is no need or no way to read on.
  bool Walk(const Descriptor& type, const std::string& prefix, int depth) {
    std::map<int, int> seen;
    while (const uint32_t tag = in_.ReadTag()) {
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (field == nullptr || WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED || depth > kDepthMax) {
        if (!WireFormatLite::SkipField(&in_, tag)) return false;
        continue;
      }
      std::string path = absl::StrCat(prefix, prefix.empty() ? "" : ".", field->name());
      if (field->is_repeated() && !field->is_map()) absl::StrAppend(&path, "[", seen[field->number()]++, "]");
      // An entry of a map goes by the map's name.
      if (type.options().map_entry()) path = prefix;
      if (!WalkField(*field, path, depth)) return false;
    }
    return true;
  }

  std::string found;

 private:
  bool WalkField(const FieldDescriptor& field, const std::string& path, int depth) {
    uint32_t length = 0;
    if (!in_.ReadVarint32(&length)) return false;
    if (field.type() == FieldDescriptor::TYPE_MESSAGE) {
      const auto limit = in_.PushLimit(static_cast<int>(length));
      const bool whole = Walk(*field.message_type(), path, depth + 1);
      in_.PopLimit(limit);
      return whole;
    }
    if (field.type() != FieldDescriptor::TYPE_STRING) return in_.Skip(static_cast<int>(length));
    std::string text;
    if (!in_.ReadString(&text, static_cast<int>(length))) return false;
    if (IsValidUtf8(text)) return true;
    found = path;
    return false;
  }

  CodedInputStream& in_;
};

}  // namespace

std::string FindInvalidText(absl::string_view bytes, const Descriptor& type) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  Finder finder(in);
  finder.Walk(type, "", 0);
  return finder.found;
}

}  // namespace agentruntime::rpc
