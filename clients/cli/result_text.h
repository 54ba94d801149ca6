// A tool's result in a few words.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>

#include "agentruntime/v1/content.pb.h"

namespace agentruntime::cli {

// The `summary` of a result that is a JSON object with one, else its beginning; printable, on one line. In front of it, where the whole result is if it is
// kept apart.
std::string ResultText(const google::protobuf::RepeatedPtrField<v1::Part>& result);

}  // namespace agentruntime::cli
