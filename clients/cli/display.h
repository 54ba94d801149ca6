// How a run that is followed is shown.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run_service.pb.h"
#include "clients/cli/output.h"

namespace agentruntime::cli {

// Fed by one thread, in the order of the watch.
class Display {
 public:
  virtual ~Display() = default;
  // The run as it is now; the first one comes before everything else.
  virtual void OnRun(const v1::Run& run) = 0;
  virtual void OnEvent(const v1::Event& event) = 0;
  virtual void OnDelta(const v1::Delta& delta) = 0;
  // A child of the run waits for a person: nothing of it is in the run's own journal. Said once of each.
  virtual void OnChildWaits(const v1::Run& child) = 0;
  // Calls of the run wait for a person; `run` has these, with whole texts. Said once of each wait, to a live view: the others are not followed any further
  // then.
  virtual void OnWaits(const v1::Run& run) = 0;
  // The connection was lost, and is tried again for at most `time_left`.
  virtual void OnReconnect(const absl::Status& why, absl::Duration time_left) = 0;
  // The run stopped; it is complete here. Nothing follows.
  virtual void OnStop(const v1::Run& run) = 0;
};

// A live view on a terminal that can move its cursor, plain lines elsewhere, JSON if asked for.
std::unique_ptr<Display> MakeDisplay(const Output& output);

std::unique_ptr<Display> MakePlainDisplay(const Output& output);
std::unique_ptr<Display> MakeTimeline(const Output& output);
// One event a line, deltas as {"delta": ...}; the last line is the run.
std::unique_ptr<Display> MakeJsonDisplay(const Output& output);

}  // namespace agentruntime::cli
