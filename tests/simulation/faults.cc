#include <algorithm>
#include <cmath>

#include "tests/simulation/stage.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

asio::awaitable<absl::StatusOr<bool>> Drain(Runtime& runtime, absl::Duration grace) {
  co_await runtime.Drain(grace);
  co_return true;
}

}  // namespace

asio::awaitable<void> Stage::Crashes() {
  while (world_.faults) {
    co_await Sleep(world_.dice.Skewed(2 * world_.settings.crash_every));
    if (world_.faults && process_ != nullptr) process_->Die("crash", world_.dice.Chance(0.5));
  }
}

asio::awaitable<void> Stage::DrainOnce(absl::Duration grace) {
  world_.disturbed = world_.now;
  world_.Trace("drain ", absl::FormatDuration(grace));
  // By number: the next process may well live at this one's address.
  const int drained = process_ == nullptr ? 0 : process_->number();
  const auto drained_lives = [this, drained] { return process_ != nullptr && process_->number() == drained; };
  auto result = co_await Ask<bool>([grace](Runtime& runtime) { return Drain(runtime, grace); });
  if (!result.ok() || !drained_lives()) co_return;
  auto info = co_await Ask<RuntimeInfo>([](Runtime& runtime) { return runtime.GetInfo(); });
  if (!drained_lives()) co_return;
  if (info.ok() && info->sessions != 0) world_.Fail("drain: ", info->sessions, " sessions are left");
  process_->Exit();
}

asio::awaitable<void> Stage::Drains() {
  while (world_.faults) {
    co_await Sleep(world_.dice.Skewed(2 * world_.settings.drain_every));
    if (world_.faults) co_await DrainOnce(world_.dice.Skewed(absl::Seconds(5)));
  }
}

asio::awaitable<void> Stage::FullDisks() {
  while (world_.faults) {
    co_await Sleep(world_.dice.Skewed(2 * world_.settings.full_every));
    if (!world_.faults) break;
    world_.Trace("the disk is full");
    world_.disk_full = true;
    co_await Sleep(world_.dice.Skewed(absl::Seconds(20)));
    world_.Trace("the disk has room");
    world_.disk_full = false;
    world_.disturbed = world_.now + absl::Seconds(1);
  }
}

asio::awaitable<void> Stage::ClockJumps() {
  while (world_.faults) {
    co_await Sleep(world_.dice.Skewed(2 * world_.settings.jump_every));
    if (!world_.faults) break;
    // From a millisecond to an hour, each order of magnitude alike.
    const absl::Duration size = absl::Milliseconds(std::pow(3.6e6, world_.dice.NextDouble()));
    const absl::Duration jump = world_.dice.Chance(0.5) ? size : -size;
    // All of them together as well: whoever waits for an instant waits as long as the clock is behind.
    world_.wall_offset = std::clamp(world_.wall_offset + jump, -kClockErrorMax, kClockErrorMax);
    ++judge_.counts.clock_jumps;
    world_.Trace("the clock jumps by ", absl::FormatDuration(jump));
  }
}

}  // namespace agentruntime::simulation
