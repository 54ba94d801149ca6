// Conversations: one active run at a time, and which came before.
#include <gmock/gmock.h>

#include <utility>
#include <vector>

#include "proto/util/errors.h"
#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

using Kind = CreateOutcome::Kind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ConversationSuite : public StoreSuite {
 protected:
  CreateOutcome Make(int number, const std::string& conversation = "chat", const std::string& tenant = "") {
    return CreateNow(store(), TestRun(TestRunId(number), {.tenant = tenant, .conversation = conversation}));
  }
  AppendResult Stop(int number, Sequence after = 1) {
    return AppendNow(store(), TestAppend(TestRunId(number), store().epoch(), after, 1, StoppedProjection(after + 1)));
  }
  std::vector<RunId> Runs(int32_t limit = 100) {
    auto runs = store().Conversation("", "chat", limit);
    EXPECT_TRUE(runs.ok()) << runs.status();
    return runs.ok() ? *runs : std::vector<RunId>();
  }
  static RunProjection Resumed(Sequence last) { return TestProjection(last, v1::RUN_STATE_QUEUED); }
};

TEST_P(ConversationSuite, ASecondActiveRunIsRefusedAndTheFirstNamed) {
  ASSERT_EQ(Make(1).kind, Kind::kCreated);
  const CreateOutcome refused = Make(2);
  EXPECT_EQ(refused.kind, Kind::kBusy);
  EXPECT_EQ(refused.run, TestRunId(1));
  EXPECT_FALSE(store().GetRun(TestRunId(2)).ok());
  EXPECT_EQ(Make(3, "another").kind, Kind::kCreated);
  EXPECT_EQ(Make(4, "chat", "another tenant").kind, Kind::kCreated);
  EXPECT_EQ(Make(5, "").kind, Kind::kCreated);
  EXPECT_EQ(Make(6, "").kind, Kind::kCreated);
  ASSERT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 1, 1, TestProjection(2))), AppendResult::kDurable);
  EXPECT_EQ(Make(7).kind, Kind::kBusy);
  ASSERT_EQ(Stop(1, 2), AppendResult::kDurable);
  EXPECT_EQ(Make(8).kind, Kind::kCreated);
  Reopen();
  EXPECT_EQ(Make(9).run, TestRunId(8));
  EXPECT_EQ(store().GetRun(TestRunId(8))->conversation, "chat");
}

TEST_P(ConversationSuite, StopAndNextRunOfOneTransaction) {
  ASSERT_EQ(Make(1).kind, Kind::kCreated);
  Plug plug(store(), TestRunId(90));
  Awaited<CreateOutcome> too_early, next, too_many;
  Awaited<AppendResult> stopped;
  const auto create = [&](int number, Awaited<CreateOutcome>& outcome) {
    store().Create(TestRun(TestRunId(number), {.conversation = "chat"}), [&](CreateOutcome value) { outcome.Set(value); });
  };
  create(2, too_early);
  store().Append(TestAppend(TestRunId(1), store().epoch(), 1, 1, StoppedProjection(2)), [&](AppendResult value) { stopped.Set(value); });
  create(3, next);
  create(4, too_many);
  plug.Release();
  EXPECT_EQ(too_early.Wait().kind, Kind::kBusy);
  EXPECT_EQ(stopped.Wait(), AppendResult::kDurable);
  EXPECT_EQ(next.Wait().kind, Kind::kCreated);
  const CreateOutcome last = too_many.Wait();
  EXPECT_EQ(last.kind, Kind::kBusy);
  EXPECT_EQ(last.run, TestRunId(3));
  EXPECT_EQ(ToText(store().GetRun(TestRunId(1))->projection), ToText(StoppedProjection(2)));
}

// Who has read the conversation before it went on must read it again.
TEST_P(ConversationSuite, ARunThatCameSinceTheConversationWasReadIsInTheWay) {
  const auto join = [&](int number, std::vector<RunId> seen) {
    NewRun run = TestRun(TestRunId(number), {.conversation = "chat"});
    run.conversation_seen = std::move(seen);
    const CreateOutcome outcome = CreateNow(store(), std::move(run));
    if (outcome.kind == Kind::kCreated) Stop(number);
    return outcome;
  };
  ASSERT_EQ(join(1, Runs()).kind, Kind::kCreated);
  const CreateOutcome late = join(2, {});
  EXPECT_EQ(late.kind, Kind::kOvertaken);
  EXPECT_EQ(late.run, TestRunId(1));
  EXPECT_FALSE(store().GetRun(TestRunId(2)).ok());
  const std::vector<RunId> read = Runs();
  ASSERT_EQ(join(3, read).kind, Kind::kCreated);
  EXPECT_EQ(join(4, read).run, TestRunId(3));
  ASSERT_EQ(join(4, Runs()).kind, Kind::kCreated);
  // One that is gone is in nobody's way, and what came before it was read as well.
  const std::vector<RunId> all = Runs();
  ASSERT_TRUE(DeleteNow(store(), TestRunId(4)).ok());
  EXPECT_EQ(join(5, all).kind, Kind::kCreated);
  EXPECT_EQ(Make(6).kind, Kind::kCreated) << "who has not read asks for nothing";
  EXPECT_EQ(join(7, all).kind, Kind::kBusy) << "one that is active is in the way first of all";
}

