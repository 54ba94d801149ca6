#include "tests/crash/store_story.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "proto/base/mutex.h"
#include "proto/base/status.h"
#include "proto/util/serialize.h"
#include "proto/util/time.h"
#include "tests/conformance/store_calls.h"

namespace agentruntime::testing {
namespace {

constexpr int kBurstMax = 6;
constexpr char kHash[] = "hash";
constexpr uint64_t kBigBytes = 1'100'000;  // more than one transaction on a small disk
constexpr absl::Duration kRefusedMax = absl::Seconds(20);

std::string Digest(const google::protobuf::Message& message) {
  const std::string bytes = SerializeDeterministically(message);
  return absl::StrCat(bytes.size(), ":", absl::Hex(std::hash<std::string>()(bytes)));
}

std::string EventLine(const v1::Event& event) { return absl::StrCat(" ", event.sequence(), " ", Digest(event)); }

std::string OutcomeText(const std::optional<CreateOutcome>& outcome) {
  return outcome ? absl::StrCat(static_cast<int>(outcome->kind), " ", outcome->run.ToString()) : "free";
}

std::string ArtifactLine(int32_t number, const std::string& content) {
  return absl::StrCat(" artifact ", number, " ", content.size(), ":", absl::Hex(std::hash<std::string>()(content)));
}

std::string RunText(const RunRecord& record, const std::vector<std::string>& journal, const std::vector<std::string>& artifacts) {
  std::string text = RunLine(record);
  for (const std::string& line : journal) absl::StrAppend(&text, line, "\n");
  for (const std::string& line : artifacts) absl::StrAppend(&text, line, "\n");
  return text;
}

// The same of a real store.
absl::StatusOr<std::string> RunTextIn(Store& store, const RunRecord& record) {
  ASSIGN_OR_RETURN(const std::vector<EventPtr> events, ReadAll(store, record.id));
  std::vector<std::string> journal;
  for (const EventPtr& event : events) journal.push_back(EventLine(*event));
  ASSIGN_OR_RETURN(const std::vector<ArtifactRecord> kept, store.ListArtifacts(record.id));
  std::vector<std::string> artifacts;
  for (const ArtifactRecord& artifact : kept) {
    ASSIGN_OR_RETURN(const ArtifactPiece whole, store.ReadArtifact(record.id, artifact.number, 0, artifact.bytes));
    artifacts.push_back(ArtifactLine(artifact.number, whole.data));
  }
  return RunText(record, journal, artifacts);
}

}  // namespace

std::string RunLine(const RunRecord& record) { return absl::StrCat("run ", ToText(record), "\n"); }

std::string AgentText(const v1::Agent& agent) {
  return absl::StrCat(agent.revision(), " made ", absl::ToUnixMicros(FromProto(agent.create_time())), " changed ",
                      absl::ToUnixMicros(FromProto(agent.update_time())), " ", agent.instructions());
}

std::map<RunId, std::string> StoreModel::RunTexts() const {
  std::map<RunId, std::string> texts;
  for (const auto& [id, run] : runs_) {
    RunRecord record;
    record.id = id;
    record.tenant = run.accepted.tenant;
    record.agent = run.accepted.created->run_created().agent();
    record.title = run.accepted.title;
    for (const auto& [key, value] : run.accepted.created->run_created().labels()) record.labels[key] = value;
    record.create_time = TestTime(0);
    record.projection = run.projection;
    texts[id] = RunText(record, run.journal, run.artifacts);
  }
  return texts;
}

std::map<std::pair<std::string, std::string>, std::set<RunId>> StoreModel::Labelled() const {
  std::map<std::pair<std::string, std::string>, std::set<RunId>> labelled;
  for (const auto& [id, run] : runs_) {
    for (const auto& [key, value] : run.accepted.created->run_created().labels()) labelled[{key, value}].insert(id);
  }
  return labelled;
}

std::string StoreModel::Text() const {
  std::string text;
  for (const auto& [id, run] : RunTexts()) absl::StrAppend(&text, run);
  for (const auto& [name, agent] : agents_) absl::StrAppend(&text, "agent ", name, " ", agent.text, "\n");
  for (const auto& [id, outcome] : requests_) absl::StrAppend(&text, "request ", id, " ", outcome, "\n");
  return text;
}

std::map<std::string, std::string> StoreModel::AgentTexts() const {
  std::map<std::string, std::string> texts;
  for (const auto& [name, agent] : agents_) texts[name] = agent.text;
  return texts;
}

std::vector<std::string> StoreModel::request_ids() const {
  std::vector<std::string> ids;
  for (const auto& [id, outcome] : requests_) ids.push_back(id);
  return ids;
}

absl::StatusOr<std::string> ObserveRun(Store& store, const RunId& run) {
  ASSIGN_OR_RETURN(const RunRecord record, store.GetRun(run));
  return RunTextIn(store, record);
}

absl::StatusOr<std::string> ObserveAgent(sqlite::Stores& stores, const std::string& name) {
  ASSIGN_OR_RETURN(const v1::Agent agent, stores.agents->Get(absl::StripPrefix(name, "agents/"), 0));
  return AgentText(agent);
}

absl::StatusOr<std::string> ObserveRequest(Store& store, const std::string& id) {
  ASSIGN_OR_RETURN(const std::optional<CreateOutcome> outcome, store.FindRequest("", id, kHash));
  return OutcomeText(outcome);
}

absl::StatusOr<std::string> Observe(sqlite::Stores& stores, const std::vector<std::string>& request_ids) {
  std::string text;
  std::optional<RunId> after;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const RunPage page, stores.store->ListRuns({.oldest_first = true, .after = after, .limit = 1000}));
    for (const RunRecord& record : page.runs) {
      ASSIGN_OR_RETURN(const std::string run, RunTextIn(*stores.store, record));
      absl::StrAppend(&text, run);
      after = record.id;
    }
    more = page.more && !page.runs.empty();
  }
  ASSIGN_OR_RETURN(const std::vector<v1::Agent> agents, stores.agents->List("", 1000));
  for (const v1::Agent& agent : agents) absl::StrAppend(&text, "agent ", agent.name(), " ", AgentText(agent), "\n");
  for (const std::string& id : request_ids) {
    ASSIGN_OR_RETURN(const std::string outcome, ObserveRequest(*stores.store, id));
    if (outcome != "free") absl::StrAppend(&text, "request ", id, " ", outcome, "\n");
  }
  return text;
}

