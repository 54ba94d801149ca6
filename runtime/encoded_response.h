// What watchers are sent, on the wire: encoded once, handed to every watcher.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "storage/types.h"

namespace agentruntime {

// A WatchRunResponse, or none. Cheap to copy. Those that were encoded together share one piece of memory, which lives as long as any of them: the events of a
// follower that does not read would else be thousands of small pieces between others that come and go, and hold four times their size of the heap.
class EncodedResponse {
 public:
  EncodedResponse() = default;
  // `bytes` lie in `memory`.
  EncodedResponse(std::shared_ptr<const char[]> memory, std::string_view bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  static EncodedResponse CopyOf(std::string_view bytes);

  explicit operator bool() const { return memory_ != nullptr; }
  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  std::shared_ptr<const char[]> memory_;
  std::string_view bytes_;
};

EncodedResponse EncodeRun(const v1::Run& run);
EncodedResponse EncodeDelta(const v1::Delta& delta);
EncodedResponse EncodeEvent(const v1::Event& event);
// In their order, in one piece.
std::vector<EncodedResponse> EncodeEvents(absl::Span<const EventPtr> events);

}  // namespace agentruntime
