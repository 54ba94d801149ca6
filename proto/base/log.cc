#include "proto/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "proto/base/mutex.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

constexpr size_t kValueBytesMax = 1024;
constexpr size_t kWaitingBytesMax = 1 << 20;        // of lines that nobody has read yet
constexpr size_t kWaitingErrorBytesMax = 64 << 10;  // beyond that, for errors alone: why a process ended comes out if somebody reads at last

std::atomic<LogLevel> level_min = LogLevel::kInfo;
std::atomic<LogFormat> format = LogFormat::kLogfmt;

std::function<void(absl::string_view)>& Sink() {
  static auto& sink = *new std::function<void(absl::string_view)>;  // threads may log while the process ends
  return sink;
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

std::string LineOf(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  return absl::StrCat(format.load() == LogFormat::kJson ? AsJson(level, message, fields) : AsLogfmt(level, message, fields), "\n");
}

// Blocks for as long as nobody reads. A line that cannot be written is nobody's to tell.
void WriteToStandardError(absl::string_view line) {
  while (!line.empty()) {
    const ssize_t bytes = write(STDERR_FILENO, line.data(), line.size());
    if (bytes > 0) {
      line.remove_prefix(static_cast<size_t>(bytes));
    } else if (bytes < 0 && errno == EAGAIN) {  // somebody who shares the terminal or the pipe made it so
      pollfd room = {STDERR_FILENO, POLLOUT, 0};
      poll(&room, 1, -1);
    } else if (bytes == 0 || errno != EINTR) {
      return;
    }
  }
}

// Lines on their way to standard error, and the one thread that writes them: who reads a pipe or a terminal may stop doing so, and that must stop nobody else.
// To write only what poll() has room for would still block where another process writes to the same pipe.
class Writer {
 public:
  // Never destroyed: threads may log while the process ends, and its own may hang in a write.
  static Writer& Get() {
    // The child of a fork has no thread that writes, and maybe a mutex that nobody gives back: it begins anew.
    static const int forks = pthread_atfork(nullptr, nullptr, [] { instance = nullptr; });
    static_cast<void>(forks);
    Writer* writer = instance.load();
    if (writer != nullptr) return *writer;
    auto made = std::make_unique<Writer>();
    if (!instance.compare_exchange_strong(writer, made.get())) return *writer;
    std::thread([&made = *made] { made.Run(); }).detach();
    return *made.release();
  }
  // Null: nothing was ever logged.
  static Writer* Existing() { return instance.load(); }

  void Push(LogLevel level, std::string line) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (waiting_bytes_ + line.size() > kWaitingBytesMax + (level == LogLevel::kError ? kWaitingErrorBytesMax : 0)) {
      ++dropped_;
      return;
    }
    if (dropped_ > 0) TellDropped();
    Append(std::move(line));
  }

  void Flush(absl::Duration at_most) ABSL_LOCKS_EXCLUDED(mu_) {
    const auto end = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(at_most);
    MutexLock lock(mu_);
    while (!lines_.empty() || dropped_ > 0) {
      const absl::Duration left = absl::FromChrono(end - std::chrono::steady_clock::now());
      if (left <= absl::ZeroDuration()) return;
      changed_.WaitFor(mu_, left);
    }
  }

 private:
  static inline std::atomic<Writer*> instance = nullptr;

  [[noreturn]] void Run() ABSL_LOCKS_EXCLUDED(mu_) {
    for (;;) {
      const std::string& line = Front();
      WriteToStandardError(line);
      Pop();
    }
  }
  // The first line stays in the queue, where nobody else touches it, until it is written: Flush waits for it.
  const std::string& Front() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (lines_.empty()) {
      if (dropped_ > 0) {
        TellDropped();
      } else {
        changed_.Wait(mu_);
      }
    }
    return lines_.front();
  }
  void Pop() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    waiting_bytes_ -= lines_.front().size();
    lines_.pop_front();
    changed_.NotifyAll();
  }

  void TellDropped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Append(LineOf(LogLevel::kWarn, absl::StrCat(dropped_, " log lines were dropped: stderr is not read"), {}));
    dropped_ = 0;
  }
  void Append(std::string line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    waiting_bytes_ += line.size();
    lines_.push_back(std::move(line));
    changed_.NotifyAll();
  }

  Mutex mu_;
  CondVar changed_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mu_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t dropped_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace

void ConfigureLog(LogLevel level, LogFormat new_format) {
  format = new_format;
  level_min = level;
}

void SetLogSink(std::function<void(absl::string_view)> sink) { Sink() = std::move(sink); }

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  if (level < level_min.load()) return;
  std::string line = LineOf(level, message, fields);
  if (Sink()) return Sink()(absl::string_view(line).substr(0, line.size() - 1));
  Writer::Get().Push(level, std::move(line));
}

void Say(absl::string_view line) { Writer::Get().Push(LogLevel::kError, absl::StrCat(line, "\n")); }

void FlushLog(absl::Duration at_most) {
  if (Writer* writer = Writer::Existing()) writer->Flush(at_most);
}

}  // namespace agentruntime
