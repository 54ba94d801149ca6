// What callers may ask of a run that exists. Each is judged on the run's strand against its state, and becomes one event.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agentruntime/v1/run.pb.h"
#include "runtime/ask.h"
#include "runtime/reply.h"
#include "runtime/session.h"

namespace agentruntime {

struct CancelCommand {
  v1::Cancellation cancellation;
  std::string request_id;
  std::string request_hash;
};

struct ResumeCommand {
  v1::Limits limits;
  std::vector<v1::Part> input;
  std::optional<absl::Time> deadline;
  std::string request_id;
  std::string request_hash;
  std::string principal;
  std::optional<RunId> later_run;  // its conversation went on with this one
  absl::Time now;                  // as it was asked
};

struct InputCommand {
  std::vector<v1::Part> input;
  std::string request_id;
  std::string request_hash;
  std::string principal;
};

// OK unless the run takes no input of `bytes`: RunTakesNoInput, RunAnswered, JournalFull. Pure.
absl::Status CheckInput(const RunState& state, int64_t bytes);

struct ResolveCommand {
  CallId call;
  Resolution resolution;
};

// OK unless the call does not wait, or not for this answer (CheckAnswer), or is to be run again where the journal has no room for that: CallNotFound,
// CallNotWaiting, AnswerUnfit, INVALID_ARGUMENT, JournalFull. Pure.
absl::Status CheckResolve(const RunState& state, const RunPlan& plan, const CallId& call, const v1::CallAnswer& answer);

// OK unless the run cannot be resumed with these limits, this deadline and this input: RunNotStopped, RunAnswered, LimitNotRaised, DeadlineNotRaised. Pure.
absl::Status CheckResume(const RunState& state, absl::Time now, const v1::Limits& limits, std::optional<absl::Time> deadline,
                         const std::vector<v1::Part>& input = {});

// Unless it has stopped or is being cancelled.
void RequestCancel(Session& session, CancelCommand command);

// Each answers `reply` with the run once its event is durable.
void CancelRun(Session& session, CancelCommand command, std::shared_ptr<Reply<v1::Run>> reply);
void ResumeRun(Session& session, ResumeCommand command, std::shared_ptr<Reply<v1::Run>> reply);
void SendInput(Session& session, InputCommand command, std::shared_ptr<Reply<v1::Run>> reply);
void ResolveCall(Session& session, ResolveCommand command, std::shared_ptr<Reply<v1::Run>> reply);

}  // namespace agentruntime
