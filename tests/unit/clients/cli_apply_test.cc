#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cli/commands/apply.h"
#include "proto/util/errors.h"

namespace agentruntime::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::string_view kText =
    "name: support\n"
    "model: gtp\n"
    "instructions: |\n"
    "  Answer.\n"
    "tools: [search_docs, raed_doc]\n"
    "limits: {max_steps: 0}\n";

std::string ErrorOf(absl::string_view text) { return std::string(ReadAgent("s.yaml", text).status().message()); }

TEST(ApplyTest, ReadsAnAgentWithAShortName) {
  const auto agent = ReadAgent("s.yaml", kText);
  ASSERT_TRUE(agent.ok()) << agent.status();
  EXPECT_EQ(agent->name(), "agents/support");
  EXPECT_EQ(agent->instructions(), "Answer.\n");
  EXPECT_EQ(ReadAgent("s.yaml", "name: agents/support")->name(), "agents/support");
}

TEST(ApplyTest, RefusesWrongNamesWhereTheyStand) {
  EXPECT_EQ(ErrorOf("model: x"), "s.yaml: name: every agent needs one, such as `name: support`");
  const std::string form = "1-63 characters of a-z, 0-9 and -, beginning with a letter and not ending with -, such as support";
  EXPECT_EQ(ErrorOf("model: x\nname: Support"), "s.yaml:2:7: name: " + form);
  EXPECT_EQ(ErrorOf("name: agents/support/revisions/2"), "s.yaml:1:7: name: " + form);
  EXPECT_EQ(ErrorOf("name: support\ninstrctions: x"), "s.yaml:2:1: instrctions: no such field; did you mean \"instructions\"?");
}

TEST(ApplyTest, PutsTheServersViolationsAtTheirPlace) {
  const absl::Status status =
      InvalidFields({{"agent.limits.max_steps", "0 is below 1"}, {"agent.description", "is too long"}, {"allow_missing", "not of the file"}});
  EXPECT_THAT(ViolationLines("s.yaml", kText, status), ElementsAre("s.yaml:6:21: limits.max_steps: 0 is below 1", "s.yaml: description: is too long"));
  EXPECT_THAT(ViolationLines("s.yaml", kText, absl::InternalError("no details")), IsEmpty());
}

TEST(ApplyTest, NamesWhatTheServerHasInstead) {
  const auto agent = ReadAgent("s.yaml", kText);
  EXPECT_THAT(MissingLines("s.yaml", kText, *agent, {"extractive", "gpt"}, {"search_docs", "read_doc"}),
              ElementsAre("s.yaml:2:8: model: no model named \"gtp\" on this server; did you mean \"gpt\"?",
                          "s.yaml:5:22: tools[1]: no tool named \"raed_doc\" on this server; did you mean \"read_doc\"?"));
  EXPECT_THAT(MissingLines("s.yaml", kText, *agent, {"gtp"}, {"search_docs"}),
              ElementsAre("s.yaml:5:22: tools[1]: no tool named \"raed_doc\" on this server; see agentctl tools"));
  EXPECT_THAT(MissingLines("s.yaml", kText, *agent, {"gtp"}, {"search_docs", "raed_doc"}), IsEmpty());
}

}  // namespace
}  // namespace agentruntime::cli
