#include "runtime/models/openai_error.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

using nlohmann::json;

std::string StringAt(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

bool SaysContextTooLarge(const ProviderError& error) {
  if (error.code == "context_length_exceeded" || error.type == "exceed_context_size_error") return true;
  const std::string message = absl::AsciiStrToLower(error.message);
  for (const absl::string_view words : {"context length", "context window", "context size", "prompt is too long", "too many tokens"}) {
    if (absl::StrContains(message, words)) return true;
  }
  return false;
}

// The status that an error within a stream would have had.
int StatusOf(const ProviderError& error) {
  if (error.status != 0) return error.status;
  const std::string words = absl::StrCat(error.type, " ", error.code);
  if (absl::StrContains(words, "rate_limit")) return 429;
  if (absl::StrContains(words, "insufficient_quota")) return 429;
  if (absl::StrContains(words, "invalid_request")) return 400;
  if (absl::StrContains(words, "authentication") || absl::StrContains(words, "invalid_api_key")) return 401;
  if (absl::StrContains(words, "permission")) return 403;
  if (absl::StrContains(words, "not_found")) return 404;
  return 500;
}

absl::string_view Remedy(int status) {
  switch (status) {
    case 401: return "; check the API key that the server's configuration names for this model; a new key needs a restart of the server";
    case 403: return "; check that the API key may use this model";
    case 404: return "; check base_url and the provider's model name in the server's configuration";
    case 405: return "; check base_url in the server's configuration";
    case 402: return "; check the account's balance and plan";
    default: return "";
  }
}

}  // namespace

std::optional<ProviderError> FindProviderError(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const auto it = object.find("error");
  if (it == object.end() || it->is_null()) return std::nullopt;
  ProviderError error;
  if (it->is_string()) {
    error.message = it->get<std::string>();
  } else if (it->is_object()) {
    error.message = StringAt(*it, "message");
    error.type = StringAt(*it, "type");
    error.code = StringAt(*it, "code");
    if (const auto code = it->find("code"); code != it->end() && code->is_number_integer()) {
      const auto number = code->get<int64_t>();
      if (number >= 400 && number <= 599) error.status = static_cast<int>(number);
    }
  }
  return error;
}

ProviderError ReadProviderError(absl::string_view body) {
  const std::string valid = MakeValidUtf8(body);
  const json object = json::parse(valid, nullptr, /*allow_exceptions=*/false);
  if (auto error = FindProviderError(object)) return *std::move(error);
  ProviderError error;
  if (object.is_object()) {
    error.message = StringAt(object, "message");
    if (error.message.empty()) error.message = StringAt(object, "detail");
  }
  // A page of HTML says nothing that a line can hold.
  if (error.message.empty() && !absl::StartsWith(absl::StripLeadingAsciiWhitespace(valid), "<")) error.message = valid;
  return error;
}

ModelOutcome ModelError(absl::string_view reason, bool retryable, absl::string_view model, absl::string_view what) {
  ModelOutcome outcome;
  outcome.error.set_reason(std::string(reason));
  outcome.error.set_retryable(retryable);
  outcome.error.set_message(absl::StrCat("model ", model, ": ", what));
  return outcome;
}

ModelOutcome ProviderErrorOutcome(absl::string_view model, int status, const ProviderError& error, std::optional<absl::Duration> retry_after) {
  std::string what = status == 200 ? "failed while it answered" : absl::StrCat("HTTP ", status);
  if (!error.message.empty()) absl::StrAppend(&what, " \"", OneLine(error.message, kProviderMessageCharactersMax), "\"");
  const int meant = status == 200 ? StatusOf(error) : status;

  if (SaysContextTooLarge(error) && (meant == 400 || meant == 413 || meant == 422 || meant == 500)) {
    return ModelError("CONTEXT_TOO_LARGE", false, model, absl::StrCat(what, "; shorten the input, or use a model with a larger context"));
  }
  if (error.code == "insufficient_quota" || error.type == "insufficient_quota") {
    return ModelError("MODEL_REFUSED", false, model, absl::StrCat(what, "; check the account's balance and plan"));
  }
  if (meant == 408 || meant == 504) {
    ModelOutcome outcome = ModelError("MODEL_TIMEOUT", true, model, what);
    outcome.retry_after = retry_after;
    return outcome;
  }
  if (meant == 409 || meant == 425 || meant == 429 || meant >= 500) {
    if (retry_after.has_value()) absl::StrAppend(&what, ", Retry-After ", absl::FormatDuration(*retry_after));
    ModelOutcome outcome = ModelError("MODEL_UNAVAILABLE", true, model, what);
    outcome.retry_after = retry_after;
    return outcome;
  }
  return ModelError("MODEL_REFUSED", false, model, absl::StrCat(what, Remedy(meant)));
}

}  // namespace agentruntime
