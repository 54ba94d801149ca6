#include "proto/base/id.h"

#include <gtest/gtest.h>

#include "proto/util/names.h"

namespace agentruntime {
namespace {

TEST(RunIdTest, TextIsTheBytesAndSortsLikeThem) {
  const RunId early = RunId::New(absl::FromUnixMillis(1'000), 1, 2);
  const RunId late = RunId::New(absl::FromUnixMillis(1'001), 0, 0);
  EXPECT_LT(early, late);
  EXPECT_LT(early.ToString(), late.ToString());
  EXPECT_EQ(RunId::Parse(early.ToString()), early);
  EXPECT_EQ(RunId::FromBytes(early.bytes()), early);
  EXPECT_EQ(early.ToString().size(), 26u);
  EXPECT_EQ(early.time(), absl::FromUnixMillis(1'000));
}

TEST(RunIdTest, NothingButItsOwnTextIsAccepted) {
  const std::string text = RunId::New(absl::FromUnixMillis(1), 1, 2).ToString();
  EXPECT_EQ(RunId::Parse(""), std::nullopt);
  EXPECT_EQ(RunId::Parse(text.substr(1)), std::nullopt);
  EXPECT_EQ(RunId::Parse(text + "0"), std::nullopt);
  EXPECT_EQ(RunId::Parse("z" + text.substr(1)), std::nullopt) << "more than 128 bits";
  EXPECT_EQ(RunId::Parse("I" + text.substr(1)), std::nullopt) << "not of the alphabet";
}

TEST(CallIdTest, StepAndIndex) {
  EXPECT_EQ((CallId{3, 2}).ToString(), "3.2");
  EXPECT_EQ(CallId::Parse("3.2"), (CallId{3, 2}));
  for (const char* wrong : {"", "3", "3.", ".2", "03.2", "3.0", "-3.2", "3.2.1", "3.99999999999"}) EXPECT_EQ(CallId::Parse(wrong), std::nullopt) << wrong;
}

TEST(NamesTest, OnlyCanonicalNamesParse) {
  const RunId run = RunId::New(absl::FromUnixMillis(7), 1, 2);
  EXPECT_EQ(ParseRunName(RunName(run)), run);
  EXPECT_EQ(ParseRunName("runs/" + run.ToString() + "/"), std::nullopt);
  const auto step = ParseStepName(FormatStepName(run, 4));
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->run, run);
  EXPECT_EQ(step->number, 4);
  EXPECT_FALSE(ParseStepName(RunName(run) + "/steps/04").has_value());
  EXPECT_EQ(ParseAgentName("agents/docs")->agent, "docs");
  EXPECT_EQ(ParseAgentName("agents/docs/revisions/3")->revision, 3);
  for (const char* wrong : {"docs", "agents/", "agents/Docs", "agents/-a", "agents/a-", "agents/docs/revisions/0", "agents/docs/steps/1"}) {
    EXPECT_FALSE(ParseAgentName(wrong).has_value()) << wrong;
  }
}

TEST(NamesTest, NearestNameIsASlipAway) {
  const std::vector<std::string> tools = {"search_docs", "read_doc", "calculator"};
  EXPECT_EQ(NearestName("raed_doc", tools), "read_doc");
  EXPECT_EQ(NearestName("serch_docs", tools), "search_docs");
  EXPECT_EQ(NearestName("http_get", tools), "");
}

}  // namespace
}  // namespace agentruntime
