#include "clients/cli/run_view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "clients/cli/format.h"
#include "clients/cli/text.h"
#include "proto/util/money.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

constexpr size_t kErrorCharactersMax = 500;     // it ends with what can be done about it
constexpr size_t kStreamedBytesMax = 64 << 10;  // of text kept for showing its end

std::string ErrorText(const v1::RunError& error, bool has_retry, absl::Duration pause) {
  std::string text = absl::StrCat("failed: ", PrintableLine(error.message().empty() ? error.reason() : error.message(), kErrorCharactersMax));
  if (has_retry) absl::StrAppend(&text, "; next try in ", FormatElapsed(std::max(pause, absl::ZeroDuration())));
  return text;
}

// Of agentctl; HowToAnswer has them whole.
absl::string_view CommandsFor(v1::WaitKind kind) {
  switch (kind) {
    case v1::WAIT_KIND_APPROVAL: return "approve or deny";
    case v1::WAIT_KIND_QUESTION: return "answer";
    default: return "resolve";
  }
}

// What a call that waits wants of a person.
absl::string_view WantedOf(v1::WaitKind kind) {
  switch (kind) {
    case v1::WAIT_KIND_APPROVAL: return "approval of";
    case v1::WAIT_KIND_QUESTION: return "answer to";
    default: return "outcome of";
  }
}

std::string LimitsText(const v1::Limits& limits) {
  std::vector<std::string> parts;
  if (limits.has_max_steps()) parts.push_back(absl::StrCat("max_steps ", FormatCount(limits.max_steps())));
  if (limits.has_max_tool_calls()) parts.push_back(absl::StrCat("max_tool_calls ", FormatCount(limits.max_tool_calls())));
  if (limits.has_max_tokens()) parts.push_back(absl::StrCat("max_tokens ", FormatCount(limits.max_tokens())));
  if (limits.has_max_cost_micros()) parts.push_back(absl::StrCat("max_cost ", FormatMicros(limits.max_cost_micros())));
  if (limits.has_max_repeats()) parts.push_back(absl::StrCat("max_repeats ", FormatCount(limits.max_repeats())));
  if (limits.has_timeout()) parts.push_back(absl::StrCat("timeout ", FormatLimit(FromProto(limits.timeout()))));
  return absl::StrJoin(parts, ", ");
}

}  // namespace

