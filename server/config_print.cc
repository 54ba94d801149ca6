#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/base/text.h"
#include "proto/util/time.h"
#include "server/config.h"

namespace agentruntime {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Quoted(const std::string& text) { return absl::StrCat("\"", EscapeJson(text), "\""); }

// log_level for LogLevel: INFO instead of LOG_LEVEL_INFO.
std::string EnumWord(const EnumDescriptor& type, const std::string& name) {
  const std::string& zero = type.FindValueByNumber(0)->name();
  const absl::string_view prefix = absl::StripSuffix(zero, "UNSPECIFIED");
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

std::string DurationText(const google::protobuf::Duration& proto) {
  const absl::Duration duration = FromProto(proto);
  const int64_t milliseconds = absl::ToInt64Milliseconds(duration);
  return milliseconds % 1000 == 0 ? absl::StrCat(milliseconds / 1000, "s") : absl::StrCat(milliseconds, "ms");
}

std::string Scalar(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(repeated ? reflection.GetRepeatedInt32(message, &field, index) : reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(repeated ? reflection.GetRepeatedInt64(message, &field, index) : reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return Quoted(repeated ? reflection.GetRepeatedString(message, &field, index) : reflection.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL: return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumWord(*field.enum_type(), (repeated ? reflection.GetRepeatedEnum(message, &field, index) : reflection.GetEnum(message, &field))->name());
    default: return "";  // a configuration has no fields of other types; the round trip of the test says so
  }
}

class Printer {
 public:
  // The fields of `message`, one a line; the first without indentation if it follows "- ".
  void Fields(const Message& message, int depth, bool after_dash) {
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (!std::exchange(after_dash, false)) Indent(depth);
      absl::StrAppend(&text, field->name(), ":");
      if (field->is_repeated()) {
        Items(message, *field, depth);
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        Nested(message.GetReflection()->GetMessage(message, field), depth);
      } else {
        absl::StrAppend(&text, " ", Scalar(message, *field, 0), "\n");
      }
    }
  }

  std::string text;

 private:
  void Indent(int depth) { text.append(2 * static_cast<size_t>(depth), ' '); }

  void Nested(const Message& message, int depth) {
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    if (const auto* duration = google::protobuf::DynamicCastToGenerated<google::protobuf::Duration>(&message)) {
      absl::StrAppend(&text, " ", DurationText(*duration), "\n");
    } else if (fields.empty()) {
      absl::StrAppend(&text, " {}\n");
    } else {
      text.push_back('\n');
      Fields(message, depth + 1, false);
    }
  }

  void Items(const Message& message, const FieldDescriptor& field, int depth) {
    text.push_back('\n');
    for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
      Indent(depth + 1);
      absl::StrAppend(&text, "- ");
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        Fields(message.GetReflection()->GetRepeatedMessage(message, &field, i), depth + 2, true);
      } else {
        absl::StrAppend(&text, Scalar(message, field, i), "\n");
      }
    }
  }
};

}  // namespace

std::string PrintConfig(const config::v1::ServerConfig& config) {
  Printer printer;
  printer.Fields(config, 0, false);
  return printer.text;
}

}  // namespace agentruntime
