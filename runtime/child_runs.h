// The runs of this server that answer calls of others.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "proto/base/mutex.h"
#include "runtime/agent_catalog.h"
#include "runtime/children.h"
#include "runtime/environment.h"
#include "runtime/hub.h"
#include "runtime/scheduler.h"
#include "storage/types.h"

namespace agentruntime {

// Thread-safe. `environment`, `options` and `catalog` outlive it.
class ServerChildRuns final : public ChildRuns, public std::enable_shared_from_this<ServerChildRuns> {
 public:
  ServerChildRuns(const Environment& environment, const RuntimeOptions& options, AgentCatalog& catalog, std::shared_ptr<Hub> hub)
      : environment_(environment), options_(options), catalog_(catalog), hub_(std::move(hub)) {}

  // Once, before a session is made: both know each other, and the scheduler owns.
  void SetScheduler(const std::shared_ptr<Scheduler>& scheduler) { scheduler_ = scheduler; }

  boost::asio::awaitable<ChildAnswer> Answer(std::shared_ptr<const ChildOrder> order, std::string input) override;
  void Cancel(const RunId& child, v1::Cancellation cancellation, absl::AnyInvocable<void()> done) override;

 private:
  struct Asked {
    v1::Cancellation cancellation;
    absl::AnyInvocable<void()> done;
  };
  class Beginning;

  // OK: it is there now. NOT_FOUND, FAILED_PRECONDITION, INVALID_ARGUMENT: there is none, and none can be begun. Any other: nobody knows, try again.
  boost::asio::awaitable<absl::Status> Begin(std::shared_ptr<const ChildOrder> order, std::string input);
  boost::asio::awaitable<absl::StatusOr<std::shared_ptr<const RunPlan>>> PlanOf(std::string agent);
  boost::asio::awaitable<absl::Status> Create(NewRun run, RunState state, std::shared_ptr<const RunPlan> plan, bool again);
  boost::asio::awaitable<ChildAnswer> Await(RunId child, std::shared_ptr<Mailbox> mailbox);
  bool IsUnwanted(const RunId& child);
  void Send(const RunId& child, v1::Cancellation cancellation, absl::AnyInvocable<void()> done);
  void SendLater(const RunId& child, Asked asked);

  const Environment& environment_;
  const RuntimeOptions& options_;
  AgentCatalog& catalog_;
  const std::shared_ptr<Hub> hub_;
  std::weak_ptr<Scheduler> scheduler_;

  Mutex mu_;
  // Of children that are being begun, the cancels that came meanwhile; looked up only. At most one entry for each open call.
  absl::flat_hash_map<RunId, std::vector<Asked>> beginning_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<RunId, Asked>> unsent_ ABSL_GUARDED_BY(mu_);  // cancels that were refused; the same bound
  std::unique_ptr<Timers::Wait> alarm_ ABSL_GUARDED_BY(mu_);          // to send them again
};

}  // namespace agentruntime
