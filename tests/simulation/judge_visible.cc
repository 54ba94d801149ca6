// What left the process, held against what was durable at that moment.
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/util/names.h"
#include "proto/util/serialize.h"
#include "runtime/view.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/store.h"

namespace agentruntime::simulation {
namespace {

// "" if the line has no such field.
absl::string_view Field(absl::string_view line, absl::string_view name) {
  for (const absl::string_view field : absl::StrSplit(line, ' ')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(field, absl::MaxSplits('=', 1));
    if (parts.first == name) return parts.second;
  }
  return "";
}

}  // namespace

void Judge::SeenEvent(const RunId& run, const v1::Event& event) {
  ++counts.seen_events;
  const Known* const known = Find(run);
  if (known == nullptr || event.sequence() < 1 || event.sequence() > static_cast<Sequence>(known->events.size())) {
    return world_.Fail("visible: event ", event.sequence(), " of ", run.ToString(), " left before it was durable");
  }
  if (SerializeDeterministically(event) != known->events[static_cast<size_t>(event.sequence()) - 1]) {
    world_.Fail("visible: event ", event.sequence(), " of ", run.ToString(), " is not what is durable: ", event.ShortDebugString());
  }
}

void Judge::SeenRun(const v1::Run& run, RunForm form) {
  const auto id = ParseRunName(run.name());
  const Known* const known = id ? Find(*id) : nullptr;
  if (known == nullptr || run.last_sequence() > static_cast<Sequence>(known->events.size())) {
    return world_.Fail("visible: ", run.name(), " at ", run.last_sequence(), " left before it was durable");
  }
  v1::Run expected = RunOf(FoldTo(*known, run.last_sequence()));
  v1::Run seen = run;
  if (form != RunForm::kWhole) {
    for (v1::Run* each : {&expected, &seen}) {
      each->clear_input();
      each->clear_limits();
      if (form != RunForm::kSummary) continue;
      each->clear_answer();
      each->clear_parent_call();
      each->clear_deadline();
    }
  }
  if (SerializeDeterministically(seen) != SerializeDeterministically(expected)) {
    world_.Fail("visible: a run as of ", run.last_sequence(), " is not the fold of its journal: ", seen.ShortDebugString(), " instead of ",
                expected.ShortDebugString());
  }
}

void Judge::SeenDelta(const RunId& run, const v1::Delta& delta) {
  const Known* const known = Find(run);
  ++counts.deltas;
  const Sequence after = delta.after_sequence();
  if (known == nullptr || after < 1 || after > static_cast<Sequence>(known->events.size())) {
    return world_.Fail("visible: a delta of ", run.ToString(), " left before event ", after, " was durable");
  }
  const EventPtr intent = ParseEvent(known->events[static_cast<size_t>(after) - 1]);
  const bool fits = delta.has_tool_progress()
                        ? intent->call_started().call_id() == delta.tool_progress().call_id() && intent->call_started().attempt() == delta.attempt()
                        : intent->has_model_called() && intent->model_called().attempt() == delta.attempt() && intent->step() == delta.step();
  if (!fits) world_.Fail("visible: a delta of ", run.ToString(), " follows no intent of its attempt: ", delta.ShortDebugString());
}

void Judge::SeenLine(absl::string_view line) {
  const absl::string_view name = Field(line, "run");
  if (name.empty()) return;
  ++counts.lines;
  const auto run = absl::StartsWith(name, "runs/") ? ParseRunName(name) : RunId::Parse(name);
  const Known* const known = run ? Find(*run) : nullptr;
  if (known == nullptr) return world_.Fail("visible: a line of the log about a run that is not durable: ", line);
  if (!absl::StrContains(line, "message=\"run stopped\"")) return;
  if (++logged_stops_[*run] > known->rules.events(v1::Event::kRunStopped)) world_.Fail("visible: a stop was logged before it was durable: ", line);
}

void Judge::SeenSteps(const RunId& run, const std::vector<v1::Step>& steps) {
  const Known* const known = Find(run);
  if (known == nullptr) return world_.Fail("visible: steps of a run that is not durable, ", run.ToString());
  int32_t number = 0;
  for (const v1::Step& step : steps) {
    const std::string what = absl::StrCat("step ", step.number(), " of ", run.ToString());
    if (step.number() != ++number) return world_.Fail("visible: ", what, " instead of ", number);
    if (step.last_sequence() > static_cast<Sequence>(known->events.size())) return world_.Fail("visible: ", what, " left before it was durable");
    // As its events have it.
    v1::Decision decision;
    std::map<std::string, v1::CallOutcome> ends;
    for (Sequence at = step.first_sequence(); at <= step.last_sequence(); ++at) {
      const EventPtr event = ParseEvent(known->events[static_cast<size_t>(at) - 1]);
      if (event->step() != step.number()) continue;
      if (event->has_decision_made()) decision = event->decision_made().decision();
      if (event->has_call_finished()) ends[event->call_finished().call_id()] = event->call_finished().outcome();
    }
    if (SerializeDeterministically(step.decision()) != SerializeDeterministically(decision)) world_.Fail("visible: another decision is shown for ", what);
    for (const v1::ToolCallRecord& record : step.tool_calls()) {
      const auto end = ends.find(record.call().call_id());
      const v1::CallOutcome outcome = end == ends.end() ? v1::CALL_OUTCOME_UNSPECIFIED : end->second;
      if (record.outcome() != outcome) world_.Fail("visible: another outcome is shown for call ", record.call().call_id(), " of ", what);
    }
  }
}

}  // namespace agentruntime::simulation
