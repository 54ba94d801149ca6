#include "runtime/models/sse.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace agentruntime {

absl::Status SseParser::Feed(absl::string_view bytes, absl::FunctionRef<bool(const SseEvent&)> take) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const absl::string_view piece = bytes.substr(0, end);
    if (static_cast<int64_t>(line_.size() + piece.size() + event_.data.size()) > event_bytes_max_) {
      return absl::ResourceExhaustedError(absl::StrCat("an event of the stream is larger than ", event_bytes_max_, " bytes"));
    }
    if (end == absl::string_view::npos) {
      absl::StrAppend(&line_, piece);
      return absl::OkStatus();
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (line_.empty()) {
      Line(piece);
    } else {
      absl::StrAppend(&line_, piece);
      Line(line_);
      line_.clear();
    }
    if (complete_) {
      complete_ = false;
      const bool more = take(event_);
      event_.type.clear();
      event_.data.clear();
      data_seen_ = false;
      if (!more) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

void SseParser::Line(absl::string_view line) {
  if (first_line_) {
    first_line_ = false;
    line = absl::StripPrefix(line, "\xEF\xBB\xBF");
  }
  if (line.empty()) {
    complete_ = data_seen_;
    if (!data_seen_) event_.type.clear();
    return;
  }
  if (line.front() == ':') return;  // a comment, which servers send to keep the connection open
  const size_t colon = line.find(':');
  const absl::string_view field = line.substr(0, colon);
  absl::string_view value = colon == absl::string_view::npos ? absl::string_view() : line.substr(colon + 1);
  value = absl::StripPrefix(value, " ");
  if (field == "data") {
    if (data_seen_) event_.data.push_back('\n');
    absl::StrAppend(&event_.data, value);
    data_seen_ = true;
  } else if (field == "event") {
    event_.type = std::string(value);
  } else if (field == "id" && value.find('\0') == absl::string_view::npos) {
    event_.id = std::string(value);
  }
}

}  // namespace agentruntime
