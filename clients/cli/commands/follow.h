// What `run`, `resume` and `watch` share.
#pragma once

#include <memory>

#include "clients/cli/connect.h"
#include "clients/cpp/watch.h"

namespace agentruntime::cli {

// Shows what `source` delivers after `after` until the run stops; the exit is the stop's.
ExitCode FollowSource(Session& session, std::unique_ptr<client::WatchSource> source, int64_t after);

}  // namespace agentruntime::cli
