#include "absl/strings/str_cat.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/event_text.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/text.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

void PrintStep(const Output& output, const v1::Step& step) {
  const v1::Decision& decision = step.decision();
  Row row{.step = step.number(), .verb = "decide", .what = PrintableLine(decision.model()), .note = TokensText(decision.usage()), .tone = Tone::kQuiet};
  if (decision.has_duration()) row.duration = FromProto(decision.duration());
  output.out << FormatRow(output, row) << "\n";
  const std::string said = PrintableLine(PartsText(decision.content()));
  if (!said.empty()) output.out << FormatRow(output, {.verb = "says", .what = said}) << "\n";
  for (const v1::ToolCallRecord& record : step.tool_calls()) {
    std::optional<absl::Duration> duration;
    if (record.has_duration()) duration = FromProto(record.duration());
    const std::string call = CallText(record.call().tool(), record.call().arguments());
    if (record.outcome() == v1::CALL_OUTCOME_UNSPECIFIED) {
      output.out << FormatRow(output, {.verb = "act", .what = call, .note = "under way"}) << "\n";
      continue;
    }
    Row act = CallRow(call, record.outcome(), record.result(), duration);
    if (record.attempts() > 1) act.note = absl::StrCat(record.attempts(), " attempts", act.note.empty() ? "" : ", ", act.note);
    output.out << FormatRow(output, act) << "\n";
  }
}

}  // namespace

ExitCode StepsCommand(Session& session, const std::string& run) {
  const Output& output = session.output;
  const auto name = ResolveRun(session, run);
  if (!name.ok()) return FailRun(output, name.status());
  v1::ListStepsRequest request;
  request.set_parent(*name);
  do {
    const auto page = session.runs.Steps(request);
    if (!page.ok()) return Fail(output, page.status());
    for (const v1::Step& step : page->steps()) {
      if (output.json) {
        PrintJson(output, step);
      } else {
        PrintStep(output, step);
      }
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  output.out << std::flush;
  return ExitCode::kAnswered;
}

ExitCode EventsCommand(Session& session, const std::string& run, int64_t after) {
  const Output& output = session.output;
  const auto name = ResolveRun(session, run);
  if (!name.ok()) return FailRun(output, name.status());
  v1::ListEventsRequest request;
  request.set_parent(*name);
  request.set_after_sequence(after);
  absl::Time deadline = absl::InfiniteFuture();
  if (after > 0 && !output.json) {  // the event that says it may lie before
    const auto whole = session.runs.Get(*name);
    if (!whole.ok()) return Fail(output, whole.status());
    if (whole->has_deadline()) deadline = FromProto(whole->deadline());
  }
  EventLines lines(deadline);
  do {
    const auto page = session.runs.Events(request);
    if (!page.ok()) return Fail(output, page.status());
    for (const v1::Event& event : page->events()) {
      if (output.json) {
        PrintJson(output, event);
        continue;
      }
      const std::string line = absl::StrCat(PadLeft(absl::StrCat(event.sequence()), 6), "  ", FormatInstant(FromProto(event.time())), "  ",
                                            PadRight(event.step() > 0 ? absl::StrCat("step ", event.step()) : "", 8), "  ", lines.Take(event));
      output.out << (output.width > 0 ? CutToWidth(line, output.width) : line) << "\n";
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  output.out << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
