// agentctl against the real agentd: what its transcripts show, and its exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/support/program.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kScript[] = R"({"rules": [
  {"input_contains": "hang", "steps": [{"delay": "30m", "text": ["late"]}]},
  {"input_contains": "fail", "steps": [{"errors": [{"reason": "MODEL_REFUSED", "message": "\u001b[31mnot allowed", "retryable": false}], "text": "never"}]},
  {"input_contains": "loop", "steps": [{"repeat": 1000, "calls": [{"tool": "calculator", "arguments": {"expression": "{step}+1"}}]}]},
  {"input_contains": "long", "steps": [{"repeat": 20, "delay": "50ms", "calls": [{"tool": "calculator", "arguments": {"expression": "2*{step}"}}]}, {"text": "done"}]},
  {"input_contains": "slow", "steps": [{"chunk_delay": "300ms", "text": ["streamed ", "answer ", "of four ", "chunks"]}]},
  {"steps": [{"calls": [{"tool": "calculator", "arguments": {"expression": "1+1"}}], "usage": {"input_tokens": 1200, "output_tokens": 30}},
             {"text": "It is 2.", "usage": {"input_tokens": 4, "output_tokens": 5}}]}
]})";

class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    server_.Write("script.json", kScript);
    server_.Start();
  }

  std::unique_ptr<Program> Agentctl(const std::vector<std::string>& arguments, const std::string& term = "") {
    Program::Options options{.variables = {{"AGENTRUNTIME_SERVER", server_.address()}, {"TERM", term}}, .terminal = !term.empty()};
    return std::make_unique<Program>(AGENTCTL, arguments, options);
  }

  // Runs agentctl to its end.
  Ended Run(const std::vector<std::string>& arguments, const std::string& term = "") {
    const auto program = Agentctl(arguments, term);
    const int code = program->Wait();
    return {code, program->out(), program->err()};
  }

  TestServer server_;
};

TEST_F(CliTest, RunAnswers) {
  const Ended ended = Run({"run", "tester", "What is 1+1?"});
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, StartsWith("  What is 1+1?\n  runs/"));
  EXPECT_THAT(ended.out,
              ContainsRegex("\n   1  decide  script  +[0-9.]+ m?s   1,200 \\+ 30 tokens\n      act     calculator \\{\"expression\": ?\"1\\+1\"\\}"));
  EXPECT_THAT(ended.out, ContainsRegex("\n\n  It is 2.\n\n  FINAL_ANSWER  2 steps, 1 tool call, 1,239 tokens, [0-9.]+ m?s, 9 events\n$"));

  EXPECT_THAT(
      Run({"runs"}).out,
      ContainsRegex("^RUN +AGENT +STATE +STOP +STEPS  CALLS  TOKENS +AGE  TITLE\n[0-9a-z]{26}  tester/1  STOPPED  FINAL_ANSWER      2      1   1,239  "));
  EXPECT_THAT(Run({"show", "last"}).out, ContainsRegex("^runs/[0-9a-z]{26}  tester, revision 1     STOPPED, active "));
  EXPECT_THAT(Run({"steps", "last"}).out,
              ContainsRegex("^   1  decide  script .*\n      act     calculator .*\n   2  decide  script .*\n      says    It is 2.\n$"));
  EXPECT_THAT(Run({"events", "last", "--after", "8"}).out, ContainsRegex("^     9  [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}  step 2    stopped: FINAL_ANSWER"));
  const Ended again = Run({"watch", "last"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, ended.out);  // from the journal, the same
}

TEST_F(CliTest, JsonIsOneObjectALine) {
  const Ended ended = Run({"run", "tester", "x", "--output", "json"});
  EXPECT_EQ(ended.exit_code, 0);
  const std::vector<std::string> lines = absl::StrSplit(ended.out, '\n', absl::SkipEmpty());
  EXPECT_THAT(lines.front(), StartsWith("{\"sequence\":\"1\""));
  EXPECT_THAT(lines.back(), StartsWith("{\"name\":\"runs/"));
  EXPECT_THAT(lines.back(), HasSubstr("\"reason\":\"STOP_REASON_FINAL_ANSWER\""));
  for (const std::vector<std::string>& command : {std::vector<std::string>{"runs"},
                                                  {"show", "last"},
                                                  {"steps", "last"},
                                                  {"events", "last"},
                                                  {"agents"},
                                                  {"agents", "get", "tester"},
                                                  {"tools"},
                                                  {"models"},
                                                  {"info"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"-o", "json"});
    const Ended one = Run(arguments);
    EXPECT_EQ(one.exit_code, 0) << ::testing::PrintToString(command) << one.err;
    EXPECT_THAT(one.out, StartsWith("{")) << ::testing::PrintToString(command);
    EXPECT_THAT(one.out, EndsWith("}\n"));
  }
}

