#include "clients/cli/commands/follow.h"

#include <atomic>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cli/commands/children.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/commands/waiting.h"
#include "clients/cli/display.h"
#include "clients/cli/interrupt.h"
#include "clients/cli/run_view.h"
#include "clients/cpp/error.h"
#include "clients/cpp/run_source.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

void SayThatItGoesOn(const Output& output, const std::string& run) {
  if (run.empty()) {
    output.err << "\ninterrupted; the run may have been accepted:  " << output.program << " runs" << std::endl;
    return;
  }
  output.err << "\nthe run goes on.  see it:  " << output.program << " watch " << BareRun(run) << "\n                  end it:  " << output.program
             << " cancel " << BareRun(run) << std::endl;
}

// How to look again after the connection was lost for good.
ExitCode FailWatch(Session& session, const absl::Status& status, const std::string& run, Sequence last) {
  const Output& output = session.output;
  const ExitCode code = FailAgent(session, status);
  if (code == ExitCode::kUnreachable && !run.empty() && !output.json) {
    output.err << "  the run goes on when the server is back:  " << output.program << " watch " << BareRun(run) << " --after " << last << std::endl;
  }
  return code;
}

ExitCode LeaveWaiting(Session& session, const v1::Run& run) {
  const Output& output = session.output;
  if (output.json) {
    PrintJson(output, run);
  } else {
    for (const std::string& line : HowToAnswer(WithWholeTexts(ReadsOf(session), run), output.program)) output.err << line << "\n";
    output.err << "  then:  " << output.program << " watch " << BareRun(run.name()) << " --after " << run.last_sequence() << std::endl;
  }
  return ExitCodeOf(run);
}

// Shows the calls of a run that wait for a person and that were not `told` of; a call may wait more than once. With `asked`, an event, that wait alone: what
// led to the others is told first.
void TellWaits(Session& session, const std::string& name, const v1::Event* asked, std::set<std::string>& told, Display& display) {
  auto run = session.runs.Get(name);  // with its deadline
  if (!run.ok()) return;
  v1::Run untold = *run;
  untold.clear_waiting_calls();
  for (const v1::WaitingCall& call : run->waiting_calls()) {
    const absl::Time since = FromProto(call.since_time());
    if (asked != nullptr && (call.call_id() != asked->call_waiting().call_id() || since != FromProto(asked->time()))) continue;
    if (told.insert(absl::StrCat(call.call_id(), " ", absl::ToUnixMicros(since))).second) *untold.add_waiting_calls() = call;
  }
  if (!untold.waiting_calls().empty()) display.OnWaits(WithWholeTexts(ReadsOf(session), std::move(untold)));
}

}  // namespace

ExitCode FollowSource(Session& session, std::unique_ptr<client::WatchSource> source, int64_t after) {
  std::unique_ptr<Display> display = MakeDisplay(session.output);
  client::WatchOptions options = {.after_sequence = after};
  options.on_reconnect = [&display](const absl::Status& why, absl::Duration time_left) { display->OnReconnect(why, time_left); };
  client::Watch watch(std::move(source), std::move(options));
  std::atomic<bool> interrupted = false;
  Interrupt interrupt([&] {
    interrupted = true;
    watch.Cancel();
  });

  v1::Run run;                 // the newest snapshot
  bool asked = false;          // a call waited for a person
  std::set<std::string> told;  // calls for which a person was waited, of children too
  for (;;) {
    absl::StatusOr<std::optional<v1::WatchRunResponse>> next = watch.Next();
    if (!next.ok()) {
      display.reset();  // leaves the terminal as it was
      if (!interrupted) return FailWatch(session, next.status(), run.name(), watch.last_sequence());
      SayThatItGoesOn(session.output, run.name());
      return ExitCode::kInterrupted;
    }
    if (!next->has_value()) break;
    v1::WatchRunResponse& response = **next;
    if (response.has_run()) {
      run = std::move(*response.mutable_run());
      display->OnRun(run);
      // Comes when all is told that there is, and every 30 s without an event: only then is it worth a look.
      for (const v1::Run& child : session.output.json ? std::vector<v1::Run>() : ChildrenThatWait(ReadsOf(session), run)) {
        bool is_new = false;
        for (const v1::WaitingCall& call : child.waiting_calls()) is_new |= told.insert(absl::StrCat(child.name(), " ", call.call_id())).second;
        if (is_new) display->OnChildWaits(child);
      }
      const bool all_told = run.last_sequence() == watch.last_sequence();
      if (session.output.live && all_told && !run.waiting_calls().empty()) TellWaits(session, run.name(), nullptr, told, *display);
      if (run.state() == v1::RUN_STATE_WAITING && all_told && !session.output.live) {
        const auto whole = session.runs.Get(run.name());  // with its deadline
        return LeaveWaiting(session, whole.ok() && whole->state() == v1::RUN_STATE_WAITING ? *whole : run);
      }
    } else if (response.has_event()) {
      display->OnEvent(response.event());
      // A person who watches may answer in another window, and is shown how; a script is told that it has to.
      if (session.output.live && response.event().has_call_waiting()) TellWaits(session, run.name(), &response.event(), told, *display);
      asked |= response.event().has_call_waiting();
      const bool settles = response.event().has_call_waiting() || response.event().has_call_finished() || response.event().has_call_failed();
      if (asked && settles && !session.output.live) {
        if (auto whole = session.runs.Get(run.name()); whole.ok() && whole->state() == v1::RUN_STATE_WAITING) return LeaveWaiting(session, *whole);
      }
    } else if (response.has_delta()) {
      display->OnDelta(response.delta());
    }
    // Who cannot be shown anything is not kept until the stop; main says why. A live view has a thread of its own that writes, and a terminal.
    if (!session.output.live && !session.output.out.good()) return ExitCode::kRefused;
  }
  if (auto whole = session.runs.Get(run.name()); whole.ok()) run = *std::move(whole);  // with input and limits
  display->OnStop(run);
  return ExitCodeOf(run);
}

ExitCode Follow(Session& session, const std::string& run, int64_t after, bool include_deltas) {
  return FollowSource(session, client::WatchRunSource(session.channel, run, include_deltas), after);
}

}  // namespace agentruntime::cli
