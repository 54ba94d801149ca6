// AgentStore.
#include <gmock/gmock.h>

#include <thread>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_suite.h"

namespace agentruntime {
namespace {

v1::Agent TestAgent(const std::string& id, const std::string& instructions = "Answer from the handbook.") {
  v1::Agent agent;
  agent.set_name("agents/" + id);
  agent.set_description("Answers questions.");
  agent.set_model("gpt");
  agent.set_instructions(instructions);
  agent.add_tools("search_docs");
  agent.mutable_limits()->set_max_steps(12);
  *agent.mutable_limits()->mutable_timeout() = ToProto(absl::Minutes(2));
  agent.mutable_model_settings()->set_temperature(0.2);
  agent.set_on_uncertain_call(v1::UNCERTAIN_CALL_ACTION_STOP);
  return agent;
}

class AgentSuite : public StoreSuite {
 protected:
  // `a0` and so on: by several threads, because they share syncs.
  void Create(int count) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t) {
      threads.emplace_back([this, t, count] {
        for (int number = t; number < count; number += 16) agents().Create(TestAgent("a" + std::to_string(number)), TestTime(1)).IgnoreError();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_P(AgentSuite, CreatedAgentIsReadBack) {
  const auto created = agents().Create(TestAgent("docs"), TestTime(1));
  ASSERT_TRUE(created.ok()) << created.status();
  v1::Agent expected = TestAgent("docs");
  expected.set_revision("agents/docs/revisions/1");
  expected.set_etag(created->etag());
  *expected.mutable_create_time() = ToProto(TestTime(1));
  *expected.mutable_update_time() = ToProto(TestTime(1));
  EXPECT_EQ(created->DebugString(), expected.DebugString());
  EXPECT_FALSE(created->etag().empty());
  EXPECT_EQ(agents().Get("docs", 0)->DebugString(), expected.DebugString());
  EXPECT_EQ(agents().Get("docs", 1)->DebugString(), expected.DebugString());
  Reopen();
  EXPECT_EQ(agents().Get("docs", 0)->DebugString(), expected.DebugString());
}

TEST_P(AgentSuite, OutputOnlyFieldsOfTheCallerAreIgnored) {
  v1::Agent agent = TestAgent("docs");
  agent.set_revision("agents/docs/revisions/77");
  *agent.mutable_create_time() = ToProto(TestTime(9));
  const auto created = agents().Create(agent, TestTime(1));
  EXPECT_EQ(created->revision(), "agents/docs/revisions/1");
  EXPECT_EQ(agents().Update(TestAgent("docs"), false, TestTime(2))->revision(), "agents/docs/revisions/1");
}

TEST_P(AgentSuite, ExistingAgentIsNotCreatedAgain) {
  ASSERT_TRUE(agents().Create(TestAgent("docs"), TestTime(1)).ok());
  EXPECT_EQ(ReasonOf(agents().Create(TestAgent("docs", "Other."), TestTime(2)).status()), v1::ERROR_REASON_AGENT_EXISTS);
  EXPECT_EQ(agents().Get("docs", 0)->instructions(), "Answer from the handbook.");
}

TEST_P(AgentSuite, UpdateMakesARevisionAndKeepsTheOld) {
  const auto first = agents().Create(TestAgent("docs"), TestTime(1));
  const auto second = agents().Update(TestAgent("docs", "Other."), false, TestTime(2));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->revision(), "agents/docs/revisions/2");
  EXPECT_NE(second->etag(), first->etag());
  EXPECT_EQ(FromProto(second->create_time()), TestTime(1));
  EXPECT_EQ(FromProto(second->update_time()), TestTime(2));
  EXPECT_EQ(agents().Get("docs", 1)->DebugString(), first->DebugString());
  EXPECT_EQ(agents().Get("docs", 0)->DebugString(), second->DebugString());
}

TEST_P(AgentSuite, SameContentKeepsTheRevision) {
  const auto first = agents().Create(TestAgent("docs"), TestTime(1));
  const auto second = agents().Update(TestAgent("docs"), false, TestTime(2));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->DebugString(), first->DebugString());
  // An agent as it was read may be written back.
  EXPECT_EQ(agents().Update(*second, false, TestTime(3))->DebugString(), first->DebugString());
}

TEST_P(AgentSuite, UpdateOfAMissingAgent) {
  EXPECT_EQ(ReasonOf(agents().Update(TestAgent("docs"), false, TestTime(1)).status()), v1::ERROR_REASON_AGENT_NOT_FOUND);
  EXPECT_EQ(agents().Update(TestAgent("docs"), true, TestTime(1))->revision(), "agents/docs/revisions/1");
}

TEST_P(AgentSuite, AnAgentHasABoundedNumberOfRevisions) {
  const auto change = [this](int64_t number) { return agents().Update(TestAgent("docs", "Number " + std::to_string(number)), true, TestTime(number)); };
  for (int64_t number = 1; number <= kSuiteAgentBounds.revisions_max; ++number) ASSERT_TRUE(change(number).ok());
  const auto refused = change(kSuiteAgentBounds.revisions_max + 1);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(refused.status()), v1::ERROR_REASON_AGENTS_FULL);
  EXPECT_EQ(refused.status().message(),
            "agent.name: agents/docs has 5 revisions, as many as are kept of one agent; give what is changed as an agent of another name");
  EXPECT_EQ(agents().Get("docs", 0)->revision(), "agents/docs/revisions/5");
  EXPECT_TRUE(change(kSuiteAgentBounds.revisions_max).ok()) << "what is there may be applied again";
  EXPECT_TRUE(agents().Create(TestAgent("docs2"), TestTime(9)).ok()) << "what it was told to do";
}

TEST_P(AgentSuite, ThereIsABoundedNumberOfAgents) {
  Create(static_cast<int>(kSuiteAgentBounds.agents_max));
  const auto refused = agents().Create(TestAgent("more"), TestTime(2));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(refused.status()), v1::ERROR_REASON_AGENTS_FULL);
  EXPECT_EQ(refused.status().message(),
            "agent.name: the server has 1010 agents, as many as it keeps; change one of them with UpdateAgent (ListAgents names them)");
  EXPECT_EQ(ReasonOf(agents().Update(TestAgent("more"), true, TestTime(2)).status()), v1::ERROR_REASON_AGENTS_FULL);
  EXPECT_EQ(agents().Get("more", 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(agents().Update(TestAgent("a1", "Other."), false, TestTime(2)).ok()) << "what it was told to do";
}

TEST_P(AgentSuite, StaleEtagIsAborted) {
  const auto first = agents().Create(TestAgent("docs"), TestTime(1));
  v1::Agent change = TestAgent("docs", "Two.");
  change.set_etag(first->etag());
  ASSERT_TRUE(agents().Update(change, false, TestTime(2)).ok());
  change.set_instructions("Three.");
  const auto refused = agents().Update(change, false, TestTime(3));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(refused.status()), v1::ERROR_REASON_ETAG_STALE);
  EXPECT_EQ(agents().Get("docs", 0)->instructions(), "Two.");
}

TEST_P(AgentSuite, UnknownAgentOrRevisionIsNotFound) {
  agents().Create(TestAgent("docs"), TestTime(1)).IgnoreError();
  EXPECT_EQ(agents().Get("other", 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(agents().Get("docs", 2).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(AgentSuite, ListIsByNameWithNewestRevisions) {
  for (const char* id : {"c", "a", "b"}) agents().Create(TestAgent(id), TestTime(1)).IgnoreError();
  agents().Update(TestAgent("b", "Newer."), false, TestTime(2)).IgnoreError();
  const auto names = [&](absl::string_view after, int32_t limit) {
    std::vector<std::string> revisions;
    const auto listed = agents().List(after, limit);
    for (const v1::Agent& agent : *listed) revisions.push_back(agent.revision());
    return revisions;
  };
  EXPECT_THAT(names("", 10), testing::ElementsAre("agents/a/revisions/1", "agents/b/revisions/2", "agents/c/revisions/1"));
  EXPECT_THAT(names("", 1), testing::ElementsAre("agents/a/revisions/1"));
  EXPECT_THAT(names("a", 10), testing::ElementsAre("agents/b/revisions/2", "agents/c/revisions/1"));
  EXPECT_THAT(names("c", 10), testing::IsEmpty());
}

TEST_P(AgentSuite, ThePageOfTheLargestSizeTellsWhetherThereAreMore) {
  Create(kPageSizeMax + 2);
  EXPECT_EQ(agents().List("", kPageSizeMax + 1)->size(), static_cast<size_t>(kPageSizeMax + 1));
}

TEST_P(AgentSuite, AListEndsBehindTheAgentWithWhichItHasMoreThanAPageMayHave) {
  const std::string instructions(kInstructionsBytesMax, 'x');
  size_t fit = 0;
  for (int i = 10; i < 40; ++i) {
    const auto agent = agents().Create(TestAgent(absl::StrCat("a", i), instructions), TestTime(1));
    ASSERT_TRUE(agent.ok()) << agent.status();
    fit = kPageBytesMax / agent->ByteSizeLong();
  }
  EXPECT_EQ(agents().List("", 30)->size(), fit + 1);
  EXPECT_EQ(agents().List("a29", 30)->size(), 10u);
}

TEST_P(AgentSuite, OfManyUpdatesWithOneEtagOneSucceeds) {
  const auto first = agents().Create(TestAgent("docs"), TestTime(1));
  std::vector<std::thread> threads;
  std::vector<int> won(4);
  for (size_t t = 0; t < won.size(); ++t) {
    threads.emplace_back([&, t] {
      v1::Agent change = TestAgent("docs", "By thread " + std::to_string(t));
      change.set_etag(first->etag());
      won[t] = agents().Update(change, false, TestTime(2)).ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won[0] + won[1] + won[2] + won[3], 1);
  EXPECT_EQ(agents().Get("docs", 0)->revision(), "agents/docs/revisions/2");
}

INSTANTIATE_TEST_SUITE_P(Stores, AgentSuite, testing::ValuesIn(StoreKinds()), NameOfKind);

}  // namespace
}  // namespace agentruntime
