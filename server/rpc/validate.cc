#include "server/rpc/validate.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "server/rpc/json_text.h"

namespace agentruntime::rpc {
namespace {

constexpr int64_t kDurationSecondsMax = 315'576'000'000;  // of google.protobuf.Duration: 10,000 years
constexpr int64_t kTimeSecondsMin = -62'135'596'800;      // of google.protobuf.Timestamp: 0001-01-01
constexpr int64_t kTimeSecondsMax = 253'402'300'799;      // 9999-12-31
constexpr int32_t kNanosMax = 999'999'999;
constexpr double kTemperatureMax = 2;

std::string Sub(absl::string_view field, absl::string_view name) { return absl::StrCat(field, ".", name); }

void CheckLeast(FieldChecks& checks, const std::string& field, int64_t value, int64_t least) {
  if (value < least) checks.Add(field, absl::StrCat(value, " is below ", least));
}

void CheckBytes(FieldChecks& checks, const std::string& field, size_t bytes, int64_t bytes_max) {
  if (static_cast<int64_t>(bytes) > bytes_max) checks.Add(field, absl::StrCat(bytes, " bytes are too many; at most ", bytes_max));
}

// A key of the caller's choice.
void CheckKey(FieldChecks& checks, absl::string_view field, absl::string_view key, int32_t bytes_max) {
  const bool printable = std::all_of(key.begin(), key.end(), [](unsigned char c) { return c >= ' ' && c <= '~'; });
  if (!printable || key.size() > static_cast<size_t>(bytes_max)) {
    checks.Add(field, absl::StrCat("is not 1-", bytes_max, " printable ASCII characters; shorten or hash your key"));
  }
}

bool IsLabelKey(absl::string_view key) {
  if (key.empty() || key.size() > kLabelKeyBytesMax || !absl::ascii_islower(static_cast<unsigned char>(key[0]))) return false;
  return std::all_of(key.begin(), key.end(),
                     [](unsigned char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '.' || c == '-' || c == '/'; });
}

// Every field that is set and not among `allowed` is the server's to set.
void RefuseOutputOnly(FieldChecks& checks, absl::string_view field, const google::protobuf::Message& message,
                      std::initializer_list<absl::string_view> allowed) {
  std::vector<const google::protobuf::FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const auto* descriptor : set) {
    if (std::find(allowed.begin(), allowed.end(), absl::string_view(descriptor->name())) == allowed.end()) {
      checks.Add(Sub(field, descriptor->name()), "is set by the server; leave it out");
    }
  }
}

// Some of the agent's tools, each once: so there are no more of them.
void CheckApproveTools(FieldChecks& checks, const std::string& field, const v1::Agent& agent) {
  if (agent.approve_tools_size() > kToolsPerAgentMax) {
    return checks.Add(field, absl::StrCat(agent.approve_tools_size(), " tools are too many; at most ", kToolsPerAgentMax));
  }
  std::set<std::string> seen;
  for (int i = 0; i < agent.approve_tools_size(); ++i) {
    const std::string& tool = agent.approve_tools(i);
    const std::string path = absl::StrCat(field, "[", i, "]");
    if (std::find(agent.tools().begin(), agent.tools().end(), tool) == agent.tools().end()) {
      const std::string nearest = NearestName(tool, agent.tools());
      checks.Add(path, absl::StrCat("\"", OneLine(tool, 64), "\" is not among the agent's tools",
                                    nearest.empty() ? "; add it to tools, or leave it out here" : absl::StrCat("; did you mean \"", nearest, "\"?")));
    } else if (!seen.insert(tool).second) {
      checks.Add(path, absl::StrCat("\"", tool, "\" is there twice; leave one out"));
    }
  }
}

}  // namespace

RunId CheckRunName(FieldChecks& checks, absl::string_view field, absl::string_view name) {
  const auto run = ParseRunName(name);
  if (!run) checks.Add(field, "is not the name of a run, runs/{run} with 26 characters of lower-case base32; take it from CreateRun or ListRuns");
  return run.value_or(RunId());
}

