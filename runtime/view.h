// Runs as callers see them: views of a state or of a store's columns.
#pragma once

#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/state.h"
#include "storage/types.h"

namespace agentruntime {

// What the store keeps in columns: a function of the state alone.
RunProjection ProjectionOf(const RunState& state);

// One line for lists, out of the input.
std::string TitleOf(const v1::RunCreated& created);

v1::ForkSource ToProto(const ForkPoint& point);

// The whole run.
v1::Run RunOf(const RunState& state);

// Without input, limits and answer.
v1::Run SummaryOf(const RunRecord& record);

// The answer that `event` (decision_made or run_stopped) holds.
const google::protobuf::RepeatedPtrField<v1::Part>& AnswerIn(const v1::Event& event);

}  // namespace agentruntime
