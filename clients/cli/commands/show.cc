#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/commands/children.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/commands/waiting.h"
#include "clients/cli/event_text.h"
#include "clients/cli/format.h"
#include "clients/cli/plain.h"
#include "clients/cli/row.h"
#include "clients/cli/run_view.h"
#include "clients/cli/text.h"
#include "proto/util/money.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

constexpr int kEventsShown = 8;

std::string AgentText(const v1::Run& run) {
  const auto name = ParseAgentName(run.agent());
  return name && name->revision > 0 ? absl::StrCat(name->agent, ", revision ", name->revision) : PrintableLine(run.agent());
}

// `4 of 12 steps`, or `4 steps` where no limit is known.
std::string OfLimit(int64_t count, bool limited, int64_t limit, absl::string_view noun) {
  return limited ? absl::StrCat(FormatCount(count), " of ", FormatPlural(limit, noun)) : FormatPlural(count, noun);
}

std::string StateText(const v1::Run& run) {
  std::string text = absl::StrCat(StateName(run.state()), ", active ", FormatElapsed(FromProto(run.usage().active_time())));
  if (run.limits().has_timeout()) absl::StrAppend(&text, " of ", FormatLimit(FromProto(run.limits().timeout())));
  if (run.priority() != 0) absl::StrAppend(&text, ", priority ", run.priority());
  if (run.state() == v1::RUN_STATE_QUEUED && run.has_not_before_time()) {
    absl::StrAppend(&text, ", not before ", FormatInstant(FromProto(run.not_before_time())));
  }
  return text;
}

std::string CountsText(const v1::Run& run) {
  const v1::Usage& usage = run.usage();
  const v1::Limits& limits = run.limits();
  std::string cost;
  if (usage.has_cost_micros() || limits.has_max_cost_micros()) {
    cost = absl::StrCat(", cost ", FormatMicros(usage.cost_micros()));
    if (limits.has_max_cost_micros()) absl::StrAppend(&cost, " of ", FormatMicros(limits.max_cost_micros()));
  }
  return absl::StrCat(OfLimit(usage.steps(), limits.has_max_steps(), limits.max_steps(), "step"), ", ",
                      OfLimit(usage.tool_calls(), limits.has_max_tool_calls(), limits.max_tool_calls(), "call"), ", ",
                      OfLimit(usage.input_tokens() + usage.output_tokens(), limits.has_max_tokens(), limits.max_tokens(), "token"), cost);
}

std::string LabelsText(const v1::Run& run) {
  std::vector<std::string> labels;
  for (const auto& [key, value] : run.labels()) labels.push_back(PrintableLine(absl::StrCat(key, "=", value)));
  std::sort(labels.begin(), labels.end());
  return labels.empty() ? "" : absl::StrCat("      labels  ", absl::StrJoin(labels, " "));
}

// The last events; the same text several times in a row stands once, with how often.
absl::Status PrintEvents(Session& session, const v1::Run& run) {
  v1::ListEventsRequest request;
  request.set_parent(run.name());
  request.set_after_sequence(std::max<int64_t>(run.last_sequence() - kEventsShown, 0));
  const auto page = session.runs.Events(request);
  if (!page.ok()) return page.status();
  EventLines lines(run.has_deadline() ? FromProto(run.deadline()) : absl::InfiniteFuture());
  for (const v1::Event& event : page->events()) {
    const std::string step = event.step() > 0 ? absl::StrCat("step ", event.step()) : "";
    const std::string line = absl::StrCat("  ", PadRight(absl::StrCat("event ", event.sequence()), 10), "  ", FormatInstant(FromProto(event.time())), "  ",
                                          PadRight(step, 8), "  ", lines.Take(event));
    session.output.out << (session.output.width > 0 ? CutToWidth(line, session.output.width) : line) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

ExitCode ShowCommand(Session& session, const std::string& run_argument) {
  const Output& output = session.output;
  const auto name = ResolveRun(session, run_argument);
  if (!name.ok()) return FailRun(output, name.status());
  const auto run = session.runs.Get(*name);
  if (!run.ok()) return Fail(output, run.status());
  if (output.json) {
    PrintJson(output, *run);
    return ExitCode::kAnswered;
  }
  output.out << Colored(output, Tone::kStrong, Printable(run->name())) << "  " << AgentText(*run) << "     " << StateText(*run) << LabelsText(*run) << "\n";
  const std::string input = PrintableLine(PartsText(run->input()));
  if (!input.empty()) output.out << "  " << (output.width > 0 ? CutToWidth(input, output.width - 2) : input) << "\n";
  if (run->has_forked_from()) {
    output.out << "  fork of " << BareRun(run->forked_from().run()) << ", which it shares " << FormatPlural(run->forked_from().sequence(), "event")
               << " with\n";
  }
  if (!run->parent_call().empty()) output.out << "  answers " << PrintableLine(run->parent_call()) << "\n";
  if (!run->conversation().empty()) output.out << "  conversation " << PrintableLine(run->conversation()) << "\n";
  output.out << "  " << CountsText(*run) << "\n";
  if (const absl::Status status = PrintEvents(session, *run); !status.ok()) return Fail(output, status);
  if (run->has_activity() && !run->activity().detail().empty()) {
    std::string line = absl::StrCat("  now         ", PrintableLine(run->activity().detail()));
    if (run->activity().has_next_try_time()) absl::StrAppend(&line, ", next try at ", FormatInstant(FromProto(run->activity().next_try_time())));
    output.out << line << "\n";
  }
  for (const std::string& line : HowToAnswer(WithWholeTexts(ReadsOf(session), *run), output.program)) output.out << "  " << line << "\n";
  for (const v1::Run& child : ChildrenThatWait(ReadsOf(session), *run)) output.out << "  " << ChildWaitsText(child, output.program) << "\n";
  if (run->state() == v1::RUN_STATE_STOPPED) output.out << FormatStop(output, *run, Printable(PartsText(run->answer())));
  output.out << std::flush;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
