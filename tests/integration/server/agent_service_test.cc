#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using Stub = v1::AgentService::Stub;
using ::testing::ElementsAre;

class AgentServiceTest : public SharedServer {
 protected:
  static v1::Agent Made(const std::string& name) {
    v1::Agent agent;
    agent.set_name(name);
    agent.set_model("script");
    agent.add_tools("calculator");
    return agent;
  }
  static absl::StatusOr<v1::Agent> CreateAgent(const v1::Agent& agent) {
    v1::CreateAgentRequest request;
    *request.mutable_agent() = agent;
    return Call(stubs().agent, &Stub::CreateAgent, request);
  }
  static absl::StatusOr<v1::Agent> Update(const v1::Agent& agent, bool allow_missing = false) {
    v1::UpdateAgentRequest request;
    *request.mutable_agent() = agent;
    request.set_allow_missing(allow_missing);
    return Call(stubs().agent, &Stub::UpdateAgent, request);
  }
  static absl::StatusOr<v1::Agent> Get(const std::string& name) {
    v1::GetAgentRequest request;
    request.set_name(name);
    return Call(stubs().agent, &Stub::GetAgent, request);
  }
};

TEST_F(AgentServiceTest, EachChangeIsANewRevisionAndOldOnesStay) {
  const auto created = CreateAgent(Made("agents/changes"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->revision(), "agents/changes/revisions/1");
  EXPECT_NE(created->etag(), "");

  v1::Agent changed = Made("agents/changes");
  changed.set_instructions("Be brief.");
  const auto second = Update(changed);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->revision(), "agents/changes/revisions/2");
  const auto same = Update(changed);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->revision(), "agents/changes/revisions/2");

  EXPECT_EQ(Get("agents/changes")->instructions(), "Be brief.");
  EXPECT_EQ(Get("agents/changes/revisions/1")->instructions(), "");
  EXPECT_EQ(client::DetailsOf(Get("agents/changes/revisions/3").status()).reason, "AGENT_NOT_FOUND");
}

TEST_F(AgentServiceTest, AStaleEtagIsRefused) {
  const auto created = CreateAgent(Made("agents/etag"));
  ASSERT_TRUE(created.ok()) << created.status();
  v1::Agent changed = Made("agents/etag");
  changed.set_etag(created->etag());
  changed.set_description("first");
  ASSERT_TRUE(Update(changed).ok());
  changed.set_description("second");
  EXPECT_EQ(Say(Update(changed).status()), "ABORTED ETAG_STALE: agent.etag: agents/etag was changed since it was read; read it again and repeat the change");
}

TEST_F(AgentServiceTest, AnEtagMakesNoAgent) {
  v1::Agent agent = Made("agents/ghost");
  agent.set_etag("1-00000000");
  EXPECT_EQ(Say(Update(agent, true).status()),
            "ABORTED ETAG_STALE: agent.etag: there is no agents/ghost, so nothing has this etag; leave the etag out to make the agent");
  EXPECT_TRUE(absl::IsNotFound(Update(agent).status()));
  EXPECT_TRUE(absl::IsNotFound(Get("agents/ghost").status()));
}

TEST_F(AgentServiceTest, CreateAndUpdateAreNotEachOther) {
  ASSERT_TRUE(CreateAgent(Made("agents/once")).ok());
  EXPECT_EQ(Say(CreateAgent(Made("agents/once")).status()), "ALREADY_EXISTS AGENT_EXISTS: agents/once exists; use UpdateAgent to change it");
  EXPECT_EQ(Say(Update(Made("agents/never")).status()),
            "NOT_FOUND AGENT_NOT_FOUND: there is no agents/never; ListAgents (agentctl agents) names those there are");
  const auto made = Update(Made("agents/allowed"), true);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->revision(), "agents/allowed/revisions/1");
}

TEST_F(AgentServiceTest, WhatIsNotConfiguredHereIsNamedWithTheNearest) {
  v1::Agent agent = Made("agents/wrong");
  agent.set_model("scirpt");
  agent.set_tools(0, "calculatr");
  const absl::Status status = CreateAgent(agent).status();
  EXPECT_EQ(
      Say(status),
      "FAILED_PRECONDITION AGENT_UNUSABLE: agents/wrong: model: no model named \"scirpt\" on this server; did you mean \"script\"?; tools[0]: no tool named "
      "\"calculatr\" on this server; did you mean \"calculator\"?");
  const auto details = client::DetailsOf(status);
  ASSERT_EQ(details.violations.size(), 2u);
  EXPECT_EQ(details.violations[1].field, "agent.tools[0]");
  agent = Made("agents/wrong");
  agent.set_model("extractive");
  EXPECT_EQ(Say(CreateAgent(agent).status()),
            "FAILED_PRECONDITION AGENT_UNUSABLE: agents/wrong: tools: model \"extractive\" cannot work without the tool \"search_docs\"; add it");
}

TEST_F(AgentServiceTest, BadInput) {
  EXPECT_EQ(Say(Call(stubs().agent, &Stub::CreateAgent, v1::CreateAgentRequest()).status()),
            "INVALID_ARGUMENT INVALID_FIELD: agent: is missing; give the whole agent");
  v1::Agent agent = Made("agents/Bad");
  agent.add_tools("calculator");
  agent.mutable_limits()->set_max_tokens(-1);
  EXPECT_EQ(Say(CreateAgent(agent).status()),
            "INVALID_ARGUMENT INVALID_FIELD: agent.name: is not agents/{agent} with 1-63 characters of [a-z0-9-] that begin with a letter and do not end with "
            "\"-\"; agent.tools[1]: \"calculator\" is there twice; leave one out; agent.limits.max_tokens: -1 is below 1");
  agent = Made("agents/good");
  agent.set_etag("x");
  EXPECT_EQ(Say(CreateAgent(agent).status()), "INVALID_ARGUMENT INVALID_FIELD: agent.etag: has no meaning for an agent that does not exist yet; leave it out");
  EXPECT_EQ(
      Say(Get("good").status()),
      "INVALID_ARGUMENT INVALID_FIELD: name: is not the name of an agent, agents/{agent} or agents/{agent}/revisions/{revision}; take it from ListAgents");
}

TEST_F(AgentServiceTest, ListsComeInPages) {
  for (const char* name : {"agents/zz-a", "agents/zz-b", "agents/zz-c"}) ASSERT_TRUE(Update(Made(name), true).ok());
  v1::ListAgentsRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    const auto page = Call(stubs().agent, &Stub::ListAgents, request);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_LE(page->agents_size(), 2);
    for (const v1::Agent& agent : page->agents()) names.push_back(agent.name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_THAT(std::vector<std::string>(names.end() - 3, names.end()), ElementsAre("agents/zz-a", "agents/zz-b", "agents/zz-c"));
}

TEST_F(AgentServiceTest, ToolsAndModelsAreThoseOfTheConfiguration) {
  const auto tools = Call(stubs().agent, &Stub::ListTools, v1::ListToolsRequest());
  ASSERT_TRUE(tools.ok()) << tools.status();
  ASSERT_EQ(tools->tools_size(), 2);
  EXPECT_EQ(tools->tools(0).name(), "calculator");
  EXPECT_EQ(tools->tools(0).timeout().seconds(), 30);
  EXPECT_EQ(tools->tools(1).name(), "clock");
  const auto models = Call(stubs().agent, &Stub::ListModels, v1::ListModelsRequest());
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->models_size(), 2);
  EXPECT_EQ(models->models(0).name(), "extractive");
  EXPECT_EQ(models->models(1).provider(), "scripted");
}

}  // namespace
}  // namespace agentruntime::testing
