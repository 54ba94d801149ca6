// The C++ client and agentctl against a listener that misbehaves on purpose.
#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "clients/cpp/channel.h"
#include "clients/cpp/client.h"
#include "clients/cpp/error.h"
#include "clients/cpp/run_source.h"
#include "proto/util/errors.h"
#include "tests/support/program.h"
#include "tests/support/wire_server.h"

namespace agentruntime {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::Program;
using ::testing::StartsWith;
using testing::WireServer;

constexpr char kRun[] = "runs/01jd3zk8v4m9q2c7h5n0xt6bwe";
const client::RetryPolicy kQuick = {
    .attempts_max = 3, .first_delay = absl::Milliseconds(1), .delay_max = absl::Milliseconds(1), .server_delay_max = absl::Milliseconds(1)};

v1::WatchRunResponse EventMessage(Sequence sequence) {
  v1::WatchRunResponse response;
  response.mutable_event()->set_sequence(sequence);
  response.mutable_event()->mutable_run_started();
  return response;
}

v1::WatchRunResponse StopMessage(Sequence sequence) {
  v1::WatchRunResponse response = EventMessage(sequence);
  response.mutable_event()->mutable_run_stopped()->mutable_stop()->set_reason(v1::STOP_REASON_FINAL_ANSWER);
  return response;
}

v1::WatchRunResponse RunMessage(v1::RunState state, Sequence last) {
  v1::WatchRunResponse response;
  response.mutable_run()->set_name(kRun);
  response.mutable_run()->set_state(state);
  response.mutable_run()->set_last_sequence(last);
  return response;
}

v1::Run Answered() {
  v1::Run run = RunMessage(v1::RUN_STATE_STOPPED, 3).run();
  run.mutable_stop()->set_reason(v1::STOP_REASON_FINAL_ANSWER);
  run.add_answer()->set_text("42 \x1b[31m");
  return run;
}

std::vector<Sequence> EventsOf(client::Watch& watch, absl::Status& end) {
  std::vector<Sequence> sequences;
  for (;;) {
    auto next = watch.Next();
    if (!next.ok()) {
      end = next.status();
      return sequences;
    }
    if (!next->has_value()) return sequences;
    if ((*next)->has_event()) sequences.push_back((*next)->event().sequence());
  }
}

TEST(ClientWireTest, ErrorsKeepTheirDetails) {
  WireServer server;
  server.AnswerCreate(InvalidFields({{"run.input", "give at least one text"}, {"run.limits.max_steps", "0 is below 1"}}));
  client::RunClient runs(client::MakeChannel(server.address()));
  const absl::Status status = runs.Submit({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_INVALID_FIELD);
  const client::ErrorDetails details = client::DetailsOf(status);
  ASSERT_EQ(details.violations.size(), 2u);
  EXPECT_EQ(details.violations[1].field, "run.limits.max_steps");
  EXPECT_EQ(details.violations[1].description, "0 is below 1");
}

TEST(ClientWireTest, ErrorsNameThePauseAndWhatTheyAreAbout) {
  const absl::Status status = client::FromGrpc(testing::OnTheWire(ServerDraining(7)));
  const client::ErrorDetails details = client::DetailsOf(status);
  EXPECT_EQ(details.reason, "SERVER_DRAINING");
  EXPECT_EQ(details.metadata.at("last_sequence"), "7");
  EXPECT_EQ(details.retry_delay, absl::Seconds(1));
  EXPECT_FALSE(client::IsUnreachable(status));
}

TEST(ClientWireTest, SubmitRepeatsUnderOneRequestId) {
  WireServer server;
  server.AnswerCreate(StoreUnavailable("disk full"));
  server.AnswerCreate(absl::UnavailableError("cut"));
  server.AnswerCreate(absl::OkStatus());
  client::RunClient runs(client::MakeChannel(server.address()), kQuick);
  const auto run = runs.Submit({});
  ASSERT_TRUE(run.ok()) << run.status();
  const auto creates = server.creates();
  ASSERT_EQ(creates.size(), 3u);
  EXPECT_EQ(creates[0].request_id().size(), 32u);
  EXPECT_EQ(creates[1].request_id(), creates[0].request_id());
  EXPECT_EQ(creates[2].request_id(), creates[0].request_id());
}

TEST(ClientWireTest, SubmitGivesUpAndNeverRepeatsARefusal) {
  WireServer server;
  for (int i = 0; i < 4; ++i) server.AnswerCreate(StoreUnavailable("disk full"));
  client::RunClient runs(client::MakeChannel(server.address()), kQuick);
  EXPECT_EQ(runs.Submit({}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.creates().size(), 3u);
  WireServer refusing;
  refusing.AnswerCreate(QueueFull("queued runs", 5));
  EXPECT_EQ(client::RunClient(client::MakeChannel(refusing.address()), kQuick).Submit({}).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refusing.creates().size(), 1u);
}

TEST(ClientWireTest, WatchGoesOnAfterACutStream) {
  WireServer server;
  server.AnswerStream({{RunMessage(v1::RUN_STATE_RUNNING, 1), EventMessage(1)}, absl::UnavailableError("cut")});
  server.AnswerStream({{RunMessage(v1::RUN_STATE_RUNNING, 2), EventMessage(1), EventMessage(2)}, ServerDraining(2)});
  server.AnswerStream({{StopMessage(3)}, absl::OkStatus()});
  v1::RunAgentRequest request;
  request.set_include_deltas(true);
  client::Watch watch(client::RunAgentSource(client::MakeChannel(server.address()), request), {.connect = kQuick, .reconnect = kQuick});
  absl::Status end;
  EXPECT_THAT(EventsOf(watch, end), ElementsAre(1, 2, 3));
  EXPECT_TRUE(end.ok()) << end;
  // The run was made once; from then on it goes by its name.
  ASSERT_EQ(server.run_agents().size(), 1u);
  const auto watches = server.watches();
  ASSERT_EQ(watches.size(), 2u);
  EXPECT_EQ(watches[0].name(), kRun);
  EXPECT_EQ(watches[0].after_sequence(), 1);
  EXPECT_TRUE(watches[0].include_deltas());
  EXPECT_EQ(watches[1].after_sequence(), 2);
}

TEST(ClientWireTest, RunAgentIsRepeatedUnderOneRequestIdWhileTheRunIsUnknown) {
  WireServer server;
  server.AnswerStream({{}, absl::UnavailableError("cut before anything was said")});
  server.AnswerStream({{RunMessage(v1::RUN_STATE_RUNNING, 1), StopMessage(1)}, absl::OkStatus()});
  client::Watch watch(client::RunAgentSource(client::MakeChannel(server.address()), {}), {.connect = kQuick, .reconnect = kQuick});
  absl::Status end;
  EXPECT_THAT(EventsOf(watch, end), ElementsAre(1));
  const auto requests = server.run_agents();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_FALSE(requests[0].request_id().empty());
  EXPECT_EQ(requests[1].request_id(), requests[0].request_id());
}

TEST(ClientWireTest, WatchRefusesAGap) {
  WireServer server;
  server.AnswerStream({{EventMessage(1), EventMessage(3)}, absl::OkStatus()});
  client::Watch watch(client::WatchRunSource(client::MakeChannel(server.address()), kRun, false), {});
  absl::Status end;
  EXPECT_THAT(EventsOf(watch, end), ElementsAre(1));
  EXPECT_EQ(end.code(), absl::StatusCode::kDataLoss);
}

TEST(ClientWireTest, NobodyThereIsUnreachable) {
  std::string address;
  {
    address = WireServer().address();
  }
  const auto channel = client::MakeChannel(address);
  EXPECT_TRUE(client::IsUnreachable(client::Connect(*channel, absl::Seconds(10))));
  EXPECT_TRUE(client::IsUnreachable(client::RunClient(channel, kQuick).Submit({}).status()));
}

// agentctl over the same wire.

std::vector<std::string> With(const WireServer& server, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--server", server.address()});
  return arguments;
}

TEST(AgentctlWireTest, FollowsARunAcrossACut) {
  WireServer server;
  server.SetRun(Answered());
  server.AnswerStream({{RunMessage(v1::RUN_STATE_RUNNING, 1), EventMessage(1)}, absl::UnavailableError("cut")});
  server.AnswerStream({{EventMessage(2), StopMessage(3)}, absl::OkStatus()});
  Program program(AGENTCTL, With(server, {"run", "docs", "What is it?", "--max-steps", "3", "--label", "a=b", "--timeout", "2m", "--request-id", "k"}));
  EXPECT_EQ(program.Wait(), 0) << program.err();
  EXPECT_THAT(program.out(), HasSubstr("  42 \\x1b[31m\n"));  // neutralised
  EXPECT_THAT(program.out(), EndsWith("  FINAL_ANSWER  0 steps, 0 tool calls, 0 ms, 3 events\n"));
  EXPECT_THAT(program.err(), HasSubstr("connection lost"));
  const v1::RunAgentRequest request = server.run_agents().at(0);
  EXPECT_EQ(request.run().agent(), "agents/docs");
  EXPECT_EQ(request.run().input(0).text(), "What is it?");
  EXPECT_EQ(request.run().limits().max_steps(), 3);
  EXPECT_FALSE(request.run().limits().has_max_tool_calls());
  EXPECT_EQ(request.run().limits().timeout().seconds(), 120);
  EXPECT_EQ(request.run().labels().at("a"), "b");
  EXPECT_EQ(request.request_id(), "k");
}

TEST(AgentctlWireTest, WritesJsonLinesOfWhichTheLastIsTheRun) {
  WireServer server;
  server.SetRun(Answered());
  server.AnswerStream({{RunMessage(v1::RUN_STATE_RUNNING, 1), EventMessage(1), StopMessage(2)}, absl::OkStatus()});
  Program program(AGENTCTL, With(server, {"watch", "01jd3zk8v4m9q2c7h5n0xt6bwe", "--output", "json"}));
  EXPECT_EQ(program.Wait(), 0) << program.err();
  EXPECT_THAT(program.out(), StartsWith("{\"sequence\":\"1\",\"runStarted\":{}}\n{\"sequence\":\"2\",\"runStopped\""));
  EXPECT_THAT(program.out(), HasSubstr("\n{\"name\":\"runs/01jd3zk8v4m9q2c7h5n0xt6bwe\""));
}

TEST(AgentctlWireTest, ShowsRefusalsAndTheirExit) {
  WireServer server;
  server.AnswerCreate(InvalidField("run.input", "give at least one text"));
  Program program(AGENTCTL, With(server, {"run", "docs", "", "--detach"}));
  EXPECT_EQ(program.Wait(), 1);
  EXPECT_EQ(program.err(), "agentctl: INVALID_ARGUMENT: run.input: give at least one text\n");
  server.AnswerCreate(InvalidField("run.input", "give \"one\""));
  Program json(AGENTCTL, With(server, {"run", "docs", "", "--detach", "-o", "json"}));
  EXPECT_EQ(json.Wait(), 1);
  EXPECT_EQ(json.err(),
            "{\"error\":{\"code\":\"INVALID_ARGUMENT\",\"message\":\"run.input: give \\\"one\\\"\",\"reason\":\"INVALID_FIELD\","
            "\"fieldViolations\":[{\"field\":\"run.input\",\"description\":\"give \\\"one\\\"\"}]}}\n");
}

TEST(AgentctlWireTest, ReadsStandardInput) {
  WireServer server;
  server.AnswerCreate(absl::OkStatus());
  Program program(AGENTCTL, With(server, {"run", "docs", "-", "--detach"}), {.input = "from a pipe\n"});
  EXPECT_EQ(program.Wait(), 0) << program.err();
  EXPECT_EQ(program.out(), "runs/01jd3zk8v4m9q2c7h5n0xt6bwe\n");
  EXPECT_EQ(server.creates().at(0).run().input(0).text(), "from a pipe\n");
  Program wrong(AGENTCTL, With(server, {"run", "docs", "-", "--detach"}), {.input = "\xff"});
  EXPECT_EQ(wrong.Wait(), 2);
  EXPECT_EQ(wrong.err(), "agentctl: the input is not valid UTF-8\n");
}

TEST(AgentctlWireTest, SaysThatNobodyIsThere) {
  std::string address;
  {
    address = WireServer().address();
  }
  Program program(AGENTCTL, {"info"}, {.variables = {{"AGENTRUNTIME_SERVER", address}}});
  EXPECT_EQ(program.Wait(), 7);
  EXPECT_THAT(program.err(), StartsWith("agentctl: unreachable: no server at " + address));
  EXPECT_THAT(program.err(), HasSubstr("./deploy/run.sh"));
}

TEST(AgentctlWireTest, RefusesWrongCommandLines) {
  WireServer server;
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"fly"},
                                                       {"run", "docs"},
                                                       {"watch", "123"},
                                                       {"runs", "--state", "runing"},
                                                       {"runs", "--limit", "0"},
                                                       {"run", "docs", "x", "--timeout", "soon"},
                                                       {"run", "docs", "x", "--label", "a"},
                                                       {"info", "-o", "xml"}};
  for (const auto& arguments : wrong) {
    Program program(AGENTCTL, With(server, arguments));
    EXPECT_EQ(program.Wait(), 2) << ::testing::PrintToString(arguments);
    EXPECT_NE(program.err(), "");
  }
}

}  // namespace
}  // namespace agentruntime
