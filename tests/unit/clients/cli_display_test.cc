// What people see of a run, line for line.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "clients/cli/display.h"
#include "clients/cli/event_text.h"
#include "clients/cli/format.h"
#include "clients/cli/run_view.h"
#include "clients/cli/timeline.h"

namespace agentruntime::cli {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

v1::Event Event(const std::string& text) { return Parse<v1::Event>(text); }

const char kAnswered[] = R"(
  name: "runs/01jd3zk8v4m9q2c7h5n0xt6bwe" title: "Find limits" state: RUN_STATE_STOPPED last_sequence: 9
  usage { steps: 2 tool_calls: 1 input_tokens: 1200 output_tokens: 88 active_time { nanos: 11000000 } }
  answer { text: "Each key may send 600.\nAbove that: 429." } stop { reason: STOP_REASON_FINAL_ANSWER })";

// Two attempts of the model, a call that fails and is repeated, one that the model got wrong, and escape sequences in everything.
std::vector<v1::Event> Story() {
  return {
      Event(R"(sequence: 1 run_created {})"),
      Event(R"(sequence: 2 run_started { cause: START_CAUSE_FIRST })"),
      Event(R"(sequence: 3 step: 1 time { seconds: 10 } model_called { attempt: 1 model: "gpt" })"),
      Event(R"(sequence: 4 step: 1 time { seconds: 12 } model_failed { attempt: 1 error { message: "HTTP 429" } retry_time { seconds: 15 } })"),
      Event(R"(sequence: 5 step: 1 time { seconds: 15 } model_called { attempt: 2 model: "gpt" })"),
      Event(R"(sequence: 6 step: 1 time { seconds: 16 } decision_made { decision { model: "gpt" duration { seconds: 1 nanos: 40000000 }
               usage { input_tokens: 1200 output_tokens: 88 } content { text: "I will look." }
               tool_calls { call_id: "1.1" tool: "search_docs" arguments: "{\"query\":\"limits\"}" }
               tool_calls { call_id: "1.2" tool: "read\033doc" arguments: "{}" } } })"),
      Event(R"(sequence: 7 step: 1 time { seconds: 16 } call_started { call_id: "1.1" attempt: 1 })"),
      Event(R"(sequence: 8 step: 1 time { seconds: 16 nanos: 30000000 } call_failed { call_id: "1.1" attempt: 1 error { reason: "TOOL_FAILED" } })"),
      Event(R"(sequence: 9 step: 1 call_finished { call_id: "1.2" outcome: CALL_OUTCOME_ERROR result { text: "no tool \033[31mnamed so" } })"),
      Event(R"(sequence: 10 step: 1 time { seconds: 17 } call_started { call_id: "1.1" attempt: 2 })"),
      Event(R"(sequence: 11 step: 1 call_finished { call_id: "1.1" outcome: CALL_OUTCOME_OK duration { nanos: 2000000 }
               result { json: "{\"hits\": [{\"summary\": \"not this\"}], \"summary\": \"8 passages from 4 documents\"}" } })"),
  };
}

TEST(PlainDisplayTest, TellsTheStoryLineByLine) {
  std::ostringstream out, err;
  auto display = MakePlainDisplay({.out = out, .err = err});
  display->OnRun(Parse<v1::Run>(R"(name: "runs/01jd3zk8v4m9q2c7h5n0xt6bwe" title: "Find limits")"));
  for (const v1::Event& event : Story()) display->OnEvent(event);
  display->OnDelta(Parse<v1::Delta>(R"(text: "never in plain lines")"));
  display->OnStop(Parse<v1::Run>(kAnswered));
  EXPECT_EQ(out.str(),
            "  Find limits\n"
            "  runs/01jd3zk8v4m9q2c7h5n0xt6bwe\n"
            "   1  decide  gpt                                                    2.0 s   failed: HTTP 429; next try in 3.0 s\n"
            "   1  decide  gpt                                                    1.0 s   1,200 + 88 tokens\n"
            "      says    I will look.\n"
            "      act     search_docs {\"query\":\"limits\"}                         30 ms   failed: TOOL_FAILED\n"
            "      act     read doc                                                       ERROR: no tool [31mnamed so\n"
            "      act     search_docs {\"query\":\"limits\"}                          2 ms   8 passages from 4 documents\n"
            "\n"
            "  Each key may send 600.\n"
            "  Above that: 429.\n"
            "\n"
            "  FINAL_ANSWER  2 steps, 1 tool call, 1,288 tokens, 11 ms, 9 events\n");
  EXPECT_EQ(err.str(), "");
}

