// Streams as providers really send them, byte for byte.
#include "runtime/models/openai_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "runtime/json_schema.h"
#include "runtime/models/sse.h"

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Record final : public DeltaSink {
 public:
  void Text(absl::string_view text) override { absl::StrAppend(&this->text, text); }
  void Reasoning(absl::string_view text) override { absl::StrAppend(&reasoning, text); }
  void ToolCall(int32_t call_index, absl::string_view tool, absl::string_view arguments) override {
    calls.push_back(absl::StrCat(call_index, " ", tool, " ", arguments));
  }
  std::string text;
  std::string reasoning;
  std::vector<std::string> calls;
};

struct Read {
  ModelOutcome outcome;
  Record deltas;
  bool settled = false;
  const v1::Decision& decision() const { return *outcome.decision; }
  std::string text() const { return outcome.decision->content_size() > 0 ? outcome.decision->content(0).text() : ""; }
};

Read ReadStream(absl::string_view bytes, size_t piece = 7) {
  Read read;
  OpenAiStream stream("gpt", read.deltas);
  SseParser parser;
  bool more = true;
  for (size_t at = 0; more && at < bytes.size(); at += piece) {
    EXPECT_TRUE(parser.Feed(bytes.substr(at, piece), [&](const SseEvent& event) { return more = stream.Data(event.data); }).ok());
  }
  read.settled = stream.settled();
  read.outcome = stream.Finish();
  return read;
}

// One event with one choice.
std::string Delta(absl::string_view delta, absl::string_view finish = "null") {
  return absl::StrCat("data: {\"id\":\"r1\",\"choices\":[{\"index\":0,\"delta\":{", delta, "},\"finish_reason\":", finish, "}]}\n\n");
}
std::string CallDelta(absl::string_view call) { return Delta(absl::StrCat("\"tool_calls\":[{", call, "}]")); }
constexpr char kDone[] = "data: [DONE]\n\n";

