// Room for answers to reads that callers have not taken yet.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace agentruntime::rpc {

// Of all callers together: gRPC holds an answer until its caller lets it come, and one who never does keeps it as long as the connection lives.
inline constexpr int64_t kUntakenAnswerBytesMax = 128 << 20;
// Answers up to this size go past, as do those of writes: the number of open calls bounds them. Larger ones a caller who takes none can keep from all others.
inline constexpr size_t kSmallAnswerBytes = 4 << 10;

// Thread-safe.
class AnswerRoom {
 public:
  // What to give back later; -1 if there is no room.
  int64_t Take(size_t bytes) {
    if (bytes <= kSmallAnswerBytes) return 0;
    const auto taken = static_cast<int64_t>(bytes);
    if (bytes_.fetch_add(taken) + taken <= kUntakenAnswerBytesMax) return taken;
    bytes_.fetch_sub(taken);
    return -1;
  }
  void GiveBack(int64_t taken) { bytes_.fetch_sub(taken); }

 private:
  std::atomic<int64_t> bytes_ = 0;
};

}  // namespace agentruntime::rpc
