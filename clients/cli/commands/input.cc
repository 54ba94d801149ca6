#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "clients/cli/commands/commands.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"

namespace agentruntime::cli {
namespace {

std::string ReadUpTo(std::istream& stream, size_t bytes) {
  std::string text(bytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(bytes));
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& file, size_t bytes_max) {
  std::string text;
  if (file == "-") {
    text = ReadUpTo(std::cin, bytes_max + 1);
  } else {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return absl::InvalidArgumentError(absl::StrCat(file, ": ", std::strerror(errno)));
    text = ReadUpTo(stream, bytes_max + 1);
    if (stream.bad()) return absl::InvalidArgumentError(absl::StrCat(file, ": cannot be read"));
  }
  if (text.size() > bytes_max) return absl::InvalidArgumentError(absl::StrCat(file, ": more than ", bytes_max, " bytes"));
  return text;
}

absl::StatusOr<std::string> ReadInput(const std::string& text) {
  std::string input = text;
  if (text == "-") {
    auto read = ReadTextFile("-", kMessageBytesMax);
    if (!read.ok()) return absl::InvalidArgumentError(absl::StrCat("the input has more than ", kMessageBytesMax, " bytes"));
    input = *std::move(read);
  }
  if (!IsValidUtf8(input)) return absl::InvalidArgumentError("the input is not valid UTF-8");
  return input;
}

void SetLimits(const LimitOptions& options, v1::Limits& limits) {
  if (options.max_steps) limits.set_max_steps(*options.max_steps);
  if (options.max_tool_calls) limits.set_max_tool_calls(*options.max_tool_calls);
  if (options.max_tokens) limits.set_max_tokens(*options.max_tokens);
  if (options.max_cost_micros) limits.set_max_cost_micros(*options.max_cost_micros);
  if (options.max_repeats) limits.set_max_repeats(*options.max_repeats);
  if (options.timeout) *limits.mutable_timeout() = ToProto(*options.timeout);
}

}  // namespace agentruntime::cli
