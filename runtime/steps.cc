#include "runtime/steps.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime {

namespace {

// Results up to this size are never cut: the note would be no shorter.
constexpr int64_t kShownBytesMin = 256;

const std::string& TextOf(const v1::Part& part) {
  if (part.kind_case() == v1::Part::kArtifact) return part.artifact().excerpt();
  return part.kind_case() == v1::Part::kJson ? part.json() : part.text();
}

int64_t ResultBytes(const v1::ToolCallRecord& record) {
  int64_t bytes = 0;
  for (const v1::Part& part : record.result()) bytes += static_cast<int64_t>(TextOf(part).size());
  return bytes;
}

// The size that results may have so that all of them together have `total`: those that are smaller leave their room to the larger ones.
int64_t ShareOf(std::vector<int64_t> sizes, int64_t total) {
  std::sort(sizes.begin(), sizes.end());
  auto left = static_cast<int64_t>(sizes.size());
  for (const int64_t size : sizes) {
    if (size * left > total) break;
    total -= size;
    --left;
  }
  return left == 0 ? sizes.back() : std::max(kShownBytesMin, total / left);
}

// Keeps about `bytes_max` bytes from the front. Half a JSON value is none, so what is cut becomes text.
void CutResult(v1::ToolCallRecord& record, int64_t bytes_max, Sequence event) {
  const int64_t bytes = ResultBytes(record);
  if (bytes <= bytes_max) return;
  const std::string note = absl::StrCat("\n[cut: ", bytes, " bytes; ListEvents has all of them in event ", event, "]");
  int64_t left = std::max<int64_t>(0, bytes_max - static_cast<int64_t>(note.size()));
  google::protobuf::RepeatedPtrField<v1::Part> kept;
  for (v1::Part& part : *record.mutable_result()) {
    const auto size = static_cast<int64_t>(TextOf(part).size());
    if (size > left && part.has_artifact()) {
      v1::Artifact& artifact = *(*kept.Add() = std::move(part)).mutable_artifact();
      artifact.set_excerpt(std::string(CutUtf8(artifact.excerpt(), static_cast<size_t>(left))));
      left = 0;
      continue;
    }
    if (size > left) {
      kept.Add()->set_text(absl::StrCat(CutUtf8(TextOf(part), static_cast<size_t>(left)), note));
      break;
    }
    left -= size;
    *kept.Add() = std::move(part);
  }
  record.mutable_result()->Swap(&kept);
}

void CutResults(v1::Step& step, const std::vector<Sequence>& finished) {
  const auto bytes = static_cast<int64_t>(step.ByteSizeLong());
  if (bytes <= kPageBytesMax) return;
  std::vector<int64_t> sizes;
  int64_t results = 0;
  for (const v1::ToolCallRecord& record : step.tool_calls()) results += sizes.emplace_back(ResultBytes(record));
  if (sizes.empty()) return;
  const int64_t share = ShareOf(std::move(sizes), kPageBytesMax - (bytes - results));
  for (int i = 0; i < step.tool_calls_size(); ++i) CutResult(*step.mutable_tool_calls(i), share, finished[static_cast<size_t>(i)]);
}

}  // namespace

std::optional<int> StepFolder::Find(const std::string& call_id) const {
  if (open_.empty()) return std::nullopt;
  const v1::Step& step = open_.back();
  for (int i = 0; i < step.tool_calls_size(); ++i) {
    if (step.tool_calls(i).call().call_id() == call_id) return i;
  }
  return std::nullopt;
}

void StepFolder::Close() {
  for (v1::Step& step : open_) {
    CutResults(step, finished_);
    complete_.push_back(std::move(step));
  }
  open_.clear();
  finished_.clear();
}

void StepFolder::Add(const v1::Event& event) {
  switch (event.kind_case()) {
    case v1::Event::kModelCalled:
      if (asked_sequence_ == 0 && event.model_called().purpose() != v1::MODEL_PURPOSE_SUMMARIZE) {
        asked_ = event.time();
        asked_sequence_ = event.sequence();
      }
      return;
    case v1::Event::kDecisionMade: {
      Close();
      v1::Step& step = open_.emplace_back();
      step.set_name(FormatStepName(run_, event.step()));
      step.set_number(event.step());
      *step.mutable_decision() = event.decision_made().decision();
      for (const v1::ToolCall& call : event.decision_made().decision().tool_calls()) *step.add_tool_calls()->mutable_call() = call;
      finished_.assign(static_cast<size_t>(step.tool_calls_size()), 0);
      step.set_first_sequence(asked_sequence_);
      step.set_last_sequence(event.sequence());
      *step.mutable_start_time() = asked_;
      if (step.tool_calls().empty()) *step.mutable_end_time() = event.time();
      asked_sequence_ = 0;
      return;
    }
    case v1::Event::kCallStarted:
      if (const auto at = Find(event.call_started().call_id())) {
        v1::ToolCallRecord* const record = open_.back().mutable_tool_calls(*at);
        record->set_attempts(event.call_started().attempt());
        record->set_child_run(event.call_started().child().run());
        if (!record->has_start_time()) *record->mutable_start_time() = event.time();
        open_.back().set_last_sequence(event.sequence());
      }
      return;
    case v1::Event::kCallFailed:
      if (Find(event.call_failed().call_id())) open_.back().set_last_sequence(event.sequence());
      return;
    case v1::Event::kCallWaiting:
      if (Find(event.call_waiting().call_id())) open_.back().set_last_sequence(event.sequence());
      return;
    case v1::Event::kCallResolved:
      if (const auto at = Find(event.call_resolved().call_id())) {
        open_.back().set_last_sequence(event.sequence());
        const std::string& arguments = event.call_resolved().answer().allow().arguments();
        if (!arguments.empty()) open_.back().mutable_tool_calls(*at)->mutable_call()->set_arguments(arguments);
      }
      return;
    case v1::Event::kCallFinished:
      if (const auto at = Find(event.call_finished().call_id())) {
        v1::Step& step = open_.back();
        v1::ToolCallRecord* const record = step.mutable_tool_calls(*at);
        finished_[static_cast<size_t>(*at)] = event.sequence();
        record->set_outcome(event.call_finished().outcome());
        *record->mutable_result() = event.call_finished().result();
        if (record->has_start_time()) *record->mutable_duration() = ToProto(FromProto(event.time()) - FromProto(record->start_time()));
        step.set_last_sequence(event.sequence());
        const bool settled = std::all_of(step.tool_calls().begin(), step.tool_calls().end(),
                                         [](const v1::ToolCallRecord& other) { return other.outcome() != v1::CALL_OUTCOME_UNSPECIFIED; });
        if (settled) *step.mutable_end_time() = event.time();
      }
      return;
    case v1::Event::kRunCreated:
    case v1::Event::kRunStarted:
    case v1::Event::kModelFailed:
    case v1::Event::kInputReceived:
    case v1::Event::kCancelRequested:
    case v1::Event::kRunStopped:
    case v1::Event::kRunForked:
    case v1::Event::kContextCompacted:
    case v1::Event::kRunResumed:
    case v1::Event::KIND_NOT_SET: return;
  }
}

std::vector<v1::Step> StepFolder::TakeComplete() { return std::exchange(complete_, {}); }

std::vector<v1::Step> StepFolder::Finish() {
  Close();
  return TakeComplete();
}

}  // namespace agentruntime
