#include "runtime/idempotency.h"

#include <openssl/evp.h>

#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/json_schema.h"

namespace agentruntime {
namespace {

constexpr size_t kKeyBytes = 16;

// 32 bytes.
std::string Sha256(absl::string_view input) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int length = 0;
  EVP_Digest(input.data(), input.size(), digest.data(), &length, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<const char*>(digest.data()), length);
}

}  // namespace

// Also of calls that were refused (repeats.h), so it may be given whatever a model wrote: writing a value takes stack for each level of it, which only
// CheckJson bounds.
std::string NormalizedArguments(absl::string_view arguments) {
  if (!CheckJson(arguments).ok()) return std::string(arguments);
  const auto parsed = nlohmann::json::parse(arguments.begin(), arguments.end(), nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return std::string(arguments);
  return parsed.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string IdempotencyKey(const RunId& run, const CallId& call, absl::string_view tool, absl::string_view arguments) {
  const std::string normalized = NormalizedArguments(arguments);
  // Lengths in front, so that no two inputs run together.
  const std::string input = absl::StrCat(run.ToString(), ":", call.ToString(), ":", tool.size(), ":", tool, ":", normalized.size(), ":", normalized);
  return absl::BytesToHexString(Sha256(input).substr(0, kKeyBytes));
}

std::string ArgumentsHash(absl::string_view tool, absl::string_view arguments) {
  const std::string normalized = NormalizedArguments(arguments);
  return Sha256(absl::StrCat(tool.size(), ":", tool, ":", normalized.size(), ":", normalized));
}

}  // namespace agentruntime