std::vector<Row> RunView::Take(const v1::Event& event, absl::Time now) {
  const absl::Time time = FromProto(event.time());
  switch (event.kind_case()) {
    case v1::Event::kRunCreated: return {};
    case v1::Event::kRunForked: {
      CloseAll();
      const v1::RunForked& forked = event.run_forked();
      return {Row{.verb = "fork", .what = absl::StrCat("of ", BareRun(forked.source().run())), .note = PrintableLine(PartsText(forked.input()))}};
    }
    case v1::Event::kRunStarted:
      CloseAll();
      if (event.run_started().cause() == v1::START_CAUSE_RESTORED) {
        return {Row{.verb = "start", .what = "held: the store is a restored copy", .tone = Tone::kWarn}};
      }
      if (event.run_started().cause() != v1::START_CAUSE_RECOVERED) return {};
      return {Row{.verb = "start", .what = "taken up again after a restart of the server", .tone = Tone::kQuiet}};
    case v1::Event::kModelCalled: {
      const v1::ModelCalled& called = event.model_called();
      text_.clear();
      model_start_ = time;
      OpenWork& work = Open("", {.step = event.step(), .verb = "decide", .what = PrintableLine(called.model()), .since = now});
      if (called.attempt() > 1) work.detail = absl::StrCat("attempt ", called.attempt());
      if (called.grace_step()) return {Row{.step = event.step(), .verb = "limit", .what = "met: the model may answer with what it has", .tone = Tone::kWarn}};
      return {};
    }
    case v1::Event::kModelFailed: {
      const v1::ModelFailed& failed = event.model_failed();
      Row row{.step = event.step(), .verb = "decide", .what = open_[""].what, .duration = time - model_start_, .tone = Tone::kBad};
      row.note = ErrorText(failed.error(), failed.has_retry_time(), FromProto(failed.retry_time()) - time);
      open_.erase("");
      text_.clear();
      return {row};
    }
    case v1::Event::kDecisionMade: {
      std::vector<Row> rows = {TakeDecision(event)};
      const std::string said = PrintableLine(PartsText(event.decision_made().decision().content()));
      if (!said.empty() && !event.decision_made().decision().tool_calls().empty()) rows.push_back({.verb = "says", .what = said});
      return rows;
    }
    case v1::Event::kCallStarted: TakeCallStart(event, now); return {};
    case v1::Event::kCallFailed:
    case v1::Event::kCallFinished: return {TakeCallEnd(event)};
    case v1::Event::kCallWaiting:
      return {
          Row{.step = event.step(),
              .verb = "ask",
              .what = PrintableLine(event.call_waiting().text()),
              .note = absl::StrCat("waits for a person: ", CommandsFor(event.call_waiting().kind()), " RUN ", PrintableLine(event.call_waiting().call_id())),
              .tone = Tone::kWarn}};
    case v1::Event::kCallResolved: {
      const v1::CallResolved& resolved = event.call_resolved();
      const std::string who = resolved.expired() ? "nobody, in time" : PrintableLine(resolved.principal());
      return {Row{.step = event.step(), .verb = "answer", .what = TakeAnswer(resolved), .note = absl::StrCat("by ", who)}};
    }
    case v1::Event::kInputReceived: return {Row{.verb = "input", .what = PrintableLine(PartsText(event.input_received().input()))}};
    case v1::Event::kContextCompacted: {
      const bool summary = event.context_compacted().strategy() == v1::COMPACTION_STRATEGY_SUMMARIZE;
      if (summary) CloseAll();
      return {Row{.verb = "compact",
                  .what = summary ? absl::StrCat("old steps: ", PrintableLine(event.context_compacted().summary())) : "results of old steps are cleared",
                  .tone = Tone::kQuiet}};
    }
    case v1::Event::kCancelRequested: {
      const v1::Cancellation& cancellation = event.cancel_requested().cancellation();
      std::string what = cancellation.principal().empty() ? "asked for" : absl::StrCat("asked for by ", cancellation.principal());
      if (!cancellation.cause().empty()) absl::StrAppend(&what, ": ", cancellation.cause());
      return {Row{.verb = "cancel", .what = PrintableLine(what)}};
    }
    case v1::Event::kRunStopped:
      CloseAll();
      if (!event.run_stopped().answer().empty()) answer_ = event.run_stopped().answer();
      return {};
    case v1::Event::kRunResumed: {
      const v1::RunResumed& resumed = event.run_resumed();
      std::string raised = LimitsText(resumed.limits());
      if (resumed.has_deadline()) absl::StrAppend(&raised, raised.empty() ? "" : ", ", "deadline ", FormatInstant(FromProto(resumed.deadline())));
      return {Row{.verb = "resume", .what = std::move(raised), .note = PrintableLine(PartsText(resumed.input()))}};
    }
    case v1::Event::KIND_NOT_SET: return {};  // of a newer server
  }
  return {};
}

// A call that a person gave other arguments is shown with these from here on.
std::string RunView::TakeAnswer(const v1::CallResolved& resolved) {
  const std::string call = absl::StrCat("call ", PrintableLine(resolved.call_id()));
  if (resolved.answer().has_deny()) return absl::StrCat(call, " denied");
  if (!resolved.answer().has_allow()) return call;
  const std::string& arguments = resolved.answer().allow().arguments();
  if (arguments.empty()) return absl::StrCat(call, " allowed");
  std::string& text = call_texts_[resolved.call_id()];
  if (!text.empty()) text = CallText(text.substr(0, text.find(' ')), arguments);  // a tool's name has no space
  return absl::StrCat(call, " allowed with ", PrintableLine(arguments));
}

Row RunView::TakeDecision(const v1::Event& event) {
  const v1::Decision& decision = event.decision_made().decision();
  Row row{.step = event.step(), .verb = "decide", .what = PrintableLine(decision.model()), .note = TokensText(decision.usage()), .tone = Tone::kQuiet};
  if (decision.has_duration()) row.duration = FromProto(decision.duration());
  if (decision.finish_reason() == v1::FINISH_REASON_LENGTH || decision.finish_reason() == v1::FINISH_REASON_FILTERED) {
    row.note = decision.finish_reason() == v1::FINISH_REASON_LENGTH ? "cut at its output limit" : "withheld by the provider";
    row.tone = Tone::kWarn;
  }
  answer_ = decision.content();
  call_texts_.clear();
  for (const v1::ToolCall& call : decision.tool_calls()) call_texts_[call.call_id()] = CallText(call.tool(), call.arguments());
  open_.erase("");
  text_.clear();
  return row;
}

