#include "proto/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

constexpr size_t kValueBytesMax = 1024;

std::atomic<LogFormat> format = LogFormat::kLogfmt;

std::function<void(absl::string_view)>& Sink() {
  static auto& sink = *new std::function<void(absl::string_view)>;  // threads may log while the process ends
  return sink;
}

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("agentruntime", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
}

absl::string_view Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
}

bool NeedsQuotes(absl::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

std::string Safe(absl::string_view value) { return MakeValidUtf8(CutUtf8(value, kValueBytesMax)); }

std::string AsLogfmt(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat("time=", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), " level=", Name(level), " message=\"",
                                  EscapeJson(Safe(message)), "\"");
  for (const LogField& field : fields) {
    const std::string value = Safe(field.value);
    if (field.quoted && NeedsQuotes(value)) {
      absl::StrAppend(&line, " ", field.name, "=\"", EscapeJson(value), "\"");
    } else {
      absl::StrAppend(&line, " ", field.name, "=", value);
    }
  }
  return line;
}

std::string AsJson(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat("{\"time\":\"", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), "\",\"level\":\"", Name(level),
                                  "\",\"message\":\"", EscapeJson(Safe(message)), "\"");
  for (const LogField& field : fields) {
    const std::string value = EscapeJson(Safe(field.value));
    absl::StrAppend(&line, ",\"", field.name, "\":", field.quoted ? absl::StrCat("\"", value, "\"") : value);
  }
  line.push_back('}');
  return line;
}

}  // namespace

void ConfigureLog(LogLevel level, LogFormat new_format) {
  format = new_format;
  Logger().set_level(ToSpdlog(level));
}

void SetLogSink(std::function<void(absl::string_view)> sink) { Sink() = std::move(sink); }

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  const std::string line = format.load() == LogFormat::kJson ? AsJson(level, message, fields) : AsLogfmt(level, message, fields);
  if (Sink()) return Sink()(line);
  Logger().log(ToSpdlog(level), "{}", line);
}

void FlushLog() { Logger().flush(); }

}  // namespace agentruntime
