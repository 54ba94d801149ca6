// The facade that the RPCs call: everything a caller can do with runs and agents. It knows nothing of gRPC.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentruntime/v1/agent.pb.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"
#include "runtime/caller.h"
#include "runtime/environment.h"
#include "runtime/fork.h"
#include "runtime/reads.h"
#include "runtime/watch.h"
#include "storage/types.h"

namespace agentruntime {

struct CreateRequest {
  v1::Run run;  // agent, input, limits, labels, deadline; each field valid by itself
  std::string request_id;
  std::string request_hash;
};

struct ResumeRequest {
  v1::Limits limits;
  std::vector<v1::Part> input;
  std::optional<absl::Time> deadline;
  std::string request_id;
  std::string request_hash;
};

struct CancelRequest {
  std::string cause;  // may be empty
  std::string request_id;
  std::string request_hash;
};

struct InputRequest {
  std::vector<v1::Part> input;
  std::string request_id;
  std::string request_hash;
};

struct ResolveRequest {
  CallId call;
  v1::CallAnswer answer;  // valid by itself
  std::string request_id;
  std::string request_hash;
};

// How the server is, for health and GetServerInfo.
struct RuntimeInfo {
  StoreInfo store;
  bool writable = true;
  bool draining = false;
  int32_t sessions = 0;
  int32_t watchers = 0;
  int64_t reads_waiting = 0;  // of callers, for their turn
  int64_t late_results = 0;   // of attempts that the stop of their run had settled
};

// Thread-safe; coroutines may run on any executor. Statuses are those of proto/util/errors.h. A write returns OK when its events are durable; any other
// end means that nobody knows: ask again with the same request id. Reads (Get, List, Read), and ForkRun, which reads a journal first, are RESOURCE_EXHAUSTED
// (TooManyAtOnce) where too many wait (caller_reads.h), and so are changes of agents, a hundred of which may wait for the disk; reads are CANCELLED soon after
// their coroutine was cancelled. Commands do not wait behind them.
class Runtime {
 public:
  // `environment` and what it points to outlive the runtime. Takes up unfinished runs, oldest first.
  static absl::StatusOr<std::unique_ptr<Runtime>> Start(Environment environment, RuntimeOptions options);
  ~Runtime();  // after Drain

  boost::asio::awaitable<absl::StatusOr<v1::Run>> CreateRun(CreateRequest request, Caller caller);
  // CreateRun, then WatchRun from the beginning; with a known request id and the same content it attaches to the run that exists.
  boost::asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> RunAgent(CreateRequest request, Caller caller, bool include_deltas);
  // Waits up to `wait` for STOPPED or WAITING. DATA_LOSS: it would wait in vain, the run is set aside.
  boost::asio::awaitable<absl::StatusOr<v1::Run>> GetRun(RunId run, absl::Duration wait);
  boost::asio::awaitable<absl::StatusOr<v1::Run>> CancelRun(RunId run, CancelRequest request, Caller caller);
  boost::asio::awaitable<absl::StatusOr<v1::Run>> ResumeRun(RunId run, ResumeRequest request, Caller caller);
  boost::asio::awaitable<absl::StatusOr<v1::Run>> SendInput(RunId run, InputRequest request, Caller caller);
  boost::asio::awaitable<absl::StatusOr<v1::Run>> ForkRun(ForkRequest request, Caller caller);
  boost::asio::awaitable<absl::StatusOr<v1::Run>> ResolveCall(RunId run, ResolveRequest request, Caller caller);
  boost::asio::awaitable<absl::Status> DeleteRun(RunId run);
  // Without input, limits and answer.
  boost::asio::awaitable<absl::StatusOr<std::pair<std::vector<v1::Run>, bool>>> ListRuns(RunQuery query);
  boost::asio::awaitable<absl::StatusOr<std::vector<EventPtr>>> ListEvents(RunId run, Sequence after, ReadLimit limit);
  // Steps after `after`; the bool says whether there are more.
  boost::asio::awaitable<absl::StatusOr<std::pair<std::vector<v1::Step>, bool>>> ListSteps(RunId run, StepCursor after, ReadLimit limit);
  boost::asio::awaitable<absl::StatusOr<v1::Step>> GetStep(RunId run, int32_t number);
  // A piece of a large result, once the event that names it is durable.
  boost::asio::awaitable<absl::StatusOr<ArtifactPiece>> ReadArtifact(RunId run, int32_t number, int64_t offset, int64_t bytes_max);
  boost::asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> WatchRun(RunId run, Sequence after, bool include_deltas);

  boost::asio::awaitable<absl::StatusOr<v1::Agent>> CreateAgent(v1::Agent agent);
  boost::asio::awaitable<absl::StatusOr<v1::Agent>> UpdateAgent(v1::Agent agent, bool allow_missing);
  boost::asio::awaitable<absl::StatusOr<v1::Agent>> GetAgent(std::string agent_id, int32_t revision);
  boost::asio::awaitable<absl::StatusOr<std::vector<v1::Agent>>> ListAgents(std::string after, int32_t limit);
  std::vector<v1::Tool> ListTools() const;
  std::vector<v1::Model> ListModels() const;

  boost::asio::awaitable<absl::StatusOr<RuntimeInfo>> GetInfo();
  // Of the store, as long as it is open.
  const std::string& store_id() const;
  // Called once now, and on some thread at each change of (writable, draining). It must not call the runtime.
  void SetServingListener(absl::AnyInvocable<void(bool serving)> listener);

  // No new runs; sessions park at their next journaled point; attempts still under way after `grace` are cut off; watches end with SERVER_DRAINING.
  // Returns when no session is left. Idempotent.
  boost::asio::awaitable<void> Drain(absl::Duration grace);

 private:
  class Impl;
  explicit Runtime(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with what the store has yet to complete
};

}  // namespace agentruntime
