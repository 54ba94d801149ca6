// Following a run to its stop, across cut connections and restarts of the server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run_service.pb.h"
#include "clients/cpp/retry.h"
#include "proto/base/id.h"
#include "proto/base/mutex.h"
#include "proto/base/random.h"

namespace agentruntime::client {

// One stream of WatchRunResponses. Read and Finish by one thread; Cancel from any.
class WatchStream {
 public:
  virtual ~WatchStream() = default;
  // False: the stream ended, Finish says how.
  virtual bool Read(v1::WatchRunResponse& response) = 0;
  virtual absl::Status Finish() = 0;
  virtual void Cancel() = 0;
};

// Opens streams of one run; never null. A stream that cannot be opened fails in Finish.
class WatchSource {
 public:
  virtual ~WatchSource() = default;
  virtual std::unique_ptr<WatchStream> Open(Sequence after) = 0;
};

struct WatchOptions {
  Sequence after_sequence = 0;
  // Of streams in a row that brought no event and ended within 10 s. After the first message `reconnect` holds: a server that was there a moment ago
  // gets longer to come back.
  RetryPolicy connect = {};
  RetryPolicy reconnect = {.attempts_max = 150, .first_delay = absl::Milliseconds(50), .delay_max = absl::Seconds(2)};
  // From the first of them: no stream is opened later.
  absl::Duration connect_time_max = absl::Seconds(20);
  absl::Duration reconnect_time_max = absl::Minutes(3);
  // Called before a stream is opened again: why, and for how long from now it is tried at most.
  std::function<void(const absl::Status& why, absl::Duration time_left)> on_reconnect;
};

// Delivers the journal of a run: every event after `after_sequence` exactly once and in order, whatever happens to the connection, up to the stop that
// ends it. Between them snapshots of the run, and deltas: of each attempt of the model the first ones without a hole, none that is void already,
// none twice. Kinds of message that it does not know are passed over.
// Next and the destructor belong to one thread; Cancel may be called from any.
class Watch {
 public:
  Watch(std::unique_ptr<WatchSource> source, WatchOptions options);
  ~Watch();

  // Blocks for the next message. nullopt: the run stopped and everything was delivered.
  // DATA_LOSS: the server left out an event. CANCELLED: Cancel was called. UNAVAILABLE: it did not come back. Others: the server's refusal.
  absl::StatusOr<std::optional<v1::WatchRunResponse>> Next();

  // Ends the watch, not the run.
  void Cancel() ABSL_LOCKS_EXCLUDED(mu_);

  // The last event delivered, or `after_sequence`.
  Sequence last_sequence() const { return last_; }

 private:
  bool Take(const v1::WatchRunResponse& response);
  bool TakeEvent(const v1::Event& event);
  bool TakeDelta(const v1::Delta& delta);
  absl::Status OpenStream() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status HandleEnd() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Pause(absl::Duration delay) ABSL_LOCKS_EXCLUDED(mu_);

  const std::unique_ptr<WatchSource> source_;
  const WatchOptions options_;
  SystemRandom random_;
  Sequence last_;
  absl::Status broken_;                                 // DATA_LOSS
  bool ended_ = false;                                  // Next returned nullopt
  bool received_ = false;                               // anything, ever
  int failures_ = 0;                                    // see WatchOptions
  absl::Duration failing_since_;                        // if there are failures
  absl::Duration opened_;                               // the stream
  bool last_stopped_ = false;                           // the newest thing known of the run is a stop
  Sequence known_last_ = 0;                             // the newest event known of
  Sequence void_before_ = 0;                            // text that follows an earlier event is void
  std::pair<int32_t, int32_t> delta_attempt_ = {0, 0};  // step and attempt of the model
  int32_t delta_index_ = 0;                             // expected next; -1 after a hole

  Mutex mu_;
  CondVar cancelled_changed_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<WatchStream> stream_;  // replaced under mu_, by the thread of Next only
};

}  // namespace agentruntime::client