StepName CheckStepName(FieldChecks& checks, absl::string_view field, absl::string_view name) {
  const auto step = ParseStepName(name);
  if (!step) checks.Add(field, "is not the name of a step, runs/{run}/steps/{number}; take it from ListSteps");
  return step.value_or(StepName());
}

ArtifactName CheckArtifactName(FieldChecks& checks, absl::string_view field, absl::string_view name) {
  const auto artifact = ParseArtifactName(name);
  if (!artifact) checks.Add(field, "is not the name of an artifact, runs/{run}/artifacts/{number}; take it from a result in ListSteps or ListEvents");
  return artifact.value_or(ArtifactName());
}

AgentName CheckAgentName(FieldChecks& checks, absl::string_view field, absl::string_view name) {
  const auto agent = ParseAgentName(name);
  if (!agent) checks.Add(field, "is not the name of an agent, agents/{agent} or agents/{agent}/revisions/{revision}; take it from ListAgents");
  return agent.value_or(AgentName());
}

void CheckRequestId(FieldChecks& checks, absl::string_view field, absl::string_view request_id) { CheckKey(checks, field, request_id, kRequestIdBytesMax); }

void CheckConversation(FieldChecks& checks, absl::string_view field, absl::string_view conversation) {
  CheckKey(checks, field, conversation, kConversationKeyBytesMax);
}

int32_t CheckPageSize(FieldChecks& checks, int32_t page_size) {
  CheckLeast(checks, "page_size", page_size, 0);
  if (page_size > kPageSizeMax) checks.Add("page_size", absl::StrCat(page_size, " is above this server's maximum of ", kPageSizeMax));
  return page_size == 0 ? kPageSizeDefault : page_size;
}

void CheckParts(FieldChecks& checks, absl::string_view field, const Parts& parts, int64_t bytes_max) {
  if (parts.size() > kInputPartsMax) checks.Add(field, absl::StrCat(parts.size(), " parts are too many; at most ", kInputPartsMax));
  size_t bytes = 0;
  for (int i = 0; i < std::min<int>(parts.size(), kInputPartsMax); ++i) {
    const v1::Part& part = parts[i];
    const std::string path = absl::StrCat(field, "[", i, "]");
    bytes += part.ByteSizeLong();
    switch (part.kind_case()) {
      case v1::Part::kText:
        if (absl::StripAsciiWhitespace(part.text()).empty()) checks.Add(Sub(path, "text"), "is empty; give a text or leave the part out");
        break;
      case v1::Part::kJson:
        if (static_cast<int64_t>(part.json().size()) <= bytes_max) {
          if (const std::string why = WhyNotJson(part.json(), kJsonDepthMax); !why.empty()) checks.Add(Sub(path, "json"), why);
        }
        break;
      case v1::Part::kArtifact: checks.Add(Sub(path, "artifact"), "is output only; give text or json"); break;
      case v1::Part::KIND_NOT_SET: checks.Add(path, "is empty; give text or json"); break;
    }
  }
  CheckBytes(checks, std::string(field), bytes, bytes_max);
}

void CheckInput(FieldChecks& checks, absl::string_view field, const Parts& parts) {
  const bool says_something =
      std::any_of(parts.begin(), parts.end(), [](const v1::Part& part) { return part.has_json() || !absl::StripAsciiWhitespace(part.text()).empty(); });
  if (!says_something) return checks.Add(field, "give at least one text");
  CheckParts(checks, field, parts, kInputBytesMax);
}

