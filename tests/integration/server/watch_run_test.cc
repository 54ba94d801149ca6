#include <thread>

#include "absl/time/clock.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/await.h"

namespace agentruntime::testing {
namespace {

class WatchRunTest : public SharedServer {
 protected:
  // Waits until the server counts so many watchers.
  static bool AwaitWatchers(int count) {
    for (const absl::Time deadline = absl::Now() + absl::Seconds(30); absl::Now() < deadline; absl::SleepFor(absl::Milliseconds(5))) {
      const auto info = Call(stubs().admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
      if (info.ok() && info->watchers() == count) return true;
    }
    return false;
  }
};

TEST_F(WatchRunTest, AReplayIsTheJournalBetweenTwoSnapshots) {
  const v1::Run run = Answered(stubs());
  const Watched watched = Watch(stubs(), run.name());
  ASSERT_TRUE(watched.status.ok()) << watched.status;
  ASSERT_TRUE(watched.messages.front().has_run());
  EXPECT_EQ(watched.messages.front().run().name(), run.name());
  EXPECT_EQ(static_cast<int64_t>(watched.events().size()), run.last_sequence());
  ASSERT_TRUE(watched.messages.back().has_run());
  EXPECT_EQ(watched.messages.back().run().stop().reason(), v1::STOP_REASON_FINAL_ANSWER);

  v1::ListEventsRequest list;
  list.set_parent(run.name());
  const auto events = Call(stubs().run, &v1::RunService::Stub::ListEvents, list);
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->events_size(), static_cast<int>(watched.events().size()));
  for (int i = 0; i < events->events_size(); ++i) {
    EXPECT_EQ(events->events(i).SerializeAsString(), watched.events()[static_cast<size_t>(i)].SerializeAsString());
  }
}

TEST_F(WatchRunTest, AWatchGoesOnAfterASequence) {
  const v1::Run run = Answered(stubs());
  const Watched watched = Watch(stubs(), run.name(), 3);
  ASSERT_TRUE(watched.status.ok()) << watched.status;
  ASSERT_FALSE(watched.events().empty());
  EXPECT_EQ(watched.events().front().sequence(), 4);
  const Watched nothing = Watch(stubs(), run.name(), run.last_sequence());
  ASSERT_TRUE(nothing.status.ok()) << nothing.status;
  EXPECT_TRUE(nothing.events().empty());
  EXPECT_EQ(nothing.messages.back().run().state(), v1::RUN_STATE_STOPPED);
}

TEST_F(WatchRunTest, ALiveWatchSeesEveryEventOnce) {
  const auto created = Create(stubs(), Submit("long"));
  ASSERT_TRUE(created.ok()) << created.status();
  std::vector<std::thread> threads;
  std::vector<Watched> watched(4);
  for (Watched& one : watched) threads.emplace_back([&one, &created] { one = Watch(stubs(), created->name()); });
  for (std::thread& thread : threads) thread.join();
  for (const Watched& one : watched) {
    ASSERT_TRUE(one.status.ok()) << one.status;
    const auto events = one.events();
    for (size_t i = 0; i < events.size(); ++i) ASSERT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1);
    EXPECT_TRUE(events.back().has_run_stopped());
  }
}

TEST_F(WatchRunTest, DeltasComeOnlyOnWish) {
  v1::RunAgentRequest request;
  *request.mutable_run() = Submit("pause").run();
  const auto deltas = [&](bool include) {
    request.set_include_deltas(include);
    grpc::ClientContext context;
    const Watched watched = ReadAll(*stubs().run->RunAgent(&context, request));
    EXPECT_TRUE(watched.status.ok()) << watched.status;
    std::string text;
    for (const auto& message : watched.messages) text += message.delta().text();
    return text;
  };
  EXPECT_EQ(deltas(false), "");
  EXPECT_EQ(deltas(true), "later");
}

TEST_F(WatchRunTest, BadInput) {
  const v1::Run run = Answered(stubs());
  const std::string end = absl::StrCat(run.last_sequence());
  EXPECT_EQ(Say(Watch(stubs(), "").status),
            "INVALID_ARGUMENT INVALID_FIELD: name: is not the name of a run, runs/{run} with 26 characters of lower-case base32; take it from CreateRun or "
            "ListRuns");
  EXPECT_EQ(Say(Watch(stubs(), run.name(), -1).status),
            "INVALID_ARGUMENT INVALID_FIELD: after_sequence: is negative; give the last sequence you have, or 0 for all");
  EXPECT_EQ(Say(Watch(stubs(), kNoRun).status), absl::StrCat("NOT_FOUND RUN_NOT_FOUND: there is no ", kNoRun, "; it may have been deleted"));
  EXPECT_EQ(Say(Watch(stubs(), run.name(), 1000).status),
            absl::StrCat("OUT_OF_RANGE SEQUENCE_BEYOND_END: after_sequence: 1000 lies beyond the last event of ", run.name(), ", which is ", end));
}

TEST_F(WatchRunTest, AClientThatLeavesIsForgottenAndTheRunGoesOn) {
  const auto created = Create(stubs(), Submit("hang"));
  ASSERT_TRUE(created.ok()) << created.status();
  {
    std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
    std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>>> readers;
    v1::WatchRunRequest request;
    request.set_name(created->name());
    for (int i = 0; i < 50; ++i) {
      contexts.push_back(std::make_unique<grpc::ClientContext>());
      readers.push_back(stubs().run->WatchRun(contexts.back().get(), request));
    }
    EXPECT_TRUE(AwaitWatchers(50));
    for (const auto& context : contexts) context->TryCancel();
    for (const auto& reader : readers) EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(AwaitWatchers(0));
  v1::GetRunRequest get;
  get.set_name(created->name());
  EXPECT_TRUE(AwaitThat("it has begun and goes on", [&] {
    const auto run = Call(stubs().run, &v1::RunService::Stub::GetRun, get);
    return run.ok() && run->state() == v1::RUN_STATE_RUNNING;
  }));
}

}  // namespace
}  // namespace agentruntime::testing
