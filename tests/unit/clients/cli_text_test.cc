#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include "clients/cli/event_text.h"
#include "clients/cli/format.h"
#include "clients/cli/output.h"
#include "clients/cli/program.h"
#include "clients/cli/run_view.h"
#include "clients/cli/text.h"

namespace agentruntime::cli {
namespace {

TEST(PrintableTest, NeutralisesWhatATerminalActsOn) {
  EXPECT_EQ(Printable("plain\ntext"), "plain\ntext");
  EXPECT_EQ(Printable("\x1b]0;owned\x07\x1b[2J"), "\\x1b]0;owned\\x07\\x1b[2J");
  EXPECT_EQ(Printable("a\rb"), "a\\x0db");
  EXPECT_EQ(Printable("line\r\nnext"), "line\nnext");
  EXPECT_EQ(Printable("tab\tbed"), "tab    bed");
  EXPECT_EQ(Printable(absl::string_view("nul\0x", 5)), "nul\\x00x");
  EXPECT_EQ(Printable("\x7f"), "\\x7f");
  EXPECT_EQ(Printable("8-bit CSI \xC2\x9B"
                      "31m"),
            "8-bit CSI \\x9b31m");
  EXPECT_EQ(Printable("right to left \xE2\x80\xAE"
                      "cod.exe"),
            "right to left \\u202ecod.exe");
  EXPECT_EQ(Printable("hidden\xE2\x80\x8B \xF3\xA0\x81\x81"), "hidden\\u200b \\ue0041");
  EXPECT_EQ(Printable("wrong \xFF byte"), "wrong \xEF\xBF\xBD byte");
  EXPECT_EQ(Printable("gr\xC3\xBC\xC3\x9F \xE6\x97\xA5 \xF0\x9F\x98\x80"), "gr\xC3\xBC\xC3\x9F \xE6\x97\xA5 \xF0\x9F\x98\x80");
}

TEST(PrintableTest, LinesHaveNoControlCharactersAtAll) {
  EXPECT_EQ(PrintableLine("a\n\n  b\x1b[1mc\xC2\x9B"), "a b [1mc\\x9b");
  EXPECT_EQ(PrintableLine("abcdef", 3), "abc\xE2\x80\xA6");
}

// What a program reads may still be looked at on a terminal.
TEST(PrintableTest, JsonIsSafeToo) {
  google::protobuf::Value value;
  value.set_string_value("\x1b[2J\x7f\xC2\x9B");
  for (const char c : ToJson(value)) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << ToJson(value);
}

TEST(RunTextTest, ACallThatWaitsComesWithTheCommandThatAnswersIt) {
  v1::Run run;
  run.set_name("runs/01abc");
  EXPECT_TRUE(HowToAnswer(run, "agentctl").empty());
  v1::WaitingCall& call = *run.add_waiting_calls();
  call.set_call_id("3.2");
  call.set_text("did this call take effect?\x1b[2J");
  const std::vector<std::string> lines = HowToAnswer(run, ".run/bin/agentctl --server 127.0.0.1:1");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("call 3.2 waits for a person until "), std::string::npos) << lines[0];
  EXPECT_EQ(lines[0].find('\x1b'), std::string::npos);
  EXPECT_EQ(lines[1], "  .run/bin/agentctl --server 127.0.0.1:1 resolve 01abc 3.2  --run-again, or --result TEXT, or --give-up [--reason WHY]");
}

// A person decides by it: the last argument counts as much as the first, and so does what a terminal would not show.
TEST(RunTextTest, WhatACallThatWaitsAsksIsNeverCut) {
  v1::Run run;
  run.set_name("runs/01abc");
  const std::string text = "may this call be made? charge {\"note\":\"" + std::string(5'000, 'x') + "  \x7f\",\n\"cents\":1}";
  run.add_waiting_calls()->set_text(text);
  const std::string line = HowToAnswer(run, "agentctl").front();
  EXPECT_TRUE(line.ends_with(std::string(5'000, 'x') + "  \\x7f\", \"cents\":1}")) << line;
}

// `call_wait` is 24 h unless the agent says otherwise; whoever gave the run two hours has no more time than that.
TEST(RunTextTest, AWaitEndsByTheDeadlineWhereThatComesFirst) {
  v1::Run run;
  run.set_name("runs/01abc");
  run.add_waiting_calls()->mutable_expire_time()->set_seconds(86'400);
  const auto told = [&run] { return HowToAnswer(run, "agentctl").front(); };
  const std::string expiry = "until " + FormatInstant(absl::FromUnixSeconds(86'400)) + ":";
  EXPECT_NE(told().find(expiry), std::string::npos) << told();
  run.mutable_deadline()->set_seconds(100'000);
  EXPECT_NE(told().find(expiry), std::string::npos) << told();
  run.mutable_deadline()->set_seconds(7'200);
  EXPECT_NE(told().find("until " + FormatInstant(absl::FromUnixSeconds(7'200)) + ", when the run's deadline stops it:"), std::string::npos) << told();
}

TEST(EventLinesTest, AWaitEndsByTheDeadlineThatHeldThen) {
  v1::Event waiting;
  waiting.mutable_call_waiting()->set_call_id("1.1");
  waiting.mutable_call_waiting()->mutable_expire_time()->set_seconds(86'400);
  const std::string by_expiry = "call 1.1 waits for a person until " + FormatInstant(absl::FromUnixSeconds(86'400)) + ":";
  const std::string by_deadline = "call 1.1 waits for a person until " + FormatInstant(absl::FromUnixSeconds(7'200)) + ", when the run's deadline stops it:";
  v1::Event created;
  created.mutable_run_created()->mutable_deadline()->set_seconds(7'200);
  v1::Event resumed;
  resumed.mutable_run_resumed()->mutable_deadline()->set_seconds(100'000);
  EventLines lines;
  lines.Take(created);
  EXPECT_EQ(lines.Take(waiting), by_deadline);
  lines.Take(resumed);
  EXPECT_EQ(lines.Take(waiting), by_expiry);
  EXPECT_EQ(EventLines(absl::FromUnixSeconds(7'200)).Take(waiting), by_deadline);
}

TEST(RunTextTest, EachKindOfWaitHasItsCommands) {
  v1::Run run;
  run.set_name("runs/01abc");
  v1::WaitingCall& call = *run.add_waiting_calls();
  call.set_call_id("1.1");
  call.set_kind(v1::WAIT_KIND_APPROVAL);
  std::vector<std::string> lines = HowToAnswer(run, "agentctl");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "  agentctl approve 01abc 1.1 [--arguments JSON]");
  EXPECT_EQ(lines[2], "  agentctl deny 01abc 1.1 [--reason WHY]");
  call.set_kind(v1::WAIT_KIND_QUESTION);
  lines = HowToAnswer(run, "agentctl");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "  agentctl answer 01abc 1.1 TEXT");
  EXPECT_EQ(lines[2], "  agentctl resolve 01abc 1.1 --give-up [--reason WHY]");
}

// `agentctl runs --state waiting`: a person who has several runs to look after sees which wants what.
TEST(RunTextTest, AListSaysWhatEachRunWaitsFor) {
  v1::Run run;
  run.set_state(v1::RUN_STATE_WAITING);
  const auto add = [&run](const std::string& call, const std::string& tool, v1::WaitKind kind) {
    v1::WaitingCall& waiting = *run.add_waiting_calls();
    waiting.set_call_id(call);
    waiting.set_tool(tool);
    waiting.set_kind(kind);
  };
  EXPECT_EQ(WaitsText(run), "");
  add("1.1", "refund", v1::WAIT_KIND_APPROVAL);
  EXPECT_EQ(WaitsText(run), "a person: approval of 1.1 refund");
  add("1.2", "ask_person", v1::WAIT_KIND_QUESTION);
  add("1.3", "charge\x1b", v1::WAIT_KIND_UNCERTAIN);
  EXPECT_EQ(WaitsText(run), "a person: approval of 1.1 refund, answer to 1.2 ask_person, outcome of 1.3 charge");
  v1::Run later;
  later.set_state(v1::RUN_STATE_QUEUED);
  EXPECT_EQ(WaitsText(later), "");
  later.mutable_not_before_time()->set_seconds(7'200);
  EXPECT_EQ(WaitsText(later), "not before " + FormatInstant(absl::FromUnixSeconds(7'200)));
}

TEST(ProgramTextTest, IsWhatAPersonTypesToReachTheSameServer) {
  EXPECT_EQ(ProgramText("agentctl", "127.0.0.1:7070", ""), "agentctl");
  EXPECT_EQ(ProgramText("", "127.0.0.1:7070", ""), "agentctl");
  EXPECT_EQ(ProgramText(".run/bin/agentctl", "127.0.0.1:7071", ""), ".run/bin/agentctl --server 127.0.0.1:7071");
  EXPECT_EQ(ProgramText("agentctl", "127.0.0.1:7071", "127.0.0.1:7071"), "agentctl");
  EXPECT_EQ(ProgramText("agentctl", "127.0.0.1:7070", "127.0.0.1:7071"), "agentctl --server 127.0.0.1:7070");
  EXPECT_EQ(ProgramText("/my folder/it's", "[::1]:7070", ""), "'/my folder/it'\\''s' --server '[::1]:7070'");
}

TEST(WordsTest, AFieldOfTheApiIsTheOptionThatSetsIt) {
  EXPECT_EQ(InWordsOfOptions("after_sequence: 9 lies beyond"), "--after: 9 lies beyond");
  EXPECT_EQ(InWordsOfOptions("run.limits.max_steps: 0 is less"), "--max-steps: 0 is less");
  EXPECT_EQ(InWordsOfOptions("limits.max_steps: 0 is less"), "--max-steps: 0 is less");
  EXPECT_EQ(InWordsOfOptions("run.input: is missing"), "run.input: is missing");
  EXPECT_EQ(InWordsOfOptions("there is no after_sequence: so"), "there is no after_sequence: so");
  EXPECT_EQ(InWordsOfOptions("run.limits.max_steps: 0 is below 1; run.limits.timeout: is over"), "--max-steps: 0 is below 1; --timeout: is over");
}

// Who wrote --max-cost 25 is not answered with 25000000.
TEST(WordsTest, MoneyIsInTheUnitOfTheOption) {
  EXPECT_EQ(InWordsOfOptions("run.limits.max_cost_micros: 25000000 is above this server's maximum of 5000000"),
            "--max-cost: 25.00 is above this server's maximum of 5.00");
  EXPECT_EQ(InWordsOfOptions("run.limits.max_cost_micros: 0 is below 1; run.limits.max_steps: 0 is below 1"),
            "--max-cost: 0.00 is below 0.000001; --max-steps: 0 is below 1");
  EXPECT_EQ(InWordsOfOptions("limits.max_cost_micros: runs/01 was stopped by it at 1250000; raise it above 1250000"),
            "--max-cost: runs/01 was stopped by it at 1.25; raise it above 1.25");
  EXPECT_EQ(InWordsOfOptions("agent.limits.max_cost_micros: 7 is above this server's maximum of 5"),
            "agent.limits.max_cost_micros: 7 is above this server's maximum of 5")
      << "whoever wrote the agent's YAML wrote millionths";
}

TEST(WidthTest, CountsColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("\xC3\xA4"), 1);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);                 // a combining accent
  EXPECT_EQ(DisplayWidth("\xE6\x97\xA5\xE6\x9C\xAC"), 4);  // two wide characters
  EXPECT_EQ(DisplayWidth("\xF0\x9F\x98\x80"), 2);
}

TEST(WidthTest, CutsAndPads) {
  EXPECT_EQ(CutToWidth("abcdef", 6), "abcdef");
  EXPECT_EQ(CutToWidth("abcdefg", 6), "abc...");
  EXPECT_EQ(CutToWidth("\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 5), "\xE6\x97\xA5...");
  EXPECT_EQ(CutToWidth("abcdef", 2), "..");
  EXPECT_EQ(CutToWidth("abcdef", 0), "");
  EXPECT_EQ(PadRight("\xE6\x97\xA5", 4), "\xE6\x97\xA5  ");
  EXPECT_EQ(PadLeft("7", 3), "  7");
}

TEST(WidthTest, WrapsBetweenWords) {
  EXPECT_EQ(WrapLines("one two three", 8), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(WrapLines("abcdefghij", 4), (std::vector<std::string>{"abcd", "efgh", "ij"}));
  EXPECT_EQ(WrapLines("a\n\nb", 4), (std::vector<std::string>{"a", "", "b"}));
}

TEST(FormatTest, WritesNumbersAndTimesForPeople) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(18'204), "18,204");
  EXPECT_EQ(FormatCount(-1'234'567), "-1,234,567");
  EXPECT_EQ(FormatPlural(1, "step"), "1 step");
  EXPECT_EQ(FormatPlural(2, "step"), "2 steps");
  EXPECT_EQ(FormatBytes(412LL << 20), "412 MiB");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatElapsed(absl::Microseconds(31'900)), "31 ms");
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(2'449)), "2.4 s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(372)), "6m 12s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(3 * 3600 + 125)), "3h 02m");
  EXPECT_EQ(FormatElapsed(absl::Hours(74)), "3 d 2 h");
  EXPECT_EQ(FormatLimit(absl::Minutes(10)), "10m");
  EXPECT_EQ(FormatLimit(absl::Hours(1)), "1h");
  EXPECT_EQ(FormatLimit(absl::Minutes(90)), "1h30m");
  EXPECT_EQ(FormatLimit(absl::Milliseconds(250)), "250ms");
}

TEST(FormatTest, ATimeIsReadAsItIsWritten) {
  const absl::Time time = absl::FromUnixSeconds(1'800'000'000);
  EXPECT_EQ(FormatInstant(time), absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone()));
  EXPECT_EQ(ParseInstant(FormatInstant(time)), time);
  EXPECT_EQ(ParseInstant("2027-01-15T09:00:00+01:00"), time);
  for (const char* text : {"", "2h", "09:14:45", "2027-01-15", "infinite-future"}) EXPECT_EQ(ParseInstant(text), std::nullopt) << text;
}

// The server says it in UTC; every other time on the screen is local.
TEST(FormatTest, TheDeadlineOfAStopIsATimeLikeAnyOther) {
  v1::Stop stop;
  stop.set_detail("the run's deadline was 2027-01-15T08:00:00+00:00");
  stop.mutable_limit()->set_limit("deadline");
  stop.mutable_limit()->set_value(1'800'000'000'000);
  EXPECT_EQ(StopText(stop), "the run's deadline was " + FormatInstant(absl::FromUnixSeconds(1'800'000'000)));
}

}  // namespace
}  // namespace agentruntime::cli
