#include "proto/util/yaml.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agentruntime/v1/agent.pb.h"
#include "proto/yaml_test.pb.h"

namespace agentruntime {
namespace {

using test::Everything;

std::string ShortText(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintToString(message, &text);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string Error(absl::string_view file, absl::string_view text, google::protobuf::Message& message) {
  return std::string(ReadYaml(file, text, message).message());
}

struct GoodCase {
  const char* yaml;
  const char* text;  // of the message
};

class GoodYamlTest : public testing::TestWithParam<GoodCase> {};

TEST_P(GoodYamlTest, FillsTheMessage) {
  Everything message;
  const absl::Status status = ReadYaml("f.yaml", GetParam().yaml, message);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ShortText(message), GetParam().text) << GetParam().yaml;
}

INSTANTIATE_TEST_SUITE_P(Numbers, GoodYamlTest,
                         testing::Values(GoodCase{"int32_value: -7", "int32_value: -7"}, GoodCase{"int32_value: +7", "int32_value: 7"},
                                         GoodCase{"int32_value: 20_000", "int32_value: 20000"}, GoodCase{"int32_value: 2147483647", "int32_value: 2147483647"},
                                         GoodCase{"int64_value: -9223372036854775808", "int64_value: -9223372036854775808"},
                                         GoodCase{"uint32_value: 4294967295", "uint32_value: 4294967295"},
                                         GoodCase{"uint64_value: 18_446_744_073_709_551_615", "uint64_value: 18446744073709551615"},
                                         GoodCase{"float_value: 0.5", "float_value: 0.5"}, GoodCase{"double_value: 1_000.25", "double_value: 1000.25"},
                                         GoodCase{"double_value: -2e-3", "double_value: -0.002"}, GoodCase{"double_value: 3", "double_value: 3"},
                                         GoodCase{"bool_value: true", "bool_value: true"}, GoodCase{"bool_value: false", ""},
                                         GoodCase{"maybe: 0", "maybe: 0"}));

INSTANTIATE_TEST_SUITE_P(Texts, GoodYamlTest,
                         testing::Values(GoodCase{"string_value: plain words", "string_value: \"plain words\""},
                                         GoodCase{"string_value: 'it''s'", "string_value: \"it\\'s\""},
                                         GoodCase{"string_value: \"a\\tb\"", "string_value: \"a\\tb\""},
                                         GoodCase{"string_value: |\n  one\n  two\n", "string_value: \"one\\ntwo\\n\""},
                                         GoodCase{"string_value: >-\n  one\n  two\n", "string_value: \"one two\""},
                                         GoodCase{"string_value: 42", "string_value: \"42\""}, GoodCase{"string_value: true", "string_value: \"true\""},
                                         GoodCase{"string_value: \"null\"", "string_value: \"null\""}, GoodCase{"string_value: \"\"", ""},
                                         GoodCase{"bytes_value: plain", "bytes_value: \"plain\""},
                                         GoodCase{"\xEF\xBB\xBFstring_value: x  # a comment\r\n", "string_value: \"x\""}));

INSTANTIATE_TEST_SUITE_P(EnumsAndTimes, GoodYamlTest,
                         testing::Values(GoodCase{"level: INFO", "level: LOG_LEVEL_INFO"}, GoodCase{"level: warn", "level: LOG_LEVEL_WARN"},
                                         GoodCase{"level: Log_Level_Warn", "level: LOG_LEVEL_WARN"},
                                         GoodCase{"levels: [info, WARN]", "levels: LOG_LEVEL_INFO levels: LOG_LEVEL_WARN"},
                                         GoodCase{"timeout: 90s", "timeout { seconds: 90 }"}, GoodCase{"timeout: 5m", "timeout { seconds: 300 }"},
                                         GoodCase{"timeout: 1h30m", "timeout { seconds: 5400 }"}, GoodCase{"timeout: 250ms", "timeout { nanos: 250000000 }"},
                                         GoodCase{"timeout: \"1.5s\"", "timeout { seconds: 1 nanos: 500000000 }"}, GoodCase{"timeout: 0", "timeout { }"},
                                         GoodCase{"timeout: -1s", "timeout { seconds: -1 }"},
                                         GoodCase{"time: 2030-01-31T12:00:00Z", "time { seconds: 1896091200 }"},
                                         GoodCase{"time: 2030-01-31T13:00:00.5+01:00", "time { seconds: 1896091200 nanos: 500000000 }"}));

INSTANTIATE_TEST_SUITE_P(Shapes, GoodYamlTest,
                         testing::Values(GoodCase{"names: [a, b]", "names: \"a\" names: \"b\""}, GoodCase{"names:\n- a\n- b\n", "names: \"a\" names: \"b\""},
                                         GoodCase{"names: []", ""}, GoodCase{"numbers: [1, 2_0]", "numbers: 1 numbers: 20"},
                                         GoodCase{"leaves: [{text: a}, {}]", "leaves { text: \"a\" } leaves { }"},
                                         GoodCase{"pauses: [1s, 2s]", "pauses { seconds: 1 } pauses { seconds: 2 }"},
                                         GoodCase{"labels: {a.b/c: 1}", "labels { key: \"a.b/c\" value: \"1\" }"},
                                         GoodCase{"by_number: {7: {text: x}}", "by_number { key: 7 value { text: \"x\" } }"},
                                         GoodCase{"by_name: {x: 3s}", "by_name { key: \"x\" value { seconds: 3 } }"},
                                         GoodCase{"leaf: {text: x}", "leaf { text: \"x\" }"}, GoodCase{"leaf: {}", "leaf { }"},
                                         GoodCase{"plain: x", "plain: \"x\""}, GoodCase{"nothing: {}", "nothing { }"},
                                         GoodCase{"nested:\n  nested:\n    maybe: 1", "nested { nested { maybe: 1 } }"}, GoodCase{"{}", ""}, GoodCase{"", ""},
                                         GoodCase{"# nothing but a comment\n", ""}, GoodCase{"---\n", ""},
                                         GoodCase{"%YAML 1.2\n---\nmaybe: 1\n...\n", "maybe: 1"}));

struct BadCase {
  const char* yaml;
  const char* error;
};

class BadYamlTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadYamlTest, SaysWhereAndWhat) {
  Everything message;
  const absl::Status status = ReadYaml("f.yaml", GetParam().yaml, message);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), GetParam().error) << GetParam().yaml;
}

