// The key by which a tool recognises a repeated attempt, and the hash of what a person allows.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "proto/base/id.h"

namespace agentruntime {

// 32 hex digits: the first 128 bits of SHA-256 over run, step, call index, tool and arguments, these with sorted keys and without white space.
// The same in every attempt, on every machine.
std::string IdempotencyKey(const RunId& run, const CallId& call, absl::string_view tool, absl::string_view arguments);

// 32 bytes: SHA-256 over tool and arguments, these with sorted keys and without white space.
std::string ArgumentsHash(absl::string_view tool, absl::string_view arguments);

// `arguments` with sorted keys and without white space; as they are where CheckJson refuses them: such a call is never sent.
std::string NormalizedArguments(absl::string_view arguments);

}  // namespace agentruntime
