#include "runtime/tools/sub_agent.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "runtime/children.h"

namespace agentruntime {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"input":{"type":"string","minLength":1,"description":"What the agent is to do, with all that it must know: it sees )json"
    R"json(nothing of this conversation."}},"required":["input"],"additionalProperties":false})json";

// Tokens and money: what the parent books.
std::shared_ptr<const v1::Usage> UsageOf(const v1::Run& run) {
  auto usage = std::make_shared<v1::Usage>();
  usage->set_input_tokens(run.usage().input_tokens());
  usage->set_cached_input_tokens(run.usage().cached_input_tokens());
  usage->set_output_tokens(run.usage().output_tokens());
  if (run.usage().has_cost_micros()) usage->set_cost_micros(run.usage().cost_micros());
  return usage;
}

ToolOutcome OutcomeOf(v1::Run run) {
  if (run.stop().reason() == v1::STOP_REASON_FINAL_ANSWER) {
    ToolDone done;
    done.usage = UsageOf(run);
    for (v1::Part& part : *run.mutable_answer()) done.parts.push_back(std::move(part));
    return done;
  }
  ToolFailed failed;
  failed.usage = UsageOf(run);
  failed.message = absl::StrCat("the agent stopped without an answer: ", run.stop().detail());
  std::string said;
  for (const v1::Part& part : run.answer()) absl::StrAppend(&said, said.empty() ? "" : "\n", part.kind_case() == v1::Part::kJson ? part.json() : part.text());
  if (!said.empty()) absl::StrAppend(&failed.message, ". What it has so far: ", said);
  return failed;
}

}  // namespace

SubAgent::SubAgent(SubAgentOptions options) {
  spec_.name = std::move(options.name);
  spec_.description = std::move(options.description);
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_IDEMPOTENT;
  spec_.timeout = kChildTimeoutDefault;
  spec_.child = ChildSpec{std::move(options.agent), std::move(options.limits)};
}

asio::awaitable<ToolOutcome> SubAgent::Call(ToolRequest request, ProgressSink&) {
  const json arguments = json::parse(request.arguments, nullptr, false);
  if (!arguments.is_object() || !arguments.contains("input") || !arguments["input"].is_string()) {
    co_return ToolFailed{.message = "input: tell the agent what it is to do"};
  }
  ChildAnswer answer = co_await request.child_runs->Answer(std::move(request.child), arguments["input"].get<std::string>());
  if (answer.run.ok()) co_return OutcomeOf(*std::move(answer.run));
  if (answer.begun) co_return ToolUnknown{std::string(answer.run.status().message())};
  co_return ToolFailed{.message = absl::StrCat("the agent could not begin: ", std::string(answer.run.status().message())),
                       .usage = std::make_shared<const v1::Usage>()};
}

}  // namespace agentruntime
