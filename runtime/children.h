// Runs that answer calls of other runs: what such a run begins with, and who begins, awaits and cancels it.
//
// A run that has stopped leaves no child behind that goes on: its stop is recorded once each open child has stopped or has its cancel on disk. So a crash at
// any moment finds either a parent that is live and will ask again, or children that end by themselves, and nobody has to search for orphans.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run.pb.h"
#include "google/protobuf/map.h"
#include "proto/base/id.h"

namespace agentruntime {

// All of it is a function of the parent's journal and of the tool.
struct ChildOrder {
  RunId run;  // its id
  RunId parent;
  CallId call;          // of the parent
  int32_t attempt = 1;  // of the call
  std::string key;      // of the call: IdempotencyKey
  std::string agent;    // as configured
  v1::Limits limits;    // of the tool: in place of the agent's
  v1::Limits grant;     // max_tokens, max_cost_micros: what it may use at most
  absl::Time deadline;
  int32_t depth = 1;
  int32_t priority = 0;
  google::protobuf::Map<std::string, std::string> labels;  // the parent's
  std::string principal;                                   // who submitted the parent
  std::string traceparent;
  bool only_if_begun = false;  // by an earlier attempt; else there is none
};

struct ChildAnswer {
  absl::StatusOr<v1::Run> run;  // stopped
  bool begun = false;           // false: there certainly is no child, and the status says why
};

// Thread-safe.
class ChildRuns {
 public:
  virtual ~ChildRuns() = default;
  // Begins the run unless an earlier attempt did, and waits until it has stopped. Fails, and never waits, for want of room (`Scheduler::AdmitChild`): a parent
  // and its children would wait for each other. When the coroutine is cancelled it ends soon, with CANCELLED, and the child goes on.
  virtual boost::asio::awaitable<ChildAnswer> Answer(std::shared_ptr<const ChildOrder> order, std::string input) = 0;
  // Asks it to cancel. Calls `done`, on some thread, once that is durable or needless: it has stopped, or there is none and an `Answer` under way begins none
  // any more. Not at all where the server drains first.
  virtual void Cancel(const RunId& child, v1::Cancellation cancellation, absl::AnyInvocable<void()> done) = 0;
};

}  // namespace agentruntime
