// Large results in a whole runtime over a real store: kept once, named by the journal, read by the model and from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "runtime/part_text.h"
#include "runtime/tools/read_artifact.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Calls;
using testing::Done;
using testing::FakeModel;
using testing::FakeTool;
using ::testing::HasSubstr;
using testing::Immediately;
using testing::RuntimeTest;
using ::testing::StartsWith;
using testing::TestRuntime;

using Asked = std::vector<std::pair<std::string, std::string>>;  // tool, arguments

constexpr int64_t kBytes = 1'000'000;

std::string Large(char first, int64_t bytes = kBytes) {
  std::string text(1, first);
  for (int64_t i = 0; static_cast<int64_t>(text.size()) < bytes; ++i) absl::StrAppend(&text, i, " ");
  text.resize(static_cast<size_t>(bytes));
  return text;
}

class ArtifactsTest : public RuntimeTest {
 protected:
  // Calls these, a decision each, then answers. What it reads of every result is kept.
  TestRuntime::Config Config(const Asked& calls) {
    const auto large = [](const char* name, char first) {
      return std::make_shared<FakeTool>(name, v1::SIDE_EFFECT_READ_ONLY, [first](ToolRequest, ProgressSink&) { return Immediately(Done(Large(first))); });
    };
    return RuntimeTest::Config([this, calls](ModelRequest request, DeltaSink&) { return Next(calls, request); }, {large("a", 'a'), large("b", 'b'), Reader()});
  }
  asio::awaitable<ModelOutcome> Next(const Asked& calls, const ModelRequest& request) {
    read_.clear();
    for (const ModelMessage& message : request.messages) {
      if (const auto* result = std::get_if<ToolMessage>(&message)) read_.push_back(PartText(result->finished->result(0), request.artifact_reader));
    }
    const auto step = static_cast<size_t>(request.step);
    return Immediately(step <= calls.size() ? Calls({calls[step - 1]}) : Answer("done"));
  }
  // The real tool, over the store that the runtime opens later.
  std::shared_ptr<FakeTool> Reader() {
    auto reader = std::make_shared<FakeTool>("read_artifact", v1::SIDE_EFFECT_READ_ONLY,
                                             [this](ToolRequest request, ProgressSink& progress) { return tool_->Call(std::move(request), progress); });
    reader->mutable_spec().reads_artifacts = true;
    reader->mutable_spec().local = false;
    return reader;
  }
  void Begin(TestRuntime& runtime) { tool_ = std::make_unique<ReadArtifact>("read_artifact", runtime.store(), pool_.get_executor()); }

