#include "runtime/child_runs.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/blocking_pool.h"
#include "runtime/budget.h"
#include "runtime/commands.h"
#include "runtime/limits.h"
#include "runtime/load.h"
#include "runtime/view.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

// The request id of a child is its call. A request id of a caller is printable, so none is ever equal to it.
std::string RequestIdOf(const ChildOrder& order) { return absl::StrCat("\n", FormatCallName(order.parent, order.call)); }

constexpr absl::Duration kRetryPause = absl::Seconds(1);  // before what failed for a reason that passes is tried again

bool IsRefusal(const absl::Status& status) { return absl::IsNotFound(status) || absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status); }

// What the child may use: as its agent and the tool say, within the grant.
absl::StatusOr<v1::Limits> LimitsOf(const ChildOrder& order, const RunPlan& plan, const RuntimeOptions& options) {
  ASSIGN_OR_RETURN(v1::Limits limits, EffectiveLimits(options.default_limits, plan.agent->limits(), order.limits, options.maximum_limits));
  limits.set_max_tokens(std::min(limits.max_tokens(), order.grant.max_tokens()));
  if (order.grant.has_max_cost_micros()) {
    limits.set_max_cost_micros(limits.has_max_cost_micros() ? std::min(limits.max_cost_micros(), order.grant.max_cost_micros())
                                                            : order.grant.max_cost_micros());
  }
  RETURN_IF_ERROR(CheckPrice(limits, plan));
  return limits;
}

EventPtr CreatedBy(const ChildOrder& order, const std::string& tenant, std::string input, const RunPlan& plan, v1::Limits limits, absl::Time now, Epoch epoch) {
  auto event = std::make_shared<v1::Event>();
  event->set_sequence(1);
  *event->mutable_time() = ToProto(now);
  event->set_epoch(epoch);
  v1::RunCreated* const created = event->mutable_run_created();
  created->set_agent(plan.agent->revision());
  created->add_input()->set_text(std::move(input));
  *created->mutable_limits() = std::move(limits);
  *created->mutable_labels() = order.labels;
  *created->mutable_deadline() = ToProto(order.deadline);
  created->set_priority(order.priority);
  created->set_principal(order.principal);
  created->set_traceparent(order.traceparent);
  created->set_parent_call(FormatCallName(order.parent, order.call));
  created->set_depth(order.depth);
  created->set_tenant(tenant);
  return event;
}

asio::awaitable<bool> IsCancelled() { co_return (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none; }

}  // namespace

// While a child is being begun, who cancels it waits for that.
class ServerChildRuns::Beginning {
 public:
  Beginning(std::shared_ptr<ServerChildRuns> owner, const RunId& child) : owner_(std::move(owner)), child_(child) {
    MutexLock lock(owner_->mu_);
    owner_->beginning_.try_emplace(child_);
  }
  ~Beginning() {
    std::vector<Asked> asked;
    {
      MutexLock lock(owner_->mu_);
      const auto at = owner_->beginning_.find(child_);
      asked = std::move(at->second);
      owner_->beginning_.erase(at);
    }
    for (Asked& each : asked) owner_->Send(child_, std::move(each.cancellation), std::move(each.done));
  }
  Beginning(const Beginning&) = delete;
  Beginning& operator=(const Beginning&) = delete;

 private:
  const std::shared_ptr<ServerChildRuns> owner_;
  const RunId child_;
};

bool ServerChildRuns::IsUnwanted(const RunId& child) {
  MutexLock lock(mu_);
  const auto at = beginning_.find(child);
  return at != beginning_.end() && !at->second.empty();
}

void ServerChildRuns::Cancel(const RunId& child, v1::Cancellation cancellation, absl::AnyInvocable<void()> done) {
  {
    MutexLock lock(mu_);
    if (const auto at = beginning_.find(child); at != beginning_.end()) {
      at->second.push_back({std::move(cancellation), std::move(done)});
      return;
    }
  }
  Send(child, std::move(cancellation), std::move(done));
}

