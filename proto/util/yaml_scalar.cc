#include "proto/util/yaml_scalar.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "proto/base/text.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime::yaml {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kShownCharactersMax = 40;
constexpr absl::Duration kDurationMin = absl::Milliseconds(1);           // but for 0
constexpr absl::Duration kDurationMax = absl::Seconds(315'576'000'000);  // protobuf's, ten thousand years

std::string Expected(absl::string_view what, const Node& node) { return absl::StrCat("expected ", what, ", found ", Describe(node)); }

// `text` without the underscores between digits; nullopt if one stands elsewhere.
std::optional<std::string> WithoutUnderscores(absl::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain.push_back(text[i]);
    } else if (i == 0 || i + 1 == text.size() || !absl::ascii_isdigit(text[i - 1]) || !absl::ascii_isdigit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return plain;
}

bool IsInteger(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "-")) absl::ConsumePrefix(&text, "+");
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;  // 010 is 8 to some readers of YAML and 10 to others
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return true;
}

template <typename T>
std::string ReadInteger(const Node& node, T& value) {
  const auto plain = WithoutUnderscores(node.text);
  if (node.quoted || !plain || !IsInteger(*plain)) return Expected("a whole number", node);
  if (absl::SimpleAtoi(*plain, &value)) return "";
  return absl::StrCat(OneLine(node.text, kShownCharactersMax), " is out of range, ", std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max());
}

std::string ReadDouble(const Node& node, double& value) {
  const auto plain = WithoutUnderscores(node.text);
  const bool digits = plain && plain->find_first_of("0123456789") != std::string::npos && plain->find_first_not_of("0123456789.+-eE") == std::string::npos;
  if (node.quoted || !digits || !absl::SimpleAtod(*plain, &value)) return Expected("a number", node);
  return std::isfinite(value) ? "" : absl::StrCat(OneLine(node.text, kShownCharactersMax), " is out of range");
}

std::string ReadBool(const Node& node, bool& value) {
  value = node.text == "true";
  if (!node.quoted && (value || node.text == "false")) return "";
  const std::string lower = absl::AsciiStrToLower(node.text);
  const bool yes = lower == "yes" || lower == "on" || lower == "true" || lower == "y";
  const bool no = lower == "no" || lower == "off" || lower == "false" || lower == "n";
  return absl::StrCat(Expected("true or false", node), yes ? "; did you mean \"true\"?" : no ? "; did you mean \"false\"?" : "");
}

// UncertainCallAction -> UNCERTAIN_CALL_ACTION_
std::string ValuePrefix(const EnumDescriptor& type) {
  std::string prefix;
  for (const char c : type.name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix.push_back('_');
    prefix.push_back(absl::ascii_toupper(c));
  }
  return prefix + "_";
}

// A value that says nothing (..._UNSPECIFIED) cannot be written: leave the key out.
std::string ReadEnum(const Node& node, const EnumDescriptor& type, const EnumValueDescriptor*& value) {
  const std::string prefix = ValuePrefix(type);
  const std::string name = absl::AsciiStrToUpper(node.text);
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    const EnumValueDescriptor& candidate = *type.value(i);
    const std::string short_name(absl::StripPrefix(candidate.name(), prefix));
    if (short_name == "UNSPECIFIED") continue;
    if (name == short_name || name == candidate.name()) {
      value = &candidate;
      return "";
    }
    names.push_back(short_name);
  }
  const std::string nearest = NearestName(absl::StripPrefix(name, prefix), names);
  const std::string choice = names.size() == 1 ? names[0] : absl::StrCat("one of ", absl::StrJoin(names, ", "));
  return absl::StrCat(Expected(choice, node), nearest.empty() ? "" : absl::StrCat("; did you mean \"", nearest, "\"?"));
}

std::string ReadDuration(const Node& node, google::protobuf::Duration& value) {
  const std::string expected = "a duration such as 90s, 5m, 1h30m or 250ms";
  absl::Duration duration;
  if (!node.quoted && IsInteger(node.text) && node.text != "0") {
    return absl::StrCat("the duration has no unit; did you mean \"", OneLine(node.text, kShownCharactersMax), "s\"?");
  }
  if (absl::StrContains(node.text, "inf") || !absl::ParseDuration(node.text, &duration)) return Expected(expected, node);
  if (absl::AbsDuration(duration) > kDurationMax) return absl::StrCat(OneLine(node.text, kShownCharactersMax), " is out of range");
  // Almost nothing would pass for nothing: fields hold microseconds, and 0 often has a meaning of its own.
  if (absl::AbsDuration(duration) < kDurationMin && node.text.find_first_of("123456789") != std::string::npos) {
    return absl::StrCat(OneLine(node.text, kShownCharactersMax), " is shorter than ", absl::FormatDuration(kDurationMin), "; give that or more, or 0s");
  }
  value = ToProto(duration);
  return "";
}

