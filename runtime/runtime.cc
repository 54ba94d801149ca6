#include "runtime/runtime.h"

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/commands.h"
#include "runtime/journal_watch.h"
#include "runtime/limits.h"
#include "runtime/outlet.h"
#include "runtime/runtime_impl.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

using ReadKind = CallerReads::Kind;

// Each holds a thread of the blocking pool until the disk has it, however slow that is: reads and the loads of runs need the others.
constexpr int64_t kAgentWritesAtOnceMax = 2;
constexpr int64_t kAgentWritesWaitingMax = 100;

}  // namespace

absl::Status Runtime::Impl::Start() {
  ASSIGN_OR_RETURN(catalog_, AgentCatalog::Make(environment_));
  reads_ =
      std::make_shared<CallerReads>(environment_.blocking_pool, CallerReads::Bounds{.at_once_max = options_.reads_at_once_max,
                                                                                    .walks_at_once_max = std::max(options_.reads_at_once_max - 1, int64_t{1}),
                                                                                    .waiting_max = options_.reads_waiting_max});
  agent_writes_ = std::make_shared<CallerReads>(
      environment_.blocking_pool,
      CallerReads::Bounds{.at_once_max = kAgentWritesAtOnceMax, .waiting_max = kAgentWritesWaitingMax, .what = "changes of agents"});
  hub_ = std::make_shared<Hub>(*environment_.store, *environment_.timers, reads_);
  child_runs_ = std::make_shared<ServerChildRuns>(environment_, options_, *catalog_, hub_);
  scheduler_ = std::make_shared<Scheduler>(environment_, options_, *catalog_, std::make_shared<Outlet>(hub_), *child_runs_);
  child_runs_->SetScheduler(scheduler_);
  environment_.store->SetWritableListener([weak = weak_from_this()](bool writable) {
    if (const auto self = weak.lock()) self->OnWritable(writable);
  });
  asio::post(environment_.blocking_pool, [self = shared_from_this()] { self->scheduler_->Recover(); });
  return absl::OkStatus();
}

void Runtime::Impl::OnWritable(bool writable) {
  creates_.SetWritable(writable);
  commands_.SetWritable(writable);
  deletes_.SetWritable(writable);
  if (writable) scheduler_->OnWritable();
  TellServing();
}