  static std::vector<v1::Part> Results(const std::vector<EventPtr>& events) {
    std::vector<v1::Part> results;
    for (const EventPtr& event : events) {
      if (event->has_call_finished()) results.push_back(event->call_finished().result(0));
    }
    return results;
  }
  static std::string ReadWhole(TestRuntime& runtime, const std::string& name) {
    const auto artifact = ParseArtifactName(name);
    std::string content;
    for (;;) {
      auto piece = runtime.Await(runtime->ReadArtifact(artifact->run, artifact->number, static_cast<int64_t>(content.size()), 300'000));
      if (!piece.ok()) return std::string(piece.status().message());
      if (piece->data.empty()) return content;
      content += piece->data;
    }
  }
  static int64_t JournalBytes(const std::vector<EventPtr>& events) {
    int64_t bytes = 0;
    for (const EventPtr& event : events) bytes += static_cast<int64_t>(event->ByteSizeLong());
    return bytes;
  }

  asio::thread_pool pool_{1};
  std::unique_ptr<ReadArtifact> tool_;
  std::vector<std::string> read_;  // by the model's last request
};

TEST_F(ArtifactsTest, ALargeResultIsKeptApartAndItsEventNamesIt) {
  TestRuntime runtime(Config({{"a", "{}"}}));
  Begin(runtime);
  const v1::Run run = runtime.RunToStop();
  ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const auto events = runtime.Events(run.name());
  const v1::Part result = Results(events).at(0);
  EXPECT_EQ(result.artifact().name(), run.name() + "/artifacts/1");
  EXPECT_EQ(result.artifact().bytes(), kBytes);
  EXPECT_EQ(result.artifact().excerpt(), Large('a').substr(0, static_cast<size_t>(kArtifactExcerptBytesMax)));
  EXPECT_LT(JournalBytes(events), 16'000);
  EXPECT_TRUE(ReadWhole(runtime, result.artifact().name()) == Large('a'));
  // What the model read.
  EXPECT_THAT(read_.at(0), StartsWith(Large('a').substr(0, 1000)));
  EXPECT_THAT(read_.at(0), HasSubstr(absl::StrCat("[the first 8192 of 1000000 bytes of ", run.name(), "/artifacts/1, text/plain; read on: read_artifact")));
}

TEST_F(ArtifactsTest, TheModelReadsOnWithTheTool) {
  TestRuntime runtime(Config({{"a", "{}"},
                              {"read_artifact", R"({"artifact":1,"offset":999000})"},
                              {"read_artifact", R"({"artifact":"1","offset":500000,"length":10})"},
                              {"read_artifact", R"({"artifact":1,"offset":1000001})"},
                              {"read_artifact", R"({"artifact":2})"}}));
  Begin(runtime);
  const v1::Run run = runtime.RunToStop();
  ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const std::string name = run.name() + "/artifacts/1";
  ASSERT_EQ(read_.size(), 5u);
  EXPECT_EQ(read_[1], absl::StrCat("[bytes 999000 to 1000000 of 1000000 of ", name, "; that is its end]\n", Large('a').substr(999'000)));
  EXPECT_EQ(read_[2], absl::StrCat("[bytes 500000 to 500010 of 1000000 of ", name, "; go on at offset 500010]\n", Large('a').substr(500'000, 10)));
  EXPECT_EQ(read_[3], absl::StrCat("offset: 1000001 lies beyond the end; ", name, " has 1000000 bytes"));
  EXPECT_EQ(read_[4], absl::StrCat("artifact: the run has none of this name; the last ones are ", name));
}

TEST_F(ArtifactsTest, ARunReadsNoOtherRunsArtifacts) {
  TestRuntime runtime(Config({{"a", "{}"}}));
  Begin(runtime);
  const v1::Run run = runtime.RunToStop();
  runtime.Stop(absl::Seconds(5));
  TestRuntime other(Config({{"read_artifact", absl::StrCat(R"({"artifact":")", run.name(), R"(/artifacts/1"})")}}));
  Begin(other);
  other.RunToStop();
  EXPECT_EQ(read_.at(0), "artifact: the run has none");
}

// A fork's own artifacts are numbered from 1 as well: each is found by its name, and the source's stay as long as the fork.
TEST_F(ArtifactsTest, AForkReadsItsSourcesArtifactsBesideItsOwn) {
  Asked calls = {{"a", "{}"}, {"a", "{}"}};
  TestRuntime::Config config = Config({});
  config.models[0] = std::make_shared<FakeModel>([this, &calls](ModelRequest request, DeltaSink&) { return Next(calls, request); });
  TestRuntime runtime(std::move(config));
  Begin(runtime);
  const v1::Run source = runtime.RunToStop();
  ASSERT_EQ(source.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  const std::string of_source = source.name() + "/artifacts/1";
  const auto read = [](const std::string& name) {
    return std::pair<std::string, std::string>("read_artifact", absl::StrCat(R"({"artifact":")", name, R"(","offset":0,"length":100})"));
  };
  const auto expected = [](const std::string& name, char first) {
    return absl::StrCat("[bytes 0 to 100 of 1000000 of ", name, "; go on at offset 100]\n", Large(first).substr(0, 100));
  };
  calls = {{"a", "{}"}, read(of_source), {"b", "{}"}, read(of_source), read("1")};
  ForkRequest request;
  request.source = *ParseRunName(source.name());
  request.step = 1;
  request.allow_side_effects = true;
  const auto accepted = runtime.Await(runtime->ForkRun(std::move(request), Caller()));
  ASSERT_TRUE(accepted.ok()) << accepted.status();
  const v1::Run fork = runtime.WaitForStop(accepted->name());
  ASSERT_EQ(fork.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  ASSERT_EQ(read_.size(), 5u);
  EXPECT_EQ(read_[1], expected(of_source, 'a'));
  EXPECT_THAT(read_[2], HasSubstr(fork.name() + "/artifacts/1"));
  EXPECT_EQ(read_[3], expected(of_source, 'a')) << "also once the fork has a first of its own";
  EXPECT_EQ(read_[4], expected(fork.name() + "/artifacts/1", 'b')) << "a number alone is of the newest";
  EXPECT_TRUE(ReadWhole(runtime, fork.name() + "/artifacts/1") == Large('b'));

  const RunId base = *ParseRunName(source.name());
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->DeleteRun(base))), v1::ERROR_REASON_RUN_HAS_FORKS);
  EXPECT_TRUE(ReadWhole(runtime, of_source) == Large('a'));
  EXPECT_TRUE(runtime.Await(runtime->DeleteRun(*ParseRunName(fork.name()))).ok());
  EXPECT_TRUE(ReadWhole(runtime, of_source) == Large('a')) << "a fork takes nothing of its source along";
  EXPECT_TRUE(runtime.Await(runtime->DeleteRun(base)).ok());
  EXPECT_THAT(ReadWhole(runtime, of_source), HasSubstr("there is no"));
}

// The steps after a large result cost what they say, however large it was, and the same content is never written again.
TEST_F(ArtifactsTest, LaterStepsDoNotWriteItAgain) {
  const auto grown = [this](const std::string& file, const Asked& calls) {
    TestRuntime::Config config = Config(calls);
    config.path = dir_.File(file);
    TestRuntime runtime(std::move(config));
    Begin(runtime);
    const v1::Run run = runtime.RunToStop();
    const auto id = ParseRunName(run.name());
    int64_t kept = 0;
    const auto records = runtime.store().ListArtifacts(*id);
    for (const ArtifactRecord& record : *records) kept += record.bytes;
    return std::pair(JournalBytes(runtime.Events(run.name())), kept);
  };
  const auto [once, kept_once] = grown("once.db", {{"a", "{}"}});
  const auto [often, kept_often] = grown("often.db", {{"a", "{}"}, {"a", "{}"}, {"read_artifact", R"({"artifact":1,"length":100})"}, {"a", "{}"}});
  EXPECT_EQ(kept_once, kBytes);
  EXPECT_EQ(kept_often, kBytes);
  EXPECT_LT(often - once, 2 * (kArtifactExcerptBytesMax + 2000) + 2000);
}

TEST_F(ArtifactsTest, TheSameContentAfterARestartHasTheSameName) {
  TestRuntime::Config config = Config({{"a", "{}"}, {"b", "{}"}});
  config.agent.mutable_limits()->set_max_steps(2);
  std::string name;
  {
    TestRuntime runtime(std::move(config));
    Begin(runtime);
    const v1::Run run = runtime.RunToStop();
    ASSERT_EQ(run.stop().reason(), v1::STOP_REASON_MAX_STEPS);
    name = run.name();
  }
  TestRuntime runtime(Config({{"a", "{}"}, {"b", "{}"}, {"b", "{}"}, {"a", "{}"}}));
  Begin(runtime);
  ResumeRequest resume;
  resume.limits.set_max_steps(10);
  ASSERT_TRUE(runtime.Await(runtime->ResumeRun(*ParseRunName(name), resume, Caller())).ok());
  ASSERT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  std::vector<std::string> names;
  for (const v1::Part& part : Results(runtime.Events(name))) names.push_back(part.artifact().name());
  EXPECT_THAT(names, ::testing::ElementsAre(name + "/artifacts/1", name + "/artifacts/2", name + "/artifacts/2", name + "/artifacts/1"));
  EXPECT_EQ(runtime.store().ListArtifacts(*ParseRunName(name))->size(), 2u);
  EXPECT_TRUE(ReadWhole(runtime, names[1]) == Large('b'));
}

TEST_F(ArtifactsTest, WhatIsNotThereOrOutOfRangeIsRefused) {
  TestRuntime runtime(Config({{"a", "{}"}}));
  Begin(runtime);
  const RunId run = *ParseRunName(runtime.RunToStop().name());
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ReadArtifact(run, 2, 0, 10)).status()), v1::ERROR_REASON_ARTIFACT_NOT_FOUND);
  EXPECT_EQ(runtime.Await(runtime->ReadArtifact(run, 1, kBytes + 1, 10)).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(runtime.Await(runtime->ReadArtifact(RunId(), 1, 0, 10)).status()), v1::ERROR_REASON_RUN_NOT_FOUND);
}

// More results at once than there is room for: runs wait for each other, and all of them end.
TEST_F(ArtifactsTest, RunsWaitForRoom) {
  TestRuntime::Config config = Config({{"a", "{}"}, {"b", "{}"}});
  config.options.artifact_bytes_in_flight_max = 3 * kBytes / 2;
  TestRuntime runtime(std::move(config));
  Begin(runtime);
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) names.push_back(runtime.Await(runtime->CreateRun(runtime.Request(), Caller()))->name());
  for (const std::string& name : names) {
    ASSERT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
    EXPECT_EQ(runtime.store().ListArtifacts(*ParseRunName(name))->size(), 2u);
  }
}

}  // namespace
}  // namespace agentruntime
