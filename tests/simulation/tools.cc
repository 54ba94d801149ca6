#include "tests/simulation/tools.h"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <stdexcept>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/tools/ask_person.h"
#include "runtime/tools/read_artifact.h"
#include "runtime/tools/sub_agent.h"
#include "tests/simulation/pause.h"
#include "tests/simulation/process.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

// Null: the dice are the tool.
std::unique_ptr<Tool> RealTool(const std::string& name, const Settings& settings, Store& store, Process& process) {
  if (name == "read_artifact") return std::make_unique<ReadArtifact>(name, store, process.loop().blocking_pool());
  if (!absl::StartsWith(name, kSubPrefix)) return nullptr;
  SubAgentOptions options;
  options.name = name;
  options.agent = absl::StrCat("agents/", name.substr(kSubPrefix.size()));
  options.description = "another agent";
  options.limits = settings.child_limits;
  return std::make_unique<SubAgent>(std::move(options));
}

}  // namespace

SimulatedTool::SimulatedTool(World& world, Judge& judge, Process& process, Store& store, const std::string& name)
    : world_(world), judge_(judge), process_(process), temper_(world.settings.tool), real_(RealTool(name, world.settings, store, process)) {
  if (real_ != nullptr) {
    spec_ = real_->spec();
    spec_.timeout = spec_.child ? world.settings.child_timeout : absl::Seconds(1);
    return;
  }
  if (name == kAskPerson) {
    spec_ = AskPerson(name).spec();
    return;
  }
  spec_.name = name;
  spec_.description = "a tool of a simulation";
  spec_.input_schema = R"({"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]})";
  spec_.local = absl::StartsWith(name, "near");
  spec_.side_effect = absl::EndsWith(name, "read")   ? v1::SIDE_EFFECT_READ_ONLY
                      : absl::EndsWith(name, "keep") ? v1::SIDE_EFFECT_IDEMPOTENT
                                                     : v1::SIDE_EFFECT_UNSAFE;
  spec_.attempts_max = spec_.side_effect == v1::SIDE_EFFECT_UNSAFE ? 1 : 3;
  spec_.timeout = absl::Seconds(1);
}

ToolOutcome SimulatedTool::Outcome(bool cancelled) {
  Dice& dice = world_.dice;
  if (dice.Chance(cancelled ? 0.5 : temper_.unknown)) return ToolUnknown{"the connection was lost"};
  if (dice.Chance(cancelled ? 0.5 : temper_.fail)) {
    ToolFailed failed{"it did not work", dice.Chance(0.7), std::nullopt};
    if (dice.Chance(0.2)) failed.retry_after = dice.Between(absl::ZeroDuration(), absl::Seconds(5));
    return failed;
  }
  ToolDone done;
  if (dice.Chance(temper_.large)) {
    for (int64_t i = dice.Between(1, 3); i > 0; --i) {
      // Few different ones, so that a run meets the same again; of several chunks, now and then.
      const std::string content(static_cast<size_t>(dice.Pick<int64_t>({100, 3'000, 20'000, 50'000})), static_cast<char>(dice.Between('a', 'd')));
      v1::Part& part = done.parts.emplace_back();
      dice.Chance(0.5) ? part.set_text(content) : part.set_json(absl::StrCat("\"", content, "\""));
    }
    return done;
  }
  if (!dice.Chance(temper_.odd)) {
    done.parts.emplace_back().set_text(dice.Chance(world_.settings.is_narrow() ? 0.7 : 0.1) ? std::string(static_cast<size_t>(dice.Between(200, 3'000)), 'y')
                                                                                            : "done");
  } else {
    for (int64_t i = dice.Between(0, 2); i > 0; --i) {
      v1::Part& part = done.parts.emplace_back();
      dice.Chance(0.5) ? part.set_text(dice.Pick<std::string>({"\xff\xfe", "", std::string(70 << 10, 'x')})) : part.set_json("{\"n\":1}");
    }
  }
  return done;
}

asio::awaitable<ToolOutcome> SimulatedTool::Call(ToolRequest request, ProgressSink& progress) {
  Dice& dice = world_.dice;
  process_.MayDie("before a call left");
  if (process_.alive()) judge_.CallSent(request, spec_);
  process_.MayDie("when a call had left");
  if (spec_.child) {
    ToolOutcome outcome = co_await real_->Call(request, progress);
    process_.MayDie("when a child had answered");
    co_return outcome;
  }
  const bool deaf = dice.Chance(temper_.deaf);
  if (dice.Chance(temper_.hang)) co_await Pause(process_.loop(), absl::Hours(1), /*deaf=*/false);
  if (dice.Chance(0.2)) progress.Progress("half of it", dice.Chance(0.5) ? std::optional<double>(0.5) : std::nullopt);
  co_await Pause(process_.loop(), dice.Skewed(temper_.time_max) * (deaf ? 5 : 1), deaf);
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  const bool cancelled = cancellation.cancelled() != asio::cancellation_type::none;
  process_.MayDie("when a call had worked");
  if (dice.Chance(temper_.odd * 0.2)) throw std::runtime_error("the dice said so");
  ToolOutcome outcome = ToolUnknown{};
  if (real_ != nullptr) {
    outcome = co_await real_->Call(request, progress);
  } else {
    outcome = Outcome(cancelled);
  }
  const auto said = std::holds_alternative<ToolDone>(outcome)     ? Judge::Said::kDone
                    : std::holds_alternative<ToolFailed>(outcome) ? Judge::Said::kFailed
                                                                  : Judge::Said::kUnknown;
  if (process_.alive()) judge_.CallSaid(request, spec_, said);
  co_return outcome;
}

}  // namespace agentruntime::simulation
