// One scalar of YAML as the value of one protobuf field.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

#include "proto/util/yaml_tree.h"

namespace agentruntime::yaml {

// Sets `field` of `message`, or adds to it if it is repeated, from a scalar. Empty: done; else a sentence that says what is wrong.
// `field` is of any type but a message.
std::string SetScalar(const Node& node, const google::protobuf::FieldDescriptor& field, google::protobuf::Message& message);

// The same for google.protobuf.Duration (`90s`, `1h30m`) and Timestamp (RFC 3339): `message` is one of them.
bool IsScalarMessage(const google::protobuf::Descriptor& type);
std::string SetScalarMessage(const Node& node, google::protobuf::Message& message);

// A node as errors call it: `a map`, `the text "abc"`.
std::string Describe(const Node& node);

}  // namespace agentruntime::yaml
