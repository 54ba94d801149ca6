// ListRuns, ListSteps, GetStep, ListEvents.
#include <set>

#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using Stub = v1::RunService::Stub;
using ::testing::ElementsAre;

constexpr char kForeignToken[] =
    "INVALID_ARGUMENT PAGE_TOKEN_INVALID: page_token: it is not a token of this query; repeat the query it came with, or leave it "
    "out to begin again";

class ListTest : public SharedServer {
 protected:
  static absl::StatusOr<v1::ListRunsResponse> List(const v1::ListRunsRequest& request) { return Call(stubs().run, &Stub::ListRuns, request); }

  static std::string Labelled(const std::string& label, const std::string& input = "add") {
    v1::CreateRunRequest request = Submit(input);
    (*request.mutable_run()->mutable_labels())["test"] = label;
    const auto created = Create(stubs(), request);
    EXPECT_TRUE(created.ok()) << created.status();
    return created.ok() ? created->name() : "";
  }
  static v1::ListRunsRequest WithLabel(const std::string& label) {
    v1::ListRunsRequest request;
    (*request.mutable_labels())["test"] = label;
    return request;
  }
  static std::vector<std::string> Names(const v1::ListRunsResponse& response) {
    std::vector<std::string> names;
    for (const v1::Run& run : response.runs()) names.push_back(run.name());
    return names;
  }
};

TEST_F(ListTest, RunsAreListedNewestFirstWithoutTheirContents) {
  const std::string first = Labelled("order");
  const std::string second = Labelled("order");
  ASSERT_TRUE(AwaitStop(stubs(), first).ok());
  ASSERT_TRUE(AwaitStop(stubs(), second).ok());
  v1::ListRunsRequest request = WithLabel("order");
  auto runs = List(request);
  ASSERT_TRUE(runs.ok()) << runs.status();
  EXPECT_THAT(Names(*runs), ElementsAre(second, first));
  EXPECT_EQ(runs->runs(0).input_size(), 0);
  EXPECT_EQ(runs->runs(0).answer_size(), 0);
  EXPECT_FALSE(runs->runs(0).has_limits());
  EXPECT_EQ(runs->runs(0).title(), "add");
  EXPECT_EQ(runs->next_page_token(), "");
  request.set_oldest_first(true);
  runs = List(request);
  ASSERT_TRUE(runs.ok()) << runs.status();
  EXPECT_THAT(Names(*runs), ElementsAre(first, second));
}

TEST_F(ListTest, PagesHaveEveryRunOnce) {
  std::set<std::string> made;
  for (int i = 0; i < 7; ++i) made.insert(Labelled("pages"));
  std::set<std::string> seen;
  v1::ListRunsRequest request = WithLabel("pages");
  request.set_page_size(3);
  std::vector<int> sizes;
  do {
    const auto page = List(request);
    ASSERT_TRUE(page.ok()) << page.status();
    sizes.push_back(page->runs_size());
    for (const std::string& name : Names(*page)) EXPECT_TRUE(seen.insert(name).second) << name;
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen, made);
  EXPECT_THAT(sizes, ElementsAre(3, 3, 1));
}

TEST_F(ListTest, ConditionsMustAllHold) {
  const std::string answered = Labelled("filter");
  const std::string hangs = Labelled("filter", "hang");
  const auto stopped = AwaitStop(stubs(), answered);
  ASSERT_TRUE(stopped.ok());
  v1::ListRunsRequest request = WithLabel("filter");
  request.add_states(v1::RUN_STATE_STOPPED);
  EXPECT_THAT(Names(*List(request)), ElementsAre(answered));
  request.add_stop_reasons(v1::STOP_REASON_CANCELLED);
  EXPECT_THAT(Names(*List(request)), ElementsAre());
  request = WithLabel("filter");
  request.set_agent("agents/tester/revisions/2");
  EXPECT_THAT(Names(*List(request)), ElementsAre());
  request.set_agent("agents/tester/revisions/1");
  EXPECT_EQ(List(request)->runs_size(), 2);
  request = WithLabel("filter");
  *request.mutable_created_before() = stopped->create_time();
  EXPECT_THAT(Names(*List(request)), ElementsAre());
  *request.mutable_created_after() = stopped->create_time();
  request.clear_created_before();
  EXPECT_EQ(List(request)->runs_size(), 2);
}

TEST_F(ListTest, BadInput) {
  v1::ListRunsRequest request;
  request.set_page_size(-1);
  request.add_states(static_cast<v1::RunState>(99));
  request.add_stop_reasons(v1::STOP_REASON_UNSPECIFIED);
  request.set_agent("nobody");
  request.mutable_created_after()->set_nanos(-1);
  EXPECT_EQ(
      Say(List(request).status()),
      "INVALID_ARGUMENT INVALID_FIELD: page_size: -1 is below 0; states[0]: 99 is not a state of a run; see RunState; stop_reasons[0]: 0 is not a reason to "
      "stop; see StopReason; agent: is not the name of an agent, agents/{agent} or agents/{agent}/revisions/{revision}; take it from ListAgents; "
      "created_after: is not a valid time: it must lie in the years 1 to 9999, nanos in 0 to 999,999,999");
}

