#include "clients/cli/row.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "clients/cli/format.h"
#include "clients/cli/result_text.h"
#include "clients/cli/text.h"

namespace agentruntime::cli {
namespace {

constexpr int kBeforeWhat = 14;   // indent, step and verb
constexpr int kWhatColumns = 52;  // where there is room
constexpr int kWhatColumnsMin = 16;
constexpr int kDurationColumns = 8;
constexpr int kNoteColumnsMin = 24;
constexpr int kGap = 3;

}  // namespace

std::string FormatRow(const Output& output, const Row& row) {
  const bool alone = !row.duration && row.note.empty();
  const int room = alone ? output.width - kBeforeWhat : output.width - kBeforeWhat - kDurationColumns - kGap - kNoteColumnsMin;
  const int what_columns = output.width > 0 ? std::clamp(room, kWhatColumnsMin, alone ? std::max(room, kWhatColumnsMin) : kWhatColumns) : kWhatColumns;
  const std::string what = output.width > 0 ? CutToWidth(row.what, what_columns) : row.what;
  const std::string step = row.step > 0 ? absl::StrCat(row.step) : "";
  std::string line = absl::StrCat(PadLeft(step, 4), "  ", PadRight(row.verb, 6), "  ", PadRight(what, what_columns));
  absl::StrAppend(&line, PadLeft(row.duration ? FormatElapsed(*row.duration) : "", kDurationColumns));
  if (alone) absl::StripTrailingAsciiWhitespace(&line);
  if (output.width > 0) line = CutToWidth(line, output.width);
  const int left = output.width > 0 ? output.width - DisplayWidth(line) - kGap : 0;
  std::string note = output.width > 0 ? CutToWidth(row.note, left) : row.note;
  if (note.empty()) {
    absl::StripTrailingAsciiWhitespace(&line);
    return line;
  }
  return absl::StrCat(line, std::string(kGap, ' '), Colored(output, row.tone, note));
}

std::string CallText(absl::string_view tool, absl::string_view arguments) {
  return PrintableLine(arguments.empty() || arguments == "{}" ? std::string(tool) : absl::StrCat(tool, " ", arguments));
}

Row CallRow(absl::string_view call_text, v1::CallOutcome outcome, const google::protobuf::RepeatedPtrField<v1::Part>& result,
            std::optional<absl::Duration> duration) {
  Row row{.verb = "act", .what = std::string(call_text), .duration = duration, .note = ResultText(result), .tone = Tone::kQuiet};
  if (outcome == v1::CALL_OUTCOME_OK) return row;
  const std::string name = OutcomeName(outcome);
  row.note = row.note.empty() ? name : absl::StrCat(name, ": ", row.note);
  row.tone = outcome == v1::CALL_OUTCOME_NOT_RUN || outcome == v1::CALL_OUTCOME_CANCELLED ? Tone::kWarn : Tone::kBad;
  return row;
}

std::string TokensText(const v1::Usage& usage) {
  if (usage.input_tokens() == 0 && usage.output_tokens() == 0) return "";
  return absl::StrCat(FormatCount(usage.input_tokens()), " + ", FormatCount(usage.output_tokens()), " tokens");
}

std::string PartsText(const google::protobuf::RepeatedPtrField<v1::Part>& parts) {
  std::string text;
  for (const v1::Part& part : parts) {
    if (!text.empty() && text.back() != '\n') text.push_back('\n');
    text.append(part.has_artifact() ? part.artifact().excerpt() : part.has_json() ? part.json() : part.text());
  }
  return text;
}

std::string ShortName(absl::string_view name, absl::string_view prefix) { return std::string(absl::StripPrefix(name, prefix)); }

std::string StateName(v1::RunState state) {
  return v1::RunState_IsValid(state) ? ShortName(v1::RunState_Name(state), "RUN_STATE_") : absl::StrCat(static_cast<int>(state));
}

std::string ReasonName(v1::StopReason reason) {
  return v1::StopReason_IsValid(reason) ? ShortName(v1::StopReason_Name(reason), "STOP_REASON_") : absl::StrCat(static_cast<int>(reason));
}

std::string OutcomeName(v1::CallOutcome outcome) {
  return v1::CallOutcome_IsValid(outcome) ? ShortName(v1::CallOutcome_Name(outcome), "CALL_OUTCOME_") : absl::StrCat(static_cast<int>(outcome));
}

}  // namespace agentruntime::cli
