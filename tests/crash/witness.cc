#include "tests/crash/witness.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace agentruntime::testing {
namespace {

constexpr char kUnsafe[] = "charge";
constexpr int kOddKeys = 12;  // of 256, of each kind

enum class Fate { kAnswered, kTurnedAway, kFails, kBreaksOff };

// Of the first request under a key.
Fate FateOf(const std::string& key) {
  int number = 0;
  if (key.size() < 2 || !absl::SimpleHexAtoi(key.substr(key.size() - 2), &number)) return Fate::kAnswered;
  if (number < kOddKeys) return Fate::kTurnedAway;
  if (number < 2 * kOddKeys) return Fate::kFails;
  return number < 3 * kOddKeys ? Fate::kBreaksOff : Fate::kAnswered;
}

}  // namespace

Witness::Witness(absl::Duration latency)
    : latency_(latency),
      server_([this](const ServedRequest& request, HttpServer::Connection& connection) { Serve(request, connection); }, HttpServer::Keep::kNothing) {}

std::vector<LoadTool> Witness::tools() const {
  return {{"look", server_.Url("/look"), v1::SIDE_EFFECT_READ_ONLY},
          {"note", server_.Url("/note"), v1::SIDE_EFFECT_IDEMPOTENT},
          {kUnsafe, server_.Url(absl::StrCat("/", kUnsafe)), v1::SIDE_EFFECT_UNSAFE}};
}

void Witness::Serve(const ServedRequest& request, HttpServer::Connection& connection) {
  const auto header = request.headers.find("idempotency-key");
  const std::string key = header == request.headers.end() ? "" : header->second;
  const std::string tool = request.target.substr(1);
  const auto arguments = nlohmann::json::parse(request.body, nullptr, false);
  const std::string run = arguments.is_object() ? arguments.value("run", "") : "";
  const bool settled = settled_ && settled_(key);
  Fate fate = Fate::kAnswered;
  size_t execution = 0;
  {
    MutexLock lock(mu_);
    const std::string what = absl::StrCat(tool, " ", request.body, " under ", key);
    if (key.empty() || run.empty()) absl::StrAppend(&faults_, what, " has no key, or no run; ");
    if (settled) absl::StrAppend(&faults_, what, " is called after its finish was told; ");
    const auto [at, first] = keys_.try_emplace(key, Key{.tool = tool, .run = run, .arguments = request.body});
    Key& known = at->second;
    if (known.tool != tool || known.arguments != request.body) absl::StrAppend(&faults_, what, " was ", known.tool, " ", known.arguments, "; ");
    if (first) {
      fate = FateOf(key);
      const auto [call, fresh] = key_of_call_.try_emplace(absl::StrCat(run, " ", arguments.value("step", 0), " ", tool), key);
      if (!fresh) absl::StrAppend(&faults_, what, " is a call that had the key ", call->second, "; ");
    }
    if (fate == Fate::kTurnedAway) {
      ++known.turned_away;
    } else {
      known.executions.push_back(absl::Now());
      execution = known.executions.size();
      if (tool == kUnsafe && execution > 1) absl::StrAppend(&faults_, what, " is executed ", execution, " times; ");
    }
  }
  absl::SleepFor(latency_);  // what it does takes its time
  switch (fate) {
    case Fate::kAnswered: connection.Answer(200, absl::StrCat(R"({"execution":)", execution, "}"), "Content-Type: application/json\r\n"); break;
    case Fate::kTurnedAway: connection.Answer(429, "later", "Retry-After: 0\r\n"); break;
    case Fate::kFails: connection.Answer(500, "broken"); break;
    case Fate::kBreaksOff: connection.Close(); break;
  }
}

std::string Witness::faults() {
  MutexLock lock(mu_);
  return faults_;
}

std::set<std::string> Witness::ExecutedFor(const std::string& run) {
  MutexLock lock(mu_);
  std::set<std::string> keys;
  const std::string prefix = absl::StrCat(run, " ");
  for (auto at = key_of_call_.lower_bound(prefix); at != key_of_call_.end() && absl::StartsWith(at->first, prefix); ++at) {
    if (!keys_[at->second].executions.empty()) keys.insert(at->second);
  }
  return keys;
}

