// The one way to write a log line: logfmt or JSON on standard error, one line an event, never contents and never keys.
// Nobody waits for who reads it: up to a megabyte of lines waits for a thread that writes them; what comes then is left out, and the next line that fits is
// behind one that says how many were. A process that ends by _Exit or abort flushes first.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentruntime {

enum class LogLevel { kDebug, kInfo, kWarn, kError };  // warn: someone should look; error: someone must
enum class LogFormat { kLogfmt, kJson };

struct LogField {
  absl::string_view name;
  std::string value;
  bool quoted = true;  // false: a number or true/false, bare in JSON

  LogField(absl::string_view name, absl::string_view text) : name(name), value(text) {}
  LogField(absl::string_view name, const std::string& text) : name(name), value(text) {}
  LogField(absl::string_view name, const char* text) : name(name), value(text) {}
  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  LogField(absl::string_view name, Number number) : name(name), value(absl::StrCat(number)), quoted(false) {}
};

// Call once, before threads start. Until then: info, logfmt.
void ConfigureLog(LogLevel level, LogFormat format);
// Where lines go instead of to standard error; {}: there again. As ConfigureLog.
void SetLogSink(std::function<void(absl::string_view line)> sink);
// Thread-safe; does not block. Control characters and invalid UTF-8 in values are escaped, values are cut at 1 KiB: no caller can forge a second line.
void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields = {});
// A line for whoever started the program, as it is, behind the lines of the log. Thread-safe; does not block.
void Say(absl::string_view line);
// Returns once what is waiting is written, or after `at_most`: somebody who does not read keeps no process from its end.
void FlushLog(absl::Duration at_most = absl::Milliseconds(100));

}  // namespace agentruntime
