#include "runtime/text/nested_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace agentruntime {
namespace {

using nlohmann::json;

constexpr int kDeep = 400'000;

std::string Nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(NestedJsonTest, CountsTheDepth) {
  EXPECT_EQ(JsonDepth(""), 0);
  EXPECT_EQ(JsonDepth("5"), 0);
  EXPECT_EQ(JsonDepth(R"({"a[[":"{\"[","b":[[1],[2]]})"), 3);
  EXPECT_EQ(JsonDepth(Nested(kDeep)), kDeep);
  EXPECT_EQ(JsonDepth(std::string(kDeep, '[')), kDeep);
}

TEST(NestedJsonTest, ParsesUpToADepth) {
  EXPECT_EQ(ParseNestedJson(R"({"a":[1]})", 2), json({{"a", {1}}}));
  EXPECT_TRUE(ParseNestedJson(R"({"a":[1]})", 1).is_discarded());
  EXPECT_TRUE(ParseNestedJson("{", 2).is_discarded());
  EXPECT_TRUE(ParseNestedJson(Nested(kDeep), 64).is_discarded());
}

TEST(NestedJsonTest, WritesAsTheLibraryDoes) {
  const json no_utf8 = {{"\xff", {"\xff", "\u00e9"}}};
  for (const json& value : {json(), json(5), json("\xff"), json::array(), json::object(), json::parse("[[],{},[1,[2]],3]"), no_utf8,
                            json::parse(R"({"a":{"b":[true,null,1.5,"x\n"]},"c\"":-1,"d":{}})")}) {
    const std::string expected = value.dump(-1, ' ', false, json::error_handler_t::replace);
    EXPECT_EQ(WriteNestedJson(value), expected);
  }
}

TEST(NestedJsonTest, WritesAnyDepth) { EXPECT_EQ(WriteNestedJson(json::parse(Nested(kDeep))), Nested(kDeep)); }

}  // namespace
}  // namespace agentruntime
