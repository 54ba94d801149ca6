#include "runtime/shortening.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

constexpr int64_t kBytesPerToken = 4;
constexpr int64_t kTokensPerMessage = 4;
constexpr int64_t kArtifactNoteBytes = 200;  // about what the model reads of an artifact besides its excerpt
constexpr int64_t kClearedBytesMin = 256;    // shorter results stay: the line would be no gain

int64_t ReadBytes(const Shortening& shortening, const CallState& call) {
  if (call.finished == nullptr) return 0;
  const Parts& result = call.finished->call_finished().result();
  return TextBytes(IsCleared(shortening, call) ? ClearedResult(result) : result);
}

// Without the notes of artifacts, which stay.
int64_t ClearableBytes(const Parts& parts) {
  return TextBytes(parts) - kArtifactNoteBytes * std::count_if(parts.begin(), parts.end(), [](const v1::Part& part) { return part.has_artifact(); });
}

void Count(ContextSize& size, const Shortening& shortening, const StepState& step) {
  const v1::Decision& decision = step.decision->decision_made().decision();
  size.messages += 1 + static_cast<int64_t>(step.calls.size());
  size.bytes += TextBytes(decision.content());
  for (const v1::ToolCall& call : decision.tool_calls()) size.bytes += static_cast<int64_t>(call.tool().size() + call.arguments().size());
  for (const CallState& call : step.calls) size.bytes += ReadBytes(shortening, call) + AllowedNoteBytes(call);
}

}  // namespace

Sequence EndOf(const StepState& step) {
  Sequence end = step.decision->sequence();
  for (const CallState& call : step.calls) end = std::max(end, call.finished->sequence());
  return end;
}

bool IsSummarized(const Shortening& shortening, const StepState& step) { return step.decision->sequence() <= shortening.summarized; }

bool IsCleared(const Shortening& shortening, const CallState& call) {
  return call.finished != nullptr && call.finished->sequence() <= shortening.cleared &&
         ClearableBytes(call.finished->call_finished().result()) >= kClearedBytesMin;
}

Parts ClearedResult(const Parts& result) {
  Parts cleared;
  cleared.Add()->set_text(
      absl::StrCat("[cleared to save room: a result of ", ClearableBytes(result), " bytes, which you have read; call the tool again if you need it]"));
  for (const v1::Part& part : result) {
    if (!part.has_artifact()) continue;
    v1::Artifact& named = *cleared.Add()->mutable_artifact();
    named = part.artifact();
    named.clear_excerpt();
  }
  return cleared;
}

std::string AllowedNote(const CallState& call) {
  if (call.allowed == nullptr) return "";
  const std::string& arguments = call.allowed->call_resolved().answer().allow().arguments();
  return arguments.empty() ? "" : absl::StrCat("[a person changed the arguments of this call, and the result is of these: ", arguments, "]");
}

int64_t AllowedNoteBytes(const CallState& call) { return static_cast<int64_t>(AllowedNote(call).size()); }

const Parts& InputOf(const v1::Event& event) {
  if (event.has_run_created()) return event.run_created().input();
  if (event.has_run_forked()) return event.run_forked().input();
  return event.has_input_received() ? event.input_received().input() : event.run_resumed().input();
}

int64_t TextBytes(const Parts& parts) {
  int64_t bytes = 0;
  for (const v1::Part& part : parts) {
    bytes += static_cast<int64_t>(part.text().size() + part.json().size() + part.artifact().excerpt().size());
    if (part.has_artifact()) bytes += kArtifactNoteBytes;
  }
  return bytes;
}

ContextSize CountContext(const std::vector<HistoryItem>& history, const Shortening& shortening, Sequence end) {
  ContextSize size;
  if (shortening.summary_bytes > 0) {
    size.bytes += shortening.summary_bytes;
    ++size.messages;
  }
  for (const HistoryItem& item : history) {
    if (const auto* const input = std::get_if<InputItem>(&item)) {
      if (input->event->sequence() > end) break;
      size.bytes += TextBytes(InputOf(*input->event));
      ++size.messages;
    } else if (const auto& step = std::get<StepState>(item); !IsSummarized(shortening, step)) {
      if (step.decision->sequence() > end) break;
      Count(size, shortening, step);
    }
  }
  return size;
}

int64_t TokensOf(const ContextSize& size) { return size.bytes / kBytesPerToken + size.messages * kTokensPerMessage; }

}  // namespace agentruntime