TEST(PlainDisplayTest, SaysWhyItStoppedAndHowToGoOn) {
  std::ostringstream out, err;
  auto display = MakePlainDisplay({.out = out, .err = err});
  display->OnStop(Parse<v1::Run>(R"(name: "runs/x" state: RUN_STATE_STOPPED last_sequence: 38 usage { steps: 4 tool_calls: 6 active_time { seconds: 372 } }
      stop { reason: STOP_REASON_ERROR resumable: true error { reason: "MODEL_UNAVAILABLE" message: "gpt answered 429 five times" } })"));
  EXPECT_EQ(out.str(),
            "\n"
            "  ERROR  MODEL_UNAVAILABLE: gpt answered 429 five times\n"
            "         4 steps, 6 tool calls, 6m 12s, 38 events\n"
            "         agentctl resume x\n");
}

// What is asked, how it is answered, and what a call is made with then.
TEST(RunViewTest, PeopleArePartOfTheStory) {
  const std::vector<v1::Event> story = {
      Event(R"(step: 1 decision_made { decision { model: "gpt" tool_calls { call_id: "1.1" tool: "charge" arguments: "{\"cents\":100}" }
               tool_calls { call_id: "1.2" tool: "ask" arguments: "{}" } } })"),
      Event(R"(step: 1 call_waiting { call_id: "1.1" kind: WAIT_KIND_APPROVAL text: "may this call be made?\033[2J" })"),
      Event(R"(step: 1 call_waiting { call_id: "1.2" kind: WAIT_KIND_QUESTION text: "Which one?" })"),
      Event(R"(step: 1 call_resolved { call_id: "1.1" principal: "ann" answer { allow { arguments: "{\"cents\":50}" } } })"),
      Event(R"(step: 1 call_finished { call_id: "1.1" outcome: CALL_OUTCOME_OK result { text: "charged" } })"),
      Event(R"(step: 1 call_resolved { call_id: "1.2" expired: true answer { give_up {} } })"),
  };
  RunView view;
  std::string told;
  for (const v1::Event& event : story) {
    for (const Row& row : view.Take(event, absl::UnixEpoch())) told += row.verb + " | " + row.what + " | " + row.note + "\n";
  }
  EXPECT_EQ(told.find('\033'), std::string::npos);
  EXPECT_NE(told.find("| waits for a person: approve or deny RUN 1.1\n"), std::string::npos) << told;
  EXPECT_NE(told.find("ask | Which one? | waits for a person: answer RUN 1.2\n"), std::string::npos) << told;
  EXPECT_NE(told.find("answer | call 1.1 allowed with {\"cents\":50} | by ann\n"), std::string::npos) << told;
  EXPECT_NE(told.find("act | charge {\"cents\":50} | charged\n"), std::string::npos) << told;
  EXPECT_NE(told.find("answer | call 1.2 | by nobody, in time\n"), std::string::npos) << told;
}

// The server's words for what can be done stand last.
TEST(RunViewTest, AnErrorIsToldToItsEnd) {
  v1::Event failed;
  failed.mutable_call_failed()->mutable_error()->set_message(std::string(300, 'x') + "; do this");
  RunView view;
  EXPECT_EQ(view.Take(failed, absl::UnixEpoch()).at(0).note, "failed: " + std::string(300, 'x') + "; do this");
  EXPECT_TRUE(EventLines().Take(failed).ends_with("; do this"));
}