TEST_F(CliTest, ALimitStopsAndResumeGoesOn) {
  const Ended ended = Run({"run", "tester", "x", "--max-steps", "1"});
  EXPECT_EQ(ended.exit_code, 3);
  EXPECT_THAT(ended.out,
              ContainsRegex("\n  MAX_STEPS  .*\n             1 step, 1 tool call, .*\n             /[^ ]*/agentctl resume [0-9a-z]{26} --max-steps 2\n$"));
  const Ended refused = Run({"resume", "last"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, StartsWith("agentctl: FAILED_PRECONDITION: "));
  const Ended resumed = Run({"resume", "last", "--max-steps", "2"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, ContainsRegex("      resume  max_steps 2\n   2  decide  script"));
  EXPECT_THAT(resumed.out, Not(HasSubstr("calculator")));  // the first step is not run again
  EXPECT_EQ(Run({"resume", "last"}).exit_code, 1);         // an answer is final
}

TEST_F(CliTest, AForkGoesOnFromAStep) {
  ASSERT_EQ(Run({"run", "tester", "x", "--max-steps", "1", "--conversation", "alice-7"}).exit_code, 3);
  const Ended fork = Run({"fork", "last", "--step", "1", "--max-steps", "2", "--label", "try=two"});
  EXPECT_EQ(fork.exit_code, 0) << fork.err;
  EXPECT_THAT(fork.out, ContainsRegex("\n      fork    of [0-9a-z]{26}\n   2  decide  script"));
  EXPECT_THAT(fork.out, Not(HasSubstr("calculator")));  // the shared step is neither run nor told again
  EXPECT_THAT(Run({"show", "last"}).out, ContainsRegex("\n  fork of [0-9a-z]{26}, which it shares 6 events with\n"));
  EXPECT_THAT(Run({"events", "last", "--after", "6"}).out,
              ContainsRegex("^     7  [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}  step 1    forked from runs/[0-9a-z]{26} behind event 6 for "));
  EXPECT_THAT(Run({"runs"}).out, ContainsRegex("^RUN +AGENT .* FORK OF +CONVERSATION +TITLE\n"));
  EXPECT_THAT(Run({"runs", "--conversation", "alice-7"}).out, ContainsRegex("MAX_STEPS .* alice-7 "));
  EXPECT_EQ(Run({"fork", "last", "--step", "2"}).exit_code, 1);  // the answer, and nothing to say behind it
}

TEST_F(CliTest, WhatItAdvisesCanBeTyped) {
  Program limited(AGENTCTL, {"--server", server_.address(), "run", "tester", "x", "--max-steps", "1"});
  EXPECT_EQ(limited.Wait(), 3);
  const std::string program = absl::StrCat(AGENTCTL, " --server ", server_.address());
  EXPECT_THAT(limited.out(), HasSubstr(absl::StrCat("\n             ", program, " resume ")));
  const std::string advice = limited.out().substr(limited.out().rfind(program));
  Program typed("/bin/sh", {"-c", advice});
  EXPECT_EQ(typed.Wait(), 0) << advice << typed.err();
}

TEST_F(CliTest, AFailureIsShownSafely) {
  const Ended ended = Run({"run", "tester", "fail please"});
  EXPECT_EQ(ended.exit_code, 4);
  EXPECT_THAT(ended.out, HasSubstr("  ERROR  MODEL_REFUSED: "));
  EXPECT_THAT(ended.out, Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, CancelSaysWhatBecameOfTheRun) {
  const Ended detached = Run({"run", "tester", "hang", "--detach"});
  EXPECT_EQ(detached.exit_code, 0);
  EXPECT_THAT(detached.out, ContainsRegex("^runs/[0-9a-z]{26}\n$"));
  EXPECT_THAT(Run({"runs", "--state", "queued", "--state", "running"}).out, ContainsRegex("^RUN +AGENT +STATE +STEPS  CALLS +AGE  DOING\n"));
  const Ended cancelled = Run({"cancel", "last", "--cause", "provider outage"});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  EXPECT_THAT(cancelled.out, ContainsRegex("^cancel recorded; CANCELLED after "));
  const Ended watched = Run({"watch", "last"});
  EXPECT_EQ(watched.exit_code, 5);
  EXPECT_THAT(watched.out, HasSubstr("provider outage"));
  EXPECT_THAT(Run({"cancel", "last"}).out, EndsWith(" had stopped before: CANCELLED\n"));
  EXPECT_THAT(Run({"delete", "last"}).out, EndsWith(" deleted\n"));
  EXPECT_EQ(Run({"runs"}).out, "no such runs\n");
  EXPECT_EQ(Run({"show", "last"}).exit_code, 1);
}

TEST_F(CliTest, NothingIsDeletedForAWrongCommandLine) {
  for (int i = 0; i < 2; ++i) ASSERT_EQ(Run({"run", "tester", "x"}).exit_code, 0);
  const Ended wrong = Run({"delete", "last", "01jd3zk8"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_EQ(wrong.out, "");
  EXPECT_THAT(wrong.err, StartsWith("agentctl: \"01jd3zk8\" is no run: "));
  const Ended twice = Run({"delete", "last", "last"});
  EXPECT_EQ(twice.exit_code, 0) << twice.err;
  EXPECT_THAT(twice.out, ContainsRegex("^runs/[0-9a-z]{26} deleted\n$"));
  EXPECT_EQ(Run({"show", "last"}).exit_code, 0) << "the other one is still there";
}

TEST_F(CliTest, InterruptLeavesTheRun) {
  const auto program = Agentctl({"run", "tester", "hang"});
  ASSERT_TRUE(program->ReadUntil("runs/"));
  program->Send(SIGINT);
  EXPECT_EQ(program->Wait(), 130);
  EXPECT_THAT(program->err(), ContainsRegex("the run goes on.  see it:  /[^ ]*/agentctl watch [0-9a-z]{26}\n +end it:  /[^ ]*/agentctl cancel [0-9a-z]{26}\n"));
  EXPECT_THAT(Run({"runs", "--state", "running"}).out, HasSubstr("RUNNING"));
}

TEST_F(CliTest, FollowsARunAcrossTheDeathOfTheServer) {
  const auto program = Agentctl({"run", "tester", "long"});
  ASSERT_TRUE(program->ReadUntil("   5  decide"));
  server_.Kill();
  std::ostringstream config;
  config << std::ifstream(server_.File("agentd.yaml")).rdbuf();
  server_.Write("agentd.yaml", absl::StrReplaceAll(config.str(), {{"127.0.0.1:0", server_.address()}}));
  server_.Start();
  EXPECT_EQ(program->Wait(), 0) << program->err();
  EXPECT_THAT(program->err(), ContainsRegex("^connection lost \\([^\n]+\\); trying again for up to 3m; Ctrl-C leaves the run alone\n$"));
  EXPECT_THAT(program->out(), HasSubstr("taken up again after a restart of the server"));
  EXPECT_THAT(program->out(), ContainsRegex("\n  done\n\n  FINAL_ANSWER  21 steps, 20 tool calls, "));
  for (int step = 1; step <= 21; ++step) {  // each once
    const std::vector<std::string> parts = absl::StrSplit(program->out(), absl::StrFormat("\n%4d  decide  script", step));
    EXPECT_EQ(parts.size(), 2u) << "step " << step << "\n" << program->out();
  }
}

TEST_F(CliTest, ATerminalGetsALiveView) {
  const auto program = Agentctl({"run", "tester", "slow"}, "xterm");
  EXPECT_TRUE(program->ReadUntil("  streamed answer")) << program->out();  // before the decision is there
  EXPECT_EQ(program->Wait(), 0);
  EXPECT_THAT(program->out(), HasSubstr("\x1b["));
  EXPECT_THAT(program->out(), HasSubstr("⣯"));
  EXPECT_THAT(program->out(), HasSubstr("  streamed answer of four chunks\r\n\r\n  \x1b[32mFINAL_ANSWER\x1b[0m  1 step"));
  const Ended dumb = Run({"watch", "last"}, "dumb");
  EXPECT_THAT(dumb.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(dumb.out, HasSubstr("\r\n  FINAL_ANSWER  1 step"));
}

TEST_F(CliTest, ApplySaysWhereTheFileIsWrong) {
  const auto apply = [this](const std::string& text, std::vector<std::string> more = {}) {
    server_.Write("support.yaml", text);
    more.insert(more.begin(), {"agents", "apply", "-f", server_.File("support.yaml")});
    return Run(more);
  };
  const std::string good = "name: support\nmodel: script\ninstructions: |\n  Answer.\n\n\ntools: [calculator, clock]\n";
  EXPECT_EQ(apply(good).out, "agents/support created, revision 1\n");
  EXPECT_EQ(apply(good).out, "agents/support unchanged, revision 1\n");
  EXPECT_EQ(apply(good + "limits: {max_steps: 12}\n").out, "agents/support updated, revision 2\n");

  const std::string at = server_.File("support.yaml");
  const auto expect = [&](const std::string& text, const std::string& error) {
    const Ended ended = apply(text);
    EXPECT_EQ(ended.exit_code, 2) << text;
    EXPECT_EQ(ended.err, absl::StrCat(at, error, "\n"));
  };
  expect(absl::StrReplaceAll(good, {{"clock", "clokc"}}), ":7:21: tools[1]: no tool named \"clokc\" on this server; did you mean \"clock\"?");
  expect(absl::StrReplaceAll(good, {{"script", "scirpt"}}), ":2:8: model: no model named \"scirpt\" on this server; did you mean \"script\"?");
  expect(good + "limits: {max_steps: -1}\n", ":8:21: limits.max_steps: -1 is below 1");
  expect(good + "limitz: {}\n", ":8:1: limitz: no such field; did you mean \"limits\"?");
  const Ended stale = apply(good, {"--etag", "stale"});
  EXPECT_EQ(stale.exit_code, 1);
  EXPECT_THAT(stale.err, StartsWith("agentctl: ABORTED: "));
  EXPECT_EQ(Run({"agents", "apply", "-f", "/nowhere.yaml"}).err, "agentctl: /nowhere.yaml: No such file or directory\n");
  EXPECT_THAT(Run({"agents"}).out, ContainsRegex("support +2  script  calculator clock"));
  EXPECT_THAT(Run({"agents", "get", "support/1"}).out, StartsWith("agents/support, revision 1\n"));
  EXPECT_EQ(Run({"run", "nobody", "x"}).exit_code, 1);
}

// `script` is a shell's; agentctl is in $0.
Ended Shell(const std::string& address, const std::string& script) {
  Program program("/bin/bash", {"-c", script, AGENTCTL}, {.variables = {{"AGENTRUNTIME_SERVER", address}, {"TERM", ""}}});
  const int code = program.Wait();
  return {code, program.out(), program.err()};
}

TEST_F(CliTest, OutputThatCannotBeWrittenIsAFailure) {
  ASSERT_EQ(Run({"run", "tester", "x"}).exit_code, 0);
  for (const char* command : {"runs", "run tester x", "run tester x -o json", "steps last", "--help", "--version"}) {
    const Ended full = Shell(server_.address(), absl::StrCat("\"$0\" ", command, " >/dev/full"));
    EXPECT_EQ(full.exit_code, 1) << command;
    EXPECT_EQ(full.err, "agentctl: standard output cannot be written: No space left on device\n") << command;
    const Ended closed = Shell(server_.address(), absl::StrCat("\"$0\" ", command, " >&-"));
    EXPECT_EQ(closed.exit_code, 1) << command;
    EXPECT_EQ(closed.err, "agentctl: standard output cannot be written: Bad file descriptor\n") << command;
  }
  // Nobody is kept until the stop of a run that he cannot see.
  EXPECT_EQ(Shell(server_.address(), "\"$0\" run tester hang >/dev/full").exit_code, 1);
}

TEST_F(CliTest, AClosedPipeEndsItAsASignalWould) {
  ASSERT_EQ(Run({"run", "tester", "x"}).exit_code, 0);
  // The reader is gone before the first line: `read` waits for the end of `true`.
  for (const char* before : {"", "trap '' PIPE; "}) {
    const Ended ended = Shell(server_.address(), absl::StrCat(before, "exec 3> >(exec <&-); wait $!; \"$0\" runs >&3; exit $?"));
    EXPECT_EQ(ended.exit_code, 141) << before;
    EXPECT_EQ(ended.err, "") << before;
  }
}

TEST_F(CliTest, AnAddressThatIsNoneIsAUsageError) {
  const std::string form = "; give host:port, such as 127.0.0.1:7070 or [::1]:7070\n";
  const std::string prefix = "agentctl: --server or AGENTRUNTIME_SERVER: ";
  const auto expect = [&](const std::string& server, const std::string& why) {
    const Ended ended = Run({"--server", server, "runs"});
    EXPECT_EQ(ended.exit_code, 2) << server;
    EXPECT_EQ(ended.err, absl::StrCat(prefix, why, form));
  };
  expect("", "the server's address is empty");
  expect("x", "\"x\" is no server's address");
  expect("http://x:1", "\"http://x:1\" is no server's address");
  expect("::1:7070", "\"::1:7070\" is no server's address");
  expect("127.0.0.1:99999", "\"127.0.0.1:99999\": \"99999\" is no port, which is 1 to 65535");
  expect("127.0.0.1:", "\"127.0.0.1:\": \"\" is no port, which is 1 to 65535");
}

TEST_F(CliTest, SaysWhyThereIsNoServer) {
  const Ended unknown = Run({"--server", "no-such-host.invalid:1", "runs"});
  EXPECT_EQ(unknown.exit_code, 7);
  EXPECT_THAT(unknown.err, StartsWith("agentctl: unreachable: no server at no-such-host.invalid:1: the name \"no-such-host.invalid\" leads to no address: "));
  const Ended refused = Run({"--server", "127.0.0.1:1", "runs"});
  EXPECT_EQ(refused.exit_code, 7);
  EXPECT_THAT(refused.err, StartsWith("agentctl: unreachable: no server at 127.0.0.1:1: the connection was refused: nothing listens there\n"));
  EXPECT_THAT(unknown.err, Not(HasSubstr(".cc:")));  // gRPC's own log
}

TEST_F(CliTest, AMistypedCommandIsNamedWithTheNearest) {
  EXPECT_EQ(Run({"reusme"}).err, "agentctl: there is no command \"reusme\"; did you mean \"resume\"?\n");
  EXPECT_EQ(Run({"qqqqqq"}).err, "agentctl: there is no command \"qqqqqq\"; see agentctl --help\n");
  EXPECT_EQ(Run({"agents", "aply", "-f", "x"}).err, "agentctl: there is no command \"agents aply\"; did you mean \"agents apply\"?\n");
  EXPECT_EQ(Run({"reusme"}).exit_code, 2);
}

TEST_F(CliTest, ErrorsAreInItsOwnWords) {
  EXPECT_EQ(Run({"run", "teste", "x"}).err, "agentctl: NOT_FOUND: there is no agents/teste; did you mean \"tester\"?\n");
  EXPECT_EQ(Run({"run", "teste", "x", "--detach"}).err, "agentctl: NOT_FOUND: there is no agents/teste; did you mean \"tester\"?\n");
  EXPECT_THAT(Run({"run", "qqqqqqqq", "x"}).err, HasSubstr("there is no agents/qqqqqqqq; ListAgents (agentctl agents) names those there are"));
  EXPECT_EQ(Run({"run", "tester", "x"}).exit_code, 0);
  EXPECT_THAT(Run({"watch", "last", "--after", "1000"}).err, StartsWith("agentctl: OUT_OF_RANGE: --after: 1000 lies beyond the last event of runs/"));
  const Ended missing = Run({"run", "tester"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.err, "agentctl: INPUT is required; see agentctl run --help\n");
  EXPECT_EQ(missing.out, "");
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_EQ(Run({"--help"}).exit_code, 0);
}

TEST_F(CliTest, ALabelHasOneValue) {
  const Ended ended = Run({"run", "tester", "x", "--label", "a=1", "--label", "b=1", "--label", "a=2"});
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_THAT(ended.err, HasSubstr("\"a\" is there twice; a key has one value"));
  EXPECT_EQ(Run({"runs"}).out, "no such runs\n");
}

TEST_F(CliTest, ShowsTheServer) {
  EXPECT_THAT(Run({"info"}).out,
              ContainsRegex("^agentd [0-9.]+  SERVING  up [0-9.]+ m?s  sqlite .* free  runs: 0 queued, 0 running, 0 waiting, 0 set aside\n$"));
  EXPECT_THAT(Run({"tools"}).out, ContainsRegex("\ncalculator  READ_ONLY +30s  built in  "));
  EXPECT_THAT(Run({"models"}).out, ContainsRegex("\nscript  +scripted  "));
  EXPECT_EQ(Run({"drain"}).exit_code, 0);
  EXPECT_EQ(server_.WaitForEnd(), 0);
  EXPECT_EQ(Run({"info"}).exit_code, 7);
}

}  // namespace
}  // namespace agentruntime::testing