void ServerChildRuns::Send(const RunId& child, v1::Cancellation cancellation, absl::AnyInvocable<void()> done) {
  const auto scheduler = scheduler_.lock();
  if (scheduler == nullptr) return;
  // Shared by the command and its failure: one of them is called.
  auto shared = std::make_shared<absl::AnyInvocable<void()>>(std::move(done));
  scheduler->Send(
      child,
      [cancellation, shared](Session& session) {
        RequestCancel(session, {.cancellation = cancellation, .request_id = "", .request_hash = ""});
        session.WhenDurable([shared](bool) { (*shared)(); });
      },
      Scheduler::Need::kNothing,
      [self = shared_from_this(), child, cancellation, shared](absl::Status status) {
        if (ReasonOf(status) == v1::ERROR_REASON_SERVER_DRAINING) return;  // the next start asks again
        // There is none, or nobody can load it: it does not go on.
        if (absl::IsNotFound(status) || absl::IsDataLoss(status)) return (*shared)();
        self->SendLater(child, {cancellation, std::move(*shared)});
      });
}

void ServerChildRuns::SendLater(const RunId& child, Asked asked) {
  MutexLock lock(mu_);
  unsent_.emplace_back(child, std::move(asked));
  if (alarm_ != nullptr) return;
  alarm_ = environment_.timers->After(kRetryPause, environment_.blocking_pool, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    std::vector<std::pair<RunId, Asked>> unsent;
    {
      MutexLock inner(self->mu_);
      unsent.swap(self->unsent_);
      self->alarm_.reset();
    }
    for (auto& [run, each] : unsent) self->Send(run, std::move(each.cancellation), std::move(each.done));
  });
}

asio::awaitable<absl::StatusOr<std::shared_ptr<const RunPlan>>> ServerChildRuns::PlanOf(std::string agent) {
  const auto name = ParseAgentName(agent);
  if (!name) co_return AgentNotFound(agent);
  std::shared_ptr<const RunPlan> plan = catalog_.Find(*name);
  if (plan == nullptr) {
    CO_ASSIGN_OR_RETURN(plan, co_await RunBlocking(environment_.blocking_pool, [catalog = &catalog_, name = *name] { return catalog->Load(name); }));
  }
  CO_RETURN_IF_ERROR(catalog_.CheckUsable(*plan->agent));
  co_return plan;
}

