#include "runtime/timers.h"

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <ratio>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "proto/base/mutex.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

using Step = std::chrono::duration<int64_t, std::ratio<1, 20>>;  // of the grid that rough waits end on
const absl::Duration kDelayMax = absl::Hours(24 * 366 * 10);     // what the clock can add without overflow

std::chrono::steady_clock::time_point EndOf(absl::Duration delay) {
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(std::clamp(delay, absl::ZeroDuration(), kDelayMax));
}

}  // namespace

std::chrono::steady_clock::time_point SystemTimers::RoughEnd(std::chrono::steady_clock::time_point end) { return std::chrono::ceil<Step>(end); }

class SystemTimers::Waits : public std::enable_shared_from_this<SystemTimers::Waits> {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  using Key = std::pair<Instant, uint64_t>;  // the number makes it unique
  struct Entry {
    asio::any_io_executor executor;
    absl::AnyInvocable<void()> then;
  };

  Key Add(Instant due, Entry entry) ABSL_LOCKS_EXCLUDED(mu_) {
    Key key;
    bool looks_too_late = false;
    {
      MutexLock lock(mu_);
      key = {due, ++last_number_};
      waiting_.emplace(key, std::move(entry));
      looks_too_late = due < looks_at_;
      if (looks_too_late) looks_at_ = due;
    }
    if (looks_too_late) changed_.NotifyOne();
    return key;
  }

  void Drop(const Key& key) ABSL_LOCKS_EXCLUDED(mu_) { Take(key); }

  // On the timers' thread, until Stop.
  void HandOver() ABSL_LOCKS_EXCLUDED(mu_) {
    std::vector<std::pair<asio::any_io_executor, Key>> due;
    while (AwaitDue(due)) {
      for (auto& [executor, key] : due) asio::post(executor, [self = shared_from_this(), key = key] { self->Run(key); });
      due.clear();
    }
  }
  void Stop() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    stopped_ = true;
    changed_.NotifyOne();
  }

 private:
  using Entries = std::map<Key, Entry>;

  // False once stopped. What is due moves to `due_`, where it may still be dropped until it runs.
  bool AwaitDue(std::vector<std::pair<asio::any_io_executor, Key>>& due) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    for (;;) {
      if (stopped_) return false;
      const Instant now = std::chrono::steady_clock::now();
      while (!waiting_.empty() && waiting_.begin()->first.first <= now) {
        due.emplace_back(waiting_.begin()->second.executor, waiting_.begin()->first);
        due_.insert(waiting_.extract(waiting_.begin()));
      }
      if (!due.empty()) return true;
      if (waiting_.empty()) {
        looks_at_ = Instant::max();
        changed_.Wait(mu_);
      } else {
        looks_at_ = waiting_.begin()->first.first;
        changed_.WaitFor(mu_, absl::FromChrono(looks_at_ - now));
      }
    }
  }

  Entries::node_type Take(const Key& key) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (auto waiting = waiting_.extract(key)) return waiting;
    return due_.extract(key);
  }

  void Run(const Key& key) {
    if (auto entry = Take(key)) entry.mapped().then();
  }

  Mutex mu_;
  CondVar changed_;
  Entries waiting_ ABSL_GUARDED_BY(mu_);
  Entries due_ ABSL_GUARDED_BY(mu_);  // on their way to their executors
  uint64_t last_number_ ABSL_GUARDED_BY(mu_) = 0;
  // When the thread looks again, at the latest. Most waits are limits that are dropped unused: whoever comes with a later one than those need not wake it.
  Instant looks_at_ ABSL_GUARDED_BY(mu_) = Instant::max();
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

namespace {

template <typename Waits>
class SystemWait final : public Timers::Wait {
 public:
  SystemWait(std::shared_ptr<Waits> waits, typename Waits::Key key) : waits_(std::move(waits)), key_(key) {}
  ~SystemWait() override { waits_->Drop(key_); }

 private:
  const std::shared_ptr<Waits> waits_;
  const typename Waits::Key key_;
};

}  // namespace

SystemTimers::SystemTimers() : waits_(std::make_shared<Waits>()), thread_([waits = waits_] { waits->HandOver(); }) {}

SystemTimers::~SystemTimers() { Stop(); }

void SystemTimers::Stop() {
  waits_->Stop();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<Timers::Wait> SystemTimers::After(absl::Duration delay, asio::any_io_executor executor, absl::AnyInvocable<void()> then) {
  return std::make_unique<SystemWait<Waits>>(waits_, waits_->Add(EndOf(delay), {std::move(executor), std::move(then)}));
}

std::unique_ptr<Timers::Wait> SystemTimers::AfterRoughly(absl::Duration delay, asio::any_io_executor executor, absl::AnyInvocable<void()> then) {
  return std::make_unique<SystemWait<Waits>>(waits_, waits_->Add(RoughEnd(EndOf(delay)), {std::move(executor), std::move(then)}));
}

asio::awaitable<void> Timers::Sleep(absl::Duration delay) {
  // Both ends of the race, the timer and the cancellation, run on the coroutine's executor.
  struct Sleeper {
    std::unique_ptr<Wait> wait;
    absl::AnyInvocable<void()> wake;
  };
  auto sleeper = std::make_shared<Sleeper>();
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&](auto handler) {
        const auto slot = asio::get_associated_cancellation_slot(handler);
        const auto executor = asio::get_associated_executor(handler);
        sleeper->wake = [shared = std::make_shared<decltype(handler)>(std::move(handler))]() mutable { std::move (*shared)(); };
        sleeper->wait = After(delay, executor, [sleeper] {
          if (auto wake = std::exchange(sleeper->wake, nullptr)) wake();
        });
        if (slot.is_connected()) {
          auto connected = slot;
          connected.assign([sleeper](asio::cancellation_type) {
            sleeper->wait.reset();
            if (auto wake = std::exchange(sleeper->wake, nullptr)) wake();
          });
        }
      },
      asio::use_awaitable);
  sleeper->wait.reset();
}

}  // namespace agentruntime