void CheckLabels(FieldChecks& checks, absl::string_view field, const Labels& labels) {
  if (labels.size() > static_cast<size_t>(kLabelsMax)) return checks.Add(field, absl::StrCat(labels.size(), " labels are too many; at most ", kLabelsMax));
  // In order, so that the same request gets the same answer.
  for (const auto& [key, value] : std::map<std::string, std::string>(labels.begin(), labels.end())) {
    if (!IsLabelKey(key)) {
      checks.Add(field, absl::StrCat("key \"", OneLine(key, 80), "\" is not 1-", kLabelKeyBytesMax, " characters of [a-z0-9_.-/] that begin with a letter"));
    } else {
      CheckBytes(checks, absl::StrCat(field, ".", key), value.size(), kLabelValueBytesMax);
    }
  }
}

absl::Duration CheckDuration(FieldChecks& checks, absl::string_view field, const google::protobuf::Duration& duration, absl::Duration least,
                             absl::Duration most) {
  const bool legal = duration.seconds() >= -kDurationSecondsMax && duration.seconds() <= kDurationSecondsMax && duration.nanos() >= -kNanosMax &&
                     duration.nanos() <= kNanosMax && (duration.seconds() <= 0 || duration.nanos() >= 0) && (duration.seconds() >= 0 || duration.nanos() <= 0);
  if (!legal) {
    checks.Add(field, "is not a valid duration: seconds and nanos must be in range and of one sign");
    return absl::ZeroDuration();
  }
  const absl::Duration value = absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  if (value < least) checks.Add(field, absl::StrCat(absl::FormatDuration(value), " is below ", absl::FormatDuration(least)));
  if (value > most) checks.Add(field, absl::StrCat(absl::FormatDuration(value), " is above this server's maximum of ", absl::FormatDuration(most)));
  return value < least || value > most ? absl::ZeroDuration() : value;
}

std::optional<absl::Time> CheckTime(FieldChecks& checks, absl::string_view field, const google::protobuf::Timestamp& time) {
  if (time.seconds() < kTimeSecondsMin || time.seconds() > kTimeSecondsMax || time.nanos() < 0 || time.nanos() > kNanosMax) {
    checks.Add(field, "is not a valid time: it must lie in the years 1 to 9999, nanos in 0 to 999,999,999");
    return std::nullopt;
  }
  return FromProto(time);
}

void CheckLimits(FieldChecks& checks, absl::string_view field, const v1::Limits& limits) {
  if (limits.has_max_steps()) CheckLeast(checks, Sub(field, "max_steps"), limits.max_steps(), 1);
  if (limits.has_max_tool_calls()) CheckLeast(checks, Sub(field, "max_tool_calls"), limits.max_tool_calls(), 0);
  if (limits.has_max_tokens()) CheckLeast(checks, Sub(field, "max_tokens"), limits.max_tokens(), 1);
  if (limits.has_max_cost_micros()) CheckLeast(checks, Sub(field, "max_cost_micros"), limits.max_cost_micros(), 1);
  if (limits.has_max_repeats()) CheckLeast(checks, Sub(field, "max_repeats"), limits.max_repeats(), kMaxRepeatsMinimum);
  if (limits.has_timeout()) CheckDuration(checks, Sub(field, "timeout"), limits.timeout(), absl::Milliseconds(1), absl::InfiniteDuration());
}

void CheckNewRun(FieldChecks& checks, absl::string_view field, const v1::Run& run) {
  RefuseOutputOnly(checks, field, run, {"agent", "input", "limits", "labels", "deadline", "priority", "not_before_time", "conversation"});
  if (run.agent().empty()) {
    checks.Add(Sub(field, "agent"), "is missing; name an agent, agents/{agent}");
  } else {
    CheckAgentName(checks, Sub(field, "agent"), run.agent());
  }
  CheckInput(checks, Sub(field, "input"), run.input());
  CheckLimits(checks, Sub(field, "limits"), run.limits());
  CheckLabels(checks, Sub(field, "labels"), run.labels());
  if (run.priority() < -kPriorityMax || run.priority() > kPriorityMax) {
    checks.Add(Sub(field, "priority"), absl::StrCat(run.priority(), " is not in ", -kPriorityMax, " to ", kPriorityMax));
  }
  std::optional<absl::Time> deadline;
  std::optional<absl::Time> not_before;
  if (run.has_deadline()) deadline = CheckTime(checks, Sub(field, "deadline"), run.deadline());
  if (run.has_not_before_time()) not_before = CheckTime(checks, Sub(field, "not_before_time"), run.not_before_time());
  if (deadline && not_before && *deadline <= *not_before) {
    checks.Add(Sub(field, "deadline"), "does not lie behind not_before_time, so the run could never begin; give a later one");
  }
  CheckConversation(checks, Sub(field, "conversation"), run.conversation());
}

