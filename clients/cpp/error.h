// What an error of the server says beyond code and message: google.rpc details, decoded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/util/errors.h"

namespace grpc {
class Status;
}

namespace agentruntime::client {

struct ErrorDetails {
  std::string reason;  // an ErrorReason without its prefix, such as RUN_NOT_FOUND; empty if the error is not the server's own
  std::map<std::string, std::string> metadata;
  std::vector<FieldViolation> violations;
  std::optional<absl::Duration> retry_delay;
};

// Code, message and details; details are payloads of the status under their type URLs.
absl::Status FromGrpc(const grpc::Status& status);

// Of a status made by FromGrpc; empty for any other.
ErrorDetails DetailsOf(const absl::Status& status);

// Whether the server was not reached, or not to the end: UNAVAILABLE or DEADLINE_EXCEEDED, and none of the server's own errors.
bool IsUnreachable(const absl::Status& status);

// Whether a stream that ended so is to be opened again: the server says UNAVAILABLE, or the connection was cut.
bool IsCut(const absl::Status& status);

}  // namespace agentruntime::client
