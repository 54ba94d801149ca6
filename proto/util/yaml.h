// YAML onto any protobuf message, by reflection, with errors that a person can act on.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

// Fills `message`, which is empty, from `text`; `file` is what errors call it. Keys are the fields' snake_case names. Durations are `90s`, `5m`, `1h30m`,
// `250ms`; integers may have `_` between digits (`20_000`); enum values go by their name with or without the prefix, in any case; a message with the one
// field set by a oneof is a nested map. An empty document leaves it empty. INVALID_ARGUMENT, `file:line:column: path: what is wrong; did you mean "..."?`, for:
// not YAML, unknown field, wrong type, a value out of range, a key given twice, two members of one oneof, invalid UTF-8, control characters, aliases, anchors,
// tags, a second document, nesting deeper than 32, text over 1 MiB. What stands where a message named Secret is expected is in no error.
absl::Status ReadYaml(absl::string_view file, absl::string_view text, google::protobuf::Message& message);

// `file:line:column` of a field that ReadYaml accepted, such as `tools[1]` or `models[0].openai.base_url`, for errors found later (an unknown tool).
// Just `file` if the field is not there. Parses again: for the error path only.
std::string YamlPosition(absl::string_view file, absl::string_view text, absl::string_view path);

}  // namespace agentruntime
