#include "proto/util/yaml.h"

#include <google/protobuf/descriptor.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/base/status.h"
#include "proto/util/names.h"
#include "proto/util/yaml_scalar.h"
#include "proto/util/yaml_tree.h"

namespace agentruntime {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using yaml::ChildPath;
using yaml::Describe;
using yaml::Node;

constexpr int kFieldsNamedMax = 16;  // in an error that has no nearest name to offer
// The message that says where a secret is. People write the secret itself in its place: no error shows what stands there.
constexpr absl::string_view kSecretMessage = "Secret";

class Reader {
 public:
  explicit Reader(absl::string_view file) : file_(file) {}

  absl::Status Read(const Node& node, absl::string_view path, Message& message) const {
    const absl::Status read = ReadAny(node, path, message);
    if (read.ok() || message.GetDescriptor()->name() != kSecretMessage) return read;
    return yaml::ErrorAt(file_, node.position, path, "write {env: NAME} or {file: PATH}; a secret itself does not belong here");
  }

 private:
  absl::Status ReadAny(const Node& node, absl::string_view path, Message& message) const {
    if (yaml::IsScalarMessage(*message.GetDescriptor())) {
      if (node.kind != Node::Kind::kScalar) return WrongKind(node, path, message.GetDescriptor()->name() == "Duration" ? "a duration" : "a time");
      return Check(node, path, yaml::SetScalarMessage(node, message));
    }
    if (node.kind != Node::Kind::kMap) return WrongKind(node, path, "a map");
    for (size_t i = 0; i < node.children.size(); ++i) {
      const Node& child = node.children[i];
      const std::string child_path = ChildPath(path, node, i);
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(child.key);
      if (field == nullptr) return UnknownField(child, child_path, *message.GetDescriptor());
      RETURN_IF_ERROR(CheckOneof(child, child_path, *field, message));
      RETURN_IF_ERROR(ReadField(child, child_path, *field, message));
    }
    return absl::OkStatus();
  }

  absl::Status ReadField(const Node& node, absl::string_view path, const FieldDescriptor& field, Message& message) const {
    if (field.is_map()) return ReadMap(node, path, field, message);
    if (!field.is_repeated()) return ReadOne(node, path, field, message);
    if (node.kind != Node::Kind::kList) return WrongKind(node, path, "a list, such as [a, b]");
    for (size_t i = 0; i < node.children.size(); ++i) RETURN_IF_ERROR(ReadOne(node.children[i], ChildPath(path, node, i), field, message));
    return absl::OkStatus();
  }

  // A value of a field: the field itself, or one item of a repeated one.
  absl::Status ReadOne(const Node& node, absl::string_view path, const FieldDescriptor& field, Message& message) const {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const google::protobuf::Reflection& reflection = *message.GetReflection();
      return Read(node, path, *(field.is_repeated() ? reflection.AddMessage(&message, &field) : reflection.MutableMessage(&message, &field)));
    }
    if (node.kind != Node::Kind::kScalar) return WrongKind(node, path, "a single value");
    return Check(node, path, yaml::SetScalar(node, field, message));
  }

  // Reflection sees a map as a repeated message of key and value.
  absl::Status ReadMap(const Node& node, absl::string_view path, const FieldDescriptor& field, Message& message) const {
    if (node.kind != Node::Kind::kMap) return WrongKind(node, path, "a map");
    for (size_t i = 0; i < node.children.size(); ++i) {
      const Node& child = node.children[i];
      const std::string child_path = ChildPath(path, node, i);
      Message& entry = *message.GetReflection()->AddMessage(&message, &field);
      Node key;
      key.kind = Node::Kind::kScalar;
      key.text = child.key;
      key.position = child.key_position;
      RETURN_IF_ERROR(Check(key, child_path, yaml::SetScalar(key, *field.message_type()->map_key(), entry)));
      RETURN_IF_ERROR(ReadOne(child, child_path, *field.message_type()->map_value(), entry));
    }
    return absl::OkStatus();
  }

  absl::Status Check(const Node& node, absl::string_view path, const std::string& error) const {
    return error.empty() ? absl::OkStatus() : yaml::ErrorAt(file_, node.position, path, error);
  }

  absl::Status WrongKind(const Node& node, absl::string_view path, absl::string_view expected) const {
    if (node.kind == Node::Kind::kNull) {
      return yaml::ErrorAt(file_, node.position, path, absl::StrCat("has no value; expected ", expected, ", or leave the key out"));
    }
    return yaml::ErrorAt(file_, node.position, path, absl::StrCat("expected ", expected, ", found ", Describe(node)));
  }

  absl::Status UnknownField(const Node& child, absl::string_view path, const Descriptor& type) const {
    std::vector<std::string> names;
    for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
    const std::string nearest = NearestName(child.key, names);
    std::string what = "no such field";
    if (!nearest.empty()) {
      absl::StrAppend(&what, "; did you mean \"", nearest, "\"?");
    } else if (names.empty()) {
      absl::StrAppend(&what, "; there are none here, write {}");
    } else if (names.size() <= kFieldsNamedMax) {
      absl::StrAppend(&what, "; there are ", absl::StrJoin(names, ", "));
    }
    return yaml::ErrorAt(file_, child.key_position, path, what);
  }

  absl::Status CheckOneof(const Node& child, absl::string_view path, const FieldDescriptor& field, const Message& message) const {
    const google::protobuf::OneofDescriptor* oneof = field.real_containing_oneof();
    if (oneof == nullptr) return absl::OkStatus();
    const FieldDescriptor* other = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
    if (other == nullptr) return absl::OkStatus();
    return yaml::ErrorAt(file_, child.key_position, path, absl::StrCat("cannot stand beside ", other->name(), "; keep one of them"));
  }

  const absl::string_view file_;
};

const Node* Find(const Node& node, absl::string_view node_path, absl::string_view path) {
  if (node_path == path) return &node;
  for (size_t i = 0; i < node.children.size(); ++i) {
    if (const Node* found = Find(node.children[i], ChildPath(node_path, node, i), path)) return found;
  }
  return nullptr;
}

}  // namespace

absl::Status ReadYaml(absl::string_view file, absl::string_view text, Message& message) {
  ASSIGN_OR_RETURN(const Node root, yaml::ParseTree(file, text));
  if (root.kind == Node::Kind::kNull) return absl::OkStatus();  // an empty document: an empty message
  return Reader(file).Read(root, "", message);
}

std::string YamlPosition(absl::string_view file, absl::string_view text, absl::string_view path) {
  const absl::StatusOr<Node> root = yaml::ParseTree(file, text);
  const Node* found = root.ok() && !path.empty() ? Find(*root, "", path) : nullptr;
  if (found == nullptr || found->position.line == 0) return std::string(file);
  return absl::StrCat(file, ":", found->position.line, ":", found->position.column);
}

}  // namespace agentruntime