void RunView::TakeCallStart(const v1::Event& event, absl::Time now) {
  const v1::CallStarted& started = event.call_started();
  std::string& text = call_texts_[started.call_id()];
  if (text.empty()) text = absl::StrCat("call ", PrintableLine(started.call_id()));  // its decision came before the watch began
  OpenWork& work = Open(started.call_id(), {.step = event.step(), .verb = "act", .what = text, .since = now});
  if (started.attempt() > 1) work.detail = absl::StrCat("attempt ", started.attempt());
  if (started.has_child()) work.detail = absl::StrCat("run ", BareRun(started.child().run()));
  call_starts_[started.call_id()] = FromProto(event.time());
}

Row RunView::TakeCallEnd(const v1::Event& event) {
  const bool failed = event.has_call_failed();
  const std::string& id = failed ? event.call_failed().call_id() : event.call_finished().call_id();
  std::string text = call_texts_[id];
  if (text.empty()) text = absl::StrCat("call ", PrintableLine(id));
  open_.erase(id);
  if (failed) {
    const v1::CallFailed& failure = event.call_failed();
    Row row{.verb = "act", .what = text, .tone = Tone::kBad};
    if (const auto start = call_starts_.find(id); start != call_starts_.end()) row.duration = FromProto(event.time()) - start->second;
    row.note = ErrorText(failure.error(), failure.has_retry_time(), FromProto(failure.retry_time()) - FromProto(event.time()));
    return row;
  }
  const v1::CallFinished& finished = event.call_finished();
  std::optional<absl::Duration> duration;
  if (finished.has_duration()) duration = FromProto(finished.duration());
  return CallRow(text, finished.outcome(), finished.result(), duration);
}

void RunView::Take(const v1::Delta& delta) {
  if (delta.kind_case() == v1::Delta::kText) {
    text_.append(delta.text());
    if (text_.size() > kStreamedBytesMax) text_.erase(0, text_.size() - kStreamedBytesMax / 2);
  } else if (delta.kind_case() == v1::Delta::kToolProgress) {
    const auto work = open_.find(delta.tool_progress().call_id());
    if (work == open_.end()) return;
    const v1::ToolProgress& progress = delta.tool_progress();
    work->second.detail = PrintableLine(progress.message());
    if (progress.has_fraction())
      absl::StrAppend(&work->second.detail, work->second.detail.empty() ? "" : " ", static_cast<int>(progress.fraction() * 100), "%");
  }
}

std::vector<OpenWork> RunView::open() const {
  std::vector<OpenWork> works;
  for (const auto& [id, work] : open_) works.push_back(work);
  std::sort(works.begin(), works.end(), [](const OpenWork& a, const OpenWork& b) { return a.order < b.order; });
  return works;
}

std::string RunView::answer() const { return Printable(PartsText(answer_)); }

OpenWork& RunView::Open(const std::string& call_id, OpenWork work) {
  work.order = ++opened_;
  return open_[call_id] = std::move(work);
}

void RunView::CloseAll() {
  open_.clear();
  text_.clear();
}

std::string StopText(const v1::Stop& stop) {
  if (stop.has_error())
    return PrintableLine(absl::StrCat(stop.error().reason(), ": ", stop.error().message().empty() ? stop.detail() : stop.error().message()), 1000);
  // The server's own words have it in UTC.
  if (stop.limit().limit() == "deadline") return absl::StrCat("the run's deadline was ", FormatInstant(absl::FromUnixMillis(stop.limit().value())));
  return PrintableLine(stop.detail(), 1000);
}

std::string UsageText(const v1::Run& run) {
  const v1::Usage& usage = run.usage();
  std::string text = absl::StrCat(FormatPlural(usage.steps(), "step"), ", ", FormatPlural(usage.tool_calls(), "tool call"));
  if (const int64_t tokens = usage.input_tokens() + usage.output_tokens(); tokens > 0) absl::StrAppend(&text, ", ", FormatPlural(tokens, "token"));
  if (usage.has_cost_micros()) absl::StrAppend(&text, ", cost ", FormatMicros(usage.cost_micros()));
  return absl::StrCat(text, ", ", FormatElapsed(FromProto(usage.active_time())), ", ", FormatPlural(run.last_sequence(), "event"));
}

