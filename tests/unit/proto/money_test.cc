// Costs are exact, never rounded down, and do not overflow at the bounds.
#include "proto/util/money.h"

#include <gtest/gtest.h>

#include "proto/util/limits.h"

namespace agentruntime {
namespace {

v1::ModelPrice Price(int64_t input, int64_t output) {
  v1::ModelPrice price;
  price.set_input_micros(input);
  price.set_output_micros(output);
  return price;
}

TEST(MoneyTest, CostsAreRoundedUp) {
  EXPECT_EQ(CostMicros(Price(2'500'000, 10'000'000), 1000, 0, 100), 2'500 + 1'000);
  EXPECT_EQ(CostMicros(Price(1, 1), 1, 0, 0), 1) << "a millionth of a millionth is not nothing";
  EXPECT_EQ(CostMicros(Price(1, 1), 500'000, 0, 500'000), 1) << "rounded once, not for each kind";
  EXPECT_EQ(CostMicros(Price(0, 0), 1000, 0, 1000), 0);
}

TEST(MoneyTest, CachedTokensHaveTheirOwnPrice) {
  v1::ModelPrice price = Price(1'000'000, 0);
  EXPECT_EQ(CostMicros(price, 100, 40, 0), 100) << "without one they cost what others do";
  price.set_cached_input_micros(100'000);
  EXPECT_EQ(CostMicros(price, 100, 40, 0), 60 + 4);
  EXPECT_EQ(CostMicros(price, 100, 400, 0), 10) << "no more are cached than were read";
}

TEST(MoneyTest, TheBoundsDoNotOverflow) {
  const v1::ModelPrice price = Price(kPriceMicrosMax, kPriceMicrosMax);
  EXPECT_EQ(CostMicros(price, kMaxTokensMaximum, 0, kMaxTokensMaximum), kMaxTokensMaximum * 2 * (kPriceMicrosMax / 1'000'000));
  EXPECT_EQ(AffordableOutput(price, 0, kMaxCostMicrosMaximum, 5000), 5000);
}

TEST(MoneyTest, WhatIsAffordableFitsAndOneMoreDoesNot) {
  for (const v1::ModelPrice& price : {Price(2'500'000, 10'000'000), Price(1, 3), Price(7, 999'999), Price(0, 1)}) {
    for (const int64_t left : {1, 17, 1000, 123'456}) {
      const int64_t output = AffordableOutput(price, 100, left, kMaxTokensMaximum);
      if (output < 0) {
        EXPECT_GT(CostMicros(price, 100, 0, 0), left);
      } else {
        EXPECT_LE(CostMicros(price, 100, 0, output), left);
        if (output < kMaxTokensMaximum) EXPECT_GT(CostMicros(price, 100, 0, output + 1), left);
      }
    }
  }
}

TEST(MoneyTest, IsWrittenAndReadAsDecimals) {
  EXPECT_EQ(FormatMicros(0), "0.00");
  EXPECT_EQ(FormatMicros(1), "0.000001");
  EXPECT_EQ(FormatMicros(1'250'000), "1.25");
  EXPECT_EQ(FormatMicros(12'000'000), "12.00");
  EXPECT_EQ(FormatMicros(100'000), "0.10");
  for (const int64_t micros : {int64_t{0}, int64_t{1}, int64_t{999'999}, int64_t{1'000'001}, kMaxCostMicrosMaximum}) {
    EXPECT_EQ(ParseMicros(FormatMicros(micros)), micros);
  }
  EXPECT_EQ(ParseMicros("3"), 3'000'000);
  for (const char* wrong : {"", ".", "1.", ".5", "-1", "+1", "1,5", "1e3", "0.0000001", "9999999999999", "1 "})
    EXPECT_EQ(ParseMicros(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace agentruntime