// Draws items that make sense after the ones before.
class StoryMaker {
 public:
  StoryMaker(Random& random, const StoreModel& start, Epoch epoch, const StoryOptions& options)
      : random_(random), model_(start), epoch_(epoch), options_(options) {}

  Story Make() {
    Story story;
    story.models.push_back(model_);
    while (static_cast<int>(story.items.size()) < options_.items) {
      const auto burst = static_cast<int>(1 + Below(random_, kBurstMax));
      lost_.clear();
      for (int i = 0; i < burst; ++i) {
        StoryItem item = Draw(i == 0);
        // An agent's write blocks its caller: it is a burst of its own.
        const bool alone = item.kind == StoryItem::Kind::kAgent;
        item.begins_burst = i == 0 || alone;
        story.items.push_back(std::move(item));
        story.models.push_back(model_);
        if (alone) break;
      }
    }
    return story;
  }

 private:
  StoryItem Draw(bool first) {
    const uint64_t dice = Below(random_, 100);
    if (model_.runs_.size() < 2 || (dice < 15 && model_.runs_.size() < 8)) return Create();
    if (!first && dice < 22 && !model_.requests_.empty()) return Retry();
    if (first && dice < 30) return PutAgent();
    if (dice < 40) {
      if (auto item = Delete(); item) return *std::move(item);
    }
    if (auto item = Append(!first && dice > 93, dice < 52); item) return *std::move(item);
    return Create();
  }

  StoryItem Create() {
    StoryItem item{.kind = StoryItem::Kind::kCreate};
    const int number = model_.next_number_++;
    item.id = TestRunId(number);
    RunOptions options;
    if (Below(random_, 3) == 0) options.request_id = absl::StrCat("request-", number);
    if (Below(random_, 3) == 0) options.labels = {{"customer", absl::StrCat(number)}, {"kind", "test"}};
    item.run = TestRun(item.id, options);
    StoreModel::Run& run = model_.runs_[item.id];
    run.accepted = item.run;
    run.projection = item.run.projection;
    run.journal = {EventLine(*item.run.created)};
    if (!options.request_id.empty()) model_.requests_[options.request_id] = OutcomeText(CreateOutcome{CreateOutcome::Kind::kExists, item.id});
    return item;
  }