asio::awaitable<absl::Status> ServerChildRuns::Create(NewRun run, RunState state, std::shared_ptr<const RunPlan> plan, bool again) {
  const auto scheduler = scheduler_.lock();
  if (scheduler == nullptr) co_return ServerDraining(std::nullopt);
  CO_RETURN_IF_ERROR(scheduler->AdmitChild(again ? Scheduler::Need::kNothing : Scheduler::Need::kRoom));
  auto created = std::make_shared<Completion<std::optional<CreateOutcome>>>();
  scheduler->Create(std::move(run), std::move(state), std::move(plan), [created](CreateOutcome outcome) { created->Complete(outcome); });
  // A store that is full answers late, and one that closes then never. Whoever cuts the attempt off lets the child be: the next attempt finds it, or begins it.
  auto slot = (co_await asio::this_coro::cancellation_state).slot();
  if (slot.is_connected()) slot.assign([created](asio::cancellation_type) { created->Complete(std::nullopt); });
  const std::optional<CreateOutcome> outcome = co_await created->Wait();
  if (slot.is_connected()) slot.clear();
  if (!outcome) co_return absl::CancelledError("nobody knows whether it began");
  if (outcome->kind == CreateOutcome::Kind::kDeleted) co_return RunNotFound(outcome->run);
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ServerChildRuns::Begin(std::shared_ptr<const ChildOrder> order, std::string input) {
  struct Found {
    std::string tenant;
    std::optional<CreateOutcome> child;
  };
  CO_ASSIGN_OR_RETURN(const Found found, co_await RunBlocking(environment_.blocking_pool, [store = environment_.store, order]() -> absl::StatusOr<Found> {
                        Found found;
                        ASSIGN_OR_RETURN(RunRecord parent, store->GetRun(order->parent));
                        found.tenant = std::move(parent.tenant);
                        if (order->attempt > 1) {
                          ASSIGN_OR_RETURN(found.child, store->FindRequest(found.tenant, RequestIdOf(*order), order->key));
                        }
                        return found;
                      }));
  if (found.child) {
    if (found.child->kind == CreateOutcome::Kind::kDeleted) co_return RunNotFound(order->run);
    if (const auto scheduler = scheduler_.lock()) scheduler->Hurry(order->run);
    co_return absl::OkStatus();
  }
  if (order->only_if_begun) co_return absl::FailedPreconditionError("it was cancelled before it began");
  CO_ASSIGN_OR_RETURN(std::shared_ptr<const RunPlan> plan, co_await PlanOf(order->agent));
  CO_ASSIGN_OR_RETURN(v1::Limits limits, LimitsOf(*order, *plan, options_));
  if (co_await IsCancelled()) co_return absl::CancelledError("nobody waits for it any more");
  if (IsUnwanted(order->run)) co_return absl::FailedPreconditionError("it was cancelled before it began");
  NewRun run;
  run.id = order->run;
  run.tenant = found.tenant;
  run.request_id = RequestIdOf(*order);
  run.request_hash = order->key;
  run.created = CreatedBy(*order, found.tenant, std::move(input), *plan, std::move(limits), environment_.clock->Now(), environment_.store->epoch());
  RunState state;
  state.id = run.id;
  Apply(state, run.created);
  run.title = TitleOf(run.created->run_created());
  run.projection = ProjectionOf(state);
  co_return co_await Create(std::move(run), std::move(state), std::move(plan), /*again=*/order->attempt > 1);
}

asio::awaitable<ChildAnswer> ServerChildRuns::Answer(std::shared_ptr<const ChildOrder> order, std::string input) {
  const auto self = shared_from_this();
  // Before it begins, so that no stop is missed.
  auto mailbox = hub_->Subscribe(order->run, Mailbox::Interest::kSettledForRun);
  if (!mailbox.ok()) co_return ChildAnswer{std::move(mailbox).status(), false};
  {
    const Beginning beginning(self, order->run);
    for (;;) {
      absl::Status begun = co_await Begin(order, input);
      if (begun.ok()) break;
      // Its tombstone is of a child that began.
      const bool deleted = ReasonOf(begun) == v1::ERROR_REASON_RUN_NOT_FOUND;
      if (IsRefusal(begun)) co_return ChildAnswer{std::move(begun), deleted};
      if (co_await IsCancelled()) co_return ChildAnswer{absl::CancelledError("cancelled"), true};
      co_await (*mailbox)->Await(*environment_.timers, kRetryPause);
      (*mailbox)->Take();
      if (!IsUnwanted(order->run)) continue;
      if (order->attempt == 1) co_return ChildAnswer{absl::CancelledError("it was cancelled before it began"), false};
      // An earlier attempt may have begun it, which cannot be read now. Its end is the call's: were the call settled before, its parent could stop while the
      // cancel is not on disk, and a crash would leave a child that goes on.
      break;
    }
  }
  co_return co_await Await(order->run, *std::move(mailbox));
}

asio::awaitable<ChildAnswer> ServerChildRuns::Await(RunId child, std::shared_ptr<Mailbox> mailbox) {
  for (;;) {
    auto run = co_await RunBlocking(environment_.blocking_pool, [store = environment_.store, child] { return LoadRun(*store, child); });
    if (run.ok() && run->state() == v1::RUN_STATE_STOPPED) co_return ChildAnswer{*std::move(run), true};
    if (absl::IsNotFound(run.status()) || absl::IsDataLoss(run.status())) co_return ChildAnswer{std::move(run).status(), true};
    // Its first event and its row may be whole all the same. Whoever finds it damaged says so to the mailbox.
    if (absl::Status why = hub_->WhySetAside(child); !why.ok()) co_return ChildAnswer{std::move(why), true};
    // What cannot be read now is read again; what is missed is found then.
    absl::Duration pause = run.ok() ? kWaitMax : kRetryPause;
    for (;;) {
      if (co_await IsCancelled()) co_return ChildAnswer{absl::CancelledError("nobody waits for it any more"), true};
      co_await mailbox->Await(*environment_.timers, pause);
      const Mailbox::Mail mail = mailbox->Take();
      if (mail.settled != nullptr && mail.settled->state() == v1::RUN_STATE_STOPPED) co_return ChildAnswer{*mail.settled, true};
      if (mail.settled == nullptr) break;
    }
  }
}

}  // namespace agentruntime
