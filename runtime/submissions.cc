// How a run comes to be: accepted by what holds now, made durable, handed to the scheduler.
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/budget.h"
#include "runtime/event_size.h"
#include "runtime/fork.h"
#include "runtime/limits.h"
#include "runtime/runtime_impl.h"
#include "runtime/view.h"

namespace agentruntime {

namespace asio = boost::asio;

asio::awaitable<absl::StatusOr<std::shared_ptr<const RunPlan>>> Runtime::Impl::FindPlan(std::string agent) {
  const auto name = ParseAgentName(agent);
  if (!name) co_return InvalidField("run.agent", "give it as agents/{agent} or agents/{agent}/revisions/{revision}");
  std::shared_ptr<const RunPlan> plan = catalog_->Find(*name);
  if (plan == nullptr) {
    CO_ASSIGN_OR_RETURN(plan, co_await Blocking([catalog = catalog_.get(), name = *name] { return catalog->Load(name); }));
  }
  CO_RETURN_IF_ERROR(catalog_->CheckUsable(*plan->agent));
  co_return plan;
}

absl::Status Runtime::Impl::CheckNotBefore(std::optional<absl::Time> not_before) const {
  if (!not_before || *not_before - environment_.clock->Now() <= kNotBeforeMax) return absl::OkStatus();
  return InvalidField("run.not_before_time", absl::StrCat("is more than ", kNotBeforeMax / absl::Hours(24), " days ahead; submit the run later"));
}

asio::awaitable<absl::StatusOr<Runtime::Impl::Accepted>> Runtime::Impl::Accept(std::string agent, v1::Limits limits, std::optional<absl::Time> not_before,
                                                                               std::string conversation, std::string tenant) {
  Accepted accepted;
  CO_RETURN_IF_ERROR(CheckNotBefore(not_before));
  CO_ASSIGN_OR_RETURN(accepted.plan, co_await FindPlan(std::move(agent)));
  CO_ASSIGN_OR_RETURN(accepted.limits, EffectiveLimits(options_.default_limits, accepted.plan->agent->limits(), limits, options_.maximum_limits));
  CO_RETURN_IF_ERROR(CheckPrice(accepted.limits, *accepted.plan));
  if (!conversation.empty()) {
    CO_ASSIGN_OR_RETURN(accepted.earlier_runs,
                        co_await Blocking([store = environment_.store, tenant, conversation] { return FindEarlierRuns(*store, tenant, conversation); }));
    if (accepted.earlier_runs.active) co_return co_await Busy(*accepted.earlier_runs.active);
    CO_ASSIGN_OR_RETURN(accepted.plan, co_await ExtendPlan(accepted.plan, accepted.earlier_runs.names));
  }
  // Nothing is queued for a disk that is full: callers would grow the queue without bound.
  CO_RETURN_IF_ERROR(creates_.CheckWritable());
  CO_RETURN_IF_ERROR(scheduler_->Admit());
  co_return accepted;
}

asio::awaitable<absl::StatusOr<std::shared_ptr<const RunPlan>>> Runtime::Impl::ExtendPlan(std::shared_ptr<const RunPlan> plan, RunNames earlier_runs) {
  if (earlier_runs.empty()) co_return plan;
  co_return co_await Blocking([store = environment_.store, plan, earlier_runs] { return WithEarlierRuns(*store, plan, earlier_runs); });
}

asio::awaitable<absl::StatusOr<Runtime::Impl::AcceptedFork>> Runtime::Impl::AcceptFork(ForkRequest request) {
  AcceptedFork accepted;
  CO_RETURN_IF_ERROR(CheckMaximum(request.limits, options_.maximum_limits, "limits"));
  // A whole journal may be read for it, as by ListSteps.
  CO_ASSIGN_OR_RETURN(accepted.base, co_await reads_->Read(ReadKind::kWalk, [store = environment_.store, request](const std::stop_token&) {
    return LoadForkBase(*store, request);
  }));
  CO_ASSIGN_OR_RETURN(accepted.plan, co_await FindPlan(request.agent.empty() ? accepted.base.agent : request.agent));
  accepted.limits = accepted.base.limits;
  Override(accepted.limits, request.limits);
  CO_RETURN_IF_ERROR(CheckMaximum(accepted.limits, options_.maximum_limits, "limits"));  // the source may be older than a lowered maximum
  CO_RETURN_IF_ERROR(CheckPrice(accepted.limits, *accepted.plan));
  CO_ASSIGN_OR_RETURN(accepted.plan, co_await ExtendPlan(accepted.plan, accepted.base.state.created->run_created().earlier_runs()));
  CO_RETURN_IF_ERROR(creates_.CheckWritable());
  CO_RETURN_IF_ERROR(scheduler_->Admit());
  co_return std::move(accepted);
}

asio::awaitable<absl::Status> Runtime::Impl::Busy(RunId active) {
  const absl::Status damage = co_await DamageOf(active);
  co_return damage.ok() ? ConversationBusy(active) : ConversationDamaged(active, damage);
}

asio::awaitable<absl::StatusOr<Runtime::Impl::Submitted>> Runtime::Impl::Existing(CreateOutcome known, std::string request_id) {
  switch (known.kind) {
    case CreateOutcome::Kind::kReused: co_return RequestIdReused(request_id, known.run);
    case CreateOutcome::Kind::kDeleted: co_return RequestIdOfDeletedRun(request_id, known.run);
    case CreateOutcome::Kind::kBusy: co_return co_await Busy(known.run);
    case CreateOutcome::Kind::kOvertaken: co_return ConversationOvertaken(known.run);
    case CreateOutcome::Kind::kNoBase: co_return RunNotFound(known.run);
    case CreateOutcome::Kind::kDamaged:
      co_return StoreDamaged(
          absl::StrCat("request_id \"", request_id, "\" leads to the row of ", RunName(known.run), ", which is not whole or not of this request"));
    case CreateOutcome::Kind::kCreated:
    case CreateOutcome::Kind::kExists: break;
  }
  CO_ASSIGN_OR_RETURN(v1::Run run, co_await Load(known.run));
  co_return Submitted{std::move(run), nullptr};
}

asio::awaitable<absl::StatusOr<Runtime::Impl::Submitted>> Runtime::Impl::SubmitAgain(absl::Status refusal, std::string request_id, std::string request_hash,
                                                                                     std::string tenant) {
  if (request_id.empty()) co_return refusal;
  CO_ASSIGN_OR_RETURN(const std::optional<CreateOutcome> known,
                      co_await Blocking([store = environment_.store, request_id, request_hash = std::move(request_hash), tenant = std::move(tenant)] {
                        return store->FindRequest(tenant, request_id, request_hash);
                      }));
  if (!known) co_return refusal;
  co_return co_await Existing(*known, request_id);
}

asio::awaitable<absl::StatusOr<CreateOutcome>> Runtime::Impl::Create(NewRun run, RunState state, std::shared_ptr<const RunPlan> plan) {
  auto reply = creates_.Make();
  scheduler_->Create(std::move(run), std::move(state), std::move(plan), [reply](CreateOutcome outcome) { reply->Complete(outcome); });
  co_return co_await reply->Wait();
}

asio::awaitable<absl::StatusOr<Runtime::Impl::Submitted>> Runtime::Impl::Submit(RunId id, CreateRequest request, Caller caller) {
  std::optional<absl::Time> not_before;
  if (request.run.has_not_before_time()) not_before = FromProto(request.run.not_before_time());
  absl::StatusOr<Accepted> accepted = co_await Accept(request.run.agent(), request.run.limits(), not_before, request.run.conversation(), caller.tenant);
  if (!accepted.ok()) co_return co_await SubmitAgain(std::move(accepted).status(), request.request_id, request.request_hash, caller.tenant);

  auto event = std::make_shared<v1::Event>();
  event->set_sequence(1);
  *event->mutable_time() = ToProto(environment_.clock->Now());
  event->set_epoch(environment_.store->epoch());
  v1::RunCreated* const created = event->mutable_run_created();
  created->set_agent(accepted->plan->agent->revision());
  *created->mutable_input() = std::move(*request.run.mutable_input());
  *created->mutable_limits() = std::move(accepted->limits);
  *created->mutable_labels() = std::move(*request.run.mutable_labels());
  if (request.run.has_deadline()) *created->mutable_deadline() = request.run.deadline();
  created->set_priority(request.run.priority());
  if (not_before) *created->mutable_not_before_time() = request.run.not_before_time();
  created->set_conversation(request.run.conversation());
  *created->mutable_earlier_runs() = std::move(accepted->earlier_runs.names);
  created->set_principal(caller.principal);
  created->set_traceparent(caller.traceparent);
  created->set_tenant(caller.tenant);
  created->set_request_id(request.request_id);
  if (!request.request_id.empty()) created->set_request_hash(request.request_hash);
  if (absl::Status fits = CheckEventSize(*event); !fits.ok()) {
    scheduler_->NotCreated();
    co_return fits;
  }

  RunState state;
  state.id = id;
  Apply(state, event);
  Submitted submitted{RunOf(state), event};
  NewRun run;
  run.id = id;
  run.tenant = caller.tenant;
  run.request_id = request.request_id;
  run.request_hash = request.request_hash;
  run.created = event;
  run.title = submitted.run.title();
  run.projection = ProjectionOf(state);
  if (!request.run.conversation().empty()) run.conversation_seen = std::move(accepted->earlier_runs.seen);
  CO_ASSIGN_OR_RETURN(const CreateOutcome outcome, co_await Create(std::move(run), std::move(state), std::move(accepted->plan)));
  if (outcome.kind == CreateOutcome::Kind::kCreated) co_return submitted;
  co_return co_await Existing(outcome, request.request_id);
}

asio::awaitable<absl::StatusOr<Runtime::Impl::Submitted>> Runtime::Impl::SubmitFork(ForkRequest request, Caller caller) {
  absl::StatusOr<AcceptedFork> accepted = co_await AcceptFork(request);
  if (!accepted.ok()) co_return co_await SubmitAgain(std::move(accepted).status(), request.request_id, request.request_hash, caller.tenant);

  NewRun run;
  run.id = NewId();
  run.tenant = caller.tenant;
  run.request_id = request.request_id;
  run.request_hash = request.request_hash;
  run.forked_from = ForkPoint{request.source, accepted->base.state.last_sequence};
  run.created = std::make_shared<const v1::Event>(ForkedEvent(accepted->base, request, accepted->plan->agent->revision(), std::move(accepted->limits), caller,
                                                              environment_.clock->Now(), environment_.store->epoch()));
  if (absl::Status fits = CheckEventSize(*run.created); !fits.ok()) {
    scheduler_->NotCreated();
    co_return fits;
  }
  RunState state = std::move(accepted->base.state);
  state.id = run.id;
  Apply(state, run.created);
  Submitted submitted{RunOf(state), run.created};
  run.title = submitted.run.title();
  run.projection = ProjectionOf(state);
  CO_ASSIGN_OR_RETURN(const CreateOutcome outcome, co_await Create(std::move(run), std::move(state), std::move(accepted->plan)));
  if (outcome.kind == CreateOutcome::Kind::kCreated) co_return submitted;
  co_return co_await Existing(outcome, request.request_id);
}

}  // namespace agentruntime