  // A request that was accepted before, or even deleted since: nothing changes.
  StoryItem Retry() {
    StoryItem item{.kind = StoryItem::Kind::kRetry};
    auto request = model_.requests_.begin();
    std::advance(request, static_cast<int64_t>(Below(random_, model_.requests_.size())));
    item.id = TestRunId(model_.next_number_++);
    item.run = TestRun(item.id, {.request_id = request->first});
    return item;
  }

  std::optional<StoryItem> Delete() {
    for (auto& [id, run] : model_.runs_) {
      if (run.projection.state != v1::RUN_STATE_STOPPED) continue;
      StoryItem item{.kind = StoryItem::Kind::kDelete};
      item.id = id;
      if (const std::string& request = run.accepted.request_id; !request.empty())
        model_.requests_[request] = OutcomeText(CreateOutcome{CreateOutcome::Kind::kDeleted, id});
      model_.runs_.erase(id);
      return item;
    }
    return std::nullopt;
  }

  std::optional<StoryItem> Append(bool lost, bool stop) {
    std::vector<RunId> live;
    for (const auto& [id, run] : model_.runs_) {
      if (run.projection.state != v1::RUN_STATE_STOPPED && !lost_.contains(id)) live.push_back(id);
    }
    if (live.empty()) return std::nullopt;
    const RunId id = live[Below(random_, live.size())];
    StoreModel::Run& run = model_.runs_[id];
    StoryItem item{.kind = lost ? StoryItem::Kind::kLostAppend : StoryItem::Kind::kAppend};
    item.id = id;
    const Sequence after = run.projection.last_sequence;
    const auto count = static_cast<int>(1 + Below(random_, 4));
    const Sequence last = after + count;
    item.append = TestAppend(id, epoch_, after, count, stop ? StoppedProjection(last) : TestProjection(last));
    for (EventPtr& event : item.append.events) event = TestEvent(event->sequence(), epoch_, EventBytes());
    bool big = false;
    if (Below(random_, 5) == 0) {
      big = options_.large && !AnyBig() && Below(random_, 2) == 0;
      const auto bytes = static_cast<int64_t>(big ? kBigBytes + Below(random_, 100'000) : 1 + Below(random_, 20'000));
      item.append.artifacts = {TestArtifact(static_cast<int32_t>(run.artifacts.size()) + 1, bytes)};
    }
    if (lost) {
      // From an owner of before; whatever else is queued for the run is lost with it.
      item.append.epoch = epoch_ - 1;
      lost_[id] = true;
      return item;
    }
    for (const EventPtr& event : item.append.events) run.journal.push_back(EventLine(*event));
    for (const StagedArtifact& artifact : item.append.artifacts) run.artifacts.push_back(ArtifactLine(artifact.number, *artifact.content));
    run.big |= big;
    run.projection = item.append.projection;
    return item;
  }

  // One at a time: the disk is small.
  bool AnyBig() const {
    return std::any_of(model_.runs_.begin(), model_.runs_.end(), [](const auto& entry) { return entry.second.big; });
  }

  // A new agent, or a new revision of one that is there: half of each.
  StoryItem PutAgent() {
    StoryItem item{.kind = StoryItem::Kind::kAgent};
    const int number = model_.next_number_++;
    item.agent.set_name(absl::StrCat("agents/a", number));
    if (!model_.agents_.empty() && Below(random_, 2) == 0) {
      auto known = model_.agents_.begin();
      std::advance(known, static_cast<int64_t>(Below(random_, model_.agents_.size())));
      item.agent.set_name(known->first);
    }
    item.agent.set_instructions(absl::StrCat(number, std::string(Below(random_, 3000), 'i')));
    item.time = TestTime(number);
    StoreModel::Agent& agent = model_.agents_[item.agent.name()];
    if (++agent.revision == 1) agent.made = item.time;
    v1::Agent stored = item.agent;
    stored.set_revision(absl::StrCat(item.agent.name(), "/revisions/", agent.revision));
    *stored.mutable_create_time() = ToProto(agent.made);
    *stored.mutable_update_time() = ToProto(item.time);
    agent.text = AgentText(stored);
    return item;
  }

