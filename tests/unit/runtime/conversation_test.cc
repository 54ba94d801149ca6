// Conversations: what a run reads of the runs before it, and which of them may be active.
#include "runtime/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using ::testing::ElementsAre;
using testing::RuntimeTest;
using testing::TestRuntime;

std::string TextOf(const ModelMessage& message) {
  if (const auto* user = std::get_if<UserMessage>(&message)) return "user: " + user->parts->at(0).text();
  if (const auto* said = std::get_if<AssistantMessage>(&message)) return "agent: " + said->decision->content(0).text();
  return "tool";
}

// Between what a new run reads of its conversation and its own place in it.
class LateStore final : public testing::ForwardingStore {
 public:
  using BeforeCreate = std::function<void(const v1::RunCreated&)>;
  LateStore(std::unique_ptr<Store> store, BeforeCreate before) : ForwardingStore(std::move(store)), before_(std::move(before)) {}
  void Create(NewRun run, CreateDone done) override {
    before_(run.created->run_created());
    ForwardingStore::Create(std::move(run), std::move(done));
  }

 private:
  const BeforeCreate before_;
};

// As one whose index of conversations has a flipped bit: it names the runs of another.
class AstrayStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  absl::StatusOr<std::vector<RunId>> Conversation(const std::string& tenant, const std::string&, int32_t limit) override {
    return ForwardingStore::Conversation(tenant, "another", limit);
  }
};

class ConversationTest : public RuntimeTest {
 protected:
  // Answers `re: ` and the newest question. One that asks to wait is answered when the test lets it.
  TestRuntime::Config Config() {
    return RuntimeTest::Config([this](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
      std::vector<std::string> texts;
      for (const ModelMessage& message : request.messages) texts.push_back(TextOf(message));
      const std::string question = texts.back();
      {
        MutexLock lock(mu_);
        read_ = std::move(texts);
        earlier_ = request.earlier;
      }
      asked.Add();
      if (question == "user: wait" && !co_await go.Opened()) co_return ModelOutcome();  // cancelled: no answer
      co_return Answer("re: " + question.substr(6));
    });
  }
  // The same; `meanwhile` happens when a run that says `late` has read what came before, and is not accepted yet.
  TestRuntime::Config LateConfig(std::function<void()> meanwhile) {
    TestRuntime::Config config = Config();
    config.wrap_store = [meanwhile = std::move(meanwhile)](std::unique_ptr<Store> store) {
      return std::make_unique<LateStore>(std::move(store), [meanwhile](const v1::RunCreated& created) {
        if (created.input(0).text() == "late") meanwhile();
      });
    };
    return config;
  }
  static CreateRequest Request(const TestRuntime& runtime, const std::string& input, const std::string& conversation = "chat") {
    CreateRequest request = runtime.Request(input);
    request.run.set_conversation(conversation);
    return request;
  }
  static absl::StatusOr<v1::Run> Create(TestRuntime& runtime, CreateRequest request) { return runtime.Await(runtime->CreateRun(std::move(request), Caller())); }
  static v1::Run Say(TestRuntime& runtime, const std::string& input) { return runtime.RunToStop(Request(runtime, input)); }
  static absl::Status Delete(TestRuntime& runtime, const v1::Run& run) { return runtime.Await(runtime->DeleteRun(*ParseRunName(run.name()))); }
  // What the model was last given.
  std::vector<std::string> read() {
    MutexLock lock(mu_);
    return read_;
  }
  size_t earlier() {
    MutexLock lock(mu_);
    return earlier_;
  }

  testing::Latch go;
  testing::Counter asked;

 private:
  Mutex mu_;
  std::vector<std::string> read_ ABSL_GUARDED_BY(mu_);
  size_t earlier_ ABSL_GUARDED_BY(mu_) = 0;
};