INSTANTIATE_TEST_SUITE_P(
    Fields, BadYamlTest,
    testing::Values(BadCase{"maybe: 1\nstring_valu: x", "f.yaml:2:1: string_valu: no such field; did you mean \"string_value\"?"},
                    BadCase{"stringValue: x", "f.yaml:1:1: stringValue: no such field; did you mean \"string_value\"?"},
                    BadCase{"nested:\n  nested:\n    tiemout: 1s", "f.yaml:3:5: nested.nested.tiemout: no such field; did you mean \"timeout\"?"},
                    BadCase{"leaves: [{text: a}, {txt: b}]", "f.yaml:1:22: leaves[1].txt: no such field; did you mean \"text\"?"},
                    BadCase{"leaf: {completely_different: b}", "f.yaml:1:8: leaf.completely_different: no such field; there are text"},
                    BadCase{"something_else_entirely: b", "f.yaml:1:1: something_else_entirely: no such field"},
                    BadCase{"nothing: {a: 1}", "f.yaml:1:11: nothing.a: no such field; there are none here, write {}"},
                    BadCase{"maybe: 1\nmaybe: 1", "f.yaml:2:1: maybe: given twice, first in line 1"},
                    BadCase{"labels: {a: 1, a: 2}", "f.yaml:1:16: labels.a: given twice, first in line 1"},
                    BadCase{"leaf: {text: x}\nplain: y", "f.yaml:2:1: plain: cannot stand beside leaf; keep one of them"},
                    BadCase{"\"a b\": 1", "f.yaml:1:1: [\"a b\"]: no such field"}, BadCase{"<<: {maybe: 1}", "f.yaml:1:1: [\"<<\"]: no such field"}));

