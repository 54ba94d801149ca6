#include "runtime/tools/http_body.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

constexpr size_t kExcerptCharactersMax = 200;  // of a failing server's words

}  // namespace

bool IsTextBody(absl::string_view content_type, absl::string_view body) {
  const std::string type = absl::AsciiStrToLower(content_type.substr(0, content_type.find(';')));
  if (type.empty()) return IsValidUtf8(body) && !absl::StrContains(body, absl::string_view("\0", 1));
  if (absl::StartsWith(type, "text/")) return true;
  for (const absl::string_view word : {"json", "xml", "yaml", "javascript", "urlencoded", "toml", "csv", "markdown"}) {
    if (absl::StrContains(type, word)) return true;
  }
  return false;
}

std::string SaidByServer(const HttpOutcome& http) {
  return absl::StrCat("HTTP ", http.head.status, " \"", OneLine(MakeValidUtf8(http.body), kExcerptCharactersMax), "\"");
}

}  // namespace agentruntime