void CheckAgent(FieldChecks& checks, absl::string_view field, const v1::Agent& agent) {
  RefuseOutputOnly(checks, field, agent,
                   {"name", "description", "model", "instructions", "tools", "limits", "model_settings", "on_uncertain_call", "call_wait", "grace_step",
                    "compaction", "approve_tools", "etag"});
  const auto name = ParseAgentName(agent.name());
  if (!name || name->revision != 0) {
    checks.Add(Sub(field, "name"), "is not agents/{agent} with 1-63 characters of [a-z0-9-] that begin with a letter and do not end with \"-\"");
  }
  CheckBytes(checks, Sub(field, "description"), agent.description().size(), kDescriptionBytesMax);
  if (agent.model().empty()) {
    checks.Add(Sub(field, "model"), "is missing; ListModels (agentctl models) names those there are");
  } else if (!IsToolName(agent.model())) {
    checks.Add(Sub(field, "model"), "is not 1-64 characters of [a-zA-Z0-9_-]");
  }
  CheckBytes(checks, Sub(field, "instructions"), agent.instructions().size(), kInstructionsBytesMax);
  if (agent.tools_size() > kToolsPerAgentMax) {
    checks.Add(Sub(field, "tools"), absl::StrCat(agent.tools_size(), " tools are too many; at most ", kToolsPerAgentMax));
  } else {
    std::set<std::string> seen;
    for (int i = 0; i < agent.tools_size(); ++i) {
      const std::string path = absl::StrCat(field, ".tools[", i, "]");
      if (!IsToolName(agent.tools(i))) {
        checks.Add(path, "is not 1-64 characters of [a-zA-Z0-9_-]");
      } else if (!seen.insert(agent.tools(i)).second) {
        checks.Add(path, absl::StrCat("\"", agent.tools(i), "\" is there twice; leave one out"));
      }
    }
  }
  CheckApproveTools(checks, Sub(field, "approve_tools"), agent);
  CheckLimits(checks, Sub(field, "limits"), agent.limits());
  const v1::ModelSettings& settings = agent.model_settings();
  if (settings.has_temperature() && !(settings.temperature() >= 0 && settings.temperature() <= kTemperatureMax)) {
    checks.Add(Sub(field, "model_settings.temperature"), absl::StrCat(settings.temperature(), " is not in 0 to ", kTemperatureMax));
  }
  if (settings.has_max_output_tokens() && settings.max_output_tokens() < 1) {
    checks.Add(Sub(field, "model_settings.max_output_tokens"), absl::StrCat(settings.max_output_tokens(), " is below 1"));
  }
  if (agent.has_call_wait()) CheckDuration(checks, Sub(field, "call_wait"), agent.call_wait(), absl::Seconds(1), kCallWaitMaximum);
  if (!v1::UncertainCallAction_IsValid(agent.on_uncertain_call())) {
    checks.Add(Sub(field, "on_uncertain_call"), absl::StrCat(static_cast<int>(agent.on_uncertain_call()), " is not an UncertainCallAction"));
  }
  if (!v1::CompactionStrategy_IsValid(agent.compaction())) {
    checks.Add(Sub(field, "compaction"), absl::StrCat(static_cast<int>(agent.compaction()), " is not a CompactionStrategy"));
  }
}

}  // namespace agentruntime::rpc
