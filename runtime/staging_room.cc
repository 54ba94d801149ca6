#include "runtime/staging_room.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace agentruntime {

boost::asio::awaitable<StagingRoom::Lease> StagingRoom::Take(int64_t bytes) {
  bytes = std::min(bytes, bytes_max_);
  std::shared_ptr<Completion<Lease>> turn;
  {
    MutexLock lock(mu_);
    if (closed_) co_return nullptr;
    if (waiting_.empty()) {
      if (Lease lease = TryTake(bytes)) co_return lease;
    }
    turn = std::make_shared<Completion<Lease>>();
    waiting_.push_back({bytes, turn});
  }
  co_return co_await turn->Wait();
}

StagingRoom::Lease StagingRoom::TryTake(int64_t bytes) {
  if (bytes_ + bytes > bytes_max_) return nullptr;
  bytes_ += bytes;
  return Lease(this, [self = shared_from_this(), bytes](const void*) { self->GiveBack(bytes); });
}

void StagingRoom::GiveBack(int64_t bytes) {
  std::vector<std::pair<std::shared_ptr<Completion<Lease>>, Lease>> served;  // told after the lock: whoever is told may give back at once
  {
    MutexLock lock(mu_);
    bytes_ -= bytes;
    while (!waiting_.empty()) {
      Lease lease = TryTake(waiting_.front().bytes);
      if (lease == nullptr) break;
      served.emplace_back(std::move(waiting_.front().turn), std::move(lease));
      waiting_.pop_front();
    }
  }
  for (auto& [turn, lease] : served) turn->Complete(std::move(lease));
}

void StagingRoom::Close() {
  std::vector<std::shared_ptr<Completion<Lease>>> waiting;
  {
    MutexLock lock(mu_);
    closed_ = true;
    for (; !waiting_.empty(); waiting_.pop_front()) waiting.push_back(std::move(waiting_.front().turn));
  }
  for (const auto& turn : waiting) turn->Complete(nullptr);
}

}  // namespace agentruntime
