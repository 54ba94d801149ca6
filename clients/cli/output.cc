#include "clients/cli/output.h"

#include <google/protobuf/util/json_util.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/cli/text.h"
#include "clients/cpp/error.h"
#include "proto/base/text.h"
#include "proto/util/money.h"

namespace agentruntime::cli {
namespace {

constexpr absl::string_view kMaxCost = "--max-cost";
constexpr int kWidthDefault = 80;  // of a terminal that does not tell

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

std::string ErrorJson(const absl::Status& status) {
  const client::ErrorDetails details = client::DetailsOf(status);
  const auto quoted = [](absl::string_view text) { return absl::StrCat("\"", EscapeJson(MakeValidUtf8(text)), "\""); };
  std::string json = absl::StrCat(R"({"error":{"code":)", quoted(absl::StatusCodeToString(status.code())), R"(,"message":)", quoted(status.message()));
  if (!details.reason.empty()) absl::StrAppend(&json, R"(,"reason":)", quoted(details.reason));
  const char* separator = R"(,"fieldViolations":[)";
  for (const FieldViolation& violation : details.violations) {
    absl::StrAppend(&json, separator, R"({"field":)", quoted(violation.field), R"(,"description":)", quoted(violation.description), "}");
    separator = ",";
  }
  return absl::StrCat(json, details.violations.empty() ? "" : "]", "}}");
}

// `limits.max_steps: `, as the message about a field begins.
bool BeginsWithField(absl::string_view text) {
  const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.0123456789[]");
  return end != 0 && end != absl::string_view::npos && absl::StartsWith(text.substr(end), ": ");
}

// The whole numbers in `text`, which the API counts in millionths, as people give money.
std::string WithMoney(absl::string_view text) {
  return absl::StrJoin(absl::StrSplit(text, ' '), " ", [](std::string* out, absl::string_view word) {
    const size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
    int64_t micros = 0;
    const bool amount = digits > 0 && word.find_first_not_of(",.", digits) == absl::string_view::npos && absl::SimpleAtoi(word.substr(0, digits), &micros);
    absl::StrAppend(out, amount ? FormatMicros(micros) : word.substr(0, digits), word.substr(digits));
  });
}

}  // namespace

int TerminalWidth() {
  if (isatty(STDOUT_FILENO) == 0) return 0;
  winsize size = {};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kWidthDefault;
}

Output StandardOutput(bool json) {
  Output output{.out = std::cout, .err = std::cerr, .json = json, .width = TerminalWidth()};
  const char* term = std::getenv("TERM");
  output.live = output.width > 0 && term != nullptr && *term != '\0' && absl::string_view(term) != "dumb";
  output.color = output.live && !IsSet("NO_COLOR");
  return output;
}

std::string Colored(const Output& output, Tone tone, absl::string_view text) {
  if (!output.color || text.empty()) return std::string(text);
  switch (tone) {
    case Tone::kNormal: return std::string(text);
    case Tone::kGood: return absl::StrCat("\x1b[32m", text, "\x1b[0m");
    case Tone::kBad: return absl::StrCat("\x1b[31m", text, "\x1b[0m");
    case Tone::kWarn: return absl::StrCat("\x1b[33m", text, "\x1b[0m");
    case Tone::kQuiet: return absl::StrCat("\x1b[2m", text, "\x1b[0m");
    case Tone::kStrong: return absl::StrCat("\x1b[1m", text, "\x1b[0m");
  }
  return std::string(text);
}

std::string ToJson(const google::protobuf::Message& message) {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) return "{}";  // only for Any of unknown types, which none of ours has
  return json;
}

void PrintJson(const Output& output, const google::protobuf::Message& message) { output.out << ToJson(message) << std::endl; }

std::string InWordsOfOptions(absl::string_view message) {
  static constexpr std::array<std::pair<absl::string_view, absl::string_view>, 13> kWords = {{{"after_sequence", "--after"},
                                                                                              {"request_id", "--request-id"},
                                                                                              {"call_id", "CALL"},
                                                                                              {"limits.max_steps", "--max-steps"},
                                                                                              {"limits.max_tool_calls", "--max-tool-calls"},
                                                                                              {"limits.max_tokens", "--max-tokens"},
                                                                                              {"limits.max_cost_micros", kMaxCost},
                                                                                              {"limits.max_repeats", "--max-repeats"},
                                                                                              {"limits.timeout", "--timeout"},
                                                                                              {"deadline", "--deadline"},
                                                                                              {"priority", "--priority"},
                                                                                              {"not_before_time", "--not-before"},
                                                                                              {"agent.etag", "--etag"}}};
  std::vector<std::string> words;
  bool money = false;  // a sentence goes on behind "; " about the field that it began with
  for (const absl::string_view piece : absl::StrSplit(message, "; ")) {
    absl::string_view rest = piece;
    absl::ConsumePrefix(&rest, "run.");
    const auto* const word =
        std::find_if(kWords.begin(), kWords.end(), [&rest](const auto& w) { return absl::ConsumePrefix(&rest, absl::StrCat(w.first, ": ")); });
    if (word != kWords.end()) {
      money = word->second == kMaxCost;
      words.push_back(absl::StrCat(word->second, ": ", money ? WithMoney(rest) : std::string(rest)));
    } else {
      money &= !BeginsWithField(piece);
      words.push_back(money ? WithMoney(piece) : std::string(piece));
    }
  }
  return absl::StrJoin(words, "; ");
}

ExitCode Fail(const Output& output, const absl::Status& status) {
  if (output.json) {
    output.err << ErrorJson(status) << std::endl;
  } else {
    output.err << "agentctl: " << absl::StatusCodeToString(status.code()) << ": " << Printable(InWordsOfOptions(status.message())) << std::endl;
  }
  return ExitCodeOf(status);
}

ExitCode FailUsage(const Output& output, absl::string_view message) {
  output.err << "agentctl: " << Printable(message) << std::endl;
  return ExitCode::kUsage;
}

}  // namespace agentruntime::cli
