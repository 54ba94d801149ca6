#include "server/flags.h"

#include <gtest/gtest.h>

namespace agentruntime {
namespace {

std::string Refusal(const std::vector<std::string>& arguments) {
  const auto flags = ParseFlags(arguments);
  return flags.ok() ? "accepted" : std::string(flags.status().message());
}

TEST(FlagsTest, ValuesFollowOrAreJoined) {
  const auto flags = ParseFlags({"--config", "a.yaml", "--listen=127.0.0.1:0", "--port-file", "p", "--store=s.db"});
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->action, Flags::Action::kServe);
  EXPECT_EQ(flags->config, "a.yaml");
  EXPECT_EQ(flags->listen, "127.0.0.1:0");
  EXPECT_EQ(flags->port_file, "p");
  EXPECT_EQ(flags->store, "s.db");
}

TEST(FlagsTest, Actions) {
  EXPECT_EQ(ParseFlags({"--version"})->action, Flags::Action::kVersion);
  EXPECT_EQ(ParseFlags({"--help"})->action, Flags::Action::kHelp);
  const auto check = ParseFlags({"--check-config", "a.yaml"});
  EXPECT_EQ(check->action, Flags::Action::kCheckConfig);
  EXPECT_EQ(check->config, "a.yaml");
}

TEST(FlagsTest, ADoctorLooksAtAStore) {
  const auto flags = ParseFlags({"--doctor", "--store", "a.db"});
  ASSERT_TRUE(flags.ok());
  EXPECT_EQ(flags->action, Flags::Action::kDoctor);
  EXPECT_EQ(flags->store, "a.db");
  EXPECT_EQ(Refusal({"--doctor=a.db"}), "--doctor takes no value");
  EXPECT_EQ(Refusal({"--doctor", "--restored"}), "--doctor does not go with --restored: look at the copy first, then start it");
  EXPECT_EQ(Refusal({"--doctor", "--check-config", "a.yaml"}),
            "--doctor does not go with --check-config: each looks at one thing and ends; for the store of a configuration give --config");
}

TEST(FlagsTest, ARestoredStoreIsSaidOfOneStart) {
  EXPECT_FALSE(ParseFlags({"--config", "a.yaml"})->restored);
  const auto flags = ParseFlags({"--restored", "--config", "a.yaml"});
  ASSERT_TRUE(flags.ok());
  EXPECT_TRUE(flags->restored);
  EXPECT_EQ(flags->config, "a.yaml");
  EXPECT_EQ(Refusal({"--restored=true"}), "--restored takes no value");
  EXPECT_EQ(Refusal({"--restord"}), "there is no argument --restord; did you mean --restored?");
}

TEST(FlagsTest, MistakesAreNamed) {
  EXPECT_EQ(Refusal({"--confg", "x"}), "there is no argument --confg; did you mean --config?");
  EXPECT_EQ(Refusal({"serve"}), "there is no argument serve; see agentd --help");
  EXPECT_EQ(Refusal({"--config"}), "--config needs a value");
  EXPECT_EQ(Refusal({"--listen="}), "--listen needs a value");
}

}  // namespace
}  // namespace agentruntime
