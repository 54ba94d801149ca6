// Keys of attempts: the same for the same call however its arguments are written, another for any other.
#include "runtime/idempotency.h"

#include <gtest/gtest.h>

#include "proto/util/limits.h"

namespace agentruntime {
namespace {

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

}  // namespace
}  // namespace agentruntime
