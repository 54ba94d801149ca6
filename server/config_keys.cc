#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/config.h"
#include "server/config_check.h"

namespace agentruntime {
namespace {

// Keys are blacked out wherever an endpoint's answer repeats them. A shorter one stands in ordinary words, which that would garble; and spared it would be
// shown.
constexpr size_t kKeyBytesMin = 8;
constexpr size_t kKeyBytesMax = 8192;

// A key goes into a header line: nothing but visible ASCII may be in it. The message must not show it.
std::string WhyNoKey(const std::string& key) {
  if (key.empty()) return "is empty";
  if (key.size() < kKeyBytesMin) {
    return absl::StrCat("holds a key of less than ", kKeyBytesMin,
                        " characters, which cannot be blacked out without harm to other words; use a longer one, or ",
                        "leave the field out if the endpoint wants none");
  }
  if (key.size() > kKeyBytesMax) return absl::StrCat("is longer than ", kKeyBytesMax, " bytes");
  const bool visible = std::all_of(key.begin(), key.end(), [](unsigned char c) { return c > ' ' && c <= '~'; });
  return visible ? "" : "holds spaces or characters that are not ASCII; it is not a key";
}

bool IsVariableName(absl::string_view name) {
  const auto word = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; };
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name.front())) && std::all_of(name.begin(), name.end(), word);
}

// What is no name, or no file, may be the key itself, and is not shown either.
void ReadKey(const std::string& path, const config::v1::Secret& secret, Secret& key, ConfigFaults& faults) {
  std::string source;
  std::string field;
  std::string value;
  switch (secret.source_case()) {
    case config::v1::Secret::kEnv: {
      field = path + ".env";
      if (!IsVariableName(secret.env())) {
        return faults.Add(field, "is no name of an environment variable, which has letters, digits and _; a key itself does not belong here");
      }
      source = absl::StrCat("the environment variable ", secret.env());
      const char* found = std::getenv(secret.env().c_str());
      if (found == nullptr) return faults.Add(field, absl::StrCat(source, " is not set; export it before agentd starts"));
      value = found;
      break;
    }
    case config::v1::Secret::kFile: {
      field = path + ".file";
      source = absl::StrCat("the file ", secret.file());
      auto text = ReadTextFile(secret.file());
      if (absl::IsNotFound(text.status())) return faults.Add(field, "there is no such file; a key itself does not belong here, but in a file of its own");
      if (!text.ok()) return faults.Add(field, text.status().message());
      value = *std::move(text);
      break;
    }
    case config::v1::Secret::SOURCE_NOT_SET: return faults.Add(path, "has no source; write {env: NAME} or {file: PATH}");
  }
  value = std::string(absl::StripAsciiWhitespace(value));
  if (const std::string why = WhyNoKey(value); !why.empty()) return faults.Add(field, absl::StrCat(source, " ", why));
  key = Secret(std::move(value));
}

}  // namespace

Keys ReadKeys(const config::v1::ServerConfig& config, ConfigFaults& faults) {
  Keys keys;
  for (int i = 0; i < config.models_size(); ++i) {
    const auto& model = config.models(i);
    if (model.openai().has_api_key()) ReadKey(absl::StrCat("models[", i, "].openai.api_key"), model.openai().api_key(), keys.models[model.name()], faults);
  }
  for (int i = 0; i < config.tools_size(); ++i) {
    const auto& tool = config.tools(i);
    if (tool.http_call().has_token()) ReadKey(absl::StrCat("tools[", i, "].http_call.token"), tool.http_call().token(), keys.tools[tool.name()], faults);
  }
  return keys;
}

}  // namespace agentruntime