std::string ReadTimestamp(const Node& node, google::protobuf::Timestamp& value) {
  static constexpr absl::Time kFirst = absl::FromUnixSeconds(-62'135'596'800);  // protobuf's range: year 1 ...
  static constexpr absl::Time kEnd = absl::FromUnixSeconds(253'402'300'800);    // ... to 9999
  absl::Time time;
  std::string error;
  if (!absl::StrContains(node.text, 'T') || !absl::ParseTime(absl::RFC3339_full, node.text, &time, &error)) {
    return Expected("a time such as 2030-01-31T12:00:00Z", node);
  }
  if (time < kFirst || time >= kEnd) return absl::StrCat(OneLine(node.text, kShownCharactersMax), " is out of range");
  value = ToProto(time);
  return "";
}

// Reads with `read` and then sets or adds.
template <typename T, typename Read, typename Set, typename Add>
std::string Store(const Node& node, const FieldDescriptor& field, Message& message, Read read, Set set, Add add) {
  T value{};
  if (std::string error = read(node, value); !error.empty()) return error;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field.is_repeated()) {
    (reflection.*add)(&message, &field, value);
  } else {
    (reflection.*set)(&message, &field, value);
  }
  return "";
}

}  // namespace

std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull: return "nothing";
    case Node::Kind::kList: return "a list";
    case Node::Kind::kMap: return "a map";
    case Node::Kind::kScalar: break;
  }
  return absl::StrCat(node.quoted ? "the text \"" : "\"", OneLine(node.text, kShownCharactersMax), "\"");
}

bool IsScalarMessage(const google::protobuf::Descriptor& type) {
  return type.full_name() == "google.protobuf.Duration" || type.full_name() == "google.protobuf.Timestamp";
}

std::string SetScalarMessage(const Node& node, Message& message) {
  std::string error;
  if (message.GetDescriptor()->name() == "Duration") {
    google::protobuf::Duration duration;
    error = ReadDuration(node, duration);
    if (error.empty()) message.CopyFrom(duration);
  } else {
    google::protobuf::Timestamp timestamp;
    error = ReadTimestamp(node, timestamp);
    if (error.empty()) message.CopyFrom(timestamp);
  }
  return error;
}

std::string SetScalar(const Node& node, const FieldDescriptor& field, Message& message) {
  using R = google::protobuf::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return Store<int32_t>(node, field, message, ReadInteger<int32_t>, &R::SetInt32, &R::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64: return Store<int64_t>(node, field, message, ReadInteger<int64_t>, &R::SetInt64, &R::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32: return Store<uint32_t>(node, field, message, ReadInteger<uint32_t>, &R::SetUInt32, &R::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64: return Store<uint64_t>(node, field, message, ReadInteger<uint64_t>, &R::SetUInt64, &R::AddUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE: return Store<double>(node, field, message, ReadDouble, &R::SetDouble, &R::AddDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Store<float>(
          node, field, message,
          [](const Node& from, float& value) -> std::string {
            double wide = 0;
            if (std::string error = ReadDouble(from, wide); !error.empty()) return error;
            value = static_cast<float>(wide);
            return std::isfinite(value) ? "" : absl::StrCat(OneLine(from.text, kShownCharactersMax), " is out of range");
          },
          &R::SetFloat, &R::AddFloat);
    case FieldDescriptor::CPPTYPE_BOOL: return Store<bool>(node, field, message, ReadBool, &R::SetBool, &R::AddBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return Store<const EnumValueDescriptor*>(
          node, field, message, [&field](const Node& from, const EnumValueDescriptor*& value) { return ReadEnum(from, *field.enum_type(), value); },
          &R::SetEnum, &R::AddEnum);
    case FieldDescriptor::CPPTYPE_STRING:
      return Store<std::string>(
          node, field, message,
          [](const Node& from, std::string& value) -> std::string {
            value = from.text;
            return IsValidUtf8(value) ? "" : "invalid UTF-8 in an escape";
          },
          &R::SetString, &R::AddString);
    case FieldDescriptor::CPPTYPE_MESSAGE: break;
  }
  return "a message is not a scalar";  // callers ask for scalars only
}

}  // namespace agentruntime::yaml
