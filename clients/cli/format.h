// Numbers and times as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentruntime::cli {

std::string FormatCount(int64_t count);                           // 18,204
std::string FormatPlural(int64_t count, absl::string_view noun);  // 1 step, 2 steps
std::string FormatBytes(int64_t bytes);                           // 412 MiB
std::string FormatElapsed(absl::Duration duration);               // 0 ms, 31 ms, 2.4 s, 6m 12s, 3h 02m, 3 d 2 h
std::string FormatLimit(absl::Duration duration);                 // 10m, 1h30m, 250ms: as it is written in a command
std::string FormatInstant(absl::Time time);                       // 2026-03-01 09:14:45, local time: every point in time is written so
// How long a call waits for a person: `until ` the expiry of its wait, or the run's deadline where that comes first (InfiniteFuture: there is none).
std::string FormatWaitEnd(absl::Time expiry, absl::Time deadline);
// As FormatInstant writes it, or RFC 3339 (2026-03-01T08:14:45Z), which names its zone. nullopt: neither.
std::optional<absl::Time> ParseInstant(const std::string& text);

}  // namespace agentruntime::cli
