#include "clients/cli/program.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "clients/cli/text.h"
#include "clients/cpp/channel.h"

namespace agentruntime::cli {
namespace {

std::string ShellWord(absl::string_view text) {
  const auto plain = [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::string_view("_-./:@%+=,").find(static_cast<char>(c)) != absl::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return std::string(text);
  return absl::StrCat("'", Printable(absl::StrReplaceAll(text, {{"'", "'\\''"}})), "'");
}

}  // namespace

std::string ProgramText(absl::string_view called, absl::string_view server, absl::string_view from_environment) {
  std::string text = ShellWord(called.empty() ? "agentctl" : called);
  const absl::string_view implied = from_environment.empty() ? absl::string_view(client::kDefaultAddress) : from_environment;
  if (server != implied) absl::StrAppend(&text, " --server ", ShellWord(server));
  return text;
}

}  // namespace agentruntime::cli