TEST(RunViewTest, AResumeNamesTheNewDeadline) {
  RunView view;
  const auto what = [&view](const std::string& resumed) { return view.Take(Event("run_resumed { " + resumed + " }"), absl::UnixEpoch()).at(0).what; };
  const std::string deadline = "deadline " + FormatInstant(absl::FromUnixSeconds(7'200));
  EXPECT_EQ(what("deadline { seconds: 7200 }"), deadline);
  EXPECT_EQ(what("limits { max_steps: 3 } deadline { seconds: 7200 }"), "max_steps 3, " + deadline);
}

TEST(PlainDisplayTest, NamesTheLimitToRaise) {
  const auto how = [](const std::string& limit) {
    return HowToResume(Parse<v1::Run>(R"(name: "runs/x" state: RUN_STATE_STOPPED stop { resumable: true limit { )" + limit + " } }"), "agentctl");
  };
  EXPECT_EQ(how(R"(limit: "max_steps" value: 3 count: 3)"), "agentctl resume x --max-steps 6");
  EXPECT_EQ(how(R"(limit: "max_tool_calls" value: 0 count: 0)"), "agentctl resume x --max-tool-calls 2");
  EXPECT_EQ(how(R"(limit: "max_tokens" value: 100 count: 130)"), "agentctl resume x --max-tokens 260");
  EXPECT_EQ(how(R"(limit: "max_cost_micros" value: 1000000 count: 1250000)"), "agentctl resume x --max-cost 2.50");
  EXPECT_EQ(how(R"(limit: "max_repeats" value: 10 count: 10)"), "agentctl resume x --max-repeats 20");
  EXPECT_EQ(how(R"(limit: "deadline" value: 1800000000000 count: 1800000000010)"), "agentctl resume x --deadline 2h");
  EXPECT_EQ(how(R"(limit: "timeout" value: 60000 count: 60010)"), "agentctl resume x --timeout 2m0.02s");
}

TEST(PlainDisplayTest, NarrowTerminalsCutLinesAndNeverWrap) {
  std::ostringstream out, err;
  auto display = MakePlainDisplay({.out = out, .err = err, .width = 60});
  for (const v1::Event& event : Story()) display->OnEvent(event);
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 60u) << line;
}

TEST(PlainDisplayTest, SaysOnceThatTheConnectionIsLostAndHowLongItTries) {
  std::ostringstream out;
  std::ostringstream err;
  const auto display = MakePlainDisplay({.out = out, .err = err});
  const std::string lost = "connection lost (the server is about to exit); trying again for up to 3m; Ctrl-C leaves the run alone\n";
  for (int i = 0; i < 3; ++i) {  // a server that drains answers with the run, and ends the stream again
    display->OnRun(Parse<v1::Run>(kAnswered));
    display->OnReconnect(absl::UnavailableError("the server is about to exit"), absl::Minutes(3) - absl::Milliseconds(i));
  }
  EXPECT_EQ(err.str(), lost);
  display->OnEvent(Story().front());
  display->OnReconnect(absl::UnavailableError("the server is about to exit"), absl::Minutes(3));
  EXPECT_EQ(err.str(), lost + lost);
}

TEST(DisplayTest, AChildThatWaitsForAPersonIsSaidToPeopleOnly) {
  const v1::Run child = Parse<v1::Run>(R"(name: "runs/c")");
  const auto shown = [&child](auto make, bool live) {
    std::ostringstream out, err;
    make({.out = out, .err = err, .live = live, .width = 30})->OnChildWaits(child);
    return out.str();
  };
  EXPECT_EQ(shown(MakePlainDisplay, false), "  child run c waits for a person: agentctl show c\n") << "a command is never cut";
  EXPECT_EQ(shown(MakeTimeline, true), "  child run c waits for a person: agentctl show c\n");
  EXPECT_EQ(shown(MakeJsonDisplay, false), "");
}

// Who has to decide sees all of it, however narrow the terminal; the others are not followed any further.
TEST(DisplayTest, WhatIsAskedIsShownWholeUnderALiveView) {
  const std::string text(200, 'x');
  const v1::Run run = Parse<v1::Run>("name: 'runs/c' waiting_calls { call_id: '1.1' kind: WAIT_KIND_QUESTION text: '" + text + " Which one?' }");
  const auto shown = [&run](auto make, bool live) {
    std::ostringstream out, err;
    make({.out = out, .err = err, .live = live, .width = 30})->OnWaits(run);
    return out.str();
  };
  EXPECT_TRUE(
      shown(MakeTimeline, true).ends_with(": " + text + " Which one?\n    agentctl answer c 1.1 TEXT\n    agentctl resolve c 1.1 --give-up [--reason WHY]\n"))
      << shown(MakeTimeline, true);
  EXPECT_EQ(shown(MakePlainDisplay, false), "");
  EXPECT_EQ(shown(MakeJsonDisplay, false), "");
}

TEST(JsonDisplayTest, WritesOneEventALineAndTheRunLast) {
  std::ostringstream out, err;
  auto display = MakeJsonDisplay({.out = out, .err = err, .json = true});
  display->OnRun(Parse<v1::Run>(R"(name: "runs/x")"));
  display->OnEvent(Event("sequence: 1 run_created {}"));
  display->OnDelta(Parse<v1::Delta>(R"(step: 1 text: "a\nb")"));
  display->OnStop(Parse<v1::Run>(R"(name: "runs/x" state: RUN_STATE_STOPPED)"));
  EXPECT_EQ(out.str(),
            "{\"sequence\":\"1\",\"runCreated\":{}}\n"
            "{\"delta\":{\"step\":1,\"text\":\"a\\nb\"}}\n"
            "{\"name\":\"runs/x\",\"state\":\"RUN_STATE_STOPPED\"}\n");
}

TEST(TimelineTest, ShowsWhatIsUnderWay) {
  std::ostringstream out;
  const Output output{.out = out, .err = out, .width = 80};
  const absl::Time start = absl::FromUnixSeconds(1000);
  RunView view;
  EXPECT_EQ(LiveLines(output, view, start, 0, ""), std::vector<std::string>{"⣷ waiting"});
  view.Take(Event(R"(sequence: 3 step: 1 model_called { attempt: 2 model: "gpt" })"), start);
  view.Take(Parse<v1::Delta>(R"(text: "Each key \033[31mmay ")"));
  view.Take(Parse<v1::Delta>(R"(text: "send 600.")"));
  EXPECT_EQ(LiveLines(output, view, start + absl::Milliseconds(3'200), 1, ""),
            (std::vector<std::string>{"  Each key \\x1b[31mmay send 600.", "⣯  1  decide  gpt                              3.2 s   attempt 2"}));
}

TEST(TimelineTest, VoidTextDisappears) {
  RunView view;
  view.Take(Event(R"(sequence: 3 step: 1 model_called { attempt: 1 model: "gpt" })"), absl::UnixEpoch());
  view.Take(Parse<v1::Delta>(R"(text: "half an ans")"));
  EXPECT_EQ(view.streamed_text(), "half an ans");
  view.Take(Event(R"(sequence: 4 step: 1 model_failed { attempt: 1 })"), absl::UnixEpoch());
  EXPECT_EQ(view.streamed_text(), "");
}

TEST(TimelineTest, BoundsItsLinesAndTheirWidth) {
  std::ostringstream out;
  const Output output{.out = out, .err = out, .width = 40};
  RunView view;
  view.Take(Event(R"(sequence: 3 step: 1 model_called { attempt: 1 model: "gpt" })"), absl::UnixEpoch());
  for (int i = 0; i < 100; ++i) view.Take(Parse<v1::Delta>(R"(text: "word after word, \n")"));
  for (int i = 1; i <= 20; ++i) view.Take(Event("sequence: 5 step: 1 call_started { call_id: '1." + std::to_string(i) + "' }"), absl::UnixEpoch());
  const std::vector<std::string> lines = LiveLines(output, view, absl::UnixEpoch(), 0, "connection lost, trying again (the connection was refused)");
  EXPECT_EQ(lines.size(), static_cast<size_t>(kLiveTextLinesMax + kLiveWorkLinesMax + 2));
  for (const std::string& line : lines) EXPECT_LT(line.size(), 50u) << line;  // bytes; the spinner has three
}

TEST(TimelineTest, LeavesTheRowsAndErasesTheRest) {
  std::ostringstream out, err;
  {
    auto display = MakeTimeline({.out = out, .err = err, .live = true, .width = 100});
    display->OnRun(Parse<v1::Run>(R"(name: "runs/x" title: "Find limits")"));
    for (const v1::Event& event : Story()) display->OnEvent(event);
    display->OnStop(Parse<v1::Run>(kAnswered));
  }
  EXPECT_NE(out.str().find("      act     search_docs"), std::string::npos);
  EXPECT_TRUE(out.str().ends_with("FINAL_ANSWER  2 steps, 1 tool call, 1,288 tokens, 11 ms, 9 events\n")) << out.str();
}

}  // namespace
}  // namespace agentruntime::cli