INSTANTIATE_TEST_SUITE_P(Types, BadYamlTest,
                         testing::Values(BadCase{"int32_value: many", "f.yaml:1:14: int32_value: expected a whole number, found \"many\""},
                                         BadCase{"int32_value: \"5\"", "f.yaml:1:14: int32_value: expected a whole number, found the text \"5\""},
                                         BadCase{"int32_value: 1.5", "f.yaml:1:14: int32_value: expected a whole number, found \"1.5\""},
                                         BadCase{"int32_value: 010", "f.yaml:1:14: int32_value: expected a whole number, found \"010\""},
                                         BadCase{"int32_value: 0x10", "f.yaml:1:14: int32_value: expected a whole number, found \"0x10\""},
                                         BadCase{"int32_value: 1__0", "f.yaml:1:14: int32_value: expected a whole number, found \"1__0\""},
                                         BadCase{"int32_value: 10_", "f.yaml:1:14: int32_value: expected a whole number, found \"10_\""},
                                         BadCase{"int32_value: -", "f.yaml:1:14: not valid YAML: illegal block entry"},
                                         BadCase{"int32_value: 2147483648", "f.yaml:1:14: int32_value: 2147483648 is out of range, -2147483648 to 2147483647"},
                                         BadCase{"uint32_value: -1", "f.yaml:1:15: uint32_value: -1 is out of range, 0 to 4294967295"},
                                         BadCase{"int32_value: [1]", "f.yaml:1:14: int32_value: expected a single value, found a list"},
                                         BadCase{"int32_value: {a: 1}", "f.yaml:1:14: int32_value: expected a single value, found a map"},
                                         BadCase{"int32_value:", "f.yaml:1:1: int32_value: has no value; expected a single value, or leave the key out"},
                                         BadCase{"string_value: ~", "f.yaml:1:1: string_value: has no value; expected a single value, or leave the key out"},
                                         BadCase{"double_value: .nan", "f.yaml:1:15: double_value: expected a number, found \".nan\""},
                                         BadCase{"double_value: 1e999", "f.yaml:1:15: double_value: 1e999 is out of range"},
                                         BadCase{"float_value: 1e300", "f.yaml:1:14: float_value: 1e300 is out of range"},
                                         BadCase{"bool_value: yes", "f.yaml:1:13: bool_value: expected true or false, found \"yes\"; did you mean \"true\"?"},
                                         BadCase{"bool_value: \"false\"",
                                                 "f.yaml:1:13: bool_value: expected true or false, found the text \"false\"; did you mean \"false\"?"},
                                         BadCase{"bool_value: 1", "f.yaml:1:13: bool_value: expected true or false, found \"1\""},
                                         BadCase{"level: wran", "f.yaml:1:8: level: expected one of INFO, WARN, found \"wran\"; did you mean \"WARN\"?"},
                                         BadCase{"level: unspecified", "f.yaml:1:8: level: expected one of INFO, WARN, found \"unspecified\""},
                                         BadCase{"level: 1", "f.yaml:1:8: level: expected one of INFO, WARN, found \"1\""},
                                         BadCase{"timeout: 30", "f.yaml:1:10: timeout: the duration has no unit; did you mean \"30s\"?"},
                                         BadCase{"timeout: soon", "f.yaml:1:10: timeout: expected a duration such as 90s, 5m, 1h30m or 250ms, found \"soon\""},
                                         BadCase{"timeout: inf", "f.yaml:1:10: timeout: expected a duration such as 90s, 5m, 1h30m or 250ms, found \"inf\""},
                                         BadCase{"timeout: 99999999999h", "f.yaml:1:10: timeout: 99999999999h is out of range"},
                                         BadCase{"timeout: 0.0000000001s", "f.yaml:1:10: timeout: 0.0000000001s is shorter than 1ms; give that or more, or 0s"},
                                         BadCase{"timeout: 999us", "f.yaml:1:10: timeout: 999us is shorter than 1ms; give that or more, or 0s"},
                                         BadCase{"timeout: {seconds: 1}", "f.yaml:1:10: timeout: expected a duration, found a map"},
                                         BadCase{"time: tomorrow", "f.yaml:1:7: time: expected a time such as 2030-01-31T12:00:00Z, found \"tomorrow\""},
                                         BadCase{"time: 2030-01-31", "f.yaml:1:7: time: expected a time such as 2030-01-31T12:00:00Z, found \"2030-01-31\""},
                                         BadCase{"time: 12345-01-31T00:00:00Z", "f.yaml:1:7: time: 12345-01-31T00:00:00Z is out of range"},
                                         BadCase{"names: a", "f.yaml:1:8: names: expected a list, such as [a, b], found \"a\""},
                                         BadCase{"names: [a, [b]]", "f.yaml:1:12: names[1]: expected a single value, found a list"},
                                         BadCase{"leaves: [a]", "f.yaml:1:10: leaves[0]: expected a map, found \"a\""},
                                         BadCase{"leaf: text", "f.yaml:1:7: leaf: expected a map, found \"text\""},
                                         BadCase{"leaf:", "f.yaml:1:1: leaf: has no value; expected a map, or leave the key out"},
                                         BadCase{"labels: [a]", "f.yaml:1:9: labels: expected a map, found a list"},
                                         BadCase{"labels: {a.b: [1]}", "f.yaml:1:15: labels[\"a.b\"]: expected a single value, found a list"},
                                         BadCase{"by_number: {x: {}}", "f.yaml:1:13: by_number.x: expected a whole number, found \"x\""},
                                         BadCase{"- a\n- b", "f.yaml:1:1: expected a map, found a list"},
                                         BadCase{"just words", "f.yaml:1:1: expected a map, found \"just words\""}));

