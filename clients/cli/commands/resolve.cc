#include "absl/strings/ascii.h"
#include "clients/cli/commands/commands.h"
#include "clients/cli/commands/waiting.h"
#include "clients/cli/format.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {

namespace {

absl::StatusOr<v1::CallAnswer> AnswerOf(const ResolveOptions& options) {
  v1::CallAnswer answer;
  if (options.run_again) {
    answer.mutable_run_again();
  } else if (options.result) {
    auto result = ReadInput(*options.result);
    if (!result.ok()) return result.status();
    answer.mutable_result()->add_parts()->set_text(*std::move(result));
  } else if (options.allow) {
    answer.mutable_allow();
    if (options.arguments) {
      auto arguments = ReadInput(*options.arguments);
      if (!arguments.ok()) return arguments.status();
      // Empty ones would allow the model's own.
      if (absl::StripAsciiWhitespace(*arguments).empty()) return absl::InvalidArgumentError("--arguments: give JSON, such as {\"amount\": 5}");
      answer.mutable_allow()->set_arguments(*std::move(arguments));
    }
  } else if (options.deny) {
    answer.mutable_deny()->set_reason(options.reason);
  } else {
    answer.mutable_give_up()->set_reason(options.reason);
  }
  return answer;
}

// What was done, for the person who did it.
absl::string_view Done(const ResolveOptions& options) {
  if (options.allow) return options.arguments ? "allowed with your arguments" : "allowed";
  return options.deny ? "denied" : "answered";
}

}  // namespace

ExitCode ResolveCommand(Session& session, const ResolveOptions& options) {
  const auto name = ResolveRun(session, options.run);
  if (!name.ok()) return FailRun(session.output, name.status());
  if (options.question_only) {
    const auto run = session.runs.Get(*name);
    if (!run.ok()) return Fail(session.output, run.status());
    if (const std::string why = WhyNoAnswer(*run, options.call, session.output.program); !why.empty()) return FailUsage(session.output, why);
  }
  auto answer = AnswerOf(options);
  if (!answer.ok()) return FailUsage(session.output, std::string(answer.status().message()));
  v1::ResolveCallRequest request;
  request.set_name(*name);
  request.set_call_id(options.call);
  request.set_request_id(options.request_id);
  *request.mutable_answer() = *std::move(answer);
  const auto resolved = session.runs.Resolve(std::move(request));
  if (!resolved.ok()) return Fail(session.output, resolved.status());
  if (session.output.json) {
    PrintJson(session.output, *resolved);
    return ExitCode::kAnswered;
  }
  session.output.out << "call " << options.call << " " << Done(options) << "; " << BareRun(*name) << " goes on";
  for (const std::string& line : HowToAnswer(WithWholeTexts(ReadsOf(session), *resolved), session.output.program)) session.output.out << "\n" << line;
  session.output.out << std::endl;
  return ExitCode::kAnswered;
}

}  // namespace agentruntime::cli