std::string HowToResume(const v1::Run& run, absl::string_view program) {
  if (run.state() != v1::RUN_STATE_STOPPED || !run.stop().resumable()) return "";
  std::string command = absl::StrCat(program, " resume ", BareRun(run.name()));
  if (!run.stop().has_limit()) return command;
  const v1::LimitHit& hit = run.stop().limit();
  const int64_t more = 2 * std::max(hit.value(), std::max<int64_t>(hit.count(), 1));
  if (hit.limit() == "max_steps") absl::StrAppend(&command, " --max-steps ", more);
  if (hit.limit() == "max_tool_calls") absl::StrAppend(&command, " --max-tool-calls ", more);
  if (hit.limit() == "max_tokens") absl::StrAppend(&command, " --max-tokens ", more);
  if (hit.limit() == "max_cost_micros") absl::StrAppend(&command, " --max-cost ", FormatMicros(more));
  if (hit.limit() == "max_repeats") absl::StrAppend(&command, " --max-repeats ", more);
  if (hit.limit() == "deadline") absl::StrAppend(&command, " --deadline 2h");
  if (hit.limit() == "timeout") absl::StrAppend(&command, " --timeout ", FormatLimit(absl::Milliseconds(more)));
  return command;
}

std::vector<std::string> AnswerCommands(const v1::Run& run, const v1::WaitingCall& call, absl::string_view program) {
  const std::string which = absl::StrCat(" ", BareRun(run.name()), " ", PrintableLine(call.call_id()));
  switch (call.kind()) {
    case v1::WAIT_KIND_APPROVAL:
      return {absl::StrCat("  ", program, " approve", which, " [--arguments JSON]"), absl::StrCat("  ", program, " deny", which, " [--reason WHY]")};
    case v1::WAIT_KIND_QUESTION:
      return {absl::StrCat("  ", program, " answer", which, " TEXT"), absl::StrCat("  ", program, " resolve", which, " --give-up [--reason WHY]")};
    default: return {absl::StrCat("  ", program, " resolve", which, "  --run-again, or --result TEXT, or --give-up [--reason WHY]")};
  }
}

std::vector<std::string> HowToAnswer(const v1::Run& run, absl::string_view program) {
  // Never cut, and no white space is left out: this is what a person decides by. Line ends would let a text look like a command.
  const auto whole = [](const std::string& text) { return absl::StrReplaceAll(Printable(text), {{"\n", " "}}); };
  std::vector<std::string> lines;
  const absl::Time deadline = run.has_deadline() ? FromProto(run.deadline()) : absl::InfiniteFuture();
  for (const v1::WaitingCall& call : run.waiting_calls()) {
    lines.push_back(absl::StrCat("call ", PrintableLine(call.call_id()), " waits for a person ", FormatWaitEnd(FromProto(call.expire_time()), deadline), ": ",
                                 whole(call.text())));
    for (std::string& command : AnswerCommands(run, call, program)) lines.push_back(std::move(command));
  }
  return lines;
}

std::string ChildWaitsText(const v1::Run& child, absl::string_view program) {
  const std::string name = BareRun(child.name());
  return absl::StrCat("child run ", name, " waits for a person: ", program, " show ", name);
}

std::string WaitsText(const v1::Run& run) {
  if (run.state() == v1::RUN_STATE_QUEUED) return run.has_not_before_time() ? absl::StrCat("not before ", FormatInstant(FromProto(run.not_before_time()))) : "";
  if (run.waiting_calls().empty()) return "";
  return absl::StrCat("a person: ", absl::StrJoin(run.waiting_calls(), ", ", [](std::string* out, const v1::WaitingCall& call) {
                        absl::StrAppend(out, WantedOf(call.kind()), " ", PrintableLine(call.call_id()), " ", PrintableLine(call.tool()));
                      }));
}

std::string BareRun(absl::string_view name) { return Printable(absl::StripPrefix(name, "runs/")); }

}  // namespace agentruntime::cli
