// Folding a run out of a store whose rows say otherwise than its journal.
#include "runtime/load.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "proto/util/time.h"
#include "runtime/view.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"
#include "tests/support/journal.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

using testing::FakeModel;
using testing::Journal;

class LoadTest : public ::testing::Test {
 protected:
  // A run as `journal` says, with a row that `change` was applied to.
  absl::StatusOr<RunState> Load(const std::function<void(RunProjection&)>& change) {
    Journal journal;
    RunState accepted = journal.state;
    NewRun run;
    run.id = journal.state.id;
    run.created = journal.events[0];
    run.projection = ProjectionOf(accepted);
    EXPECT_EQ(CreateNow(*stores_.store, std::move(run)).kind, CreateOutcome::Kind::kCreated);
    journal.Settle(*testing::MakePlan(std::make_shared<FakeModel>()));
    v1::Stop stop;
    stop.set_reason(v1::STOP_REASON_ERROR);
    stop.set_resumable(true);
    journal.AddAll(StopFacts(journal.state, std::move(stop)));
    AppendRequest rest = journal.Rest(stores_.store->epoch());
    change(rest.projection);
    EXPECT_EQ(AppendNow(*stores_.store, std::move(rest)), AppendResult::kDurable);
    auto loaded = LoadState(*stores_.store, journal.state.id);
    EXPECT_TRUE(DeleteNow(*stores_.store, journal.state.id).ok());
    return loaded;
  }

  TempDir dir_;
  sqlite::Stores stores_ = *sqlite::OpenStores({.path = dir_.File("test.db")});
};

TEST_F(LoadTest, ARunIsWhatItsJournalSays) {
  const auto loaded = Load([](RunProjection&) {});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->is_stopped());
}

// A fault of ours, then, since rows and events have checksums: nobody knows which of the two is right.
TEST_F(LoadTest, ARowThatSaysOtherwiseIsDamage) {
  const std::vector<std::pair<const char*, std::function<void(RunProjection&)>>> changes = {
      {"the stop's reason", [](RunProjection& row) { row.stop->set_reason(v1::STOP_REASON_TIMEOUT); }},
      {"the steps", [](RunProjection& row) { ++row.last_step; }},
      {"the answer", [](RunProjection& row) { row.answer_sequence = 2; }},
      {"the priority", [](RunProjection& row) { ++row.priority; }},
      {"when it may begin", [](RunProjection& row) { row.not_before = TestTime(1); }},
      {"the deadline", [](RunProjection& row) { row.deadline = TestTime(1); }},
      {"the usage", [](RunProjection& row) { row.usage.set_input_tokens(row.usage.input_tokens() + 1); }},
      {"the limits", [](RunProjection& row) { row.limits.set_max_steps(row.limits.max_steps() + 1); }},
  };
  for (const auto& [what, change] : changes) {
    const absl::Status status = Load(change).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
    EXPECT_NE(status.message().find("its journal and its columns differ"), absl::string_view::npos) << what << ": " << status;
  }
}

// What older versions counted or told otherwise is no damage.
TEST_F(LoadTest, ARowMayCountStartsAndTellWhatIsGoingOnInItsOwnWay) {
  const auto loaded = Load([](RunProjection& row) {
    ++row.barren_starts;
    row.wake_time = TestTime(1);
    row.activity.emplace().set_detail("something");
  });
  EXPECT_TRUE(loaded.ok()) << loaded.status();
}

}  // namespace
}  // namespace agentruntime
