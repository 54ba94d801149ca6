// Folding a run out of a store whose rows say otherwise than its journal.
#include "runtime/load.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/util/time.h"
#include "runtime/fork.h"
#include "runtime/view.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/journal.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

using testing::FakeModel;
using testing::Journal;

using Change = std::function<void(RunRecord&)>;
using Changes = std::vector<std::pair<const char*, Change>>;

// A store whose rows say something else.
class OtherRows final : public RunReader {
 public:
  OtherRows(RunReader& store, Change change) : store_(store), change_(std::move(change)) {}
  absl::StatusOr<RunRecord> GetRun(const RunId& run) override {
    absl::StatusOr<RunRecord> record = store_.GetRun(run);
    if (record.ok()) change_(*record);
    return record;
  }
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override { return store_.ReadEvents(run, after, limit); }

 private:
  RunReader& store_;
  const Change change_;
};

// Two runs with all that a row says of how they were accepted: one that stopped, and a fork of it that is still to begin.
class LoadTest : public ::testing::Test {
 protected:
  LoadTest() {
    auto created = std::make_shared<v1::Event>(*journal_.events[0]);
    v1::RunCreated& accepted = *created->mutable_run_created();
    (*accepted.mutable_labels())["team"] = "blue";
    accepted.set_conversation("talk");
    accepted.set_tenant(caller_.tenant);
    accepted.set_request_id("job-1");
    accepted.set_request_hash("hash of job-1");
    journal_.events = {created};
    const RunId run = journal_.state.id;
    journal_.state = Folded(run, created);
    Create(journal_.state, created, "job-1", std::nullopt);

    ForkRequest request{.source = run,
                        .step = 0,
                        .agent = "",
                        .limits = {},
                        .input = {},
                        .labels = {{"team", "red"}},
                        .allow_side_effects = false,
                        .deadline = std::nullopt,
                        .request_id = "fork-1",
                        .request_hash = "hash of fork-1"};
    const ForkBase base{journal_.state, journal_.state.agent(), journal_.state.limits};
    const auto forked = std::make_shared<const v1::Event>(ForkedEvent(base, request, base.agent, base.limits, caller_, journal_.now, journal_.epoch));
    fork_ = RunId::New(journal_.now, 3, 4);
    RunState fork = base.state;
    fork.id = fork_;
    Apply(fork, forked);
    Create(fork, forked, "fork-1", ForkPoint{run, 1});

    journal_.now += absl::Seconds(1);
    journal_.Settle(*testing::MakePlan(std::make_shared<FakeModel>()));
    journal_.now += absl::Seconds(1);
    v1::Stop stop;
    stop.set_reason(v1::STOP_REASON_ERROR);
    stop.set_resumable(true);
    journal_.AddAll(StopFacts(journal_.state, std::move(stop)));
    EXPECT_EQ(AppendNow(*stores_.store, journal_.Rest(stores_.store->epoch())), AppendResult::kDurable);
  }

  static RunState Folded(const RunId& run, const EventPtr& created) {
    RunState state;
    state.id = run;
    Apply(state, created);
    return state;
  }
  void Create(const RunState& state, const EventPtr& first, const std::string& request_id, std::optional<ForkPoint> forked_from) {
    NewRun run;
    run.id = state.id;
    run.tenant = caller_.tenant;
    run.request_id = request_id;
    run.request_hash = "hash of " + request_id;
    run.created = first;
    run.title = RunOf(state).title();
    run.projection = ProjectionOf(state);
    run.forked_from = forked_from;
    EXPECT_EQ(CreateNow(*stores_.store, std::move(run)).kind, CreateOutcome::Kind::kCreated);
  }

  // By a row that `change` was applied to.
  absl::StatusOr<RunState> Load(const RunId& run, Change change) {
    OtherRows rows(*stores_.store, std::move(change));
    return LoadState(rows, run);
  }
  absl::StatusOr<RunState> Load(Change change) { return Load(journal_.state.id, std::move(change)); }

  void ExpectDamage(const RunId& run, const Changes& changes) {
    for (const auto& [what, change] : changes) {
      const absl::Status status = Load(run, change).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
      EXPECT_NE(status.message().find("its journal and its columns differ"), absl::string_view::npos) << what << ": " << status;
    }
  }

