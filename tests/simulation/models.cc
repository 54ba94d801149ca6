#include "tests/simulation/models.h"

#include <stdexcept>
#include <utility>

#include "absl/strings/match.h"
#include "tests/simulation/pause.h"
#include "tests/simulation/process.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

constexpr size_t kRunsMax = 40;  // then no more of them begin runs of their own

}  // namespace

SimulatedModel::SimulatedModel(World& world, Judge& judge, Process& process, const std::string& name)
    : world_(world), judge_(judge), process_(process), temper_(world.settings.model) {
  info_.name = name;
  info_.provider = "simulated";
  info_.local = name == "near";
  info_.attempts_max = 3;
  info_.context_tokens = world_.settings.context_tokens;
}

ModelOutcome SimulatedModel::Failure() {
  Dice& dice = world_.dice;
  ModelOutcome outcome;
  if (!dice.Chance(0.1)) outcome.error.set_reason("MODEL_UNAVAILABLE");  // else it does not even say why
  outcome.error.set_message("the dice said so");
  outcome.error.set_retryable(dice.Chance(0.8));
  if (!outcome.error.retryable() && dice.Chance(0.5)) outcome.error.set_reason("CONTEXT_TOO_LARGE");
  if (dice.Chance(0.2)) outcome.retry_after = dice.Between(absl::ZeroDuration(), absl::Seconds(5));
  if (dice.Chance(0.5)) {
    outcome.usage.emplace().set_input_tokens(dice.Between(0, 500));
    ++judge_.counts.paid_failures;
  }
  return outcome;
}

bool SimulatedModel::RepeatCalls(const ModelRequest& request, v1::Decision& decision) {
  const AssistantMessage* last = nullptr;
  for (size_t i = request.earlier; i < request.messages.size(); ++i) {
    if (const auto* const said = std::get_if<AssistantMessage>(&request.messages[i])) last = said;
  }
  if (last == nullptr || !world_.dice.Chance(temper_.repeat)) return false;
  for (const v1::ToolCall& call : last->decision->tool_calls()) {
    decision.add_tool_calls()->set_tool(call.tool());
    decision.mutable_tool_calls()->rbegin()->set_arguments(call.arguments());
  }
  return decision.tool_calls_size() > 0;
}

void SimulatedModel::AddCalls(const ModelRequest& request, v1::Decision& decision) {
  Dice& dice = world_.dice;
  if (RepeatCalls(request, decision)) return;
  const bool odd = dice.Chance(temper_.odd);
  judge_.counts.nonsense += odd ? 1 : 0;
  const int64_t calls = odd && dice.Chance(0.1) ? 65 : dice.Between(1, 4);
  for (int64_t i = 0; i < calls; ++i) {
    v1::ToolCall* const call = decision.add_tool_calls();
    call->set_tool(request.tools.empty() || (odd && dice.Chance(0.3)) ? "no_such_tool" : request.tools[dice.Index(request.tools.size())]->name);
    if (absl::StartsWith(call->tool(), kSubPrefix) && (!dice.Chance(0.5) || judge_.runs().size() >= kRunsMax)) call->set_tool("far_read");
    const bool asks = absl::StartsWith(call->tool(), kSubPrefix);
    const bool reads = !request.artifact_reader.empty() && call->tool() == request.artifact_reader;
    const std::string sound =
        call->tool() == kAskPerson ? absl::StrCat("{\"question\":\"which of the ", dice.Between(2, 4), "?\"}")
        : reads ? absl::StrCat("{\"artifact\":", dice.Between(1, 4), ",\"offset\":", dice.Between(0, 100), ",\"length\":", dice.Between(1, 900), "}")
        : asks  ? absl::StrCat("{\"input\":\"question ", dice.Between(0, 9), "\"}")
                : absl::StrCat("{\"n\":", dice.Between(0, 9), "}");
    call->set_arguments(odd && dice.Chance(0.4) ? dice.Pick<std::string>({"", "{", "[]", R"({"n":"x"})", R"({"m":1})"}) : sound);
  }
  if (dice.Chance(0.3)) decision.add_content()->set_text("let me see");
}

ModelOutcome SimulatedModel::Decision(const ModelRequest& request) {
  Dice& dice = world_.dice;
  ModelOutcome outcome;
  v1::Decision& decision = outcome.decision.emplace();
  if (dice.Chance(temper_.answer) || request.tools.empty()) {
    decision.add_content()->set_text("the answer");
    decision.set_finish_reason(v1::FINISH_REASON_ANSWER);
    if (dice.Chance(temper_.odd))
      decision.set_finish_reason(
          dice.Pick<v1::FinishReason>({v1::FINISH_REASON_LENGTH, v1::FINISH_REASON_FILTERED, v1::FINISH_REASON_TOOL_CALLS, v1::FINISH_REASON_UNSPECIFIED}));
    if (dice.Chance(temper_.odd)) decision.clear_content();
  } else {
    AddCalls(request, decision);
    if (!dice.Chance(temper_.odd)) decision.set_finish_reason(v1::FINISH_REASON_TOOL_CALLS);
  }
  if (!dice.Chance(temper_.odd)) {
    v1::Usage& usage = outcome.usage.emplace();
    usage.set_input_tokens(dice.Between(0, 200));
    usage.set_output_tokens(dice.Chance(temper_.odd) ? dice.Between(-5, int64_t{1} << 62) : dice.Between(1, 100));
  }
  return outcome;
}

// Both live as long as Decide.
asio::awaitable<ModelOutcome> SimulatedModel::Answer(const ModelRequest& request, DeltaSink& deltas) {
  Dice& dice = world_.dice;
  const bool deaf = dice.Chance(temper_.deaf);
  if (dice.Chance(temper_.hang)) co_await Pause(process_.loop(), absl::Hours(1), /*deaf=*/false);
  for (int64_t i = dice.Chance(0.3) ? dice.Between(1, 3) : 0; i > 0; --i) {
    deltas.Text("some text");
    co_await Pause(process_.loop(), dice.Skewed(temper_.time_max), deaf);
  }
  co_await Pause(process_.loop(), dice.Skewed(temper_.time_max) * (deaf ? 10 : 1), deaf);
  if (dice.Chance(temper_.odd * 0.1)) throw std::runtime_error("the dice said so");
  if (dice.Chance(temper_.fail)) co_return Failure();
  co_return Decision(request);
}

asio::awaitable<ModelOutcome> SimulatedModel::Decide(ModelRequest request, DeltaSink& deltas) {
  process_.MayDie("before a model is asked");
  if (process_.alive()) judge_.ModelAsked(request, info_.local);
  if (process_.alive() && info_.name == "poison") process_.Die("poison", world_.dice.Chance(0.5));
  process_.MayDie("when a model was asked");
  ModelOutcome outcome = co_await Answer(request, deltas);
  if (process_.alive() && !info_.local) judge_.ModelSaid(request, outcome.usage);
  co_return outcome;
}

}  // namespace agentruntime::simulation
