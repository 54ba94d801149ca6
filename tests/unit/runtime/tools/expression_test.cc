#include "runtime/tools/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace agentruntime {
namespace {

using ::testing::HasSubstr;

struct Good {
  const char* expression;
  double value;
};
class GoodExpression : public ::testing::TestWithParam<Good> {};

TEST_P(GoodExpression, HasItsValue) {
  const auto value = Evaluate(GetParam().expression);
  ASSERT_TRUE(value.ok()) << GetParam().expression << ": " << value.status();
  EXPECT_DOUBLE_EQ(*value, GetParam().value) << GetParam().expression;
}

INSTANTIATE_TEST_SUITE_P(Table, GoodExpression,
                         ::testing::Values(Good{"1", 1}, Good{" 1 + 2 * 3 ", 7}, Good{"(1+2)*3", 9}, Good{"10-4-3", 3}, Good{"100/10/2", 5}, Good{"7%4", 3},
                                           Good{"-7%4", -3}, Good{"2^3^2", 512}, Good{"-2^2", -4}, Good{"2^-1", 0.5}, Good{"--3", 3}, Good{"+-3", -3},
                                           Good{"2*-3", -6}, Good{"1_000 + .5", 1000.5}, Good{"1e3", 1000}, Good{"1.5E-2", 0.015},
                                           Good{"2*pi", 6.283185307179586}, Good{"e", 2.718281828459045}, Good{"sqrt(16)", 4}, Good{"ABS(-2)", 2},
                                           Good{"min(3,1,2)", 1}, Good{"max(3)", 3}, Good{"round(2.5)", 3}, Good{"round(3.14159, 2)", 3.14},
                                           Good{"floor(-1.5)", -2}, Good{"ceil(1.2)", 2}, Good{"ln(e)", 1}, Good{"log(1000)", 3}, Good{"exp(0)", 1},
                                           Good{"0^0", 1}, Good{"sin(0)+cos(0)+tan(0)", 1}));

struct Bad {
  std::string expression;
  const char* message;
};
class BadExpression : public ::testing::TestWithParam<Bad> {};

TEST_P(BadExpression, SaysWhereAndWhat) {
  const auto value = Evaluate(GetParam().expression);
  EXPECT_TRUE(absl::IsInvalidArgument(value.status())) << GetParam().expression;
  EXPECT_THAT(std::string(value.status().message()), HasSubstr(GetParam().message)) << GetParam().expression;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadExpression,
    ::testing::Values(Bad{"", "position 1: expected a number"}, Bad{"1+", "position 3: expected a number, a function or \"(\", found the end"},
                      Bad{"(1", "position 3: expected \")\""}, Bad{"1)", "position 2: unexpected \")\""}, Bad{"1 2", "position 3: unexpected \"2\""},
                      Bad{"1/0", "position 2: division by zero"}, Bad{"1%0", "division by zero"}, Bad{"0^-1", "division by zero"}, Bad{"10^400", "too large"},
                      Bad{"1e400", "too large"}, Bad{"exp(1000)", "too large"}, Bad{"sqrt(-1)", "not a real number"}, Bad{"(-8)^0.5", "not a real number"},
                      Bad{"ln(0)", "too large"}, Bad{"foo(1)", "no function \"foo\""}, Bad{"foo", "unknown name \"foo\""},
                      Bad{"sqrt(1,2)", "no function \"sqrt\" of 2 arguments"}, Bad{"sqrt()", "expected a number"}, Bad{".", "not a number"},
                      Bad{"1.2.3", "unexpected"}, Bad{"2e", "unexpected"}, Bad{"1 $ 2", "unexpected"}, Bad{"__import__('os')", "expected a number"},
                      Bad{"\xff\xfe", "expected a number"}, Bad{std::string("1\0", 2), "unexpected"}, Bad{std::string(1001, '1'), "at most 1000"},
                      Bad{std::string(500, '('), "nested deeper"},
                      Bad{[] {
                            std::string tower = "2";
                            for (int i = 0; i < 200; ++i) tower += "^1";
                            return tower;
                          }(),
                          "nested deeper"}));

TEST(ExpressionTest, ManySignsNeedNoDepth) { EXPECT_DOUBLE_EQ(*Evaluate(std::string(998, '-') + "1"), 1); }

}  // namespace
}  // namespace agentruntime
