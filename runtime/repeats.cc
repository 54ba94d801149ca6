#include "runtime/repeats.h"

#include <algorithm>

#include "runtime/idempotency.h"

namespace agentruntime {
namespace {

bool IsSamePart(const v1::Part& a, const v1::Part& b) {
  // An artifact that is named again is one and the same.
  return a.kind_case() == b.kind_case() && a.text() == b.text() && a.json() == b.json() && a.artifact().name() == b.artifact().name();
}

bool IsSameResult(const CallState& a, const CallState& b) {
  const v1::CallFinished& x = a.finished->call_finished();
  const v1::CallFinished& y = b.finished->call_finished();
  return x.outcome() == y.outcome() && std::equal(x.result().begin(), x.result().end(), y.result().begin(), y.result().end(), IsSamePart);
}

bool AreSameArguments(const std::string& a, const std::string& b) { return a == b || NormalizedArguments(a) == NormalizedArguments(b); }

}  // namespace

bool IsSameStep(const StepState& a, const StepState& b) {
  if (a.calls.size() != b.calls.size()) return false;
  for (size_t i = 0; i < a.calls.size(); ++i) {
    if (RequestOf(a, a.calls[i]).tool() != RequestOf(b, b.calls[i]).tool() || !IsSameResult(a.calls[i], b.calls[i])) return false;
  }
  // Last: it may take parsing.
  for (size_t i = 0; i < a.calls.size(); ++i) {
    if (!AreSameArguments(ArgumentsOf(a, a.calls[i]), ArgumentsOf(b, b.calls[i]))) return false;
  }
  return true;
}

}  // namespace agentruntime
