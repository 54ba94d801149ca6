// A seeded story of writes to a store, and what the store must hold after each of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/sqlite/stores.h"
#include "storage/types.h"
#include "tests/crash/power_cut.h"

namespace agentruntime::testing {

// What a store holds, as text: every run's columns, its journal and its artifacts byte by byte (as length and digest), every agent, what each request id leads
// to.
class StoreModel {
 public:
  std::string Text() const;
  std::vector<std::string> request_ids() const;
  // By id, a run's part of Text; its first line is what a list says of it.
  std::map<RunId, std::string> RunTexts() const;
  // By label, the runs that have it.
  std::map<std::pair<std::string, std::string>, std::set<RunId>> Labelled() const;
  // By name or request id, the others. Of agents, the newest revisions.
  std::map<std::string, std::string> AgentTexts() const;
  const std::map<std::string, std::string>& requests() const { return requests_; }

 private:
  friend class StoryMaker;
  struct Run {
    NewRun accepted;
    RunProjection projection;
    std::vector<std::string> journal;    // one line for each event
    std::vector<std::string> artifacts;  // one line each
    bool big = false;                    // has an artifact of more than one transaction
  };
  struct Agent {
    int revision = 0;  // the newest
    absl::Time made;
    std::string text;
  };
  std::map<RunId, Run> runs_;
  std::map<std::string, Agent> agents_;
  std::map<std::string, std::string> requests_;  // request id to outcome
  int next_number_ = 1;
};

// The same of a real store; `request_ids` are those to ask for.
absl::StatusOr<std::string> Observe(sqlite::Stores& stores, const std::vector<std::string>& request_ids);

// One run's part of it, one agent's, and one request's ("free" if nothing is known of it), without what they are called.
absl::StatusOr<std::string> ObserveRun(Store& store, const RunId& run);
absl::StatusOr<std::string> ObserveAgent(sqlite::Stores& stores, const std::string& name);
absl::StatusOr<std::string> ObserveRequest(Store& store, const std::string& id);
// The line that a run's part begins with, and an agent's text.
std::string RunLine(const RunRecord& record);
std::string AgentText(const v1::Agent& agent);

struct StoryItem {
  enum class Kind { kCreate, kRetry, kAppend, kLostAppend, kDelete, kAgent };
  Kind kind;
  NewRun run;
  AppendRequest append;
  RunId id;
  v1::Agent agent;
  absl::Time time;            // at which the agent is written
  bool begins_burst = false;  // nothing of before it is under way
};

struct StoryOptions {
  int items = 40;
  bool large = false;  // some events of about 100 KB, so that the log is copied for its size, and an artifact whose chunks take several transactions
};

struct Story {
  std::vector<StoryItem> items;
  std::vector<StoreModel> models;  // [i]: after the first i items
};

// Items for a store that holds `start` and was opened as `epoch`.
Story MakeStory(Random& random, const StoreModel& start, Epoch epoch, const StoryOptions& options);

struct StoryHooks {
  // Around the first item of a burst, so that all others of it share the next transaction. Empty: no such care.
  std::function<void()> hold, await_held, release;
  // Item `number` (from 1) was acknowledged. Called on the store's thread, or on the player's for agents.
  std::function<void(int number)> acknowledged;
};

// Plays all of it and waits for each burst. Returns what was answered other than the story says; "" if nothing.
std::string Play(const Story& story, sqlite::Stores& stores, const StoryHooks& hooks);

}  // namespace agentruntime::testing