TEST(OpenAiStreamTest, ReadsTextWithCommentsCrLfAndSplitCharacters) {
  const std::string bytes =
      "\xEF\xBB\xBF: ping\r\n\r\n"
      "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\r\n\r\n"
      ": ping\r\n\r\n"
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\xC3\xBC\xC3\x9F\"}}]}\r\n\r\n"
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" \xF0\x9F\x98\x80\"},\"finish_reason\":\"stop\"}]}\r\n\r\n"
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\r\n\r\n"
      "data: [DONE]\r\n\r\n";
  for (size_t piece = 1; piece < bytes.size(); piece += piece < 20 ? 1 : 37) {
    const Read read = ReadStream(bytes, piece);
    ASSERT_TRUE(read.outcome.decision.has_value()) << read.outcome.error.message();
    EXPECT_EQ(read.text(), "Gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
    EXPECT_EQ(read.deltas.text, read.text());
    EXPECT_EQ(read.decision().finish_reason(), v1::FINISH_REASON_ANSWER);
    EXPECT_EQ(read.decision().response_id(), "chatcmpl-1");
    EXPECT_EQ(read.outcome.usage->input_tokens(), 11);
    EXPECT_EQ(read.outcome.usage->cached_input_tokens(), 4);
    EXPECT_EQ(read.decision().usage().output_tokens(), 3);
  }
}

TEST(OpenAiStreamTest, CountsThatAreTooLargeAreTheLargest) {
  const auto tokens = [](absl::string_view count) -> int64_t {
    const Read read = ReadStream(absl::StrCat(Delta("\"content\":\"x\"", "\"stop\""), "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":", count,
                                              ",\"completion_tokens\":1}}\n\n", kDone));
    return read.outcome.usage->input_tokens();
  };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const char* count : {"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "9.3e18", "1e300"}) {
    EXPECT_EQ(tokens(count), kMost) << count;
  }
  for (const char* count : {"0", "-0.5", "-1", "-9223372036854775808", "-1e300", "0.9"}) EXPECT_EQ(tokens(count), 0) << count;
  EXPECT_EQ(tokens("12.0"), 12);
}

TEST(OpenAiStreamTest, JoinsCharactersThatTheProviderCutInHalf) {
  const Read read = ReadStream(absl::StrCat(Delta("\"content\":\"a\\ud83d\""), Delta("\"content\":\"\\ude00b\\ud83d\\ude01\\\\ud83d\""),
                                            Delta("\"content\":\"\\ude00c\\ud83d\"", "\"stop\""), kDone));
  EXPECT_EQ(read.text(),
            "a\xF0\x9F\x98\x80"
            "b\xF0\x9F\x98\x81\\ud83d\xEF\xBF\xBD"
            "c\xEF\xBF\xBD");
  const Read call = ReadStream(absl::StrCat(CallDelta("\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"\\ud83d\"}"),
                                            CallDelta("\"index\":0,\"function\":{\"arguments\":\"\\ude00\\\"}\"}"), kDone));
  EXPECT_EQ(call.decision().tool_calls(0).arguments(), "{\"a\":\"\xF0\x9F\x98\x80\"}");
}

TEST(OpenAiStreamTest, ReplacesInvalidUtf8) {
  const Read read = ReadStream(absl::StrCat(Delta("\"content\":\"a\xFF"
                                                  "b\"",
                                                  "\"stop\""),
                                            kDone));
  EXPECT_EQ(read.text(),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(OpenAiStreamTest, PutsParallelCallsTogetherByIndex) {
  const Read read = ReadStream(absl::StrCat(CallDelta(R"("index":0,"id":"a","type":"function","function":{"name":"weather","arguments":""})"),
                                            CallDelta(R"("index":0,"function":{"arguments":"{\"city\":"})"),
                                            CallDelta(R"("index":1,"id":"b","function":{"name":"clock","arguments":"{\"z"})"),
                                            CallDelta(R"("index":0,"function":{"arguments":"\"Oslo\"}"})"),
                                            CallDelta(R"("index":1,"function":{"arguments":"one\":1.10}"})"), Delta("", "\"tool_calls\""), kDone));
  ASSERT_EQ(read.decision().tool_calls_size(), 2);
  EXPECT_EQ(read.decision().tool_calls(0).tool(), "weather");
  EXPECT_EQ(read.decision().tool_calls(0).arguments(), R"({"city":"Oslo"})");
  EXPECT_EQ(read.decision().tool_calls(0).provider_call_id(), "a");
  EXPECT_EQ(read.decision().tool_calls(1).arguments(), R"({"zone":1.10})");
  EXPECT_EQ(read.decision().finish_reason(), v1::FINISH_REASON_TOOL_CALLS);
  EXPECT_THAT(read.deltas.calls, ElementsAre("1 weather ", R"(1  {"city":)", R"(2 clock {"z)", R"(1  "Oslo"})", R"(2  one":1.10})"));
  EXPECT_FALSE(read.outcome.usage.has_value());
}

TEST(OpenAiStreamTest, ANewIdStartsANewCallWhateverItsIndex) {
  const Read read = ReadStream(absl::StrCat(CallDelta(R"("index":0,"id":"a","function":{"name":"f","arguments":"{\"n\""})"),
                                            CallDelta(R"("index":0,"id":"a","function":{"arguments":":1}"})"),
                                            CallDelta(R"("index":0,"id":"b","function":{"name":"f","arguments":"{\"n\":"})"),
                                            CallDelta(R"("index":0,"function":{"arguments":"2}"})"), Delta("", "\"stop\""), kDone));
  ASSERT_EQ(read.decision().tool_calls_size(), 2);
  EXPECT_EQ(read.decision().tool_calls(0).arguments(), R"({"n":1})");
  EXPECT_EQ(read.decision().tool_calls(1).arguments(), R"({"n":2})");
  EXPECT_EQ(read.decision().finish_reason(), v1::FINISH_REASON_TOOL_CALLS);  // although the server said stop
}

TEST(OpenAiStreamTest, CallsWithoutIdAndIndexAreWholeOnes) {
  const Read read =
      ReadStream(absl::StrCat(Delta(R"("tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":{"n":2}}}])"), kDone));
  ASSERT_EQ(read.decision().tool_calls_size(), 2);
  EXPECT_EQ(read.decision().tool_calls(1).arguments(), R"({"n":2})");
  EXPECT_EQ(read.decision().tool_calls(1).provider_call_id(), "");
}

