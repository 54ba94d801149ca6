// Keys of attempts: the same for the same call however its arguments are written, another for any other.
#include "runtime/idempotency.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "proto/util/limits.h"
#include "tests/unit/runtime/journal_fixture.h"

namespace agentruntime {
namespace {

using testing::Calls;
using testing::Journal;
using testing::JournalTest;

TEST(IdempotencyTest, ArgumentsAreTheSameHoweverTheyAreWritten) {
  EXPECT_EQ(NormalizedArguments(R"({ "b": [1, 2], "a": "x" })"), R"({"a":"x","b":[1,2]})");
  EXPECT_EQ(ArgumentsHash("t", R"({"b":1,"a":2})"), ArgumentsHash("t", R"({ "a": 2, "b": 1 })"));
  EXPECT_NE(ArgumentsHash("t", R"({"a":2})"), ArgumentsHash("t", R"({"a":3})"));
}

TEST(IdempotencyTest, WhatIsNoJsonIsAsItIs) {
  for (const char* const text : {"", "{", "{} {}", R"({"a":1,"a":2})"}) EXPECT_EQ(NormalizedArguments(text), text);
}

// Writing a value anew takes stack for each level: one that is nested without bound would end the process.
TEST(IdempotencyTest, ArgumentsBeyondTheBoundOfDepthAreAsTheyAre) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + " " + std::string(depth, ']'); };
  EXPECT_EQ(NormalizedArguments(nested(kJsonDepthMax)).size(), 2 * static_cast<size_t>(kJsonDepthMax));
  EXPECT_EQ(NormalizedArguments(nested(131'000)), nested(131'000));
  const RunId run = RunId::New(absl::FromUnixSeconds(1'800'000'000), 1, 2);
  EXPECT_EQ(IdempotencyKey(run, CallId{1, 1}, "t", nested(131'000)).size(), 32U);
  EXPECT_EQ(ArgumentsHash("t", nested(131'000)).size(), 32U);
}

// Tools remember keys, and people's leave is bound to the hash: another value makes a call that is repeated after an upgrade a new one. Whoever changes these
// on purpose has to know that.
TEST(IdempotencyTest, IsTheSameForEver) {
  const RunId run = RunId::New(absl::FromUnixSeconds(1'800'000'000), 1, 2);
  const std::string arguments = R"({"to": "größer 😀", "amount": 2.50, "n": [9007199254740993, -0.5, 1e300, null], "a": {"z": "\u00e9", "b": ""}})";
  // By hand: SHA-256 over `RUN:3.2:3:pay:BYTES:` and the arguments, sorted and without white space.
  EXPECT_EQ(IdempotencyKey(run, CallId{3, 2}, "pay", arguments), "ebf71e117b718247bb9c93b3701ba582");
  EXPECT_EQ(IdempotencyKey(run, CallId{1, 1}, "t", ""), "f4e02140ef84972029800e123d3d4e69");
  EXPECT_EQ(absl::BytesToHexString(ArgumentsHash("pay", arguments)), "f7a54feebcc1b0a3645ad2174adf0fa73db5bee02c6faee6eac935abf3d54b1e");
}

using IdempotencyJournalTest = JournalTest;

// By a version that wrote arguments otherwise before it hashed them.
TEST_F(IdempotencyJournalTest, EachAttemptHasTheKeyOfTheFirst) {
  safe->mutable_spec().side_effect = v1::SIDE_EFFECT_IDEMPOTENT;
  Journal journal;
  Decide(journal, Calls({{"safe", "{}"}}));
  Next next = journal.WhatNext(*plan);
  ASSERT_TRUE(next.facts.at(0).has_call_started());
  const std::string other(32, 'a');
  ASSERT_NE(next.facts[0].call_started().idempotency_key(), other);
  next.facts[0].mutable_call_started()->set_idempotency_key(other);
  journal.AddAll(std::move(next.facts));
  for (int attempt = 2; attempt <= 3; ++attempt) {
    ++journal.epoch;
    journal.Settle(*plan);
    const v1::CallStarted& started = journal.events.back()->call_started();
    EXPECT_EQ(started.attempt(), attempt);
    EXPECT_EQ(started.idempotency_key(), other);
    const StepState& step = *journal.state.last_step();
    EXPECT_EQ(BuildToolRequest(journal.state, *plan, step, step.calls[0]).idempotency_key, other);
  }
}

}  // namespace
}  // namespace agentruntime