std::string Witness::Judge(const std::string& run, const std::vector<v1::Event>& journal) {
  struct Call {
    std::string key;
    int intents = 0;
    int64_t epoch = 0;  // of the last one
    bool unsafe = false;
    bool open = false;  // started, and no outcome of that attempt
    bool uncertain = false;
    bool interrupted = false;  // open as a server died
    bool repeated = false;     // started again behind that
  };
  MutexLock lock(mu_);
  std::string faults;
  std::map<std::string, Call> calls;
  const auto add = [&](const std::string& call, absl::string_view what) { absl::StrAppend(&faults, "call ", call, " ", what, "; "); };
  for (const v1::Event& event : journal) {
    if (event.has_run_started()) {
      for (auto& [id, call] : calls) {
        if (!std::exchange(call.open, false)) continue;
        call.interrupted |= event.epoch() > call.epoch;
        call.uncertain |= call.unsafe;
      }
    }
    if (event.has_call_started()) {
      const v1::CallStarted& started = event.call_started();
      Call& call = calls[started.call_id()];
      if (call.uncertain) add(started.call_id(), "is started again although nobody knows what became of it");
      if (call.intents > 0 && call.key != started.idempotency_key()) add(started.call_id(), "has another key than before");
      call.key = started.idempotency_key();
      call.unsafe = started.side_effect() == v1::SIDE_EFFECT_UNSAFE;
      call.open = true;
      call.epoch = event.epoch();
      call.repeated |= call.interrupted;
      ++call.intents;
    }
    if (event.has_call_failed()) {
      Call& call = calls[event.call_failed().call_id()];
      call.open = false;
      if (call.unsafe && !event.call_failed().definite()) call.uncertain = true;
    }
    if (event.has_call_finished()) {
      const v1::CallFinished& finished = event.call_finished();
      Call& call = calls[finished.call_id()];
      call.open = false;
      const auto known = keys_.find(call.key);
      const size_t executions = known == keys_.end() ? 0 : known->second.executions.size();
      if (finished.outcome() == v1::CALL_OUTCOME_UNCERTAIN) {
        ++counts_.uncertain;
        if (!call.unsafe) add(finished.call_id(), "is uncertain although it can be repeated");
      } else if (call.uncertain) {
        add(finished.call_id(), "is settled although nobody knows what became of it");
      }
      if (finished.outcome() != v1::CALL_OUTCOME_OK) continue;
      const auto result = nlohmann::json::parse(finished.result_size() == 1 ? finished.result(0).json() : "", nullptr, false);
      const size_t told = result.is_object() ? result.value("execution", size_t{0}) : 0;
      if (told == 0 || told > executions) add(finished.call_id(), absl::StrCat("has a result of execution ", told, " of ", executions));
    }
  }
  for (const auto& [id, call] : calls) {
    counts_.interrupted_unsafe += call.unsafe && call.interrupted ? 1 : 0;
    const auto known = keys_.find(call.key);
    if (known == keys_.end()) continue;  // an intent that never came to leave
    Key& key = known->second;
    if (std::exchange(key.judged, true)) add(id, "has a key that another call has, too");
    counts_.repeated += !call.unsafe && call.repeated && key.executions.size() > 1 ? 1 : 0;
    if (key.run != run) add(id, absl::StrCat("was executed for ", key.run));
    // What may be repeated the network may repeat, too: a kept connection that turns out to be dead is no attempt's end.
    const auto requests = static_cast<int>(key.executions.size()) + key.turned_away;
    if (call.unsafe && requests > call.intents) add(id, absl::StrCat("was asked for ", requests, " times with ", call.intents, " durable intents"));
  }
  return faults;
}

int64_t Witness::unjudged() {
  MutexLock lock(mu_);
  int64_t count = 0;
  for (const auto& [name, key] : keys_) count += key.judged ? 0 : 1;
  return count;
}

Witness::Counts Witness::counts() {
  MutexLock lock(mu_);
  Counts counts = counts_;
  for (const auto& [name, key] : keys_) {
    counts.executions += static_cast<int64_t>(key.executions.size());
    counts.turned_away += key.turned_away;
  }
  return counts;
}

}  // namespace agentruntime::testing