TEST(OpenAiStreamTest, ArgumentsOfAnyDepthAreTheSameAsValueAndAsString) {
  for (const int depth : {100'000, 400'000}) {
    const std::string nested = std::string(depth, '[') + std::string(depth, ']');
    const auto read = [](absl::string_view arguments) {
      return ReadStream(absl::StrCat(Delta(absl::StrCat(R"("tool_calls":[{"id":"a","function":{"name":"f","arguments":)", arguments, "}}]")), kDone), 64 << 10);
    };
    const Read value = read(nested);
    const Read string = read(absl::StrCat("\"", nested, "\""));
    ASSERT_EQ(value.decision().tool_calls_size(), 1);
    EXPECT_EQ(value.decision().tool_calls(0).arguments(), nested.substr(0, kArgumentsBytesMax));
    EXPECT_EQ(value.decision().SerializeAsString(), string.decision().SerializeAsString());
    EXPECT_EQ(CheckJson(value.decision().tool_calls(0).arguments()).message(), "not valid JSON: nested deeper than 64");
  }
}

TEST(OpenAiStreamTest, MapsFinishReasons) {
  const auto finish = [](const char* reason) { return ReadStream(absl::StrCat(Delta("\"content\":\"x\"", reason), kDone)).decision().finish_reason(); };
  EXPECT_EQ(finish("\"stop\""), v1::FINISH_REASON_ANSWER);
  EXPECT_EQ(finish("\"length\""), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(finish("\"content_filter\""), v1::FINISH_REASON_FILTERED);
  EXPECT_EQ(finish("\"eos\""), v1::FINISH_REASON_ANSWER);
  EXPECT_EQ(finish("null"), v1::FINISH_REASON_ANSWER);  // [DONE] alone ends it too
}

TEST(OpenAiStreamTest, AnEndWithoutAReasonIsAFailureToBeRetried) {
  const Read read = ReadStream(Delta("\"content\":\"half an answ\""));
  EXPECT_FALSE(read.settled);
  EXPECT_FALSE(read.outcome.decision.has_value());
  EXPECT_EQ(read.outcome.error.reason(), "MODEL_BAD_RESPONSE");
  EXPECT_TRUE(read.outcome.error.retryable());
  EXPECT_EQ(read.outcome.error.message(), "model gpt: the answer ended before it was complete");
  // A reason is enough, though [DONE] and the usage are missing.
  EXPECT_TRUE(ReadStream(Delta("\"content\":\"whole\"", "\"stop\"")).settled);
}

TEST(OpenAiStreamTest, RefusesWhatIsNoAnswer) {
  for (const char* bytes : {"", "data: [DONE]\n\n", "data: {oops\n\n", "data: 17\n\n", "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"}) {
    const Read read = ReadStream(bytes);
    EXPECT_FALSE(read.outcome.decision.has_value()) << bytes;
    EXPECT_EQ(read.outcome.error.reason(), "MODEL_BAD_RESPONSE") << bytes;
    EXPECT_TRUE(read.outcome.error.retryable());
  }
  // What is not as expected inside is passed over.
  const Read odd = ReadStream(absl::StrCat(
      "data: {\"choices\":null}\n\ndata: {\"choices\":[7,{\"delta\":[]},{\"delta\":{\"content\":5,\"tool_calls\":{}}}]}\n\ndata: {\"usage\":7}\n\n",
      Delta("\"content\":\"x\",\"tool_calls\":[3,null]", "\"stop\""), kDone));
  EXPECT_EQ(odd.text(), "x");
}

TEST(OpenAiStreamTest, AnErrorInTheMiddleEndsIt) {
  const Read overloaded = ReadStream(absl::StrCat(Delta("\"content\":\"x\""), "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n"));
  EXPECT_EQ(overloaded.outcome.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_TRUE(overloaded.outcome.error.retryable());
  EXPECT_THAT(overloaded.outcome.error.message(), HasSubstr("\"overloaded\""));
  const Read refused = ReadStream("data: {\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}\n\n");
  EXPECT_EQ(refused.outcome.error.reason(), "MODEL_REFUSED");
  EXPECT_FALSE(refused.outcome.error.retryable());
  EXPECT_EQ(ReadStream("data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n").outcome.error.reason(), "MODEL_UNAVAILABLE");
  EXPECT_EQ(
      ReadStream("data: {\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\",\"type\":\"invalid_request_error\"}}\n\n").outcome.error.reason(),
      "CONTEXT_TOO_LARGE");
}

TEST(OpenAiStreamTest, CutsTextAtItsBound) {
  std::string bytes;
  for (int i = 0; i < 6; ++i) absl::StrAppend(&bytes, Delta(absl::StrCat("\"content\":\"", std::string(100 << 10, 'x'), "\"")));
  const Read read = ReadStream(bytes, 16 << 10);
  EXPECT_TRUE(read.settled);
  EXPECT_EQ(static_cast<int64_t>(read.text().size()), kDecisionTextBytesMax);
  EXPECT_EQ(static_cast<int64_t>(read.deltas.text.size()), kDecisionTextBytesMax);
  EXPECT_EQ(read.decision().finish_reason(), v1::FINISH_REASON_LENGTH);
}

TEST(OpenAiStreamTest, CutsArgumentsAtTheirBounds) {
  std::string one = CallDelta(R"("index":0,"id":"a","function":{"name":"f","arguments":"{\"a\":\""})");
  for (int i = 0; i < 5; ++i) absl::StrAppend(&one, CallDelta(absl::StrCat("\"index\":0,\"function\":{\"arguments\":\"", std::string(60 << 10, 'x'), "\"}")));
  const Read read = ReadStream(one, 16 << 10);
  EXPECT_EQ(static_cast<int64_t>(read.decision().tool_calls(0).arguments().size()), kArgumentsBytesMax);
  EXPECT_EQ(read.decision().finish_reason(), v1::FINISH_REASON_LENGTH);

  std::string many;
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&many, CallDelta(absl::StrCat("\"index\":", i, ",\"id\":\"c", i, "\",\"function\":{\"name\":\"f\",\"arguments\":\"",
                                                  std::string(60 << 10, 'x'), "\"}")));
  }
  const Read all = ReadStream(many, 16 << 10);
  EXPECT_LT(static_cast<int64_t>(all.decision().ByteSizeLong()), kEventBytesMax);
  EXPECT_EQ(all.decision().tool_calls_size(), 7);
}