INSTANTIATE_TEST_SUITE_P(
    Yaml, BadYamlTest,
    testing::Values(BadCase{"names: &all [a]", "f.yaml:1:8: names: anchors (&name) are not accepted; write the value out where it is needed"},
                    BadCase{"string_value: !!str 5", "f.yaml:1:15: string_value: tags (!name) are not accepted; the field decides the type"},
                    BadCase{"names: !set [a]", "f.yaml:1:8: names: tags (!name) are not accepted; the field decides the type"},
                    BadCase{"leaf: !x {text: a}", "f.yaml:1:7: leaf: tags (!name) are not accepted; the field decides the type"},
                    BadCase{"a: *x", "f.yaml:1:4: not valid YAML: the referenced anchor is not defined"},
                    BadCase{"maybe: 1\n---\nmaybe: 2", "f.yaml:2:1: a second document begins; keep one document a file"},
                    BadCase{"? [a]\n: 1", "f.yaml:1:3: a key must be text, not a map or a list"}, BadCase{"~: 1", "f.yaml:1:1: a key must be text, not null"},
                    BadCase{"names: [a", "f.yaml:1:8: not valid YAML: what opens here is not closed, or a comma is missing"},
                    BadCase{"string_value: \"x", "f.yaml:1:17: not valid YAML: illegal EOF in scalar"},
                    BadCase{"leaf:\n\ttext: x", "f.yaml:2:1: not valid YAML: a tab; indent with spaces"},
                    BadCase{"maybe: 1\n}", "f.yaml:2:1: not valid YAML: illegal flow end"},
                    // The column counts characters: the two before are four bytes.
                    BadCase{"labels: {\xC3\xA4\xC3\xB6: [1]}", "f.yaml:1:14: labels[\"\xC3\xA4\xC3\xB6\"]: expected a single value, found a list"},
                    BadCase{"maybe: 1\nname: a\x80z", "f.yaml:2:8: invalid UTF-8; save the file as UTF-8"},
                    BadCase{"string_value: a\x04z", "f.yaml:1:16: control character 0x04; write it as \"\\x04\""},
                    BadCase{"string_value: \"\\ud800\"", "f.yaml:1:22: not valid YAML: invalid unicode: 55296"}));

TEST(YamlTest, KeepsPresence) {
  Everything unset;
  ASSERT_TRUE(ReadYaml("f", "int32_value: 1", unset).ok());
  EXPECT_FALSE(unset.has_maybe());
  EXPECT_FALSE(unset.has_timeout());
  v1::Agent agent;
  ASSERT_TRUE(ReadYaml("f", "limits: {max_tool_calls: 0}\nmodel_settings: {temperature: 0}\non_uncertain_call: report", agent).ok());
  EXPECT_TRUE(agent.limits().has_max_tool_calls());
  EXPECT_FALSE(agent.limits().has_max_steps());
  EXPECT_TRUE(agent.model_settings().has_temperature());
  EXPECT_EQ(agent.on_uncertain_call(), v1::UNCERTAIN_CALL_ACTION_REPORT);
}