  TempDir dir_;
  sqlite::Stores stores_ = *sqlite::OpenStores({.path = dir_.File("test.db")});
  const Caller caller_{.tenant = "acme", .principal = "somebody", .traceparent = ""};
  Journal journal_;
  RunId fork_;
};

TEST_F(LoadTest, ARunIsWhatItsJournalSays) {
  const auto loaded = Load([](RunRecord&) {});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->is_stopped());
  const auto fork = Load(fork_, [](RunRecord&) {});
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ(fork->phase, v1::RUN_STATE_QUEUED);
}

// A fault of ours, then, since rows and events have checksums: nobody knows which of the two is right.
TEST_F(LoadTest, ARowThatSaysOtherwiseIsDamage) {
  const auto projected = [](std::function<void(RunProjection&)> change) { return [change](RunRecord& row) { change(row.projection); }; };
  ExpectDamage(journal_.state.id, {
                                      {"the stop's reason", projected([](RunProjection& row) { row.stop->set_reason(v1::STOP_REASON_TIMEOUT); })},
                                      {"the steps", projected([](RunProjection& row) { ++row.last_step; })},
                                      {"the answer", projected([](RunProjection& row) { row.answer_sequence = 2; })},
                                      {"the priority", projected([](RunProjection& row) { ++row.priority; })},
                                      {"when it may begin", projected([](RunProjection& row) { row.not_before = TestTime(1); })},
                                      {"the deadline", projected([](RunProjection& row) { row.deadline = TestTime(1); })},
                                      {"the usage", projected([](RunProjection& row) { row.usage.set_input_tokens(row.usage.input_tokens() + 1); })},
                                      {"the limits", projected([](RunProjection& row) { row.limits.set_max_steps(row.limits.max_steps() + 1); })},
                                      {"when it began", projected([](RunProjection& row) { *row.start_time += absl::Microseconds(1); })},
                                      {"when it changed", projected([](RunProjection& row) { row.update_time += absl::Microseconds(1); })},
                                      {"when it stopped", projected([](RunProjection& row) { *row.stop_time += absl::Microseconds(1); })},
                                  });
}

TEST_F(LoadTest, ARowOfARunThatWasAcceptedOtherwiseIsDamage) {
  const Changes changes = {
      {"the tenant", [](RunRecord& row) { row.tenant = "another"; }},
      {"the agent", [](RunRecord& row) { row.agent = "agents/test/revisions/2"; }},
      {"a label", [](RunRecord& row) { row.labels["team"] = "green"; }},
      {"one label more", [](RunRecord& row) { row.labels["more"] = ""; }},
      {"when it was accepted", [](RunRecord& row) { row.create_time += absl::Microseconds(1); }},
      {"the conversation", [](RunRecord& row) { row.conversation = "another"; }},
      {"the request", [](RunRecord& row) { row.request_id = "job-2"; }},
      {"the request's hash", [](RunRecord& row) { row.request_hash = "hash of job-2"; }},
  };
  ExpectDamage(journal_.state.id, changes);
  ExpectDamage(journal_.state.id, {{"what it is a fork of", [this](RunRecord& row) { row.forked_from = ForkPoint{fork_, 1}; }}});
  ExpectDamage(fork_, changes);
  ExpectDamage(fork_, {{"what it is a fork of", [this](RunRecord& row) { row.forked_from->run = fork_; }}});
}

// What older versions counted or told otherwise is no damage.
TEST_F(LoadTest, ARowMayCountStartsAndTellWhatIsGoingOnInItsOwnWay) {
  const auto loaded = Load([](RunRecord& row) {
    row.title = "cut otherwise";
    ++row.projection.barren_starts;
    row.projection.wake_time = TestTime(1);
    row.projection.activity.emplace().set_detail("something");
  });
  EXPECT_TRUE(loaded.ok()) << loaded.status();
}

// As an older version wrote them.
TEST_F(LoadTest, AJournalMaySayNothingOfItsRequest) {
  Journal journal;
  journal.state.id = RunId::New(journal.now, 5, 6);
  auto created = std::make_shared<v1::Event>(*journal.events[0]);
  created->mutable_run_created()->set_tenant(caller_.tenant);
  Create(Folded(journal.state.id, created), created, "job-3", std::nullopt);
  const auto loaded = Load(journal.state.id, [](RunRecord&) {});
  EXPECT_TRUE(loaded.ok()) << loaded.status();
}

}  // namespace
}  // namespace agentruntime
