#include "tests/crash/provider.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace agentruntime::testing {
namespace {

std::string Chunk(const nlohmann::json& delta, const char* finish_reason) {
  nlohmann::json choice = {{"index", 0}, {"delta", delta}};
  choice["finish_reason"] = finish_reason == nullptr ? nlohmann::json() : nlohmann::json(finish_reason);
  return absl::StrCat("data: ", nlohmann::json{{"id", "c"}, {"object", "chat.completion.chunk"}, {"choices", {choice}}}.dump(), "\n\n");
}

// A message's content is a string or a list of parts.
std::string TextOf(const nlohmann::json& content) {
  if (content.is_string()) return content.get<std::string>();
  return content.is_array() && !content.empty() ? content[0].value("text", "") : "";
}

}  // namespace

std::vector<Wish> WishForOneCalculation(const std::string&, int step, int time) {
  return {{"calculator", absl::StrCat("{\"expression\":\"", step, "+", time, "\"}")}};
}

Provider::Provider(int steps, absl::Duration latency, Wishes wishes, absl::Duration spread)
    : steps_(steps),
      latency_(latency),
      wishes_(std::move(wishes)),
      spread_(spread),
      server_([this](const ServedRequest& request, HttpServer::Connection& connection) { Serve(request, connection); }, HttpServer::Keep::kNothing) {}

std::map<std::pair<std::string, int>, int> Provider::asked() {
  MutexLock lock(mu_);
  return asked_;
}

int Provider::requests_of(const std::string& run) {
  MutexLock lock(mu_);
  int requests = 0;
  for (auto at = asked_.lower_bound({run, 0}); at != asked_.end() && at->first.first == run; ++at) requests += at->second;
  return requests;
}

void Provider::Serve(const ServedRequest& request, HttpServer::Connection& connection) {
  const auto body = nlohmann::json::parse(request.body);
  int step = 1;
  std::string run;
  for (const auto& message : body["messages"]) {
    if (message["role"] == "assistant") ++step;
    if (message["role"] == "user" && run.empty()) run = TextOf(message["content"]);
  }
  if (listener_) listener_(run, step);
  int time = 0;
  {
    MutexLock lock(mu_);
    time = ++asked_[{run, step}];
  }
  const auto part = static_cast<double>(std::hash<std::string>()(absl::StrCat(run, " ", step, " ", time)) % 1000) / 1000;
  absl::SleepFor(latency_ + spread_ * part);  // a provider thinks
  std::string answer;
  if (step <= steps_) {
    nlohmann::json calls = nlohmann::json::array();
    for (const Wish& wish : wishes_(run, step, time)) {
      calls.push_back({{"index", calls.size()},
                       {"id", absl::StrCat("call_", step, "_", calls.size())},
                       {"type", "function"},
                       {"function", {{"name", wish.tool}, {"arguments", wish.arguments}}}});
    }
    answer = Chunk({{"role", "assistant"}, {"tool_calls", calls}}, nullptr) + Chunk(nlohmann::json::object(), "tool_calls");
  } else {
    answer = Chunk({{"role", "assistant"}, {"content", absl::StrCat("done, asked ", time)}}, "stop");
  }
  connection.Answer(200, absl::StrCat(answer, "data: [DONE]\n\n"), "Content-Type: text/event-stream\r\n");
}

}  // namespace agentruntime::testing
