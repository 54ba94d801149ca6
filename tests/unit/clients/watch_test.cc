#include "clients/cpp/watch.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/error.h"

namespace agentruntime::client {
namespace {

v1::WatchRunResponse EventMessage(Sequence sequence) {
  v1::WatchRunResponse response;
  response.mutable_event()->set_sequence(sequence);
  response.mutable_event()->mutable_call_started();
  return response;
}

v1::WatchRunResponse ModelCalled(Sequence sequence) {
  v1::WatchRunResponse response = EventMessage(sequence);
  response.mutable_event()->mutable_model_called();
  return response;
}

v1::WatchRunResponse StopMessage(Sequence sequence) {
  v1::WatchRunResponse response = EventMessage(sequence);
  response.mutable_event()->mutable_run_stopped();
  return response;
}

v1::WatchRunResponse RunMessage(v1::RunState state, Sequence last) {
  v1::WatchRunResponse response;
  response.mutable_run()->set_state(state);
  response.mutable_run()->set_last_sequence(last);
  return response;
}

v1::WatchRunResponse TextMessage(Sequence after, int attempt, int index, const std::string& text) {
  v1::WatchRunResponse response;
  response.mutable_delta()->set_step(1);
  response.mutable_delta()->set_attempt(attempt);
  response.mutable_delta()->set_after_sequence(after);
  response.mutable_delta()->set_index(index);
  response.mutable_delta()->set_text(text);
  return response;
}

// What one stream brings, and how it ends.
struct Script {
  std::vector<v1::WatchRunResponse> messages;
  absl::Status end;
};

class FakeStream final : public WatchStream {
 public:
  explicit FakeStream(Script script) : script_(std::move(script)) {}
  bool Read(v1::WatchRunResponse& response) override {
    if (next_ == script_.messages.size()) return false;
    response = script_.messages[next_++];
    return true;
  }
  absl::Status Finish() override { return script_.end; }
  void Cancel() override {}

 private:
  const Script script_;
  size_t next_ = 0;
};

// One script for each Open; notes where each began.
class FakeSource final : public WatchSource {
 public:
  FakeSource(std::deque<Script> scripts, std::vector<Sequence>& opened) : scripts_(std::move(scripts)), opened_(opened) {}
  std::unique_ptr<WatchStream> Open(Sequence after) override {
    opened_.push_back(after);
    Script script = {{}, absl::UnavailableError("nobody there")};
    if (!scripts_.empty()) {
      script = std::move(scripts_.front());
      scripts_.pop_front();
    }
    return std::make_unique<FakeStream>(std::move(script));
  }

