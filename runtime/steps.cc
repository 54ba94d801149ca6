#include "runtime/steps.h"

#include <algorithm>
#include <string>
#include <utility>

#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime {

v1::ToolCallRecord* StepFolder::Find(const std::string& call_id) {
  if (open_.empty()) return nullptr;
  for (v1::ToolCallRecord& record : *open_.back().mutable_tool_calls()) {
    if (record.call().call_id() == call_id) return &record;
  }
  return nullptr;
}

void StepFolder::Add(const v1::Event& event) {
  switch (event.kind_case()) {
    case v1::Event::kModelCalled:
      if (asked_sequence_ == 0) {
        asked_ = event.time();
        asked_sequence_ = event.sequence();
      }
      return;
    case v1::Event::kDecisionMade: {
      for (v1::Step& step : open_) complete_.push_back(std::move(step));
      open_.clear();
      v1::Step& step = open_.emplace_back();
      step.set_name(FormatStepName(run_, event.step()));
      step.set_number(event.step());
      *step.mutable_decision() = event.decision_made().decision();
      for (const v1::ToolCall& call : event.decision_made().decision().tool_calls()) *step.add_tool_calls()->mutable_call() = call;
      step.set_first_sequence(asked_sequence_);
      step.set_last_sequence(event.sequence());
      *step.mutable_start_time() = asked_;
      if (step.tool_calls().empty()) *step.mutable_end_time() = event.time();
      asked_sequence_ = 0;
      return;
    }
    case v1::Event::kCallStarted:
      if (v1::ToolCallRecord* const record = Find(event.call_started().call_id())) {
        record->set_attempts(event.call_started().attempt());
        if (!record->has_start_time()) *record->mutable_start_time() = event.time();
        open_.back().set_last_sequence(event.sequence());
      }
      return;
    case v1::Event::kCallFailed:
      if (Find(event.call_failed().call_id()) != nullptr) open_.back().set_last_sequence(event.sequence());
      return;
    case v1::Event::kCallFinished:
      if (v1::ToolCallRecord* const record = Find(event.call_finished().call_id())) {
        v1::Step& step = open_.back();
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
    case v1::Event::kCancelRequested:
    case v1::Event::kRunStopped:
    case v1::Event::kRunResumed:
    case v1::Event::KIND_NOT_SET: return;
  }
}

std::vector<v1::Step> StepFolder::TakeComplete() { return std::exchange(complete_, {}); }

std::vector<v1::Step> StepFolder::Finish() { return std::exchange(open_, {}); }

}  // namespace agentruntime
