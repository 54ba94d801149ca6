// Server-sent events, byte by byte.
// Source: the event stream format of the HTML standard, section 9.2.6.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

inline constexpr int64_t kSseEventBytesMax = 2 << 20;  // one event, its longest line included

struct SseEvent {
  std::string type;  // empty: `message`
  std::string data;  // lines joined by \n; never empty, except where the event carries an id alone
  std::string id;    // the last one seen in the stream
};

// Takes the stream in pieces of any size: lines may end with LF, CRLF or CR, and a piece may end anywhere, between CR and LF or inside a character.
// What the end of the stream cuts off is no event. Knows no encoding: lines come out whole, so whoever reads them may judge their UTF-8.
// Not thread-safe.
class SseParser {
 public:
  explicit SseParser(int64_t event_bytes_max = kSseEventBytesMax) : event_bytes_max_(event_bytes_max) {}

  // Calls `take` for each event that `bytes` completes; stops early when it returns false. RESOURCE_EXHAUSTED: an event is larger than the bound; nothing
  // can be read after that.
  absl::Status Feed(absl::string_view bytes, absl::FunctionRef<bool(const SseEvent&)> take);

 private:
  // One line without its end.
  void Line(absl::string_view line);

  int64_t event_bytes_max_;
  bool first_line_ = true;  // which may begin with a byte order mark
  bool after_cr_ = false;   // a LF now belongs to the line before
  std::string line_;        // what has come of a line
  SseEvent event_;          // what has come of an event
  bool data_seen_ = false;
  bool complete_ = false;  // the blank line came
};

}  // namespace agentruntime
