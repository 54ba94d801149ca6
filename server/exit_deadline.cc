#include "server/exit_deadline.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "proto/base/log.h"
#include "server/exit_code.h"

namespace agentruntime {

ExitDeadline::ExitDeadline(absl::Duration time)
    : thread_([time](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any ended;
        std::unique_lock lock(mutex);
        if (ended.wait_for(lock, stop, absl::ToChronoNanoseconds(time), [&stop] { return stop.stop_requested(); })) return;
        Log(LogLevel::kWarn, "something still works and does not stop; leaving without it", {{"waited", absl::FormatDuration(time)}});
        FlushLog();
        std::_Exit(static_cast<int>(ExitCode::kDrained));
      }) {}

}  // namespace agentruntime
