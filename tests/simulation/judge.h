// The judge: hears of every append, commit, effect and message that leaves, and holds them against the promises of README.md.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "agentruntime/v1/run_service.pb.h"
#include "runtime/models/model.h"
#include "runtime/state.h"
#include "runtime/stop.h"
#include "runtime/tools/tool.h"
#include "storage/store.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/journal_rules.h"
#include "tests/simulation/world.h"

namespace agentruntime::simulation {

// What is durable of a run, folded twice: by the rules and by the product.
struct Known {
  JournalRules rules;
  RunState fold;
  std::vector<std::string> events;  // of a fork: those that it shares too
  bool deleted = false;
};

// How much of a run a message carries.
enum class RunForm { kWhole, kWithoutInput, kSummary };

// What was counted: floors for a verdict.
struct Counts {
  int64_t commits = 0;
  int64_t events = 0;
  int64_t runs = 0;
  int64_t forks = 0;
  int64_t children = 0;
  int64_t child_results = 0;
  int64_t stops = 0;
  int64_t executions = 0;
  int64_t model_requests = 0;
  int64_t seen_events = 0;
  int64_t acknowledged = 0;
  int64_t crashes = 0;
  int64_t handlers = 0;
  int64_t artifacts = 0;
  int64_t artifacts_read = 0;
  int64_t allowed = 0;
  int64_t denied = 0;
  int64_t questions = 0;
  int64_t loops = 0;
  int64_t held = 0;
  int64_t inputs = 0;
  int64_t cancels = 0;
  int64_t resumes = 0;
  int64_t deltas = 0;
  int64_t lines = 0;            // of the log, about runs
  int64_t left = 0;             // watchers that went away in mid-stream
  int64_t full_commits = 0;     // that found the disk full
  int64_t failed_commits = 0;   // of which nothing is there
  int64_t unheard_commits = 0;  // that were through, and nobody heard of it
  int64_t clock_jumps = 0;
  int64_t model_failures = 0;
  int64_t paid_failures = 0;  // of a model that did its work and reported a failure
  int64_t call_failures = 0;
  int64_t hidden_effects = 0;  // of a tool that did its work and reported a failure
  int64_t nonsense = 0;        // decisions and arguments that make no sense

  void Add(const Counts& more);
  // "3 runs, 1 forks, ...": all of them.
  std::string Text() const;
};

class Judge {
 public:
  explicit Judge(World& world) : world_(world) {}

  // A new process: what the one before had queued is lost.
  void ProcessStarted(int number, Epochs epochs);

  // Of the store.
  void Queued(const NewRun& run);
  void Queued(const AppendRequest& request);
  void Durable(const DiskRun& run, size_t new_events);
  void Lost(const AppendRequest& request);
  void Refused(const NewRun& run);
  void Deleted(const RunId& run);

  // What left: watchers and replies.
  void SeenEvent(const RunId& run, const v1::Event& event);
  void SeenRun(const v1::Run& run, RunForm form);
  void SeenDelta(const RunId& run, const v1::Delta& delta);
  // A line of the log.
  void SeenLine(absl::string_view line);
  // As ListSteps gave them.
  void SeenSteps(const RunId& run, const std::vector<v1::Step>& steps);
  void SeenArtifact(const RunId& run, int32_t number, const ArtifactPiece& piece);

  // Effects, as they begin; and what the outside said of a call.
  void ModelAsked(const ModelRequest& request, bool local);
  // What the model reported: tokens, or nothing.
  void ModelSaid(const ModelRequest& request, const Boxed<v1::Usage>& usage);
  void CallSent(const ToolRequest& request, const ToolSpec& spec);
  enum class Said { kNothing, kDone, kFailed, kUnknown };
  void CallSaid(const ToolRequest& request, const ToolSpec& spec, Said said);

  // As time goes by: what was promised for a moment has happened then, once nothing disturbs it any more.
  void CheckMoments();

  // At the end: chunks that no event names are gone.
  void CheckChunks();

  // Null if no such run was ever durable.
  const Known* Find(const RunId& run) const;
  // Every run that was ever durable, oldest first.
  const std::map<RunId, Known>& runs() const { return runs_; }
  // The state after `sequence` durable events, or after all of them if there are not so many: who names more was judged for it.
  RunState FoldTo(const Known& known, Sequence sequence) const;

  Counts counts;

 private:
  struct Pending {
    RunState fold;  // durable and queued
    std::deque<std::string> bytes;
    bool lost = false;
    bool refused = false;  // its creation
  };
  void CheckProjection(const RunId& run, const RunState& fold, const RunProjection& projection, absl::string_view when);
  void CheckColumns(const Known& known, const RunProjection& projection);
  void CheckBooked(const Known& known, const v1::Event& event);
  void CheckCancel(const RunId& run, const v1::Event& event);
  void CheckChildren(const Known& known, const v1::Event& event);
  void CheckChild(const RunId& run, const v1::RunCreated& created);
  void CheckResultOfChild(const Known& known, const v1::CallFinished& finished, const v1::Child& named);
  void CheckArtifacts(const DiskRun& row, const Known& known, const v1::Event& event);
  void CheckMessages(const ModelRequest& request);
  // What the fork shares, folded as if it were its own.
  Known Shared(const RunId& fork, const ForkPoint& point);
  void CheckConversation(const RunId& run, const v1::Event& event);
  void CheckEarlierRuns(const RunId& run, const v1::RunCreated& created);
  // The run of the same conversation that was accepted last.
  std::optional<RunId> LastOf(const Known& known) const;

  World& world_;
  int process_ = 0;
  Epochs epochs_;  // of that process
  absl::Duration moments_checked_;
  std::map<RunId, Known> runs_;
  std::map<RunId, Pending> pending_;
  std::map<RunId, absl::Duration> cancels_;
  std::map<RunId, int64_t> logged_stops_;
  std::map<std::string, std::vector<RunId>> conversations_;  // as they were accepted
  using Attempt = std::tuple<RunId, int32_t, int32_t>;       // run, step, attempt
  std::set<Attempt> asked_;
  std::map<Attempt, std::optional<int64_t>> reported_;                      // tokens; nullopt: none were reported
  std::map<std::pair<RunId, CallId>, std::map<int32_t, Said>> executions_;  // by attempt
};

}  // namespace agentruntime::simulation
