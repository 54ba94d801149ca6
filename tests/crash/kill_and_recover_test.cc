// kill -9 in the middle of runs: what was journaled is never executed again, a watcher that goes on from its last sequence misses and repeats nothing.
//
// The witness stands outside the server: an HTTP endpoint that plays the model's provider and writes down which step was asked for, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/crash/load_server.h"
#include "tests/crash/provider.h"
#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

constexpr int kSteps = 20;
constexpr char kInput[] = "count";

class KillTest : public ::testing::Test {
 protected:
  KillTest() { WriteLoadConfig(server_, provider_.base_url()); }

  std::string Create(const std::string& request_id = "") {
    Stubs stubs(server_.Connect());
    v1::CreateRunRequest request;
    request.mutable_run()->set_agent("agents/tester");
    request.mutable_run()->add_input()->set_text(kInput);
    request.set_request_id(request_id);
    const auto run = Call(stubs.run, &v1::RunService::Stub::CreateRun, request);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? run->name() : "";
  }

  // Reads events after the last of `journal` into it, until `enough` says so or the stream ends.
  template <typename Enough>
  void Watch(const std::string& name, std::vector<v1::Event>& journal, Enough enough) {
    Stubs stubs(server_.Connect());
    grpc::ClientContext context;
    v1::WatchRunRequest request;
    request.set_name(name);
    request.set_after_sequence(journal.empty() ? 0 : journal.back().sequence());
    const auto reader = stubs.run->WatchRun(&context, request);
    v1::WatchRunResponse response;
    while (reader->Read(&response)) {
      if (!response.has_event()) continue;
      journal.push_back(response.event());
      if (!enough(response.event())) continue;
      context.TryCancel();
      return;
    }
  }

  // The journal has no gap and no repetition, each step was decided once and each call settled once.
  static void ExpectWhole(const std::vector<v1::Event>& journal) {
    std::map<int, int> decided;
    std::map<std::string, int> settled;
    for (size_t i = 0; i < journal.size(); ++i) {
      ASSERT_EQ(journal[i].sequence(), static_cast<int64_t>(i + 1));
      if (journal[i].has_decision_made()) ++decided[journal[i].step()];
      if (journal[i].has_call_finished()) ++settled[journal[i].call_finished().call_id()];
    }
    EXPECT_EQ(decided.size(), kSteps + 1u);
    for (const auto& [step, times] : decided) EXPECT_EQ(times, 1) << "step " << step;
    EXPECT_EQ(settled.size(), static_cast<size_t>(kSteps));
    for (const auto& [call, times] : settled) EXPECT_EQ(times, 1) << "call " << call;
    ASSERT_FALSE(journal.empty());
    EXPECT_EQ(journal.back().run_stopped().stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  }

  Provider provider_{kSteps, absl::Milliseconds(20)};
  TestServer server_;
};

TEST_F(KillTest, RunOfTwentySteps) {
  server_.Start();
  const std::string name = Create();
  std::vector<v1::Event> journal;
  int killed_at = 0;
  for (const int step : {4, 9, 10, 17}) {
    Watch(name, journal, [step](const v1::Event& event) { return event.has_decision_made() && event.step() >= step; });
    ASSERT_FALSE(journal.back().has_run_stopped()) << "the kill must come before the end";
    killed_at = journal.back().step();
    const auto asked_before = provider_.asked();
    server_.Kill();
    server_.Start();
    // Whoever saw the decision of a step knows that it was durable: it must not be asked for again.
    Watch(name, journal, [killed_at](const v1::Event& event) { return event.has_decision_made() && event.step() > killed_at; });
    const auto asked_after = provider_.asked();
    for (int before = 1; before <= killed_at; ++before)
      EXPECT_EQ(asked_after.at({kInput, before}), asked_before.at({kInput, before})) << "step " << before << " was asked for again";
  }
  Watch(name, journal, [](const v1::Event&) { return false; });
  ExpectWhole(journal);
  EXPECT_EQ(journal.back().step(), kSteps + 1);
  // What another watcher reads from the beginning is what this one saw piece by piece.
  std::vector<v1::Event> replayed;
  Watch(name, replayed, [](const v1::Event&) { return false; });
  ASSERT_EQ(replayed.size(), journal.size());
  for (size_t i = 0; i < journal.size(); ++i) EXPECT_EQ(replayed[i].SerializeAsString(), journal[i].SerializeAsString()) << "event " << i + 1;
}

// Many runs at once, killed at times that do not depend on what they do. Every acknowledged run ends, whole, and an unacknowledged submit can be repeated.
TEST_F(KillTest, ManyRunsAndManyKills) {
  constexpr int kRuns = 40;
  constexpr int kKills = 6;
  server_.Start();
  std::vector<std::string> names;
  for (int i = 0; i < kRuns; ++i) names.push_back(Create(absl::StrCat("job-", i)));
  std::vector<std::vector<v1::Event>> journals(kRuns);
  for (int kill = 0; kill < kKills; ++kill) {
    // Each life of the server brings one run at least three steps further: a floor of work that the kill could have lost.
    const int watched = kill * 7 % kRuns;
    Watch(names[watched], journals[watched], [kill](const v1::Event& event) { return event.has_decision_made() && event.step() >= 3 * (kill + 1); });
    ASSERT_FALSE(journals[watched].back().has_run_stopped()) << "the kill must come before the end";
    server_.Kill();
    server_.Start();
    EXPECT_EQ(Create(absl::StrCat("job-", kill)), names[kill]) << "a repeated submit is the same run";
  }
  for (int i = 0; i < kRuns; ++i) {
    Watch(names[i], journals[i], [](const v1::Event&) { return false; });
    SCOPED_TRACE(names[i]);
    ExpectWhole(journals[i]);
  }
}

}  // namespace
}  // namespace agentruntime::testing
