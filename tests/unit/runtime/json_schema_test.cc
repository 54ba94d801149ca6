#include "runtime/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "proto/util/limits.h"

namespace agentruntime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

struct Text {
  std::string text;
  const char* message;  // part of it; "" if the text is fine
};
class CheckJsonTest : public ::testing::TestWithParam<Text> {};

TEST_P(CheckJsonTest, Table) {
  const absl::Status status = CheckJson(GetParam().text);
  if (*GetParam().message == '\0') {
    EXPECT_TRUE(status.ok()) << GetParam().text.substr(0, 100) << ": " << status;
  } else {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << GetParam().text.substr(0, 100);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(GetParam().message), Not(HasSubstr("json.exception"))));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, CheckJsonTest,
    ::testing::Values(Text{"{}", ""}, Text{" [1, 2.5, -3e2, \"x\", true, false, null] ", ""}, Text{"\"\\u00e9\\ud83d\\udc4d\"", ""}, Text{"0", ""},
                      Text{"{\"a\":{\"a\":1},\"b\":[{\"a\":1}]}", ""}, Text{"12345678901234567890123", ""}, Text{Nested(kJsonDepthMax), ""},
                      Text{Nested(kJsonDepthMax + 1), "nested deeper than 64"}, Text{std::string(100'000, '['), "nested deeper than 64"},
                      Text{"", "line 1, column 1"}, Text{" ", "not valid JSON"}, Text{"{", "not valid JSON"}, Text{"{\"a\":1,}", "line 1, column 8"},
                      Text{"{'a':1}", "not valid JSON"}, Text{"{a:1}", "not valid JSON"}, Text{"{} x", "not valid JSON"}, Text{"{}{}", "not valid JSON"},
                      Text{"01", "not valid JSON"}, Text{"NaN", "not valid JSON"}, Text{"1e999", "not valid JSON"}, Text{"// c\n{}", "not valid JSON"},
                      Text{"\"a\nb\"", "not valid JSON"}, Text{"\"\xff\"", "not valid JSON"}, Text{"\"\xed\xa0\x80\"", "not valid JSON"},
                      Text{"\"\\ud800\"", "not valid JSON"}, Text{"\xEF\xBB\xBF{}", "byte order mark"}, Text{std::string("{}\0", 3), "not valid JSON"},
                      Text{"{\"a\":1,\"a\":2}", "the key \"a\" stands twice"}, Text{"[{\"x\":{\"b\":1,\"\\u0062\":2}}]", "the key \"b\" stands twice"},
                      Text{"\"" + std::string(kArgumentsBytesMax, 'x') + "\"", "at most 262144 are allowed"}));

constexpr char kSchema[] = R"json({
  "type": "object",
  "properties": {
    "query": {"type": "string", "minLength": 1, "maxLength": 10, "description": "long text that need not be repeated to the model"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 50},
    "mode": {"enum": ["fast", "slow"]},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    "where": {"$ref": "#/definitions/place"}
  },
  "definitions": {"place": {"type": "object", "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["zip"]}},
  "required": ["query"],
  "additionalProperties": false
})json";

class CheckTest : public ::testing::TestWithParam<Text> {};

TEST_P(CheckTest, Table) {
  const auto schema = JsonSchema::Compile(kSchema);
  ASSERT_TRUE(schema.ok()) << schema.status();
  const absl::Status status = schema->Check(GetParam().text);
  if (*GetParam().message == '\0') {
    EXPECT_TRUE(status.ok()) << GetParam().text << ": " << status;
  } else {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << GetParam().text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message)) << GetParam().text;
    EXPECT_LT(status.message().size(), 2100u);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, CheckTest,
    ::testing::Values(
        Text{R"({"query":"x"})", ""}, Text{R"({"query":"x","limit":50,"mode":"slow","tags":["a"],"where":{"zip":"12345"}})", ""},
        Text{"{}", "arguments: Missing required property 'query'"}, Text{"[]", "arguments: Value type not permitted"}, Text{R"({"query":""})", "/query: "},
        Text{R"({"query":"12345678901"})", R"("maxLength":10)"},
        Text{R"({"query":1})", R"(/query: Value type not permitted by 'type' constraint (expected {"maxLength":10,"minLength":1,"type":"string"}))"},
        Text{R"({"query":"x","limit":"5"})", R"(/limit: )"}, Text{R"({"query":"x","limit":51})", R"("maximum":50)"},
        Text{R"({"query":"x","limit":1.5})", "/limit: "}, Text{R"({"query":"x","mode":"medium"})", R"((expected {"enum":["fast","slow"]}))"},
        Text{R"({"query":"x","tags":["a",2]})", R"(/tags/1: )"}, Text{R"({"query":"x","tags":["a","b","c"]})", "/tags: "},
        Text{R"({"query":"x","where":{"zip":"abc"}})", "/where/zip: "}, Text{R"({"query":"x","where":{}})", "/where: Missing required property 'zip'"},
        Text{R"({"query":"x","qeury":1})", "arguments: unknown property 'qeury'"},
        Text{R"({"query":"x","where":{"zip":")" + std::string(5000, '1') + "\"}}", "too many to be checked against a pattern"},
        Text{R"({"query":"\u00001234567890123"})", "U+0000"}, Text{R"({"query":"x","tags":["\u0000"]})", "U+0000"},
        Text{R"({"query":"x","a\u0000":1})", "U+0000"}, Text{R"({"query":"x","query":"y"})", "stands twice"}, Text{"{\"query\":\"\xff\"}", "not valid JSON"},
        Text{"", "not valid JSON"}, Text{R"({"query":"x",)" + std::string(200'000, ' ') + "\"a\":1}", "unknown property 'a'"},
        Text{"{\"query\":\"x\",\"" + std::string(200'000, 'k') + "\":1}", "too long to be checked"}));

struct BadSchema {
  std::string schema;
  const char* message;
};
class CompileTest : public ::testing::TestWithParam<BadSchema> {};

TEST_P(CompileTest, Refuses) {
  const auto schema = JsonSchema::Compile(GetParam().schema);
  ASSERT_TRUE(absl::IsInvalidArgument(schema.status())) << GetParam().schema.substr(0, 100);
  EXPECT_THAT(std::string(schema.status().message()), AllOf(HasSubstr("schema: "), HasSubstr(GetParam().message)));
}

std::string ReferenceChain(int length) {
  std::string definitions;
  for (int i = 0; i < length; ++i) definitions += "\"d" + std::to_string(i) + "\":{\"$ref\":\"#/definitions/d" + std::to_string(i + 1) + "\"},";
  return "{\"$ref\":\"#/definitions/d0\",\"definitions\":{" + definitions + "\"d" + std::to_string(length) + "\":{}}}";
}

// References that each stand in a property of what the one before leads to.
std::string PropertyChain(int length) {
  std::string definitions;
  for (int i = 0; i < length; ++i)
    definitions += "\"d" + std::to_string(i) + R"(":{"properties":{"a":{"$ref":"#/definitions/d)" + std::to_string(i + 1) + "\"}}},";
  return R"({"$ref":"#/definitions/d0","definitions":{)" + definitions + "\"d" + std::to_string(length) + "\":{}}}";
}

// `levels` of allOf, each with so many references to the next: of one value that is branches^levels visits.
std::string Multiplied(int levels, int branches) {
  std::string definitions;
  for (int i = 0; i < levels; ++i) {
    definitions += "\"d" + std::to_string(i) + "\":{\"allOf\":[";
    for (int j = 0; j < branches; ++j) definitions += std::string(j == 0 ? "" : ",") + "{\"$ref\":\"#/definitions/d" + std::to_string(i + 1) + "\"}";
    definitions += "]},";
  }
  return "{\"$ref\":\"#/definitions/d0\",\"definitions\":{" + definitions + "\"d" + std::to_string(levels) + "\":{}}}";
}

INSTANTIATE_TEST_SUITE_P(
    Table, CompileTest,
    ::testing::Values(
        BadSchema{"", "not valid JSON"}, BadSchema{"true", "give an object"}, BadSchema{"[]", "give an object"}, BadSchema{R"({"type":5})", ""},
        BadSchema{R"({"type":"objekt"})", ""}, BadSchema{R"({"properties":5})", ""}, BadSchema{R"({"required":"query"})", ""},
        BadSchema{R"({"minLength":-1})", ""}, BadSchema{R"({"$ref":"http://example.com/schema.json"})", "leads nowhere"},
        BadSchema{R"({"properties":{"a":{"$ref":"file:///etc/passwd"}}})", "leads nowhere"}, BadSchema{R"({"$ref":"#/definitions/none"})", "leads nowhere"},
        BadSchema{R"({"$ref":"#"})", "leads back to itself"}, BadSchema{R"({"allOf":[{"$ref":"#"}]})", "leads back to itself"},
        BadSchema{R"({"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"not":{"$ref":"#/definitions/a"}}},"$ref":"#/definitions/a"})",
                  "leads back to itself"},
        BadSchema{ReferenceChain(100), "stand one inside the other"}, BadSchema{R"({"pattern":"("})", "no regular expression"},
        BadSchema{R"({"patternProperties":{"[":{}}})", "no regular expression"},
        BadSchema{R"({"pattern":"^(a)\\1$"})", "the pattern \"^(a)\\1$\" is no regular expression in RE2's syntax"},
        BadSchema{R"json({"pattern":"(?=a)"})json", "look-around"}, BadSchema{R"json({"pattern":"((a{100}){100}){100}"})json", "no regular expression"},
        BadSchema{R"json({"$ref":"#/default","default":{"pattern":"("}})json", "no regular expression"},
        BadSchema{R"({"multipleOf":0})", "multipleOf is 0; give a number above 0"}, BadSchema{R"({"multipleOf":-1})", "multipleOf is -1"},
        BadSchema{R"({"properties":{"a":{"multipleOf":0.0}}})", "multipleOf is 0.0"}, BadSchema{R"({"multipleOf":-0.5})", "multipleOf is -0.5"},
        BadSchema{R"({"multipleOf":"0"})", "multipleOf is \"0\""}, BadSchema{R"({"multipleOf":18446744073709551615})", "below 2^63"},
        BadSchema{R"({"multipleOf":[0]})", "multipleOf is no number"}, BadSchema{R"({"multipleOf":null})", "multipleOf is null"},
        BadSchema{R"({"properties":{"default":{"multipleOf":0}}})", "multipleOf is 0"},
        BadSchema{R"({"properties":{"enum":{"multipleOf":0}}})", "multipleOf is 0"},
        BadSchema{R"({"$ref":"#/default","default":{"multipleOf":0}})", "multipleOf is 0"}, BadSchema{PropertyChain(3500), "leads to 200 places and more"},
        BadSchema{Multiplied(14, 8), "more than 10000 subschemas apply to one value"},
        BadSchema{"{\"pattern\":\"" + std::string(2000, 'a') + "\"}", "more than 1024 bytes"},
        BadSchema{"{\"title\":\"" + std::string(kSchemaBytesMax, 'x') + "\"}", "at most 262144"}));

TEST(JsonSchemaTest, RecursionThroughPropertiesIsFine) {
  const auto schema = JsonSchema::Compile(R"({"type":"object","properties":{"child":{"$ref":"#"},"name":{"type":"string"}},"required":["name"]})");
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(schema->Check(R"({"name":"a","child":{"name":"b","child":{"name":"c"}}})").ok());
  EXPECT_THAT(std::string(schema->Check(R"({"name":"a","child":{"name":"b","child":{}}})").message()),
              HasSubstr("/child/child: Missing required property 'name'"));
  std::string deep = "{\"name\":\"x\"}";
  for (int i = 1; i < kJsonDepthMax; ++i) deep = "{\"name\":\"x\",\"child\":" + deep + "}";
  EXPECT_TRUE(schema->Check(deep).ok());
}

TEST(JsonSchemaTest, ShortReferenceChainsAreFollowed) {
  EXPECT_TRUE(JsonSchema::Compile(ReferenceChain(20)).ok());
  EXPECT_TRUE(JsonSchema::Compile(PropertyChain(60)).ok());
}

TEST(JsonSchemaTest, PatternsAreMatchedInLinearTime) {
  const std::string text = std::string(52, 'a') + "b";
  for (const char* schema : {R"({"pattern":"^(a+)+$"})", R"({"propertyNames":{"pattern":"^(a+)+$"}})", R"({"patternProperties":{"^(a+)+$":{"type":"null"}},
                               "additionalProperties":false})"}) {
    const auto compiled = JsonSchema::Compile(schema);
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    const bool of_keys = std::string(schema).find("ropert") != std::string::npos;
    EXPECT_FALSE(compiled->Check(of_keys ? "{\"" + text + "\":null}" : "\"" + text + "\"").ok()) << schema;
    EXPECT_TRUE(compiled->Check(of_keys ? R"({"aaa":null})" : "\"aaa\"").ok()) << schema;
  }
}

TEST(JsonSchemaTest, PatternsSeeCharactersAndAreSearched) {
  const auto schema =
      JsonSchema::Compile(R"({"properties":{"a":{"pattern":"^.{3}$"},"b":{"pattern":"[0-9]"}},"patternProperties":{"^x-":{"type":"integer"}}})");
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(schema->Check(R"({"a":"\u00e4\u00f6\u00fc","b":"x5y","x-a":1,"y":"x"})").ok());
  EXPECT_THAT(std::string(schema->Check(R"({"a":"ab","x-a":"1"})").message()), AllOf(HasSubstr("/a: Failed to match regex"), HasSubstr("/x-a: Value type")));
}

TEST(JsonSchemaTest, FormatsOfLongStringsTakeNoStack) {
  for (const char* format : {"date", "time", "date-time"}) {
    const auto schema = JsonSchema::Compile("{\"format\":\"" + std::string(format) + "\"}");
    ASSERT_TRUE(schema.ok());
    EXPECT_THAT(std::string(schema->Check("\"" + std::string(250'000, '1') + "\"").message()), HasSubstr("should be a valid " + std::string(format)));
  }
  const auto date = JsonSchema::Compile(R"({"format":"date"})");
  EXPECT_TRUE(date->Check("\"2024-02-29\"").ok());
  for (const char* wrong : {"\"2024-02-30\"", "\"2024-04-31\"", "\"2024-13-01\"", "\"x\""}) EXPECT_FALSE(date->Check(wrong).ok()) << wrong;
  const auto both = JsonSchema::Compile(R"({"format":"date-time"})");
  EXPECT_TRUE(both->Check("\"2022-07-18T16:52:45.5+02:00\"").ok());
  for (const char* wrong : {"\"2022-07-18\"", "\"2022-07-18T16:52:45\"", "\"2022-06-31T16:52:45Z\""}) EXPECT_FALSE(both->Check(wrong).ok()) << wrong;
}

TEST(JsonSchemaTest, APropertyMayHaveTheNameOfAKeyword) {
  const auto schema = JsonSchema::Compile(R"({"properties":{"default":{"pattern":"^a"},"examples":{"type":["string","null"],"format":"date"}}})");
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(schema->Check(R"({"default":"ab","examples":null})").ok());
  EXPECT_THAT(std::string(schema->Check(R"({"default":"b"})").message()), HasSubstr("/default: Failed to match regex"));
}

// Each value is compared with each word.
TEST(JsonSchemaTest, ALongEnumSpendsTheBudgetOfACheck) {
  std::string words = "\"w\"";
  for (int i = 0; i < 5'000; ++i) words += ",\"w" + std::to_string(i) + "\"";
  const auto schema = JsonSchema::Compile("{\"items\":{\"enum\":[" + words + "]}}");
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(schema->Check("[\"w4999\",\"w\"]").ok());
  std::string values = "\"w\"";
  for (int i = 0; i < 40'000; ++i) values += ",\"w\"";
  EXPECT_THAT(std::string(schema->Check("[" + values + "]").message()), HasSubstr("it takes too much work"));
}

TEST(JsonSchemaTest, MultiplesAreChecked) {
  const auto schema =
      JsonSchema::Compile(R"({"properties":{"multipleOf":{"multipleOf":3},"half":{"multipleOf":0.5}},"additionalProperties":{"multipleOf":1}})");
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(schema->Check(R"({"multipleOf":9,"half":1.5,"x":-9223372036854775808})").ok());
  EXPECT_THAT(std::string(schema->Check(R"({"multipleOf":10})").message()), HasSubstr("/multipleOf: Value should be a multiple of 3"));
  EXPECT_FALSE(schema->Check(R"({"half":0.3})").ok());
}

TEST(JsonSchemaTest, SubschemasMultiplyUpToABound) {
  const auto schema = JsonSchema::Compile(Multiplied(4, 8));
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE(schema->Check("5").ok());
}

// What a value at one depth is visited for, its parts are visited for as often and again.
TEST(JsonSchemaTest, ACheckThatTakesTooMuchWorkEnds) {
  const auto schema =
      JsonSchema::Compile(R"json({"allOf":[{"$ref":"#/definitions/p"},{"$ref":"#/definitions/p"},{"$ref":"#/definitions/p"},{"$ref":"#/definitions/p"}],
                                              "definitions":{"p":{"properties":{"a":{"$ref":"#"}}}}})json");
  ASSERT_TRUE(schema.ok()) << schema.status();
  std::string deep = "1";
  for (int i = 0; i < 3; ++i) deep = "{\"a\":" + deep + "}";
  EXPECT_TRUE(schema->Check(deep).ok());
  for (int i = 0; i < 50; ++i) deep = "{\"a\":" + deep + "}";
  EXPECT_THAT(std::string(schema->Check(deep).message()), HasSubstr("too much work"));
}

TEST(JsonSchemaTest, TheLargestArgumentsAreNotTooMuchWork) {
  const auto schema = JsonSchema::Compile(R"({"items":{"anyOf":[{"type":"string"},{"type":"integer","minimum":0}]}})");
  ASSERT_TRUE(schema.ok());
  std::string many = "[0";
  while (many.size() + 3 < static_cast<size_t>(kArgumentsBytesMax)) many += ",0";
  EXPECT_TRUE(schema->Check(many + "]").ok());
}

TEST(JsonSchemaTest, OfManyFaultsTheFirstAreTold) {
  const auto schema = JsonSchema::Compile(R"({"items":{"type":"integer"}})");
  ASSERT_TRUE(schema.ok());
  std::string many = "[\"x\"";
  for (int i = 0; i < 50'000; ++i) many += ",\"x\"";
  EXPECT_THAT(std::string(schema->Check(many + "]").message()), AllOf(HasSubstr("/0: "), HasSubstr("/1: "), Not(HasSubstr("/9: "))));
}

TEST(JsonSchemaTest, PointersAreEscaped) {
  const auto schema = JsonSchema::Compile(R"({"properties":{"a/b~c":{"type":"string"}}})");
  ASSERT_TRUE(schema.ok());
  EXPECT_THAT(std::string(schema->Check(R"({"a/b~c":1})").message()), HasSubstr("/a~1b~0c: "));
}

TEST(JsonSchemaTest, UniqueItemsAreBounded) {
  const auto schema = JsonSchema::Compile(R"({"type":"array","uniqueItems":true})");
  ASSERT_TRUE(schema.ok());
  EXPECT_FALSE(schema->Check("[1,1]").ok());
  std::string many = "[0";
  for (int i = 1; i < 1000; ++i) many += "," + std::to_string(i);
  EXPECT_THAT(std::string(schema->Check(many + "]").message()), HasSubstr("more than 256 items"));
}

TEST(JsonSchemaTest, ManyThreadsShareOne) {
  const auto schema = JsonSchema::Compile(kSchema);
  ASSERT_TRUE(schema.ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&schema] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(schema->Check(R"({"query":"x","where":{"zip":"12345"}})").ok());
        EXPECT_FALSE(schema->Check(R"({"query":"x","where":{"zip":"1234"}})").ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace agentruntime
