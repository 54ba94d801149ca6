// What one seed decides before anything happens: who is there, what they are like, and what goes wrong.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/agent.pb.h"
#include "runtime/environment.h"
#include "tests/simulation/dice.h"

namespace agentruntime::simulation {

// Probabilities of what a model does at each request; the rest is a decision.
struct ModelTemper {
  double fail = 0;    // an error, retryable or not
  double hang = 0;    // until it is cancelled
  double deaf = 0;    // goes on for a while in spite of a cancellation
  double odd = 0;     // calls of unknown tools, invalid arguments, too many calls, cut or filtered text, no usage, throws
  double answer = 0;  // of a decision: it is the last
  double repeat = 0;  // the calls of the decision before, once more
  double poison = 0;  // the process dies of it
  absl::Duration time_max;
};

// The same of a tool; the rest is a result.
struct ToolTemper {
  double fail = 0;     // certainly without effect, it says
  double unknown = 0;  // may have worked: it does not say
  double hang = 0;
  double deaf = 0;
  double odd = 0;    // broken text, throws
  double large = 0;  // a result that may be too large for its event, now and then one that was there before
  absl::Duration time_max;
};

struct Settings {
  explicit Settings(uint64_t seed);
  // Contexts outgrow the models' windows.
  bool is_narrow() const { return context_tokens < 10'000; }

  RuntimeOptions options;
  std::vector<v1::Agent> agents;
  ModelTemper model;
  ToolTemper tool;
  std::map<std::string, v1::ModelPrice> prices;  // of models; those that are not there have none
  int32_t context_tokens = 128'000;              // of every model
  v1::Limits child_limits;                       // of runs that answer calls: those of the tool
  absl::Duration child_timeout;                  // of the call
  bool poisoned = false;                         // one agent's model is poison, and stays so

  int submitters = 0;
  int runs_each = 0;
  int meddlers = 0;
  int watchers = 0;
  absl::Duration busy_time;  // of clients and faults; then faults stop

  absl::Duration commit_time_max;
  size_t batch_max = 1000;
  double crash_at_effect = 0;  // at each request that reaches a model or tool, each append and each commit
  int effect_crashes_max = 0;
  double commit_fails = 0;
  double read_refused = 0;  // of those by request id
  double restored = 0;      // that a start is one of a restored copy
  double leave_time = 0;    // that a timer is due while handlers are ready

  // Mean pauses of what an operator and a bad day do; zero: never.
  absl::Duration crash_every;
  absl::Duration drain_every;
  absl::Duration full_every;
  absl::Duration jump_every;
};

// Names: model `near` and tools `near_read`, `near_keep` are local; `far`, `far_read`, `far_keep`, `far_send` are not. `poison` is a far model.
// `read_artifact` and `ask_person` are the real ones. `sub_a0` and so on are sub_agent, the real one, of agents that may be there or not.
inline constexpr absl::string_view kSubPrefix = "sub_";
inline const std::vector<std::string>& ToolNames() {
  static const auto& names =
      *new std::vector<std::string>{"ask_person", "far_keep", "far_read", "far_send", "near_keep", "near_read", "read_artifact", "sub_a0", "sub_a1", "sub_a2"};
  return names;
}

}  // namespace agentruntime::simulation
