#include "clients/cli/commands/waiting.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {
namespace {

// Of a call that asks a person; empty if `arguments` have none.
std::string QuestionIn(const std::string& arguments) {
  const auto parsed = nlohmann::json::parse(arguments, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("question") || !parsed["question"].is_string()) return "";
  return parsed["question"].get<std::string>();
}

// The server's sentences, around all of the arguments.
std::string WholeText(const v1::WaitingCall& waiting, const v1::ToolCallRecord& record) {
  const std::string call = absl::StrCat(record.call().tool(), " ", record.call().arguments());
  switch (waiting.kind()) {
    case v1::WAIT_KIND_APPROVAL: return absl::StrCat("may this call be made? ", call);
    case v1::WAIT_KIND_QUESTION:
      if (std::string question = QuestionIn(record.call().arguments()); !question.empty()) return question;
      return call;
    case v1::WAIT_KIND_UNCERTAIN:
      return absl::StrCat("did this call take effect? Its attempt ", record.attempts(),
                          " was started, nobody knows how it ended, and it may still be at work: ", call);
    case v1::WAIT_KIND_UNSPECIFIED:
    default: return absl::StrCat(waiting.text(), ": ", call);  // of a newer server
  }
}

}  // namespace

v1::Run WithWholeTexts(const RunReads& reads, v1::Run run) {
  if (run.waiting_calls().empty()) return run;
  const auto step = reads.step(absl::StrCat(run.name(), "/steps/", run.last_step()));
  for (v1::WaitingCall& waiting : *run.mutable_waiting_calls()) {
    if (!step.ok()) {
      waiting.set_text(absl::StrCat(waiting.text(), " (this may not be all, its step cannot be read: ", step.status().message(), ")"));
      continue;
    }
    const auto& records = step->tool_calls();
    const auto record =
        std::find_if(records.begin(), records.end(), [&waiting](const v1::ToolCallRecord& r) { return r.call().call_id() == waiting.call_id(); });
    if (record == records.end()) {
      waiting.set_text(absl::StrCat(waiting.text(), " (this may not be all, its step does not have it)"));
    } else {
      waiting.set_text(WholeText(waiting, *record));
    }
  }
  return run;
}

std::string WhyNoAnswer(const v1::Run& run, const std::string& call, absl::string_view program) {
  const auto& calls = run.waiting_calls();
  const auto waiting = std::find_if(calls.begin(), calls.end(), [&call](const v1::WaitingCall& w) { return w.call_id() == call; });
  if (waiting == calls.end()) return "";
  const std::string commands = absl::StrJoin(AnswerCommands(run, *waiting, program), "\n");
  if (waiting->kind() == v1::WAIT_KIND_APPROVAL) {
    return absl::StrCat("call ", call, " asks no question, it waits for approval; an answer would be its result, and the call would not be made\n", commands,
                        "\n  ", program, " resolve ", BareRun(run.name()), " ", call, " --result TEXT   to give its result without making it");
  }
  if (waiting->kind() == v1::WAIT_KIND_UNCERTAIN) {
    return absl::StrCat("call ", call, " asks no question, it was started and nobody knows whether it took effect\n", commands);
  }
  return "";
}

}  // namespace agentruntime::cli
