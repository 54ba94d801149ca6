// Messages as bytes that can be compared, kept and hashed.
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>

namespace agentruntime {

// The same bytes for equal messages of one build: maps are sorted by key.
std::string SerializeDeterministically(const google::protobuf::MessageLite& message);

}  // namespace agentruntime