TEST_P(ConversationSuite, OnlyItsLastRunIsResumed) {
  ASSERT_EQ(Make(1).kind, Kind::kCreated);
  ASSERT_EQ(Stop(1), AppendResult::kDurable);
  ASSERT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 2, 1, Resumed(3))), AppendResult::kDurable);
  EXPECT_EQ(Make(2).kind, Kind::kBusy);
  ASSERT_EQ(Stop(1, 3), AppendResult::kDurable);
  ASSERT_EQ(Make(3).kind, Kind::kCreated);
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 4, 1, Resumed(5))), AppendResult::kLost);
  // One that stops again in the same append is a resume as well.
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 4, 3, TestProjection(7, v1::RUN_STATE_STOPPED))), AppendResult::kLost);
  ASSERT_EQ(Stop(3), AppendResult::kDurable);
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 4, 1, Resumed(5))), AppendResult::kLost);
  EXPECT_EQ(store().GetRun(TestRunId(1))->projection.state, v1::RUN_STATE_STOPPED);
  ASSERT_TRUE(DeleteNow(store(), TestRunId(3)).ok());
  EXPECT_EQ(AppendNow(store(), TestAppend(TestRunId(1), store().epoch(), 4, 1, Resumed(5))), AppendResult::kDurable);
}

TEST_P(ConversationSuite, ResumeAndNextRunOfOneTransaction) {
  for (const int number : {1, 2}) {
    const std::string conversation = number == 1 ? "resume first" : "next first";
    ASSERT_EQ(Make(number, conversation).kind, Kind::kCreated);
    ASSERT_EQ(Stop(number), AppendResult::kDurable);
  }
  Plug plug(store(), TestRunId(90));
  Awaited<CreateOutcome> refused, accepted;
  Awaited<AppendResult> resumed, lost;
  store().Append(TestAppend(TestRunId(1), store().epoch(), 2, 1, Resumed(3)), [&](AppendResult value) { resumed.Set(value); });
  store().Create(TestRun(TestRunId(3), {.conversation = "resume first"}), [&](CreateOutcome value) { refused.Set(value); });
  store().Create(TestRun(TestRunId(4), {.conversation = "next first"}), [&](CreateOutcome value) { accepted.Set(value); });
  store().Append(TestAppend(TestRunId(2), store().epoch(), 2, 1, Resumed(3)), [&](AppendResult value) { lost.Set(value); });
  plug.Release();
  EXPECT_EQ(resumed.Wait(), AppendResult::kDurable);
  EXPECT_EQ(refused.Wait().kind, Kind::kBusy);
  EXPECT_EQ(accepted.Wait().kind, Kind::kCreated);
  EXPECT_EQ(lost.Wait(), AppendResult::kLost);
}

TEST_P(ConversationSuite, RunsComeInTheOrderInWhichTheyWereAccepted) {
  for (const int number : {5, 2, 7}) {  // a clock that was set back gives smaller ids later
    ASSERT_EQ(Make(number).kind, Kind::kCreated);
    ASSERT_EQ(Stop(number), AppendResult::kDurable);
  }
  ASSERT_EQ(Make(6, "another").kind, Kind::kCreated);
  EXPECT_THAT(Runs(), ElementsAre(TestRunId(7), TestRunId(2), TestRunId(5)));
  EXPECT_THAT(Runs(2), ElementsAre(TestRunId(7), TestRunId(2)));
  ASSERT_TRUE(DeleteNow(store(), TestRunId(2)).ok());
  Reopen();
  EXPECT_THAT(Runs(), ElementsAre(TestRunId(7), TestRunId(5)));
  EXPECT_THAT(*store().Conversation("another tenant", "chat", 10), IsEmpty());
  EXPECT_THAT(*store().Conversation("", "", 10), IsEmpty());
}

TEST_P(ConversationSuite, IsListed) {
  for (int number = 1; number <= 6; ++number) {
    ASSERT_EQ(Make(number, number % 2 == 0 ? "chat" : "another").kind, Kind::kCreated);
    ASSERT_EQ(Stop(number), AppendResult::kDurable);
  }
  RunQuery query{.conversation = "chat", .limit = 2};
  auto page = store().ListRuns(query);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->runs.size(), 2u);
  EXPECT_TRUE(page->more);
  EXPECT_EQ(page->runs[0].id, TestRunId(6));
  EXPECT_EQ(page->runs[1].id, TestRunId(4));
  query.after = TestRunId(4);
  page = store().ListRuns(query);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->runs.size(), 1u);
  EXPECT_EQ(page->runs[0].id, TestRunId(2));
  query = RunQuery{.conversation = "chat", .oldest_first = true};
  page = store().ListRuns(query);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->runs.size(), 3u);
  EXPECT_EQ(page->runs[0].id, TestRunId(2));
}

TEST_P(ConversationSuite, AKnownRequestIsAnsweredAlsoWhileTheConversationIsBusy) {
  const NewRun run = TestRun(TestRunId(1), {.request_id = "job-1", .conversation = "chat"});
  ASSERT_EQ(CreateNow(store(), run).kind, Kind::kCreated);
  NewRun again = run;
  again.id = TestRunId(2);
  const CreateOutcome known = CreateNow(store(), again);
  EXPECT_EQ(known.kind, Kind::kExists);
  EXPECT_EQ(known.run, TestRunId(1));
}

INSTANTIATE_TEST_SUITE_P(Stores, ConversationSuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