  int EventBytes() {
    const uint64_t dice = Below(random_, 10);
    if (dice == 0 && options_.large) return static_cast<int>(60'000 + Below(random_, 60'000));
    if (dice < 3) return static_cast<int>(2'000 + Below(random_, 8'000));
    return static_cast<int>(Below(random_, 400));
  }

  Random& random_;
  StoreModel model_;
  const Epoch epoch_;
  const StoryOptions options_;
  std::map<RunId, bool> lost_;  // within this burst
};

Story MakeStory(Random& random, const StoreModel& start, Epoch epoch, const StoryOptions& options) { return StoryMaker(random, start, epoch, options).Make(); }

namespace {

// Counts what is under way; shared with completions.
class Player {
 public:
  Player(sqlite::Stores& stores, const StoryHooks& hooks) : stores_(stores), hooks_(hooks) {}

  void Submit(const StoryItem& item, int number) {
    {
      MutexLock lock(mu_);
      ++open_;
    }
    switch (item.kind) {
      case StoryItem::Kind::kCreate:
      case StoryItem::Kind::kRetry: {
        const bool fresh = item.kind == StoryItem::Kind::kCreate;
        stores_.store->Create(item.run, [this, number, fresh](const CreateOutcome& outcome) {
          Done(number, (outcome.kind == CreateOutcome::Kind::kCreated) == fresh && outcome.kind != CreateOutcome::Kind::kReused);
        });
        return;
      }
      case StoryItem::Kind::kAppend:
      case StoryItem::Kind::kLostAppend: {
        const AppendResult expected = item.kind == StoryItem::Kind::kAppend ? AppendResult::kDurable : AppendResult::kLost;
        stores_.store->Append(item.append, [this, number, expected](AppendResult result) { Done(number, result == expected); });
        return;
      }
      case StoryItem::Kind::kDelete: stores_.store->Delete(item.id, [this, number](const absl::Status& status) { Done(number, status.ok()); }); return;
      case StoryItem::Kind::kAgent: Done(number, PutAgent(item.agent, item.time)); return;
    }
  }

  void AwaitAll() {
    MutexLock lock(mu_);
    while (open_ > 0) done_.Wait(mu_);
  }
  std::string wrong() {
    MutexLock lock(mu_);
    return wrong_;
  }

 private:
  // Agents are refused while the disk is full, and may be there all the same: as every caller does, ask again. The same content is no second revision.
  bool PutAgent(const v1::Agent& agent, absl::Time time) {
    for (const absl::Time until = absl::Now() + kRefusedMax; absl::Now() < until; absl::SleepFor(absl::Milliseconds(5))) {
      const absl::Status status = stores_.agents->Update(agent, /*allow_missing=*/true, time).status();
      if (status.ok()) return true;
      if (status.code() != absl::StatusCode::kUnavailable) return false;
    }
    return false;
  }

  void Done(int number, bool as_told) {
    if (as_told && hooks_.acknowledged) hooks_.acknowledged(number);
    MutexLock lock(mu_);
    if (!as_told) absl::StrAppend(&wrong_, "item ", number, " was answered otherwise; ");
    --open_;
    done_.NotifyAll();
  }

  sqlite::Stores& stores_;
  const StoryHooks& hooks_;
  Mutex mu_;
  CondVar done_;
  int open_ ABSL_GUARDED_BY(mu_) = 0;
  std::string wrong_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::string Play(const Story& story, sqlite::Stores& stores, const StoryHooks& hooks) {
  Player player(stores, hooks);
  const auto end = static_cast<int>(story.items.size());
  for (int begin = 0; begin < end;) {
    int next = begin + 1;
    while (next < end && !story.items[static_cast<size_t>(next)].begins_burst) ++next;
    const bool hold = next - begin > 1 && hooks.hold != nullptr;
    if (hold) hooks.hold();
    for (int i = begin; i < next; ++i) {
      player.Submit(story.items[static_cast<size_t>(i)], i + 1);
      if (hold && i == begin) hooks.await_held();
    }
    if (hold) hooks.release();
    player.AwaitAll();
    begin = next;
  }
  return player.wrong();
}

}  // namespace agentruntime::testing