 private:
  std::deque<Script> scripts_;
  std::vector<Sequence>& opened_;
};

// What a watch delivered, in short: events as numbers, deltas as their text, snapshots as `run`, then how it ended.
struct Seen {
  std::string story;
  absl::Status end;
  std::vector<Sequence> opened;
  int reconnects = 0;
};

Seen Follow(std::deque<Script> scripts, WatchOptions options = {}) {
  Seen seen;
  const RetryPolicy quick = {.attempts_max = 3, .first_delay = absl::Microseconds(1), .delay_max = absl::Microseconds(1)};
  options.connect = quick;
  options.reconnect = quick;
  options.on_reconnect = [&seen](const absl::Status&, absl::Duration) { ++seen.reconnects; };
  Watch watch(std::make_unique<FakeSource>(std::move(scripts), seen.opened), std::move(options));
  for (;;) {
    auto next = watch.Next();
    if (!next.ok()) {
      seen.end = std::move(next).status();
      return seen;
    }
    if (!next->has_value()) return seen;
    const v1::WatchRunResponse& response = **next;
    if (!seen.story.empty()) seen.story += " ";
    if (response.has_event()) absl::StrAppend(&seen.story, response.event().sequence());
    if (response.has_delta()) absl::StrAppend(&seen.story, response.delta().text());
    if (response.has_run()) absl::StrAppend(&seen.story, "run");
  }
}

TEST(WatchTest, EndsAtTheStop) {
  const Seen seen = Follow({{{RunMessage(v1::RUN_STATE_RUNNING, 1), EventMessage(1), EventMessage(2), StopMessage(3)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "run 1 2 3");
  EXPECT_TRUE(seen.end.ok()) << seen.end;
  EXPECT_EQ(seen.reconnects, 0);
}

TEST(WatchTest, EndsAtOnceWhereThereIsNothingAfterTheStop) {
  const Seen seen = Follow({{{RunMessage(v1::RUN_STATE_STOPPED, 7)}, absl::OkStatus()}}, {.after_sequence = 7});
  EXPECT_EQ(seen.story, "run");
  EXPECT_TRUE(seen.end.ok());
  EXPECT_EQ(seen.opened, std::vector<Sequence>{7});
}

TEST(WatchTest, GoesOnAfterAStopThatWasResumed) {
  const Seen seen = Follow({{{EventMessage(1), StopMessage(2), EventMessage(3), StopMessage(4)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1 2 3 4");
}

TEST(WatchTest, ReconnectsFromTheLastSequenceAndDropsWhatCameTwice) {
  const Seen seen = Follow({{{EventMessage(1), EventMessage(2)}, absl::UnavailableError("cut")},
                            {{}, absl::UnavailableError("refused")},
                            {{EventMessage(2), EventMessage(3)}, absl::InternalError("RST_STREAM")},
                            {{EventMessage(4), StopMessage(5)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1 2 3 4 5");
  EXPECT_TRUE(seen.end.ok());
  EXPECT_EQ(seen.opened, (std::vector<Sequence>{0, 2, 2, 3}));
  EXPECT_EQ(seen.reconnects, 3);
}

TEST(WatchTest, TakesAnEndWithoutAStopForACut) {
  const Seen seen = Follow({{{EventMessage(1)}, absl::OkStatus()}, {{StopMessage(2)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1 2");
  EXPECT_EQ(seen.reconnects, 1);
}

TEST(WatchTest, TakesAnEndBeforeTheLastKnownEventForACut) {
  const Seen seen = Follow({{{RunMessage(v1::RUN_STATE_STOPPED, 2), EventMessage(1)}, absl::OkStatus()}, {{StopMessage(2)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "run 1 2");
  EXPECT_EQ(seen.reconnects, 1);
}

TEST(WatchTest, FailsLoudlyOnAGap) {
  const Seen seen = Follow({{{EventMessage(1), EventMessage(3), StopMessage(4)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1");
  EXPECT_EQ(seen.end.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(std::string(seen.end.message()), "event 2 is missing: the server sent 3 after 1");
}

TEST(WatchTest, PassesRefusalsOn) {
  EXPECT_EQ(Follow({{{}, absl::NotFoundError("no such run")}}).end.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Follow({{{EventMessage(1)}, absl::OutOfRangeError("beyond")}}).end.code(), absl::StatusCode::kOutOfRange);
}

TEST(WatchTest, GivesUpAfterTheLastAttempt) {
  const Seen never = Follow({});
  EXPECT_TRUE(IsUnreachable(never.end));
  EXPECT_EQ(never.opened.size(), 3u);
  // An event makes the count begin anew; a snapshot alone does not, or a server that only greets would keep us for ever.
  const Seen lost = Follow({{{}, absl::UnavailableError("")}, {{}, absl::UnavailableError("")}, {{EventMessage(1)}, absl::UnavailableError("")}});
  EXPECT_EQ(lost.opened.size(), 5u);
  const Script greeting = {{RunMessage(v1::RUN_STATE_RUNNING, 0)}, absl::UnavailableError("")};
  EXPECT_EQ(Follow({greeting, greeting, greeting, greeting}).opened.size(), 3u);
}

TEST(WatchTest, DropsVoidDeltas) {
  v1::WatchRunResponse failed = EventMessage(3);
  failed.mutable_event()->mutable_model_failed();
  v1::WatchRunResponse decided = EventMessage(5);
  decided.mutable_event()->mutable_decision_made();
  const Seen seen =
      Follow({{{EventMessage(1), ModelCalled(2), TextMessage(2, 1, 0, "a"), TextMessage(2, 1, 1, "b"), failed, TextMessage(2, 1, 2, "late"), ModelCalled(4),
                TextMessage(4, 2, 0, "c"), TextMessage(2, 1, 3, "later"), decided, TextMessage(4, 2, 1, "latest"), StopMessage(6)},
               absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1 2 a b 3 4 c 5 6");
}

TEST(WatchTest, ShowsNoTextWithAHole) {
  const Seen seen =
      Follow({{{ModelCalled(1), TextMessage(1, 1, 0, "a"), TextMessage(1, 1, 2, "c"), TextMessage(1, 1, 1, "b"), StopMessage(2)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1 a 2");
}

TEST(WatchTest, DropsDeltasThatComeTwiceAfterAReconnect) {
  const Seen seen = Follow({{{ModelCalled(1), TextMessage(1, 1, 0, "a")}, absl::UnavailableError("cut")},
                            {{TextMessage(1, 1, 0, "a"), TextMessage(1, 1, 1, "b"), StopMessage(2)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1 a b 2");
}

TEST(WatchTest, SkipsMessagesOfANewerServer) {
  const Seen seen = Follow({{{v1::WatchRunResponse(), StopMessage(1)}, absl::OkStatus()}});
  EXPECT_EQ(seen.story, "1");
}

TEST(WatchTest, GivesUpWhenTheTimeIsOver) {
  const auto run = [](std::deque<Script> scripts) {
    std::vector<Sequence> opened;
    std::vector<absl::Duration> left;
    const RetryPolicy stubborn = {.attempts_max = 1000, .first_delay = absl::Milliseconds(2), .delay_max = absl::Milliseconds(2)};
    WatchOptions options = {.connect = stubborn, .reconnect = stubborn};
    options.connect_time_max = absl::Milliseconds(1);
    options.reconnect_time_max = absl::Milliseconds(60);
    options.on_reconnect = [&left](const absl::Status&, absl::Duration time_left) { left.push_back(time_left); };
    Watch watch(std::make_unique<FakeSource>(std::move(scripts), opened), std::move(options));
    absl::StatusOr<std::optional<v1::WatchRunResponse>> next = std::nullopt;
    do next = watch.Next();
    while (next.ok() && next->has_value());
    EXPECT_EQ(next.status().code(), absl::StatusCode::kUnavailable);
    return left;
  };
  EXPECT_TRUE(run({}).empty());  // the first pause would be longer
  const std::vector<absl::Duration> left = run({{{EventMessage(1)}, absl::UnavailableError("cut")}});
  ASSERT_FALSE(left.empty());
  EXPECT_LE(left.size(), 30u);
  for (const absl::Duration one : left) EXPECT_LE(one, absl::Milliseconds(60));
  EXPECT_GT(left.front(), left.back());
}

TEST(WatchTest, CancelEndsAPauseAtOnce) {
  std::vector<Sequence> opened;
  const RetryPolicy patient = {.attempts_max = 3, .first_delay = absl::Hours(1), .delay_max = absl::Hours(1)};
  Watch* target = nullptr;
  std::thread canceller;
  WatchOptions options = {.connect = patient, .reconnect = patient, .connect_time_max = absl::Hours(2)};
  options.on_reconnect = [&](const absl::Status&, absl::Duration) { canceller = std::thread([&] { target->Cancel(); }); };
  Watch watch(std::make_unique<FakeSource>(std::deque<Script>{}, opened), std::move(options));
  target = &watch;
  EXPECT_EQ(watch.Next().status().code(), absl::StatusCode::kCancelled);
  canceller.join();
  EXPECT_EQ(watch.Next().status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace agentruntime::client
