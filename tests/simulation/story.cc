#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "proto/util/names.h"
#include "tests/simulation/stage.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

// Once faults ended: every run has come to its stop, every client to its end. A run may ask somebody in each of its steps, and nobody answers for minutes.
const absl::Duration kSettleMax = 2 * kClockErrorMax + absl::Hours(72);
constexpr int64_t kHandlersMax = 3'000'000;
constexpr absl::Duration kStallMax = absl::Milliseconds(10);
constexpr absl::Duration kHandlerTimeMax = absl::Microseconds(50);

}  // namespace

void Stage::Spawn(asio::awaitable<void> client) {
  ++clients_;
  asio::co_spawn(world_.outside.pool(), std::move(client), [this](std::exception_ptr error) {
    if (error != nullptr) std::rethrow_exception(error);
    --clients_;
  });
}

void Stage::Reap() {
  if (process_ == nullptr || process_->alive()) return;
  ++judge_.counts.crashes;
  process_.reset();
  Restart(world_.dice.Chance(0.3) ? absl::ZeroDuration() : world_.dice.Skewed(absl::Seconds(20)));
}

void Stage::Restart(absl::Duration down) {
  if (std::exchange(starting_, true)) return;
  asio::co_spawn(world_.outside.pool(), StartLater(down), [](std::exception_ptr error) {
    if (error != nullptr) std::rethrow_exception(error);
  });
}

asio::awaitable<void> Stage::StartLater(absl::Duration down) {
  co_await Sleep(down);
  world_.disturbed = world_.now;
  process_ = std::make_unique<Process>(world_, judge_, ++processes_, /*restored=*/world_.faults && world_.dice.Chance(world_.settings.restored));
  starting_ = false;
}

asio::awaitable<void> Stage::MakeAgents() {
  for (const v1::Agent& agent : world_.settings.agents) {
    for (;;) {
      auto made = co_await Ask<v1::Agent>([agent](Runtime& runtime) { return runtime.UpdateAgent(agent, /*allow_missing=*/true); });
      CheckCode(made.status(), "UpdateAgent");
      if (made.ok()) break;
      co_await Sleep(absl::Milliseconds(100));
    }
  }
}

asio::awaitable<void> Stage::AwaitStop(RunId run) {
  for (;;) {
    auto seen = co_await Ask<v1::Run>([run](Runtime& runtime) { return runtime.GetRun(run, absl::Minutes(10)); });
    CheckCode(seen.status(), "GetRun");
    if (absl::IsNotFound(seen.status())) co_return;
    if (seen.ok()) {
      judge_.SeenRun(*seen, RunForm::kWhole);
      if (seen->state() == v1::RUN_STATE_STOPPED) co_return;
    }
    co_await Sleep(absl::Seconds(1));
  }
}

asio::awaitable<void> Stage::Settle() {
  world_.Trace("faults end");
  world_.faults = false;
  world_.disk_full = false;
  world_.disturbed = world_.now + absl::Seconds(1);       // the store tries again first
  while (clients_ > 1) co_await Sleep(absl::Seconds(1));  // this is one of them
  for (const auto& [run, known] : judge_.runs()) {
    if (known.deleted) continue;
    co_await AwaitStop(run);
    if (known.rules.phase() != JournalRules::Phase::kStopped) world_.Fail("ends: ", run.ToString(), " did not stop");
    co_await Follow(run, 0, /*deltas=*/false, /*may_leave=*/false, Connection());
    for (int32_t number = 1; number <= known.fold.own_artifacts; ++number) co_await ReadArtifact(run, number);
  }
}

asio::awaitable<void> Stage::Story() {
  co_await MakeAgents();
  const Settings& settings = world_.settings;
  for (int i = 0; i < settings.submitters; ++i) Spawn(Submitter(i));
  for (int i = 0; i < settings.meddlers; ++i) Spawn(Meddler());
  for (int i = 0; i < settings.watchers; ++i) Spawn(Watcher());
  if (settings.crash_every > absl::ZeroDuration()) Spawn(Crashes());
  if (settings.drain_every > absl::ZeroDuration()) Spawn(Drains());
  if (settings.full_every > absl::ZeroDuration()) Spawn(FullDisks());
  if (settings.jump_every > absl::ZeroDuration()) Spawn(ClockJumps());
  co_await Sleep(settings.busy_time);
  co_await Settle();
  co_await DrainOnce(absl::Seconds(1));
  judge_.CheckChunks();
  over_ = true;
}

// One handler of one loop, or time moves. False when nothing is left.
bool Stage::Step() {
  Loop* const loops[] = {&world_.outside, process_ == nullptr ? nullptr : &process_->loop()};
  size_t ready = 0;
  std::optional<absl::Duration> next;
  for (Loop* loop : loops) {
    if (loop == nullptr) continue;
    loop->FireDue();
    ready += loop->ready();
    if (const auto timer = loop->next_timer(); timer && (!next || *timer < *next)) next = timer;
  }
  if (ready == 0) {
    if (!next) return false;
    world_.now = *next;
    judge_.CheckMoments();
    return true;
  }
  // Handlers take time, and now and then so much that what waits for time is due before what waits for a turn.
  if (next && *next - world_.now < kStallMax && world_.dice.Chance(world_.settings.leave_time)) world_.now = *next;
  world_.now += world_.dice.Between(absl::ZeroDuration(), kHandlerTimeMax);
  ++judge_.counts.handlers;
  const size_t chosen = world_.dice.Index(ready);
  (chosen < loops[0]->ready() ? loops[0] : loops[1])->RunOne();
  Reap();
  return true;
}

void Stage::Play() {
  process_ = std::make_unique<Process>(world_, judge_, ++processes_, /*restored=*/false);
  Spawn(Story());
  const absl::Duration limit = world_.settings.busy_time + kSettleMax;
  try {
    while ((!over_ || starting_) && !world_.failed()) {  // a start under way is waited for: whoever starts a coroutine waits for its end
      if (!Step()) world_.Fail("ends: nothing moves any more, and not all has come to its end");
      if (world_.now > limit) world_.Fail("ends: not all has come to its end long after faults ended");
      if (judge_.counts.handlers > kHandlersMax) world_.Fail("ends: handlers go on and on");
    }
  } catch (const std::exception& error) {
    world_.Fail("an exception ended the process: ", error.what());
  }
  process_.reset();
}

}  // namespace agentruntime::simulation
