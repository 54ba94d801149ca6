#include "tests/simulation/process.h"

#include <boost/asio/detached.hpp>
#include <cstdio>
#include <cstdlib>

#include "tests/simulation/models.h"
#include "tests/simulation/tools.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

// Of its own time: how long a dead process may take to fall apart.
constexpr absl::Duration kTakeDownMax = absl::Hours(1);

}  // namespace

class Process::WallClock final : public Clock {
 public:
  WallClock(const World& world, const Loop& loop) : world_(world), loop_(loop) {}
  absl::Time Now() const override { return world_.wall(loop_.now()); }
  absl::Duration Monotonic() const override { return loop_.now(); }

 private:
  const World& world_;
  const Loop& loop_;
};

Process::Process(World& world, Judge& judge, int number, bool restored)
    : world_(world),
      judge_(judge),
      number_(number),
      loop_(world.seed(), 1000 + static_cast<uint64_t>(number), &world.now),
      random_(world.seed(), 2000 + static_cast<uint64_t>(number)),
      clock_(std::make_unique<WallClock>(world, loop_)),
      store_(std::make_unique<SimulatedStore>(world.disk, *this, loop_, loop_.pool(), SimulatedStore::Opening{random_, restored})),
      agents_(std::make_unique<SimulatedAgentStore>(world.disk, *store_)) {
  world_.Trace("process ", number, " starts, epoch ", store_->epoch(), restored ? ", restored" : "");
  judge_.ProcessStarted(number, {.current = store_->epoch(), .restored = store_->restored_epoch()});
  auto runtime = Runtime::Start(MakeEnvironment(), world_.settings.options);
  if (!runtime.ok()) {
    std::fprintf(stderr, "the runtime does not start: %s\n", std::string(runtime.status().message()).c_str());
    std::abort();
  }
  runtime_ = *std::move(runtime);
}

Environment Process::MakeEnvironment() {
  Environment environment;
  environment.pool = loop_.pool();
  environment.blocking_pool = loop_.blocking_pool();
  environment.clock = clock_.get();
  environment.timers = &loop_;
  environment.random = &random_;
  environment.store = store_.get();
  environment.agents = agents_.get();
  for (const std::string name : {"near", "far", "poison"}) environment.models[name] = std::make_shared<SimulatedModel>(world_, judge_, *this, name);
  environment.prices = world_.settings.prices;
  for (const std::string& name : ToolNames()) environment.tools[name] = std::make_shared<SimulatedTool>(world_, judge_, *this, *store_, name);
  return environment;
}

Process::~Process() {
  Die("it is taken down", false);
  loop_.Detach();
  store_->GiveUp();
  bool drained = false;
  asio::co_spawn(loop_.pool(), runtime_->Drain(absl::ZeroDuration()), [&](std::exception_ptr) { drained = true; });
  const bool ended = loop_.RunToEnd(loop_.now() + kTakeDownMax);
  if (!drained || !ended) world_.Fail("process ", number_, " does not fall apart: ", drained ? "timers go on" : "its drain hangs");
  store_.reset();
  agents_.reset();
  runtime_.reset();
}

void Process::Die(absl::string_view why, bool finish) {
  if (!alive_) return;
  world_.Trace("process ", number_, " ends: ", why);
  store_->Disconnect(finish);
  alive_ = false;
  for (auto& give_up : std::exchange(unanswered_, {})) give_up();
}

void Process::MayDie(absl::string_view where) {
  if (!alive_ || !world_.faults || world_.effect_crashes >= world_.settings.effect_crashes_max) return;
  if (!world_.dice.Chance(world_.settings.crash_at_effect)) return;
  ++world_.effect_crashes;
  Die(where, world_.dice.Chance(0.5));
}

void Process::Exit() {
  world_.Trace("process ", number_, " exits");
  store_->Finish();
  Die("drained", false);
}

absl::Duration Process::Time() { return world_.dice.Skewed(world_.settings.commit_time_max); }

Commits::Fate Process::Next() {
  if (world_.disk_full) {
    ++judge_.counts.full_commits;
    return Fate::kFull;
  }
  if (!world_.faults || !world_.dice.Chance(world_.settings.commit_fails)) return Fate::kCommits;
  const bool fails = world_.dice.Chance(0.5);
  ++(fails ? judge_.counts.failed_commits : judge_.counts.unheard_commits);
  return fails ? Fate::kFails : Fate::kUnheard;
}

void Process::Queued(const NewRun& run) {
  if (!alive_) return;
  judge_.Queued(run);
  MayDie("at a create");
}

void Process::Queued(const AppendRequest& request) {
  if (!alive_) return;
  judge_.Queued(request);
  MayDie("at an append");
}

}  // namespace agentruntime::simulation
