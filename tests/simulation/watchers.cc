#include "proto/util/limits.h"
#include "tests/simulation/stage.h"
#include "tests/support/decoded.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

constexpr double kLeaves = 0.02;  // at each message
constexpr double kSlow = 0.1;
constexpr absl::Duration kSilenceSlack = absl::Seconds(1);

}  // namespace

asio::awaitable<absl::StatusOr<EncodedResponse>> Stage::Next(Connection connection) {
  if (process_ == nullptr || process_->number() != connection.process) co_return absl::UnavailableError("connection lost");
  co_return co_await Ask<EncodedResponse>([watch = connection.watch](Runtime&) { return watch->Next(); });
}

asio::awaitable<bool> Stage::FollowOnce(RunId run, Sequence* cursor, bool may_leave, Connection connection) {
  Dice& dice = world_.dice;
  bool first = true;
  for (;;) {
    const absl::Duration asked = world_.now;
    auto next = co_await Next(connection);
    if (world_.now - asked > kWatchIdleInterval + kSilenceSlack)
      world_.Fail("watch: nothing was said of ", run.ToString(), " for ", absl::FormatDuration(world_.now - asked));
    if (!next.ok()) {
      CheckCode(next.status(), "Next");
      co_return absl::IsUnavailable(next.status());
    }
    if (!*next) {
      const Known* const known = judge_.Find(run);
      const bool at_stop = known != nullptr && *cursor > 0 && known->fold.id == run && judge_.FoldTo(*known, *cursor).is_stopped();
      if (!at_stop) world_.Fail("watch: a stream ended at ", *cursor, " of ", run.ToString(), ", which is no stop");
      co_return false;
    }
    const auto decoded = testing::Decoded(*next);
    if (!decoded) {
      world_.Fail("watch: a message is broken");
      co_return false;
    }
    const v1::WatchRunResponse& response = *decoded;
    if (response.has_event()) {
      if (response.event().sequence() != *cursor + 1) world_.Fail("watch: event ", response.event().sequence(), " after ", *cursor, " of ", run.ToString());
      *cursor = response.event().sequence();
      judge_.SeenEvent(run, response.event());
    } else if (response.has_run()) {
      judge_.SeenRun(response.run(), first ? RunForm::kWhole : RunForm::kWithoutInput);
    } else {
      judge_.SeenDelta(run, response.delta());
    }
    first = false;
    if (may_leave && dice.Chance(kLeaves)) {
      ++judge_.counts.left;
      if (dice.Chance(0.5)) connection.watch->Close();
      co_return dice.Chance(0.5);
    }
    if (may_leave && dice.Chance(kSlow)) co_await Sleep(dice.Skewed(absl::Seconds(5)));
  }
}

asio::awaitable<void> Stage::Follow(RunId run, Sequence cursor, bool deltas, bool may_leave, Connection connection) {
  for (;;) {
    if (connection.watch == nullptr) {
      using Watching = std::unique_ptr<Watch>;
      const int process = processes_;  // before: the answer may come when that process is gone
      auto opened = co_await Ask<Watching>([run, cursor, deltas](Runtime& runtime) { return runtime.WatchRun(run, cursor, deltas); });
      CheckCode(opened.status(), "WatchRun");
      if (opened.ok()) connection = {*std::move(opened), process};
    }
    if (connection.watch != nullptr && !co_await FollowOnce(run, &cursor, may_leave, std::exchange(connection, Connection()))) co_return;
    if (may_leave && !world_.faults) co_return;
    co_await Sleep(world_.dice.Skewed(absl::Seconds(2)));
  }
}

asio::awaitable<void> Stage::Watcher() {
  Dice& dice = world_.dice;
  while (world_.faults) {
    co_await Sleep(dice.Skewed(absl::Seconds(5)));
    const auto run = AnyRun();
    if (!run) continue;
    const Sequence after = dice.Chance(0.5) ? 0 : dice.Between(0, static_cast<int64_t>(judge_.Find(*run)->events.size()));
    co_await Follow(*run, after, dice.Chance(0.5), /*may_leave=*/true, Connection());
  }
}

}  // namespace agentruntime::simulation
