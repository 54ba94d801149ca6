#include "runtime/tools/clock.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/blocking_pool.h"

namespace agentruntime {

namespace asio = boost::asio;
using nlohmann::ordered_json;

namespace {

constexpr size_t kZoneBytesMax = 64;
constexpr char kZoneFolder[] = "/usr/share/zoneinfo/";

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"zone":{"type":"string","minLength":1,"maxLength":64,"description":"IANA time zone, such as Europe/Berlin; )json"
    R"json(UTC if left out."}},"additionalProperties":false})json";

// Only names are looked up that are those of a file, without a way out of the folder: Abseil remembers every name it was ever asked for.
bool IsZone(absl::string_view zone) {
  if (zone == "UTC") return true;
  if (zone.empty() || zone.size() > kZoneBytesMax || !absl::ascii_isalpha(zone[0])) return false;
  for (const char c : zone) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("_+-/", absl::string_view(&c, 1))) return false;
  }
  std::error_code error;
  return std::filesystem::is_regular_file(absl::StrCat(kZoneFolder, zone), error);
}

ToolOutcome Tell(absl::Time now, const std::string& arguments_text) {
  const ordered_json arguments = ordered_json::parse(arguments_text, nullptr, false);
  if (!arguments.is_object()) return ToolFailed{.message = "give the arguments as an object, such as {\"zone\":\"Europe/Berlin\"}"};
  const std::string name = arguments.contains("zone") && arguments["zone"].is_string() ? arguments["zone"].get<std::string>() : "UTC";
  absl::TimeZone zone;
  if (!IsZone(name) || !absl::LoadTimeZone(name, &zone)) {
    return ToolFailed{.message = absl::StrCat("zone: \"", OneLine(name, kZoneBytesMax), "\" is no IANA time zone; give one such as Europe/Berlin or UTC")};
  }
  const ordered_json result{{"utc", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone())},
                            {"zone", name},
                            {"local", absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", now, zone)},
                            {"weekday", absl::FormatTime("%A", now, zone)},
                            {"unix_seconds", absl::ToUnixSeconds(now)}};
  ToolDone done;
  done.parts.emplace_back().set_json(result.dump());
  return done;
}

}  // namespace

ClockTool::ClockTool(std::string name, const Clock& clock, asio::any_io_executor pool) : clock_(clock), pool_(std::move(pool)) {
  spec_.name = std::move(name);
  spec_.description = "Tells the current date and time, in UTC and in a time zone.";
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.local = true;
}

asio::awaitable<ToolOutcome> ClockTool::Call(ToolRequest request, ProgressSink&) {
  co_return co_await RunBlocking(pool_, [now = clock_.Now(), arguments = std::move(request.arguments)] { return Tell(now, arguments); });
}

}  // namespace agentruntime