void Runtime::Impl::TellServing() {
  MutexLock order(serving_mu_);  // held over the call: what is told last is what holds
  bool serving = commands_.CheckWritable().ok();
  {
    MutexLock lock(mu_);
    serving = serving && !draining_;
  }
  if (serving_listener_) serving_listener_(serving);
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::Impl::Command(RunId run, Scheduler::Need need, CommandBody command) {
  auto reply = commands_.Make();
  scheduler_->Send(
      run, [command = std::move(command), reply](Session& session) { command(session, reply); }, need,
      [reply](absl::Status status) { reply->Complete(std::move(status)); });
  co_return co_await reply->Wait();
}

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Start(Environment environment, RuntimeOptions options) {
  auto impl = std::make_shared<Impl>(std::move(environment), std::move(options));
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Runtime>(new Runtime(std::move(impl)));
}

Runtime::Runtime(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Runtime::~Runtime() = default;

asio::awaitable<absl::Status> Runtime::Impl::DamageOf(RunId run) {
  if (absl::Status why = hub_->WhySetAside(run); !why.ok()) co_return why;
  auto loaded = co_await Load(run);
  if (absl::IsDataLoss(loaded.status())) co_return std::move(loaded).status();
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::ForkRun(ForkRequest request, Caller caller) {
  const auto impl = impl_;
  CO_ASSIGN_OR_RETURN(Impl::Submitted submitted, co_await impl->SubmitFork(std::move(request), std::move(caller)));
  co_return std::move(submitted.run);
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::CreateRun(CreateRequest request, Caller caller) {
  const auto impl = impl_;
  CO_ASSIGN_OR_RETURN(Impl::Submitted submitted, co_await impl->Submit(impl->NewId(), std::move(request), std::move(caller)));
  co_return std::move(submitted.run);
}

asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> Runtime::RunAgent(CreateRequest request, Caller caller, bool include_deltas) {
  const auto impl = impl_;
  const RunId id = impl->NewId();
  // Subscribed before the run exists: all of its events come by mail, and nothing is read from the store.
  CO_ASSIGN_OR_RETURN(std::unique_ptr<JournalWatch> watch, impl->hub_->Follow(id, 0, include_deltas));
  CO_ASSIGN_OR_RETURN(Impl::Submitted submitted, co_await impl->Submit(id, std::move(request), std::move(caller)));
  if (submitted.created != nullptr) {
    watch->BeginWith(std::move(submitted.run), *submitted.created);
    co_return std::move(watch);
  }
  CO_ASSIGN_OR_RETURN(watch, impl->hub_->Follow(*ParseRunName(submitted.run.name()), 0, include_deltas));
  co_return std::move(watch);
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::GetRun(RunId run, absl::Duration wait) {
  const auto impl = impl_;
  if (const auto known = impl->hub_->FindSettled(run); known != nullptr) co_return *known;
  if (wait <= absl::ZeroDuration()) co_return co_await impl->Read(ReadKind::kRows, run);
  const auto settled = [](const v1::Run& seen) { return seen.state() == v1::RUN_STATE_STOPPED || seen.state() == v1::RUN_STATE_WAITING; };
  const auto left = [impl, until = impl->environment_.clock->Monotonic() + wait] { return until - impl->environment_.clock->Monotonic(); };
  CO_ASSIGN_OR_RETURN(const std::shared_ptr<Mailbox> mailbox, impl->hub_->Subscribe(run, Mailbox::Interest::kSettled));
  // A run at work need not be read to know that it is: its end comes by mail.
  bool at_work = impl->scheduler_->IsAtWork(run);
  bool draining = false;
  for (;;) {
    if (!std::exchange(at_work, false)) {
      CO_ASSIGN_OR_RETURN(v1::Run loaded, co_await impl->Read(ReadKind::kWatcher, run));
      if (settled(loaded)) co_return loaded;
      CO_RETURN_IF_ERROR(impl->hub_->WhySetAside(run));  // what it waits for does not come
      if (draining || left() <= absl::ZeroDuration()) co_return loaded;
    }
    co_await mailbox->Await(*impl->environment_.timers, left());
    const Mailbox::Mail mail = mailbox->Take();
    if (mail.settled != nullptr) co_return *mail.settled;
    draining = mail.draining;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return absl::CancelledError("the caller has left");
  }
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::CancelRun(RunId run, CancelRequest request, Caller caller) {
  const auto impl = impl_;
  CO_ASSIGN_OR_RETURN(v1::Run loaded, co_await impl->Load(run));
  if (loaded.state() == v1::RUN_STATE_STOPPED) co_return loaded;
  // Also when the disk is full: the cancel aborts live work at once, and is acknowledged when it is durable.
  CancelCommand command{{}, std::move(request.request_id), std::move(request.request_hash)};
  command.cancellation.set_principal(caller.principal);
  command.cancellation.set_cause(request.cause);
  co_return co_await impl->Command(run, Scheduler::Need::kLittle, [command](Session& session, std::shared_ptr<Reply<v1::Run>> reply) {
    agentruntime::CancelRun(session, command, std::move(reply));
  });
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::ResumeRun(RunId run, ResumeRequest request, Caller caller) {
  const auto impl = impl_;
  CO_RETURN_IF_ERROR(impl->commands_.CheckWritable());
  CO_ASSIGN_OR_RETURN(const std::optional<RunId> later, co_await impl->Blocking([store = impl->environment_.store, run] { return LaterRun(*store, run); }));
  ResumeCommand command{std::move(request.limits),
                        std::move(request.input),
                        request.deadline,
                        std::move(request.request_id),
                        std::move(request.request_hash),
                        caller.principal,
                        later,
                        impl->environment_.clock->Now()};
  co_return co_await impl->Command(run, Scheduler::Need::kRoom, [command](Session& session, std::shared_ptr<Reply<v1::Run>> reply) {
    agentruntime::ResumeRun(session, command, std::move(reply));
  });
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::SendInput(RunId run, InputRequest request, Caller caller) {
  const auto impl = impl_;
  CO_RETURN_IF_ERROR(impl->commands_.CheckWritable());
  InputCommand command{std::move(request.input), std::move(request.request_id), std::move(request.request_hash), std::move(caller.principal)};
  co_return co_await impl->Command(run, Scheduler::Need::kRoom, [command](Session& session, std::shared_ptr<Reply<v1::Run>> reply) {
    agentruntime::SendInput(session, command, std::move(reply));
  });
}

asio::awaitable<absl::StatusOr<v1::Run>> Runtime::ResolveCall(RunId run, ResolveRequest request, Caller caller) {
  const auto impl = impl_;
  CO_RETURN_IF_ERROR(impl->commands_.CheckWritable());
  ResolveCommand command;
  command.call = request.call;
  command.resolution.answer = std::move(request.answer);
  command.resolution.principal = std::move(caller.principal);
  command.resolution.request_id = std::move(request.request_id);
  command.resolution.request_hash = std::move(request.request_hash);
  co_return co_await impl->Command(run, Scheduler::Need::kLittle, [command](Session& session, std::shared_ptr<Reply<v1::Run>> reply) {
    agentruntime::ResolveCall(session, command, std::move(reply));
  });
}

asio::awaitable<absl::Status> Runtime::DeleteRun(RunId run) {
  const auto impl = impl_;
  CO_RETURN_IF_ERROR(impl->deletes_.CheckWritable());
  auto reply = impl->deletes_.Make();
  impl->hub_->BeginDelete(run);
  impl->environment_.store->Delete(run, [reply, hub = impl->hub_, run](absl::Status status) {
    hub->EndDelete(run);
    if (status.ok()) {
      reply->Complete(true);
    } else {
      reply->Complete(std::move(status));
    }
  });
  auto deleted = co_await reply->Wait();
  if (deleted.ok()) impl->hub_->TakeBack(run);
  if (ReasonOf(deleted.status()) == v1::ERROR_REASON_RUN_NOT_STOPPED) {
    const absl::Status damage = co_await impl->DamageOf(run);
    if (!damage.ok()) co_return DamagedRunNotStopped(run, damage);
  }
  co_return std::move(deleted).status();
}

asio::awaitable<absl::StatusOr<std::pair<std::vector<v1::Run>, bool>>> Runtime::ListRuns(RunQuery query) {
  const auto impl = impl_;
  co_return co_await impl->reads_->Read(
      ReadKind::kWalk, [store = impl->environment_.store, query = std::move(query)](const std::stop_token& stop) { return ReadRuns(*store, query, stop); });
}

asio::awaitable<absl::StatusOr<std::vector<EventPtr>>> Runtime::ListEvents(RunId run, Sequence after, ReadLimit limit) {
  const auto impl = impl_;
  co_return co_await impl->reads_->Read(
      ReadKind::kRows, [store = impl->environment_.store, run, after, limit](const std::stop_token&) { return ReadEvents(*store, run, after, limit); });
}

asio::awaitable<absl::StatusOr<std::pair<std::vector<v1::Step>, bool>>> Runtime::ListSteps(RunId run, StepCursor after, ReadLimit limit) {
  const auto impl = impl_;
  co_return co_await impl->reads_->Read(ReadKind::kWalk, [store = impl->environment_.store, run, after, limit](const std::stop_token& stop) {
    return ReadSteps(*store, run, after, limit, stop);
  });
}

asio::awaitable<absl::StatusOr<v1::Step>> Runtime::GetStep(RunId run, int32_t number) {
  CO_ASSIGN_OR_RETURN(auto listed, co_await ListSteps(run, {.number = number - 1}, ReadLimit{.events_max = 1}));
  if (listed.first.empty() || listed.first.front().number() != number) co_return StepNotFound(run, number);
  co_return std::move(listed.first.front());
}

asio::awaitable<absl::StatusOr<ArtifactPiece>> Runtime::ReadArtifact(RunId run, int32_t number, int64_t offset, int64_t bytes_max) {
  const auto impl = impl_;
  co_return co_await impl->reads_->Read(ReadKind::kRows, [store = impl->environment_.store, run, number, offset, bytes_max](const std::stop_token&) {
    return store->ReadArtifact(run, number, offset, bytes_max);
  });
}

asio::awaitable<absl::StatusOr<std::unique_ptr<Watch>>> Runtime::WatchRun(RunId run, Sequence after, bool include_deltas) {
  co_return impl_->hub_->Follow(run, after, include_deltas);
}

asio::awaitable<absl::StatusOr<v1::Agent>> Runtime::CreateAgent(v1::Agent agent) {
  const auto impl = impl_;
  CO_RETURN_IF_ERROR(CheckMaximum(agent.limits(), impl->options_.maximum_limits, "agent.limits"));
  co_return co_await impl->agent_writes_->Read(
      ReadKind::kRows, [catalog = impl->catalog_.get(), agent = std::move(agent)](const std::stop_token&) { return catalog->Create(agent); });
}

asio::awaitable<absl::StatusOr<v1::Agent>> Runtime::UpdateAgent(v1::Agent agent, bool allow_missing) {
  const auto impl = impl_;
  CO_RETURN_IF_ERROR(CheckMaximum(agent.limits(), impl->options_.maximum_limits, "agent.limits"));
  co_return co_await impl->agent_writes_->Read(ReadKind::kRows, [catalog = impl->catalog_.get(), agent = std::move(agent),
                                                                 allow_missing](const std::stop_token&) { return catalog->Update(agent, allow_missing); });
}

asio::awaitable<absl::StatusOr<v1::Agent>> Runtime::GetAgent(std::string agent_id, int32_t revision) {
  const auto impl = impl_;
  co_return co_await impl->reads_->Read(ReadKind::kRows, [agents = impl->environment_.agents, agent_id = std::move(agent_id),
                                                          revision](const std::stop_token&) { return agents->Get(agent_id, revision); });
}

asio::awaitable<absl::StatusOr<std::vector<v1::Agent>>> Runtime::ListAgents(std::string after, int32_t limit) {
  const auto impl = impl_;
  co_return co_await impl->reads_->Read(
      ReadKind::kRows, [agents = impl->environment_.agents, after = std::move(after), limit](const std::stop_token&) { return agents->List(after, limit); });
}

std::vector<v1::Tool> Runtime::ListTools() const {
  std::vector<v1::Tool> listed;
  for (const auto& [name, tool] : impl_->environment_.tools) {
    const ToolSpec& spec = tool->spec();
    v1::Tool& shown = listed.emplace_back();
    shown.set_name(name);
    shown.set_description(spec.description);
    shown.set_input_schema(spec.input_schema);
    shown.set_side_effect(spec.side_effect);
    *shown.mutable_timeout() = ToProto(spec.timeout);
    shown.set_origin(spec.origin);
    shown.set_max_attempts(spec.attempts_max);
  }
  return listed;
}

std::vector<v1::Model> Runtime::ListModels() const {
  std::vector<v1::Model> listed;
  for (const auto& [name, model] : impl_->environment_.models) {
    const ModelInfo& info = model->info();
    v1::Model& shown = listed.emplace_back();
    shown.set_name(name);
    shown.set_provider(info.provider);
    shown.set_provider_model(info.provider_model);
    shown.set_context_tokens(info.context_tokens);
    shown.set_description(info.description);
    if (const auto price = impl_->environment_.prices.find(name); price != impl_->environment_.prices.end()) *shown.mutable_price() = price->second;
  }
  return listed;
}

const std::string& Runtime::store_id() const { return impl_->environment_.store->id(); }

asio::awaitable<absl::StatusOr<RuntimeInfo>> Runtime::GetInfo() {
  const auto impl = impl_;
  RuntimeInfo info;
  CO_ASSIGN_OR_RETURN(info.store,
                      co_await impl->reads_->Read(ReadKind::kRows, [store = impl->environment_.store](const std::stop_token&) { return store->Info(); }));
  info.writable = impl->environment_.store->writable();
  {
    MutexLock lock(impl->mu_);
    info.draining = impl->draining_;
  }
  info.sessions = impl->scheduler_->sessions();
  info.watchers = impl->hub_->watchers();
  info.reads_waiting = impl->reads_->waiting();
  info.late_results = impl->scheduler_->late_results();
  co_return info;
}

void Runtime::SetServingListener(absl::AnyInvocable<void(bool serving)> listener) {
  {
    MutexLock lock(impl_->serving_mu_);
    impl_->serving_listener_ = std::move(listener);
  }
  impl_->TellServing();
}

asio::awaitable<void> Runtime::Drain(absl::Duration grace) {
  const auto impl = impl_;
  {
    MutexLock lock(impl->mu_);
    impl->draining_ = true;
  }
  impl->scheduler_->Close();
  impl->TellServing();
  impl->hub_->Drain();
  co_await impl->scheduler_->Drain(grace);
}

}  // namespace agentruntime
