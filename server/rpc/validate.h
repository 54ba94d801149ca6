// Checks of what callers send: each field by itself, every wrong one named at once. Texts are valid UTF-8 already (codec.h).
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/map.h>
#include <google/protobuf/repeated_field.h>
#include <google/protobuf/timestamp.pb.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/agent.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"

namespace agentruntime::rpc {

using Parts = google::protobuf::RepeatedPtrField<v1::Part>;
using Labels = google::protobuf::Map<std::string, std::string>;

// Collects what is wrong. `field` is always the path from the request.
class FieldChecks {
 public:
  void Add(absl::string_view field, absl::string_view description) { violations_.push_back({std::string(field), std::string(description)}); }
  bool ok() const { return violations_.empty(); }
  const std::vector<FieldViolation>& violations() const { return violations_; }
  // INVALID_ARGUMENT (InvalidFields), or OK.
  absl::Status status() const { return ok() ? absl::OkStatus() : InvalidFields(violations_); }

 private:
  std::vector<FieldViolation> violations_;
};

// Names; the default value of the result if the name is wrong.
RunId CheckRunName(FieldChecks& checks, absl::string_view field, absl::string_view name);
StepName CheckStepName(FieldChecks& checks, absl::string_view field, absl::string_view name);
ArtifactName CheckArtifactName(FieldChecks& checks, absl::string_view field, absl::string_view name);
AgentName CheckAgentName(FieldChecks& checks, absl::string_view field, absl::string_view name);

// 1-128 printable ASCII characters, or empty.
void CheckRequestId(FieldChecks& checks, absl::string_view field, absl::string_view request_id);
// 1-128 printable ASCII characters, or empty.
void CheckConversation(FieldChecks& checks, absl::string_view field, absl::string_view conversation);
// The size of the page to answer with: 1 to kPageSizeMax, kPageSizeDefault for 0.
int32_t CheckPageSize(FieldChecks& checks, int32_t page_size);
// Parts that are not empty, at most kInputPartsMax and `bytes_max` together; JSON parts are JSON. Whether there may be none is for whoever calls to judge.
void CheckParts(FieldChecks& checks, absl::string_view field, const Parts& parts, int64_t bytes_max);
// What an agent is told: parts that say something, at most kInputBytesMax together.
void CheckInput(FieldChecks& checks, absl::string_view field, const Parts& parts);
void CheckLabels(FieldChecks& checks, absl::string_view field, const Labels& labels);
// Limits that are set: at least their least value. The server's maxima are not asked about here: they may have changed since the same request was granted.
void CheckLimits(FieldChecks& checks, absl::string_view field, const v1::Limits& limits);
// 0 if the duration is wrong or outside [least, most].
absl::Duration CheckDuration(FieldChecks& checks, absl::string_view field, const google::protobuf::Duration& duration, absl::Duration least,
                             absl::Duration most);
std::optional<absl::Time> CheckTime(FieldChecks& checks, absl::string_view field, const google::protobuf::Timestamp& time);

// A run to be created: agent, input, limits, labels, deadline, priority, start time and conversation; nothing else may be set.
void CheckNewRun(FieldChecks& checks, absl::string_view field, const v1::Run& run);
// An agent to be created or replaced. Whether its model and tools exist is another question (runtime/offer.h).
void CheckAgent(FieldChecks& checks, absl::string_view field, const v1::Agent& agent);

}  // namespace agentruntime::rpc
