#include <boost/asio/co_spawn.hpp>

#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/steps.h"
#include "tests/simulation/stage.h"
#include "tests/support/decoded.h"

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

constexpr size_t kRunsMax = 60;  // then there are enough to be forked

bool MayRetry(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsResourceExhausted(status); }

}  // namespace

void Stage::CheckCode(const absl::Status& status, absl::string_view what) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted: break;
    default: world_.Fail("reply: ", what, " answered ", status.ToString());
  }
  world_.Trace(what, ": ", absl::StatusCodeToString(status.code()));
}

std::optional<RunId> Stage::AnyRun() {
  if (judge_.runs().empty()) return std::nullopt;
  auto at = judge_.runs().begin();
  std::advance(at, world_.dice.Index(judge_.runs().size()));
  return at->first;
}

CreateRequest Stage::NewRequest(int submitter, int number) {
  Dice& dice = world_.dice;
  CreateRequest request;
  const std::string& agent = world_.settings.agents[dice.Index(world_.settings.agents.size())].name();
  request.run.set_agent(dice.Chance(0.2) ? absl::StrCat(agent, "/revisions/1") : agent);
  for (int64_t i = dice.Between(1, 2); i > 0; --i) request.run.add_input()->set_text(absl::StrCat("question ", submitter, ".", number));
  if (dice.Chance(0.3)) (*request.run.mutable_labels())["customer"] = "acme";
  if (dice.Chance(0.3)) (*request.run.mutable_labels())["team"] = "search";
  if (dice.Chance(0.3)) request.run.set_conversation(absl::StrCat("talk-", dice.Between(1, 2)));
  if (dice.Chance(0.2)) request.run.mutable_limits()->set_max_steps(static_cast<int32_t>(dice.Between(1, 4)));
  if (dice.Chance(0.3)) request.run.set_priority(static_cast<int32_t>(dice.Between(-10, 10)));
  if (dice.Chance(0.15)) *request.run.mutable_not_before_time() = ToProto(world_.wall(world_.now) + dice.Between(absl::Seconds(-5), absl::Seconds(20)));
  if (dice.Chance(0.15)) *request.run.mutable_deadline() = ToProto(world_.wall(world_.now) + dice.Between(absl::Seconds(1), absl::Seconds(40)));
  if (dice.Chance(0.8)) {
    request.request_id = absl::StrCat("job-", submitter, "-", number);
    request.request_hash = absl::StrCat("hash-", number);
  }
  return request;
}

// What is said to be there is there, and one request id stands for one run.
void Stage::Acknowledge(const CreateRequest& request, const v1::Run& run) {
  ++judge_.counts.acknowledged;
  judge_.SeenRun(run, RunForm::kWhole);
  if (request.request_id.empty()) return;
  const auto [at, fresh] = acknowledged_.try_emplace(request.request_id, request.request_hash, run.name());
  if (at->second != std::make_pair(request.request_hash, run.name())) {
    world_.Fail("acknowledged: ", request.request_id, " is ", run.name(), " and was ", at->second.second);
  }
}

asio::awaitable<void> Stage::Submit(CreateRequest request, bool follow) {
  for (;;) {
    if (follow) {
      using Watching = std::unique_ptr<Watch>;
      const int process = processes_;
      auto watch = co_await Ask<Watching>([request](Runtime& runtime) { return runtime.RunAgent(request, Caller(), /*include_deltas=*/true); });
      CheckCode(watch.status(), "RunAgent");
      if (watch.ok()) {
        const Connection connection{*std::move(watch), process};
        auto first = co_await Next(connection);
        const auto told = first.ok() && *first ? testing::Decoded(*first) : std::nullopt;
        if (told) {
          Acknowledge(request, told->run());
          const RunId run = *ParseRunName(told->run().name());
          co_return co_await Follow(run, 0, /*deltas=*/true, /*may_leave=*/true, connection);
        }
      }
      if (watch.ok() ? !request.request_id.empty() : MayRetry(watch.status()) && !request.request_id.empty()) {
        co_await Sleep(world_.dice.Skewed(absl::Seconds(2)));
        continue;
      }
      co_return;
    }
    auto run = co_await Ask<v1::Run>([request](Runtime& runtime) { return runtime.CreateRun(request, Caller()); });
    CheckCode(run.status(), "CreateRun");
    if (run.ok()) co_return Acknowledge(request, *run);
    if (!MayRetry(run.status()) || request.request_id.empty()) co_return;
    co_await Sleep(world_.dice.Skewed(absl::Seconds(2)));
  }
}

