#include "server/exit_deadline.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "proto/base/log.h"

namespace agentruntime {

ExitDeadline::ExitDeadline(absl::Duration time, ExitCode code)
    : thread_([time, code](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any ended;
        std::unique_lock lock(mutex);
        if (ended.wait_for(lock, stop, absl::ToChronoNanoseconds(time), [&stop] { return stop.stop_requested(); })) return;
        Log(LogLevel::kWarn, "something still works and does not stop; leaving without it", {{"waited", absl::FormatDuration(time)}});
        FlushLog();
        std::_Exit(static_cast<int>(code));
      }) {}

}  // namespace agentruntime
