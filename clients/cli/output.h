// Where a command writes, and in which form.
#pragma once

#include <google/protobuf/message.h>

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "clients/cli/exit_code.h"

namespace agentruntime::cli {

struct Output {
  std::ostream& out;
  std::ostream& err;
  bool json = false;
  bool live = false;                 // a terminal that can move its cursor: TERM is not dumb
  bool color = false;                // live, and NO_COLOR is not set
  std::string program = "agentctl";  // what the commands that are advised begin with, see program.h
  int width = 0;                     // columns; 0: not a terminal, nothing is cut
};

// Of standard output as it is now.
Output StandardOutput(bool json);
// Columns of the terminal now, 0 if standard output is none.
int TerminalWidth();

// `text` in a colour, or as it is.
enum class Tone { kNormal, kGood, kBad, kWarn, kQuiet, kStrong };
std::string Colored(const Output& output, Tone tone, absl::string_view text);

// One line of ProtoJSON. Characters that a terminal acts on are escaped.
std::string ToJson(const google::protobuf::Message& message);
void PrintJson(const Output& output, const google::protobuf::Message& message);

// A message of the server that begins with a field of the API: with the option that sets it instead, and amounts of money as that option takes them.
std::string InWordsOfOptions(absl::string_view message);
// Says `agentctl: CODE: message`, in words of options, on standard error, or the same as JSON, and what the exit is.
ExitCode Fail(const Output& output, const absl::Status& status);
// `agentctl: message`, exit 2.
ExitCode FailUsage(const Output& output, absl::string_view message);

}  // namespace agentruntime::cli