asio::awaitable<void> Stage::Submitter(int number) {
  Dice& dice = world_.dice;
  for (int i = 0; i < world_.settings.runs_each; ++i) {
    co_await Sleep(dice.Skewed(world_.settings.busy_time));
    const CreateRequest request = NewRequest(number, i);
    if (!request.request_id.empty() && dice.Chance(0.2)) Spawn(Submit(request, dice.Chance(0.3)));
    if (!request.request_id.empty() && dice.Chance(0.1)) {
      CreateRequest other = request;
      other.request_hash += "-other";
      auto refused = co_await Ask<v1::Run>([other](Runtime& runtime) { return runtime.CreateRun(other, Caller()); });
      CheckCode(refused.status(), "CreateRun");
      if (refused.ok()) Acknowledge(other, *refused);
      if (refused.ok() || !absl::IsAlreadyExists(refused.status())) continue;  // it may be there or not: nothing more can be said of this id
    }
    co_await Submit(request, dice.Chance(0.3));
  }
}

asio::awaitable<void> Stage::Resume(RunId run) {
  Dice& dice = world_.dice;
  ResumeRequest request;
  if (dice.Chance(0.7)) request.limits.set_max_steps(static_cast<int32_t>(dice.Between(1, 30)));
  if (dice.Chance(0.5)) request.limits.set_max_tool_calls(static_cast<int32_t>(dice.Between(1, 100)));
  if (dice.Chance(0.5)) request.limits.set_max_tokens(dice.Between(1000, 1'000'000));
  if (dice.Chance(0.3)) request.limits.set_max_cost_micros(dice.Between(1'000, 1'000'000));
  if (dice.Chance(0.3)) request.limits.set_max_repeats(static_cast<int32_t>(dice.Between(2, 12)));
  if (dice.Chance(0.5)) *request.limits.mutable_timeout() = ToProto(dice.Between(absl::Seconds(10), absl::Minutes(4)));
  if (dice.Chance(0.2)) request.deadline = world_.wall(world_.now) + dice.Between(absl::Seconds(1), absl::Minutes(2));
  if (dice.Chance(0.3)) request.input.emplace_back().set_text("go on");
  if (dice.Chance(0.7)) {
    request.request_id = absl::StrCat("resume-", ++requests_);
    request.request_hash = request.request_id;
  }
  std::string first;
  for (int tries = 0; tries < 3; ++tries) {
    auto resumed = co_await Ask<v1::Run>([run, request](Runtime& runtime) { return runtime.ResumeRun(run, request, Caller()); });
    CheckCode(resumed.status(), "ResumeRun");
    if (!resumed.ok() && (request.request_id.empty() || !absl::IsUnavailable(resumed.status()))) co_return;
    if (!resumed.ok()) continue;
    ++judge_.counts.acknowledged;
    judge_.SeenRun(*resumed, RunForm::kWhole);
    const RunState state = judge_.FoldTo(*judge_.Find(run), resumed->last_sequence());
    bool seen = request.request_id.empty();
    for (const SeenRequest& known : state.seen_requests) seen = seen || known.request_id == request.request_id;
    if (!seen) world_.Fail("acknowledged: a resume of ", run.ToString(), " is not in its journal");
    if (request.request_id.empty() || dice.Chance(0.8)) co_return;
  }
}

// A caller that heard nothing, or forgot what it heard, asks again; the run may have been resumed since.
asio::awaitable<void> Stage::Cancel(RunId run) {
  Dice& dice = world_.dice;
  CancelRequest request{.cause = "the dice said so", .request_id = "", .request_hash = ""};
  if (dice.Chance(0.5)) request.request_id = request.request_hash = absl::StrCat("cancel-", ++requests_);
  for (int tries = 0; tries < 3; ++tries) {
    auto cancelled = co_await Ask<v1::Run>([run, request](Runtime& runtime) { return runtime.CancelRun(run, request, Caller()); });
    CheckCode(cancelled.status(), "CancelRun");
    if (cancelled.ok()) {
      ++judge_.counts.acknowledged;
      judge_.SeenRun(*cancelled, RunForm::kWhole);
      const RunState state = judge_.FoldTo(*judge_.Find(run), cancelled->last_sequence());
      bool seen = state.is_stopped() || state.is_cancelling();
      for (const SeenRequest& known : state.seen_requests) seen = seen || known.request_id == request.request_id;
      if (!seen) world_.Fail("acknowledged: a cancel of ", run.ToString(), " is not in its journal");
    }
    if (request.request_id.empty() || dice.Chance(0.5)) co_return;
    co_await Sleep(dice.Skewed(absl::Seconds(30)));
  }
}

asio::awaitable<void> Stage::Tell(RunId run) {
  Dice& dice = world_.dice;
  InputRequest request;
  request.input.emplace_back().set_text("and mind this");
  if (dice.Chance(0.7)) request.request_id = request.request_hash = absl::StrCat("input-", ++requests_);
  for (int tries = 0; tries < 3; ++tries) {
    const int64_t told = judge_.Find(run)->rules.events(v1::Event::kInputReceived);
    auto answer = co_await Ask<v1::Run>([run, request](Runtime& runtime) { return runtime.SendInput(run, request, Caller()); });
    CheckCode(answer.status(), "SendInput");
    if (answer.ok()) {
      ++judge_.counts.acknowledged;
      judge_.SeenRun(*answer, RunForm::kWhole);
      const RunState state = judge_.FoldTo(*judge_.Find(run), answer->last_sequence());
      bool seen = request.request_id.empty() && judge_.Find(run)->rules.events(v1::Event::kInputReceived) > told;
      for (const SeenRequest& known : state.seen_requests) seen = seen || known.request_id == request.request_id;
      if (!seen) world_.Fail("acknowledged: an input of ", run.ToString(), " is not in its journal");
    }
    if (request.request_id.empty() || dice.Chance(0.5)) co_return;
    co_await Sleep(dice.Skewed(absl::Seconds(10)));
  }
}

asio::awaitable<void> Stage::Fork(RunId run) {
  Dice& dice = world_.dice;
  const Known& known = *judge_.Find(run);
  if (known.deleted || judge_.runs().size() > kRunsMax) co_return;
  ForkRequest request;
  request.source = run;
  request.step = static_cast<int32_t>(dice.Between(0, known.rules.steps()));
  if (dice.Chance(0.4)) request.agent = world_.settings.agents[dice.Index(world_.settings.agents.size())].name();
  if (dice.Chance(0.5)) request.limits.set_max_steps(static_cast<int32_t>(dice.Between(1, 30)));
  if (dice.Chance(0.3)) request.limits.set_max_tokens(dice.Between(100, 100'000));
  if (dice.Chance(0.6)) request.input.emplace_back().set_text("and otherwise");
  if (dice.Chance(0.3)) request.labels["customer"] = "acme";
  request.allow_side_effects = dice.Chance(0.5);
  if (dice.Chance(0.7)) {
    request.request_id = absl::StrCat("fork-", ++requests_);
    request.request_hash = request.request_id;
  }
  for (int tries = 0; tries < 3; ++tries) {
    auto forked = co_await Ask<v1::Run>([request](Runtime& runtime) { return runtime.ForkRun(request, Caller()); });
    if (absl::IsInvalidArgument(forked.status()) && request.input.empty()) co_return;  // the step is an answer
    CheckCode(forked.status(), "ForkRun");
    if (!forked.ok() && (request.request_id.empty() || !MayRetry(forked.status()))) co_return;
    if (!forked.ok()) continue;
    CreateRequest as_created;
    as_created.request_id = request.request_id;
    as_created.request_hash = request.request_hash;
    Acknowledge(as_created, *forked);
    if (forked->forked_from().run() != RunName(run)) world_.Fail("acknowledged: ", forked->name(), " is not a fork of ", run.ToString());
    if (request.request_id.empty() || dice.Chance(0.8)) co_return;
  }
}

// Mostly one that fits what is asked.
v1::CallAnswer Stage::AnyAnswer(v1::WaitKind kind) {
  Dice& dice = world_.dice;
  v1::CallAnswer answer;
  if (dice.Chance(0.1)) kind = v1::WAIT_KIND_UNSPECIFIED;
  if (dice.Chance(0.2)) {
    answer.mutable_result()->add_parts()->set_text("it took effect");
  } else if (kind == v1::WAIT_KIND_QUESTION ? dice.Chance(0.6) : dice.Chance(0.1)) {
    answer.mutable_result()->add_parts()->set_text("the second one");
  } else if (kind == v1::WAIT_KIND_APPROVAL || (kind == v1::WAIT_KIND_UNSPECIFIED && dice.Chance(0.5))) {
    if (dice.Chance(0.3)) {
      answer.mutable_deny()->set_reason("the dice said so");
    } else {
      answer.mutable_allow();
      if (dice.Chance(0.4)) answer.mutable_allow()->set_arguments(dice.Pick<std::string>({R"({"n":1})", R"({"n":7})", "{}", R"({"n":"x"})"}));
    }
  } else if (kind == v1::WAIT_KIND_QUESTION || dice.Chance(0.5)) {
    answer.mutable_give_up();
  } else {
    answer.mutable_run_again();
  }
  return answer;
}

asio::awaitable<void> Stage::Resolve(RunId run) {
  Dice& dice = world_.dice;
  const Known& known = *judge_.Find(run);
  if (known.deleted || known.fold.last_step() == nullptr) co_return;
  ResolveRequest request;
  request.call = CallId{known.fold.last_step()->number, static_cast<int32_t>(dice.Between(1, 3))};
  v1::WaitKind kind = v1::WAIT_KIND_UNSPECIFIED;
  for (const CallState& call : known.fold.last_step()->calls) {
    if (call.phase != CallPhase::kWaiting) continue;
    request.call = call.id;
    kind = call.waiting->call_waiting().kind();
  }
  request.answer = AnyAnswer(kind);
  if (dice.Chance(0.7)) {
    request.request_id = absl::StrCat("resolve-", ++requests_);
    request.request_hash = request.request_id;
  }
  const bool edits = !request.answer.allow().arguments().empty();
  const int64_t told = known.rules.events(v1::Event::kCallResolved);
  auto resolved = co_await Ask<v1::Run>([run, request](Runtime& runtime) { return runtime.ResolveCall(run, request, Caller()); });
  if (absl::IsInvalidArgument(resolved.status()) && edits) co_return;  // they do not fit the tool
  CheckCode(resolved.status(), "ResolveCall");
  if (!resolved.ok()) co_return;
  ++judge_.counts.acknowledged;
  judge_.SeenRun(*resolved, RunForm::kWhole);
  bool seen = request.request_id.empty() && judge_.Find(run)->rules.events(v1::Event::kCallResolved) > told;
  for (const SeenRequest& each : judge_.FoldTo(*judge_.Find(run), resolved->last_sequence()).seen_requests)
    seen = seen || each.request_id == request.request_id;
  if (!seen) world_.Fail("acknowledged: an answer is not in the journal of ", run.ToString());
}

asio::awaitable<void> Stage::ReadArtifact(RunId run, int32_t number) {
  const bool is_there = number <= judge_.Find(run)->fold.own_artifacts;
  auto piece = co_await Ask<ArtifactPiece>([run, number](Runtime& runtime) { return runtime.ReadArtifact(run, number, 0, kArtifactBytesMax); });
  if (absl::IsNotFound(piece.status())) {
    if (is_there && !judge_.Find(run)->deleted) world_.Fail("visible: artifact ", number, " of ", run.ToString(), " is not found");
    co_return;
  }
  CheckCode(piece.status(), "ReadArtifact");
  if (piece.ok()) judge_.SeenArtifact(run, number, *piece);
}

asio::awaitable<void> Stage::Look(RunId run) {
  Dice& dice = world_.dice;
  switch (dice.Index(5)) {
    case 0: {
      const absl::Duration wait = dice.Chance(0.5) ? absl::ZeroDuration() : dice.Skewed(absl::Minutes(1));
      const Sequence was_durable = judge_.Find(run)->rules.last();
      const bool was_deleted = judge_.Find(run)->deleted;
      auto seen = co_await Ask<v1::Run>([run, wait](Runtime& runtime) { return runtime.GetRun(run, wait); });
      CheckCode(seen.status(), "GetRun");
      if (!seen.ok()) co_return;
      judge_.SeenRun(*seen, RunForm::kWhole);
      if (was_deleted) world_.Fail("visible: ", run.ToString(), " is shown after it was deleted");
      // One who waits may be told what was published before he asked, and not what the disk has behind it.
      if (wait == absl::ZeroDuration() && seen->last_sequence() < was_durable) {
        world_.Fail("visible: ", run.ToString(), " is shown as of ", seen->last_sequence(), ", ", was_durable, " were durable before");
      }
      co_return;
    }
    case 1: {
      const Sequence after = dice.Between(0, static_cast<int64_t>(judge_.Find(run)->events.size()));
      auto events = co_await Ask<std::vector<EventPtr>>([run, after](Runtime& runtime) { return runtime.ListEvents(run, after, {.events_max = 10}); });
      CheckCode(events.status(), "ListEvents");
      if (!events.ok()) co_return;
      Sequence expected = after;
      for (const EventPtr& event : *events) {
        if (event->sequence() != ++expected) world_.Fail("visible: ListEvents has a gap before ", event->sequence());
        judge_.SeenEvent(run, *event);
      }
      co_return;
    }
    case 2: {
      // Also one that is not there yet: it may be on its way to the disk.
      co_await ReadArtifact(run, static_cast<int32_t>(dice.Between(1, judge_.Find(run)->fold.own_artifacts + 1)));
      co_return;
    }
    case 3: {
      using Listed = std::pair<std::vector<v1::Step>, bool>;
      auto steps = co_await Ask<Listed>([run](Runtime& runtime) { return runtime.ListSteps(run, {}, ReadLimit()); });
      CheckCode(steps.status(), "ListSteps");
      if (steps.ok()) judge_.SeenSteps(run, steps->first);
      co_return;
    }
    default: {
      using Listed = std::pair<std::vector<v1::Run>, bool>;
      auto runs = co_await Ask<Listed>([](Runtime& runtime) { return runtime.ListRuns(RunQuery()); });
      CheckCode(runs.status(), "ListRuns");
      if (!runs.ok()) co_return;
      for (const v1::Run& each : runs->first) judge_.SeenRun(each, RunForm::kSummary);
      co_return;
    }
  }
}

asio::awaitable<void> Stage::MeddleWith(RunId run) {
  Dice& dice = world_.dice;
  if (judge_.Find(run)->fold.is_waiting() && dice.Chance(0.6)) co_return co_await Resolve(run);
  const double what = dice.NextDouble();
  if (what < 0.15) {
    co_await Cancel(run);
  } else if (what < 0.35) {
    co_await Resume(run);
  } else if (what < 0.5) {
    co_await Resolve(run);
  } else if (what < 0.55) {
    auto deleted = co_await Ask<bool>([run](Runtime& runtime) -> asio::awaitable<absl::StatusOr<bool>> {
      return [](Runtime& target, RunId which) -> asio::awaitable<absl::StatusOr<bool>> {
        absl::Status status = co_await target.DeleteRun(which);
        if (!status.ok()) co_return status;
        co_return true;
      }(runtime, run);
    });
    CheckCode(deleted.status(), "DeleteRun");
    if (!deleted.ok()) co_return;
    if (!judge_.Find(run)->deleted) world_.Fail("acknowledged: ", run.ToString(), " is not deleted");
    auto seen = co_await Ask<v1::Run>([run](Runtime& runtime) { return runtime.GetRun(run, absl::ZeroDuration()); });
    if (!absl::IsNotFound(seen.status()) && !absl::IsUnavailable(seen.status())) world_.Fail("acknowledged: ", run.ToString(), " is seen after it was deleted");
  } else if (what < 0.62) {
    co_await Fork(run);
  } else if (what < 0.72) {
    co_await Tell(run);
  } else {
    co_await Look(run);
  }
}

asio::awaitable<void> Stage::Meddler() {
  while (world_.faults) {
    co_await Sleep(world_.dice.Skewed(absl::Seconds(2)));
    if (const auto run = AnyRun(); run && world_.faults) co_await MeddleWith(*run);
  }
}

}  // namespace agentruntime::simulation
