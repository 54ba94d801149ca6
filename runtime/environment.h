// What the runtime is given: its seams and its options. Wired by hand in the server, by tests and by simulations.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "agentruntime/v1/agent.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/clock.h"
#include "proto/base/random.h"
#include "proto/util/limits.h"
#include "runtime/models/model.h"
#include "runtime/result.h"
#include "runtime/timers.h"
#include "runtime/tools/tool.h"
#include "storage/agent_store.h"
#include "storage/store.h"

namespace agentruntime {

// Everything is borrowed and thread-safe.
struct Environment {
  boost::asio::any_io_executor pool;           // sessions
  boost::asio::any_io_executor blocking_pool;  // reads of the store
  Clock* clock = nullptr;
  Timers* timers = nullptr;
  Random* random = nullptr;
  Store* store = nullptr;
  AgentStore* agents = nullptr;
  std::map<std::string, std::shared_ptr<Model>> models;  // by name
  std::map<std::string, v1::ModelPrice> prices;          // of models, by name; those that are not there have none
  std::map<std::string, std::shared_ptr<Tool>> tools;    // by name
};

// How long a run stays in memory for its next try: one that waits longer leaves, and comes back by folding.
inline constexpr absl::Duration kStayMax = absl::Seconds(10);

struct RuntimeOptions {
  std::string node = "agentd";
  int64_t running_max = kRunningRunsMaxDefault;
  int64_t queued_max = kQueuedRunsMaxDefault;
  v1::Limits default_limits;  // every field set, but max_cost_micros where nothing bounds it
  v1::Limits maximum_limits;  // every field set
  absl::Duration cancel_grace = kCancelGrace;
  absl::Duration stay_max = kStayMax;
  ResultBounds result;
  int64_t artifact_bytes_in_flight_max = kArtifactBytesInFlightMax;
  // Reads of callers, on the blocking pool: leave as many of its threads to everybody else. Two at least.
  int64_t reads_at_once_max = 3;
  int64_t reads_waiting_max = kReadsWaitingMax;
};

// The published defaults and maxima of limits.h as messages.
v1::Limits PublishedDefaultLimits();
v1::Limits PublishedMaximumLimits();

}  // namespace agentruntime
