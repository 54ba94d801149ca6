// agentd: flags, signals, exit codes. What it consists of is in wiring.cc.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "proto/base/build_info.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/util/time.h"
#include "server/config.h"
#include "server/descriptors.h"
#include "server/doctor.h"
#include "server/drain_request.h"
#include "server/exit_code.h"
#include "server/exit_deadline.h"
#include "server/flags.h"
#include "server/outbound.h"
#include "server/port.h"
#include "server/port_file.h"
#include "server/server.h"
#include "server/signals.h"
#include "server/wiring.h"

namespace agentruntime {
namespace {

// What is open when the runtime has ended: answers on their way.
constexpr absl::Duration kShutdownGrace = absl::Seconds(2);

int Fail(ExitCode code, absl::string_view message) {
  for (const absl::string_view line : absl::StrSplit(message, '\n')) Say(absl::StrCat("agentd: ", line));
  FlushLog();
  return static_cast<int>(code);
}

void SetUpLog(const config::v1::LogConfig& log) {
  LogLevel level = LogLevel::kInfo;
  if (log.level() == config::v1::LOG_LEVEL_DEBUG) level = LogLevel::kDebug;
  if (log.level() == config::v1::LOG_LEVEL_WARN) level = LogLevel::kWarn;
  if (log.level() == config::v1::LOG_LEVEL_ERROR) level = LogLevel::kError;
  ConfigureLog(level, log.format() == config::v1::LOG_FORMAT_JSON ? LogFormat::kJson : LogFormat::kLogfmt);
}

rpc::Backend BackendOf(const LoadedConfig& loaded, Wiring& wiring, DrainRequest& drain) {
  rpc::Backend backend;
  backend.runtime = &wiring.runtime();
  backend.store_id = wiring.runtime().store_id();
  backend.default_limits = loaded.config.limits().defaults();
  backend.maximum_limits = loaded.config.limits().maxima();
  backend.node = loaded.config.node();
  backend.currency_code = loaded.config.currency_code();
  backend.start_time = absl::Now();
  backend.running_max = loaded.config.sessions().running_max();
  backend.queued_max = loaded.config.sessions().queued_max();
  backend.drain_grace = FromProto(loaded.config.drain_grace());
  backend.drain = [&drain](absl::Duration grace) { drain.Ask(grace); };
  return backend;
}

int Serve(const Flags& flags, const LoadedConfig& loaded, const ProcessOptions& process, absl::Time begin) {
  if (const auto failure = WhyNoPortFile(flags.port_file)) return Fail(failure->code, failure->message);
  if (const auto failure = WhyNotListen(loaded.listen)) return Fail(failure->code, failure->message);
  DrainRequest drain;
  const Signals signals([&drain, grace = FromProto(loaded.config.drain_grace())](int signal) {
    Log(LogLevel::kInfo, "asked to end by a signal; a second one ends at once", {{"signal", signal}});
    drain.Ask(grace);
  });

  std::optional<ExitDeadline> exit_deadline;  // outlives what may not end
  std::optional<StartFailure> failure;
  const std::unique_ptr<Wiring> wiring = Wiring::Build(loaded, process, failure);
  if (wiring == nullptr) return Fail(failure->code, failure->message);
  const rpc::Backend backend = BackendOf(loaded, *wiring, drain);
  auto server = Server::Start(loaded.listen, wiring->pool(), backend, DescriptorsMax(), process.outbound_requests);
  if (!server.ok()) {
    exit_deadline.emplace(kExitMax, ExitCode::kInUse);
    wiring->Drain(absl::ZeroDuration());
    return Fail(ExitCode::kInUse, server.status().message());
  }
  wiring->runtime().SetServingListener([server = server->get()](bool serving) { server->SetServing(serving); });

  const std::string address = (*server)->address().ToString();
  Log(LogLevel::kInfo, "listening",
      {{"address", address},
       {"version", Version()},
       {"store", loaded.config.store().sqlite().path()},
       {"pid", getpid()},
       {"ms", absl::ToInt64Milliseconds(absl::Now() - begin)}});
  // Whoever started this one waits for the file: without it, it is as if the server had not come up.
  if (failure = WritePortFile(flags.port_file, address); failure) drain.Ask(absl::ZeroDuration());

  std::optional<absl::Duration> deadline = drain.Wait();
  (*server)->SetServing(false);
  while (deadline) {
    const absl::Duration grace = std::max(absl::ZeroDuration(), *deadline - SystemClock().Monotonic());
    Log(LogLevel::kInfo, "draining", {{"grace", absl::FormatDuration(absl::Trunc(grace, absl::Milliseconds(1)))}});
    exit_deadline.emplace(grace + kExitMax, failure ? failure->code : ExitCode::kDrained);
    wiring->StartDrain(grace, [&drain] { drain.Finish(); });
    deadline = drain.WaitForSooner(*deadline);
  }
  exit_deadline.emplace(kExitMax, failure ? failure->code : ExitCode::kDrained);
  (*server)->Shutdown(kShutdownGrace);
  wiring->runtime().SetServingListener([](bool) {});
  if (failure) return Fail(failure->code, failure->message);
  Log(LogLevel::kInfo, "drained");
  FlushLog();
  return static_cast<int>(ExitCode::kDrained);
}

// What else is wrong with the configuration does not keep anybody from looking at the store.
int Examine(const Flags& flags) {
  const auto config = ReadConfig(flags.config, {.listen = "", .store = flags.store});
  if (!config.ok()) return Fail(ExitCode::kBadConfig, config.status().message());
  SetUpLog(config->log());
  const ExitCode code = ExamineStore(config->store().sqlite().path(), std::cout);
  FlushLog();
  return static_cast<int>(code);
}

// These ask for no memory: there may be none. What they say goes past the log, whose thread may not have come to life.
void WriteRaw(const char* text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

// What the log still has is lost: whoever asked for memory may hold its mutex.
[[noreturn]] void EndWithoutMemory() {
  WriteRaw("agentd: the system gives this process no more memory, it ends; raise its limit (ulimit -v, MemoryMax), or free memory\n");
  std::abort();
}

// Of an exception that nobody foresaw: a thread that cannot be started, most likely.
[[noreturn]] void EndByException() {
  std::set_terminate(std::abort);
  FlushLog();
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    WriteRaw("agentd: cannot go on: ");
    WriteRaw(error.what());
    WriteRaw("; if the system gives it no more threads or memory, raise its limits (ulimit -u, ulimit -v, TasksMax, MemoryMax)\n");
  } catch (...) {
  }
  std::abort();
}

int Main(const std::vector<std::string>& arguments) {
  const absl::Time begin = absl::Now();
  std::set_new_handler(EndWithoutMemory);
  std::set_terminate(EndByException);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit of a file's size fails then, and the store says what it could not do
  const auto flags = ParseFlags(arguments);
  if (!flags.ok()) return Fail(ExitCode::kUsage, flags.status().message());
  switch (flags->action) {
    case Flags::Action::kHelp: std::cout << kUsage; return 0;
    case Flags::Action::kVersion: std::cout << "agentd " << Version() << " (" << BuildType() << ", " << Compiler() << ")\n"; return 0;
    case Flags::Action::kServe:
    case Flags::Action::kCheckConfig:
    case Flags::Action::kDoctor: break;
  }
  if (flags->action == Flags::Action::kDoctor) return Examine(*flags);
  auto loaded = LoadConfig(flags->config, {.listen = flags->listen, .store = flags->store});
  if (!loaded.ok()) return Fail(ExitCode::kBadConfig, loaded.status().message());
  SetUpLog(loaded->config.log());
  RaiseDescriptorLimit();
  if (const absl::Status status = CheckProcessLimits(DescriptorsMax()); !status.ok()) return Fail(ExitCode::kBadConfig, status.message());
  // Before the store is opened, which may renew its format and takes --restored at its word.
  const auto outbound = OutboundRequests(loaded->config, DescriptorsMax());
  if (!outbound.ok()) return Fail(ExitCode::kBadConfig, outbound.status().message());
  if (flags->action == Flags::Action::kCheckConfig) {
    FlushLog();
    std::cout << PrintConfig(loaded->config);
    return 0;
  }
  return Serve(*flags, *loaded, {.outbound_requests = *outbound, .restored = flags->restored}, begin);
}

}  // namespace
}  // namespace agentruntime

int main(int argc, char** argv) { return agentruntime::Main(std::vector<std::string>(argv + 1, argv + argc)); }
