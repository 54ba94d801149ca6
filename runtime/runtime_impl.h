// What the facade is made of. Two files share it: runtime.cc serves callers, submissions.cc makes new runs.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/base/mutex.h"
#include "runtime/agent_catalog.h"
#include "runtime/blocking_pool.h"
#include "runtime/caller_reads.h"
#include "runtime/child_runs.h"
#include "runtime/conversation.h"
#include "runtime/hub.h"
#include "runtime/load.h"
#include "runtime/reply.h"
#include "runtime/runtime.h"
#include "runtime/scheduler.h"

namespace agentruntime {

class Runtime::Impl : public std::enable_shared_from_this<Runtime::Impl> {
 public:
  using ReadKind = CallerReads::Kind;

  Impl(Environment environment, RuntimeOptions options) : environment_(std::move(environment)), options_(std::move(options)) {}

  absl::Status Start();
  void OnWritable(bool writable);
  void TellServing();

  template <typename Work>
  boost::asio::awaitable<std::invoke_result_t<Work>> Blocking(Work work) {
    return RunBlocking(environment_.blocking_pool, std::move(work));
  }
  // For writes: they do not wait behind reads.
  boost::asio::awaitable<absl::StatusOr<v1::Run>> Load(RunId run) {
    return Blocking([store = environment_.store, run] { return LoadRun(*store, run); });
  }
  boost::asio::awaitable<absl::StatusOr<v1::Run>> Read(ReadKind kind, RunId run) {
    return reads_->Read(kind, [store = environment_.store, run](const std::stop_token&) { return LoadRun(*store, run); });
  }
  // Why the run cannot be stopped: it was set aside, or its row is damaged and it was never taken up. OK: nobody has found that.
  boost::asio::awaitable<absl::Status> DamageOf(RunId run);
  using CommandBody = std::function<void(Session&, std::shared_ptr<Reply<v1::Run>>)>;
  boost::asio::awaitable<absl::StatusOr<v1::Run>> Command(RunId run, Scheduler::Need need, CommandBody command);

  // New runs: submissions.cc.
  struct Submitted {
    v1::Run run;
    EventPtr created;  // event 1; null if the run existed
  };
  RunId NewId() { return RunId::New(environment_.clock->Now(), environment_.random->Next(), environment_.random->Next()); }
  boost::asio::awaitable<absl::StatusOr<Submitted>> Submit(RunId id, CreateRequest request, Caller caller);
  boost::asio::awaitable<absl::StatusOr<Submitted>> SubmitFork(ForkRequest request, Caller caller);

  // What a new run goes by. Admitted: the scheduler expects it.
  struct Accepted {
    std::shared_ptr<const RunPlan> plan;
    v1::Limits limits;
    EarlierRuns earlier_runs;
  };
  struct AcceptedFork : Accepted {
    ForkBase base;
  };
  boost::asio::awaitable<absl::StatusOr<Accepted>> Accept(std::string agent, v1::Limits limits, std::optional<absl::Time> not_before, std::string conversation,
                                                          std::string tenant);
  boost::asio::awaitable<absl::StatusOr<AcceptedFork>> AcceptFork(ForkRequest request);
  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<const RunPlan>>> FindPlan(std::string agent);
  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<const RunPlan>>> ExtendPlan(std::shared_ptr<const RunPlan> plan, RunNames earlier_runs);
  absl::Status CheckNotBefore(std::optional<absl::Time> not_before) const;
  boost::asio::awaitable<absl::Status> Busy(RunId active);
  // A caller that never saw our answer asks again, and meanwhile the agent, the limits or the load may be others: its run is there all the same.
  boost::asio::awaitable<absl::StatusOr<Submitted>> SubmitAgain(absl::Status refusal, std::string request_id, std::string request_hash, std::string tenant);
  boost::asio::awaitable<absl::StatusOr<Submitted>> Existing(CreateOutcome known, std::string request_id);
  boost::asio::awaitable<absl::StatusOr<CreateOutcome>> Create(NewRun run, RunState state, std::shared_ptr<const RunPlan> plan);

  const Environment environment_;
  const RuntimeOptions options_;
  std::unique_ptr<AgentCatalog> catalog_;
  std::shared_ptr<CallerReads> reads_;
  std::shared_ptr<CallerReads> agent_writes_;  // which hold a thread until the disk has them
  std::shared_ptr<Hub> hub_;
  std::shared_ptr<ServerChildRuns> child_runs_;
  std::shared_ptr<Scheduler> scheduler_;
  PendingReplies<CreateOutcome> creates_;
  PendingReplies<v1::Run> commands_;
  PendingReplies<bool> deletes_;

  Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;

  Mutex serving_mu_;
  absl::AnyInvocable<void(bool)> serving_listener_ ABSL_GUARDED_BY(serving_mu_);
};

}  // namespace agentruntime