TEST_F(ListTest, ATokenBelongsToItsQuery) {
  for (int i = 0; i < 2; ++i) Labelled("token");
  v1::ListRunsRequest request = WithLabel("token");
  request.set_page_size(1);
  const auto page = List(request);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_NE(page->next_page_token(), "");
  request.set_page_token(page->next_page_token());
  request.set_oldest_first(true);
  EXPECT_EQ(Say(List(request).status()), kForeignToken);
  request.set_page_token("forged");
  EXPECT_EQ(Say(List(request).status()), kForeignToken);
}

TEST_F(ListTest, StepsAreAFoldOfTheEvents) {
  const v1::Run run = Answered(stubs());
  v1::ListStepsRequest request;
  request.set_parent(run.name());
  request.set_page_size(1);
  const auto first = Call(stubs().run, &Stub::ListSteps, request);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->steps_size(), 1);
  EXPECT_EQ(first->steps(0).name(), absl::StrCat(run.name(), "/steps/1"));
  ASSERT_EQ(first->steps(0).tool_calls_size(), 1);
  EXPECT_EQ(first->steps(0).tool_calls(0).call().call_id(), "1.1");
  EXPECT_EQ(first->steps(0).tool_calls(0).outcome(), v1::CALL_OUTCOME_OK);
  request.set_page_token(first->next_page_token());
  const auto second = Call(stubs().run, &Stub::ListSteps, request);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_EQ(second->steps_size(), 1);
  EXPECT_EQ(second->steps(0).number(), 2);
  EXPECT_EQ(second->steps(0).decision().finish_reason(), v1::FINISH_REASON_ANSWER);
  EXPECT_EQ(second->next_page_token(), "");

  v1::GetStepRequest get;
  get.set_name(first->steps(0).name());
  const auto step = Call(stubs().run, &Stub::GetStep, get);
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(step->SerializeAsString(), first->steps(0).SerializeAsString());
  get.set_name(absl::StrCat(run.name(), "/steps/9"));
  EXPECT_EQ(Say(Call(stubs().run, &Stub::GetStep, get).status()), absl::StrCat("NOT_FOUND STEP_NOT_FOUND: ", run.name(), " has no step 9"));
  get.set_name(run.name());
  EXPECT_EQ(Say(Call(stubs().run, &Stub::GetStep, get).status()),
            "INVALID_ARGUMENT INVALID_FIELD: name: is not the name of a step, runs/{run}/steps/{number}; take it from ListSteps");
  request.set_parent(kNoRun);
  request.clear_page_token();
  EXPECT_EQ(client::DetailsOf(Call(stubs().run, &Stub::ListSteps, request).status()).reason, "RUN_NOT_FOUND");
}

TEST_F(ListTest, EventsComeInPagesWithoutGaps) {
  const v1::Run run = Answered(stubs());
  v1::ListEventsRequest request;
  request.set_parent(run.name());
  request.set_page_size(2);
  int64_t last = 0;
  do {
    const auto page = Call(stubs().run, &Stub::ListEvents, request);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_GT(page->events_size(), 0);
    ASSERT_LE(page->events_size(), 2);
    for (const v1::Event& event : page->events()) EXPECT_EQ(event.sequence(), ++last);
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(last, run.last_sequence());
}

TEST_F(ListTest, EventsRefuse) {
  const v1::Run run = Answered(stubs());
  v1::ListEventsRequest request;
  request.set_parent(run.name());
  request.set_after_sequence(run.last_sequence());
  const auto none = Call(stubs().run, &Stub::ListEvents, request);
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->events_size(), 0);
  request.set_after_sequence(run.last_sequence() + 1);
  EXPECT_EQ(client::DetailsOf(Call(stubs().run, &Stub::ListEvents, request).status()).reason, "SEQUENCE_BEYOND_END");
  request.set_after_sequence(0);
  request.set_page_size(1);
  const auto page = Call(stubs().run, &Stub::ListEvents, request);
  ASSERT_TRUE(page.ok()) << page.status();
  request.set_page_token(page->next_page_token());
  request.set_after_sequence(1);
  EXPECT_EQ(Say(Call(stubs().run, &Stub::ListEvents, request).status()), kForeignToken);
  // A token of steps is none of events, though both name the same run.
  v1::ListStepsRequest steps;
  steps.set_parent(run.name());
  steps.set_page_token(page->next_page_token());
  EXPECT_EQ(Say(Call(stubs().run, &Stub::ListSteps, steps).status()), kForeignToken);
}

}  // namespace
}  // namespace agentruntime::testing