TEST(YamlTest, RefusesNulBytesThatLookLikeUtf16) {
  Everything message;
  const absl::string_view text("a\0:\0 \0", 6);
  EXPECT_EQ(Error("f", text, message), "f:1:2: control character 0x00; write it as \"\\x00\"");
}

TEST(YamlTest, BoundsDepthAndSize) {
  Everything message;
  std::string nested = "maybe: 1";
  for (int i = 0; i < 31; ++i) nested = absl::StrCat("nested: {", nested, "}");
  EXPECT_TRUE(ReadYaml("f", nested, message).ok());
  message.Clear();
  EXPECT_EQ(Error("f", absl::StrCat("nested: {", nested, "}"), message), "f:1:288: nested deeper than 32 levels");
  std::string dashes;
  for (int i = 0; i < 200'000; ++i) dashes.append("- ");
  EXPECT_EQ(Error("f", dashes, message), "f:1:65: nested deeper than 32 levels");
  EXPECT_FALSE(ReadYaml("f", std::string(200'000, '['), message).ok());
  EXPECT_FALSE(ReadYaml("f", std::string(200'000, '{'), message).ok());
  const std::string large = absl::StrCat("string_value: ", std::string(1 << 20, 'x'));
  EXPECT_EQ(Error("f", large, message), "f: the text has 1048590 bytes; at most 1048576 are accepted");
  message.Clear();
  EXPECT_TRUE(ReadYaml("f", absl::string_view(large).substr(0, 1 << 20), message).ok());
}

TEST(YamlTest, ManyKeysTakeLinearTime) {
  Everything message;
  std::string text = "labels:\n";
  for (int i = 0; i < 60'000; ++i) absl::StrAppend(&text, " k", i, ": v\n");
  ASSERT_TRUE(ReadYaml("f", text, message).ok());
  EXPECT_EQ(message.labels_size(), 60'000);
}

// Whatever the bytes, the answer is a status: no exception, no crash, no error of protobuf.
TEST(YamlTest, SurvivesEveryCutAndEveryChangedByte) {
  const std::string text =
      "%YAML 1.2\n---\n# c\nnames: [a, 'b', \"c\\x41\"]\nlabels: {x: y, ? z : |\n}\nleaves:\n- text: >-\n    folded\n- {text: x}\nlevel: info\ntimeout: 1m\n&a "
      "b: *a\n";
  for (size_t i = 0; i <= text.size(); ++i) {
    Everything message;
    ReadYaml("f", absl::string_view(text).substr(0, i), message).IgnoreError();
    for (const char c : {'\0', '\t', '\n', ' ', '"', '&', '*', ':', '{', '}', '[', ']', '!', '|', '%', '-', '?', '\x80', '\xff'}) {
      std::string changed = text;
      if (i < text.size()) changed[i] = c;
      message.Clear();
      const absl::Status status = ReadYaml("f", changed, message);
      if (!status.ok()) EXPECT_THAT(std::string(status.message()), testing::StartsWith("f:"));
    }
  }
}

TEST(YamlPositionTest, FindsValues) {
  const absl::string_view text = "name: support\ntools: [search_docs, raed_doc]\nlabels:\n  a.b: x\nleaves:\n- text: y\n";
  EXPECT_EQ(YamlPosition("s.yaml", text, "tools[1]"), "s.yaml:2:22");
  EXPECT_EQ(YamlPosition("s.yaml", text, "name"), "s.yaml:1:7");
  EXPECT_EQ(YamlPosition("s.yaml", text, "labels[\"a.b\"]"), "s.yaml:4:8");
  EXPECT_EQ(YamlPosition("s.yaml", text, "leaves[0].text"), "s.yaml:6:9");
  EXPECT_EQ(YamlPosition("s.yaml", text, "tools[2]"), "s.yaml");
  EXPECT_EQ(YamlPosition("s.yaml", text, ""), "s.yaml");
  EXPECT_EQ(YamlPosition("s.yaml", "{", "name"), "s.yaml");
}

}  // namespace
}  // namespace agentruntime
