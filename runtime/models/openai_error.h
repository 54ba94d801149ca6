// What a provider's failure means to the runtime: the reason, whether trying again helps, and a sentence with a remedy.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/models/model.h"

namespace agentruntime {

inline constexpr int kProviderMessageCharactersMax = 300;  // of a provider's own words in one of our messages

struct ProviderError {
  std::string message;
  std::string type;
  std::string code;
  int status = 0;  // a code that is an HTTP status: some providers fail that way in the middle of a stream
};

// Out of `{"error": {...}}`, `{"error": "..."}` or `{"message": "..."}`; nullopt: there is none.
std::optional<ProviderError> FindProviderError(const nlohmann::json& object);
// The same out of a body that may be anything; text that is no JSON becomes the message.
ProviderError ReadProviderError(absl::string_view body);

// An attempt that failed: one of run.proto's reasons, `model {model}: {what}`.
ModelOutcome ModelError(absl::string_view reason, bool retryable, absl::string_view model, absl::string_view what);
// The answer of a provider that is no decision. `status` is the HTTP status, or 200 for an error inside of a stream.
ModelOutcome ProviderErrorOutcome(absl::string_view model, int status, const ProviderError& error, std::optional<absl::Duration> retry_after);

}  // namespace agentruntime
