// The whole runtime over a store that refuses one append of one run as lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "tests/support/await.h"
#include "tests/support/counter.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/latch.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Forever;
using testing::ModelError;
using testing::RuntimeTest;
using testing::TestRuntime;

// Its next append of input comes from an owner whose epoch is over.
class LosingStore final : public testing::ForwardingStore {
 public:
  LosingStore(std::unique_ptr<Store> store, std::atomic<bool>& loses) : ForwardingStore(std::move(store)), loses_(loses) {}
  void Append(AppendRequest request, AppendDone done) override {
    if (request.events.front()->has_input_received() && loses_.exchange(false)) --request.epoch;
    ForwardingStore::Append(std::move(request), std::move(done));
  }

 private:
  std::atomic<bool>& loses_;
};

TEST_F(RuntimeTest, ALostAppendDropsItsSessionAndTouchesNoOtherRun) {
  testing::Counter asked, asked_other;
  testing::Latch answer_other;
  TestRuntime::Config config = Config([&](ModelRequest request, DeltaSink&) -> asio::awaitable<ModelOutcome> {
    if (std::get<UserMessage>(request.messages[0]).parts->at(0).text() == "other") {
      asked_other.Add();
      co_await answer_other.Opened();
      co_return Answer("done");
    }
    if (request.messages.size() > 1) co_return Answer(std::get<UserMessage>(request.messages.back()).parts->at(0).text());
    asked.Add();
    co_await Forever();
    co_return ModelError("INTERRUPTED", false);
  });
  std::atomic<bool> loses = false;
  config.wrap_store = [&loses](std::unique_ptr<Store> store) { return std::make_unique<LosingStore>(std::move(store), loses); };
  TestRuntime runtime(std::move(config));
  const auto run = runtime.Await(runtime->CreateRun(runtime.Request(), Caller()));
  const auto other = runtime.Await(runtime->CreateRun(runtime.Request("other"), Caller()));
  ASSERT_TRUE(run.ok() && other.ok());
  ASSERT_TRUE(asked.Await(1));
  ASSERT_TRUE(asked_other.Await(1));
  InputRequest input;
  input.input.emplace_back().set_text("lost");
  loses = true;
  const absl::Status lost = runtime.Await(runtime->SendInput(IdOf(*run), input, Caller())).status();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable) << lost;
  EXPECT_EQ(ReasonOf(lost), v1::ERROR_REASON_STORE_UNAVAILABLE);
  ASSERT_TRUE(testing::AwaitThat("only the other run has a session", [&] { return runtime.Await(runtime->GetInfo())->sessions == 1; }));
  for (const EventPtr& event : runtime.Events(run->name())) EXPECT_FALSE(event->has_input_received()) << "nothing of it is in the journal";

  answer_other.Open();
  EXPECT_EQ(runtime.WaitForStop(other->name()).stop().reason(), v1::STOP_REASON_FINAL_ANSWER);

  // The next command loads what the store has, and the run goes on from there.
  input.input.front().set_text("kept");
  const auto kept = runtime.Await(runtime->SendInput(IdOf(*run), input, Caller()));
  ASSERT_TRUE(kept.ok()) << kept.status();
  const v1::Run stopped = runtime.WaitForStop(run->name());
  EXPECT_EQ(stopped.stop().reason(), v1::STOP_REASON_FINAL_ANSWER);
  EXPECT_EQ(stopped.answer(0).text(), "kept");
  std::vector<std::string> inputs;
  for (const EventPtr& event : runtime.Events(run->name())) {
    if (event->has_input_received()) inputs.push_back(event->input_received().input(0).text());
  }
  EXPECT_EQ(inputs, std::vector<std::string>({"kept"}));
}

}  // namespace
}  // namespace agentruntime
