// The end of a call that no tool gave.
#pragma once

#include <string>
#include <utility>

#include "agentruntime/v1/event.pb.h"
#include "runtime/state.h"

namespace agentruntime {

inline v1::Event FinishedWithText(const CallId& call, v1::CallOutcome outcome, std::string text) {
  v1::Event fact;
  fact.set_step(call.step);
  v1::CallFinished* const finished = fact.mutable_call_finished();
  finished->set_call_id(call.ToString());
  finished->set_outcome(outcome);
  finished->add_result()->set_text(std::move(text));
  return fact;
}

// Of a call that nobody knows the outcome of, with what is known.
inline v1::Event FinishedUncertain(const CallId& call, std::string text) { return FinishedWithText(call, v1::CALL_OUTCOME_UNCERTAIN, std::move(text)); }

}  // namespace agentruntime