TEST(OpenAiStreamTest, KeepsOneCallMoreThanAllowed) {
  std::string bytes;
  for (int i = 0; i < kCallsPerDecisionMax * 3; ++i) {
    absl::StrAppend(&bytes, CallDelta(absl::StrCat("\"index\":", i, ",\"id\":\"c", i, "\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}")),
                    CallDelta(absl::StrCat("\"index\":", i, ",\"function\":{\"arguments\":\"}\"}")));
  }
  const Read read = ReadStream(absl::StrCat(bytes, Delta("", "\"tool_calls\""), kDone), 4096);
  ASSERT_EQ(read.decision().tool_calls_size(), kCallsPerDecisionMax + 1);
  EXPECT_EQ(read.decision().tool_calls(kCallsPerDecisionMax).provider_call_id(), absl::StrCat("c", kCallsPerDecisionMax));
  for (const v1::ToolCall& call : read.decision().tool_calls()) EXPECT_EQ(call.arguments(), "{}");
}

TEST(OpenAiStreamTest, ShowsReasoningAsDeltasOnly) {
  const Read read = ReadStream(absl::StrCat(Delta("\"reasoning_content\":\"hm\""), Delta("\"content\":\"yes\"", "\"stop\""), kDone));
  EXPECT_EQ(read.deltas.reasoning, "hm");
  EXPECT_EQ(read.text(), "yes");
}

TEST(OpenAiStreamTest, TakesAWholeAnswerFromAServerThatDoesNotStream) {
  Record deltas;
  OpenAiStream stream("gpt", deltas);
  stream.Whole(R"({"id":"r","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",
                  "function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})");
  const ModelOutcome outcome = stream.Finish();
  ASSERT_TRUE(outcome.decision.has_value()) << outcome.error.message();
  EXPECT_EQ(outcome.decision->tool_calls(0).tool(), "f");
  EXPECT_EQ(outcome.usage->output_tokens(), 2);

  OpenAiStream broken("gpt", deltas);
  broken.Whole("{\"choices\":[");
  EXPECT_EQ(broken.Finish().error.reason(), "MODEL_BAD_RESPONSE");
}

}  // namespace
}  // namespace agentruntime