TEST_F(ConversationTest, EachRunReadsTheOnesBefore) {
  TestRuntime runtime(Config());
  const v1::Run first = Say(runtime, "one");
  EXPECT_EQ(first.conversation(), "chat");
  EXPECT_THAT(read(), ElementsAre("user: one"));
  const v1::Run second = Say(runtime, "two");
  EXPECT_THAT(read(), ElementsAre("user: one", "agent: re: one", "user: two"));
  EXPECT_EQ(earlier(), 2u);
  runtime.RunToStop(Request(runtime, "elsewhere", "another"));
  EXPECT_THAT(read(), ElementsAre("user: elsewhere"));
  const v1::Run third = Say(runtime, "three");
  EXPECT_THAT(read(), ElementsAre("user: one", "agent: re: one", "user: two", "agent: re: two", "user: three"));
  const auto events = runtime.Events(third.name());
  EXPECT_THAT(events[0]->run_created().earlier_runs(), ElementsAre(first.name(), second.name()));
  EXPECT_EQ(events[0]->run_created().input_size(), 1) << "nothing is copied";

  RunQuery query;
  query.conversation = "chat";
  const auto listed = runtime.Await(runtime->ListRuns(query));
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->first.size(), 3u);
}

TEST_F(ConversationTest, ARunOfAnotherConversationIsNotRead) {
  TestRuntime::Config config = Config();
  config.wrap_store = [](std::unique_ptr<Store> store) { return std::make_unique<AstrayStore>(std::move(store)); };
  TestRuntime runtime(std::move(config));
  runtime.RunToStop(Request(runtime, "secret", "another"));
  Say(runtime, "one");
  EXPECT_THAT(read(), ElementsAre("user: one"));
}

TEST_F(ConversationTest, TheNewestAreReadAsManyAsFit) {
  TestRuntime runtime(Config());
  for (int i = 1; i <= kConversationRunsMax + 3; ++i) Say(runtime, absl::StrCat("question ", i));
  Say(runtime, "last");
  EXPECT_EQ(earlier(), 2 * static_cast<size_t>(kConversationRunsMax));
  EXPECT_EQ(read().front(), "user: question 4");
  Say(runtime, std::string(kConversationBytesMax / 2, 'x'));  // and as much of an answer
  Say(runtime, "short");
  EXPECT_EQ(earlier(), 2u) << "at least the last one, though it is too large";
  Say(runtime, "shorter");
  EXPECT_EQ(earlier(), 2u) << "together they are too large";
}

TEST_F(ConversationTest, OneRunIsActive) {
  TestRuntime runtime(Config());
  CreateRequest waiting = Request(runtime, "wait");
  waiting.request_id = "job-1";
  waiting.request_hash = "hash";
  const auto active = Create(runtime, waiting);
  ASSERT_TRUE(active.ok()) << active.status();
  const auto refused = Create(runtime, Request(runtime, "two"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(refused.status()), v1::ERROR_REASON_CONVERSATION_BUSY);
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr(active->name()));
  const auto again = Create(runtime, waiting);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name(), active->name());
  go.Open();
  runtime.WaitForStop(active->name());
  EXPECT_EQ(Say(runtime, "two").stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
}

// Whatever happens while a run is submitted: once it is accepted it reads every run that came before.
TEST_F(ConversationTest, ARunThatStopsMeanwhileIsNotMissing) {
  TestRuntime* server = nullptr;
  std::string active;
  TestRuntime runtime(LateConfig([&] {
    go.Open();
    server->WaitForStop(active);
  }));
  server = &runtime;
  const auto waiting = Create(runtime, Request(runtime, "wait"));
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  active = waiting->name();
  auto late = Create(runtime, Request(runtime, "late"));
  if (!late.ok()) {
    EXPECT_EQ(ReasonOf(late.status()), v1::ERROR_REASON_CONVERSATION_BUSY);
    EXPECT_THAT(std::string(late.status().message()), ::testing::HasSubstr(active));
    go.Open();
    runtime.WaitForStop(active);
    late = Create(runtime, Request(runtime, "late"));
  }
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_THAT(runtime.Events(late->name())[0]->run_created().earlier_runs(), ElementsAre(active));
  runtime.WaitForStop(late->name());
  EXPECT_THAT(read(), ElementsAre("user: wait", "agent: re: wait", "user: late"));
}

TEST_F(ConversationTest, ARunThatCameAndStoppedMeanwhileIsNotMissing) {
  TestRuntime* server = nullptr;
  std::string between;
  TestRuntime runtime(LateConfig([&] {
    if (between.empty()) between = Say(*server, "between").name();
  }));
  server = &runtime;
  const v1::Run first = Say(runtime, "one");
  const auto refused = Create(runtime, Request(runtime, "late"));
  EXPECT_EQ(ReasonOf(refused.status()), v1::ERROR_REASON_CONVERSATION_BUSY);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAborted) << "not a wait for its stop";
  EXPECT_EQ(refused.status().message(),
            absl::StrCat("run.conversation: ", between,
                         " came to this conversation and stopped while this run was being accepted, which would not read it; submit again"));
  const v1::Run late = Say(runtime, "late");
  EXPECT_THAT(runtime.Events(late.name())[0]->run_created().earlier_runs(), ElementsAre(first.name(), between));
}

