// What the floors of kill_load_test count: calls that a kill met, and not those that are uncertain because their endpoint said so.
#include "tests/crash/witness.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace agentruntime::testing {
namespace {

v1::Event Parsed(const std::string& text) {
  v1::Event event;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
  return event;
}

const char kStarted[] = R"(epoch: 1 call_started { call_id: "1.1" attempt: 1 idempotency_key: "k" side_effect: SIDE_EFFECT_UNSAFE })";
const char kFailed[] = R"(epoch: 1 call_failed { call_id: "1.1" attempt: 1 })";  // and nobody knows whether it took effect
const char kTakenUp[] = "epoch: 2 run_started { cause: START_CAUSE_RECOVERED }";
const char kUncertain[] = R"(epoch: 2 call_finished { call_id: "1.1" outcome: CALL_OUTCOME_UNCERTAIN })";

TEST(WitnessTest, ACallThatIsUncertainBecauseItsEndpointFailedIsNoneThatAKillMet) {
  Witness witness(absl::ZeroDuration());
  EXPECT_EQ(witness.Judge("run", {Parsed(kStarted), Parsed(kFailed), Parsed(kTakenUp), Parsed(kUncertain)}), "");
  EXPECT_EQ(witness.counts().uncertain, 1);
  EXPECT_EQ(witness.counts().interrupted_unsafe, 0);
}

TEST(WitnessTest, ACallThatWasSettledBeforeTheServerDiedIsNone) {
  Witness witness(absl::ZeroDuration());
  const v1::Event settled = Parsed(R"(epoch: 1 call_finished { call_id: "1.1" outcome: CALL_OUTCOME_CANCELLED })");
  EXPECT_EQ(witness.Judge("run", {Parsed(kStarted), settled, Parsed(kTakenUp)}), "");
  EXPECT_EQ(witness.counts().interrupted_unsafe, 0);
}

TEST(WitnessTest, ACallThatWasUnderWayAsTheServerDiedIs) {
  Witness witness(absl::ZeroDuration());
  EXPECT_EQ(witness.Judge("run", {Parsed(kStarted), Parsed(kTakenUp), Parsed(kUncertain)}), "");
  EXPECT_EQ(witness.counts().uncertain, 1);
  EXPECT_EQ(witness.counts().interrupted_unsafe, 1);
  EXPECT_EQ(witness.counts().repeated, 0) << "nothing was executed";
}

}  // namespace
}  // namespace agentruntime::testing
