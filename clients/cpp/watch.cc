#include "clients/cpp/watch.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "clients/cpp/error.h"
#include "proto/base/clock.h"
#include "proto/base/status.h"

namespace agentruntime::client {
namespace {

constexpr absl::Duration kSteadyAfter = absl::Seconds(10);  // a stream that lived so long was no failure to connect

// Whether `event` makes the text that an attempt of the model streamed before it void.
bool VoidsText(const v1::Event& event) {
  switch (event.kind_case()) {
    case v1::Event::kRunStarted:
    case v1::Event::kModelCalled:
    case v1::Event::kModelFailed:
    case v1::Event::kDecisionMade:
    case v1::Event::kContextCompacted:
    case v1::Event::kRunStopped:
    case v1::Event::kRunResumed: return true;
    case v1::Event::kRunCreated:
    case v1::Event::kCallStarted:
    case v1::Event::kCallFailed:
    case v1::Event::kCallWaiting:
    case v1::Event::kCallResolved:
    case v1::Event::kCallFinished:
    case v1::Event::kInputReceived:
    case v1::Event::kRunForked:
    case v1::Event::kCancelRequested:
    case v1::Event::KIND_NOT_SET: return false;
  }
  return false;  // a kind of a newer server
}

}  // namespace

Watch::Watch(std::unique_ptr<WatchSource> source, WatchOptions options)
    : source_(std::move(source)), options_(std::move(options)), last_(options_.after_sequence) {}

Watch::~Watch() {
  if (stream_ == nullptr) return;
  stream_->Cancel();
  stream_->Finish().IgnoreError();
}

absl::StatusOr<std::optional<v1::WatchRunResponse>> Watch::Next() {
  while (!ended_) {
    RETURN_IF_ERROR(CloneStatus(broken_));
    if (stream_ == nullptr) RETURN_IF_ERROR(OpenStream());
    v1::WatchRunResponse response;
    if (!stream_->Read(response)) {
      RETURN_IF_ERROR(HandleEnd());
      continue;
    }
    received_ = true;
    if (Take(response)) return response;
  }
  return std::nullopt;
}

bool Watch::Take(const v1::WatchRunResponse& response) {
  switch (response.kind_case()) {
    case v1::WatchRunResponse::kRun:
      // Events that it counts may still be to come.
      if (response.run().last_sequence() >= known_last_) {
        known_last_ = response.run().last_sequence();
        last_stopped_ = response.run().state() == v1::RUN_STATE_STOPPED;
      }
      return true;
    case v1::WatchRunResponse::kEvent: return TakeEvent(response.event());
    case v1::WatchRunResponse::kDelta: return TakeDelta(response.delta());
    case v1::WatchRunResponse::KIND_NOT_SET: return false;
  }
  return false;
}

bool Watch::TakeEvent(const v1::Event& event) {
  if (event.sequence() <= last_) return false;
  if (event.sequence() != last_ + 1) {
    broken_ = absl::DataLossError(absl::StrCat("event ", last_ + 1, " is missing: the server sent ", event.sequence(), " after ", last_));
    return false;
  }
  last_ = event.sequence();
  failures_ = 0;
  if (last_ >= known_last_) {
    known_last_ = last_;
    last_stopped_ = event.has_run_stopped();
  }
  if (VoidsText(event)) void_before_ = last_;
  return true;
}

bool Watch::TakeDelta(const v1::Delta& delta) {
  if (delta.has_tool_progress()) return delta.after_sequence() >= void_before_;  // each says all there is to say
  if (delta.after_sequence() < void_before_) return false;
  const std::pair<int32_t, int32_t> attempt = {delta.step(), delta.attempt()};
  if (attempt < delta_attempt_) return false;
  if (attempt != delta_attempt_) {
    delta_attempt_ = attempt;
    delta_index_ = 0;
  }
  if (delta_index_ < 0 || delta.index() < delta_index_) return false;
  if (delta.index() > delta_index_) {
    delta_index_ = -1;  // a hole: text with a piece missing is worse than text that comes later, with the decision
    return false;
  }
  ++delta_index_;
  return true;
}

absl::Status Watch::OpenStream() {
  {
    MutexLock lock(mu_);
    if (cancelled_) return absl::CancelledError("the watch was cancelled");
  }
  opened_ = SystemClock().Monotonic();
  auto stream = source_->Open(last_);
  MutexLock lock(mu_);
  stream_ = std::move(stream);
  if (cancelled_) stream_->Cancel();
  return absl::OkStatus();
}

absl::Status Watch::HandleEnd() {
  absl::Status status = stream_->Finish();
  {
    MutexLock lock(mu_);
    stream_.reset();
    if (cancelled_) return absl::CancelledError("the watch was cancelled");
  }
  if (status.ok()) {
    ended_ = last_stopped_ && last_ >= known_last_;
    if (ended_) return absl::OkStatus();
    status = absl::UnavailableError("the stream ended before the run");
  }
  if (!IsCut(status)) return status;
  const absl::Duration now = SystemClock().Monotonic();
  if (now - opened_ > kSteadyAfter) failures_ = 0;
  if (failures_ == 0) failing_since_ = now;
  const auto delay = NextDelay(received_ ? options_.reconnect : options_.connect, ++failures_, status, random_.NextDouble());
  const absl::Duration left = failing_since_ + (received_ ? options_.reconnect_time_max : options_.connect_time_max) - now;
  if (!delay || *delay > left) return status;
  if (options_.on_reconnect) options_.on_reconnect(status, left);
  return Pause(*delay);
}

absl::Status Watch::Pause(absl::Duration delay) {
  const SystemClock clock;  // not by the wall clock, which may be set meanwhile
  const absl::Duration end = clock.Monotonic() + delay;
  MutexLock lock(mu_);
  while (!cancelled_) {
    const absl::Duration left = end - clock.Monotonic();
    if (left <= absl::ZeroDuration()) return absl::OkStatus();
    cancelled_changed_.WaitFor(mu_, left);
  }
  return absl::CancelledError("the watch was cancelled");
}

void Watch::Cancel() {
  MutexLock lock(mu_);
  cancelled_ = true;
  if (stream_ != nullptr) stream_->Cancel();
  cancelled_changed_.NotifyAll();
}

}  // namespace agentruntime::client
