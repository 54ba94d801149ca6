#include "tests/simulation/loop.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace agentruntime::simulation {

namespace asio = boost::asio;

namespace {

constexpr absl::Duration kLateMax = absl::Milliseconds(20);
constexpr double kLate = 0.2;
constexpr absl::Duration kDelayMax = absl::Hours(24 * 60);  // longer than anything waits

}  // namespace

// The map's share of the timer goes with the wait; a handler that runs has its own.
class Loop::LoopWait final : public Timers::Wait {
 public:
  LoopWait(Loop* loop, Key key, std::shared_ptr<Timer> timer) : loop_(loop), key_(key), timer_(std::move(timer)) {}
  ~LoopWait() override {
    timer_->dropped = true;
    if (!loop_->closed_) loop_->timers_.erase(key_);
  }

 private:
  Loop* loop_;
  Key key_;
  std::shared_ptr<Timer> timer_;
};

Loop::~Loop() {
  closed_ = true;
  // Handlers that are destroyed may post or drop waits: that leads nowhere now.
  std::exchange(ready_, {}).clear();
  std::exchange(late_, {}).clear();
  std::exchange(timers_, {}).clear();
  shutdown();
  destroy();
}

asio::any_io_executor Loop::pool() { return Executor(*this, /*slow=*/false); }
asio::any_io_executor Loop::blocking_pool() { return Executor(*this, /*slow=*/true); }

void Loop::Post(Task task, bool slow) {
  if (closed_) return;
  if (slow && dice_.Chance(kLate)) {
    late_.emplace(Key(now() + dice_.Skewed(kLateMax), next_number_++), std::move(task));
  } else {
    ready_.push_back(std::move(task));
  }
}

std::unique_ptr<Timers::Wait> Loop::After(absl::Duration delay, asio::any_io_executor executor, absl::AnyInvocable<void()> then) {
  auto timer = std::make_shared<Timer>(Timer{std::move(executor), std::move(then)});
  const Key key(now() + std::clamp(delay, absl::ZeroDuration(), kDelayMax), next_number_++);
  if (!closed_) timers_.emplace(key, timer);
  return std::make_unique<LoopWait>(this, key, std::move(timer));
}

std::optional<absl::Duration> Loop::next_timer() const {
  std::optional<absl::Duration> next;
  if (!timers_.empty()) next = timers_.begin()->first.first;
  if (!late_.empty() && (!next || late_.begin()->first.first < *next)) next = late_.begin()->first.first;
  return next;
}

void Loop::FireDue() {
  while (!late_.empty() && late_.begin()->first.first <= now()) ready_.push_back(std::move(late_.extract(late_.begin()).mapped()));
  while (!timers_.empty() && timers_.begin()->first.first <= now()) {
    const std::shared_ptr<Timer> timer = std::move(timers_.extract(timers_.begin()).mapped());
    asio::post(timer->executor, [timer] {
      if (!timer->dropped) timer->then();
    });
  }
}

void Loop::RunOne() {
  std::swap(ready_[dice_.Index(ready_.size())], ready_.back());
  Task task = std::move(ready_.back());
  ready_.pop_back();
  task();
}

void Loop::Detach() {
  own_now_ = *now_;
  now_ = &own_now_;
}

bool Loop::RunToEnd(absl::Duration until) {
  for (;;) {
    FireDue();
    if (!ready_.empty()) {
      RunOne();
      continue;
    }
    const auto next = next_timer();
    if (!next) return true;
    if (*next > until) return false;
    own_now_ = *next;
  }
}

}  // namespace agentruntime::simulation
