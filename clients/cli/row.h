// One line of a run's story.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/run.pb.h"
#include "clients/cli/output.h"

namespace agentruntime::cli {

// Texts are printable and on one line.
struct Row {
  int step = 0;      // shown where it is not 0
  std::string verb;  // decide, act, ...
  std::string what;
  std::optional<absl::Duration> duration;
  std::string note;
  Tone tone = Tone::kNormal;  // of the note
};

//    1  decide  extractive                                              1 ms
//       act     search_docs {"query":"API rate limit requirements"}     2 ms   8 passages from 4 documents
// Cut to the terminal's width where there is one; without, long arguments and notes are cut at 200 characters, errors at 500. No line end.
std::string FormatRow(const Output& output, const Row& row);

// A call as people read it: the tool and its arguments.
std::string CallText(absl::string_view tool, absl::string_view arguments);
// What a call brought, in a few words: its outcome if it is not OK, then the beginning of its result.
Row CallRow(absl::string_view call_text, v1::CallOutcome outcome, const google::protobuf::RepeatedPtrField<v1::Part>& result,
            std::optional<absl::Duration> duration);
// `1,204 + 88 tokens`, read and written; empty if there were none.
std::string TokensText(const v1::Usage& usage);
// All texts of `parts`, one after the other, each on its own lines. Not made printable.
std::string PartsText(const google::protobuf::RepeatedPtrField<v1::Part>& parts);
// An enum value's name without its prefix: ShortName(v1::RunState_Name(state), "RUN_STATE_").
std::string ShortName(absl::string_view name, absl::string_view prefix);
std::string StateName(v1::RunState state);
std::string ReasonName(v1::StopReason reason);
std::string OutcomeName(v1::CallOutcome outcome);

}  // namespace agentruntime::cli
