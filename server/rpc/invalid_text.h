// Why a message could not be decoded.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::rpc {

// Path of the first string field in the encoded message that is not valid UTF-8, such as `run.input[0].text`; empty if there is none before the first
// byte that is no protobuf. For the error path only.
std::string FindInvalidText(absl::string_view bytes, const google::protobuf::Descriptor& type);

}  // namespace agentruntime::rpc