TEST_F(ConversationTest, OnlyItsLastRunCanBeResumed) {
  TestRuntime runtime(Config());
  const auto cancelled = Create(runtime, Request(runtime, "wait"));
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  const RunId run = *ParseRunName(cancelled->name());
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(run, {.cause = ""}, Caller())).ok());
  runtime.WaitForStop(cancelled->name());
  ResumeRequest resume;
  resume.request_id = "resume-1";
  resume.request_hash = "hash";
  ASSERT_TRUE(runtime.Await(runtime->ResumeRun(run, resume, Caller())).ok());
  ASSERT_TRUE(runtime.Await(runtime->CancelRun(run, {.cause = ""}, Caller())).ok());
  runtime.WaitForStop(cancelled->name());
  const v1::Run later = Say(runtime, "two");
  EXPECT_THAT(read(), ElementsAre("user: wait", "user: two")) << "one that did not answer asked all the same";
  ResumeRequest other;
  const absl::Status refused = runtime.Await(runtime->ResumeRun(run, other, Caller())).status();
  EXPECT_EQ(ReasonOf(refused), v1::ERROR_REASON_CONVERSATION_BUSY);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr(later.name()));
  EXPECT_TRUE(runtime.Await(runtime->ResumeRun(run, resume, Caller())).ok()) << "a retry of what was done before it";
  ASSERT_TRUE(Delete(runtime, later).ok());
  EXPECT_TRUE(runtime.Await(runtime->ResumeRun(run, other, Caller())).ok());
  go.Open();
  runtime.WaitForStop(cancelled->name());
}

// What it reads was fixed when it was accepted: a run that is deleted since is gone, and no older one takes its place.
TEST_F(ConversationTest, ReadsTheSameAfterARestartButForWhatWasDeleted) {
  std::vector<v1::Run> runs;
  std::string name;
  std::vector<std::string> before;
  {
    TestRuntime runtime(Config());
    for (int i = 1; i <= kConversationRunsMax + 1; ++i) runs.push_back(Say(runtime, absl::StrCat("question ", i)));
    asked.Reset();
    const auto active = Create(runtime, Request(runtime, "wait"));
    ASSERT_TRUE(active.ok()) << active.status();
    name = active->name();
    ASSERT_TRUE(asked.Await(1));
    before = read();
    EXPECT_EQ(before.front(), "user: question 2");
    runtime.Stop(absl::ZeroDuration());
  }
  {
    asked.Reset();
    TestRuntime runtime(Config());
    ASSERT_TRUE(asked.Await(1));
    EXPECT_EQ(read(), before);
    ASSERT_TRUE(Delete(runtime, runs.back()).ok());
    runtime.Stop(absl::ZeroDuration());
  }
  go.Open();
  TestRuntime runtime(Config());
  EXPECT_EQ(runtime.WaitForStop(name).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  std::vector<std::string> without(before.begin(), before.end() - 3);
  without.push_back("user: wait");
  EXPECT_EQ(read(), without);
}

TEST_F(ConversationTest, AForkReadsOnAndTakesNoPart) {
  TestRuntime runtime(Config());
  Say(runtime, "one");
  const v1::Run second = Say(runtime, "two");
  ForkRequest request;
  request.source = *ParseRunName(second.name());
  request.input.emplace_back().set_text("differently");
  const auto fork = runtime.Await(runtime->ForkRun(request, Caller()));
  ASSERT_TRUE(fork.ok()) << fork.status();
  runtime.WaitForStop(fork->name());
  EXPECT_TRUE(fork->conversation().empty());
  EXPECT_THAT(read(), ElementsAre("user: one", "agent: re: one", "user: two", "user: differently"));
  Say(runtime, "three");
  EXPECT_THAT(read(), ElementsAre("user: one", "agent: re: one", "user: two", "agent: re: two", "user: three"));
}

}  // namespace
}  // namespace agentruntime
