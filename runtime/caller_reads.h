// What callers read, and, with bounds of their own, changes of agents, which hold a thread until they are durable: on a part of the blocking pool's threads, so
// that commands, cancels and the loads of runs find the others free.
//
// A few reads are under way at once, the others wait in the order they came, and over a bound they are refused. A read that may walk a whole journal or very
// many runs takes no more than a part of the places, so that those of a few rows go past. A caller who leaves takes its waiting read along, and asks one that
// is under way to stop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/base/mutex.h"
#include "runtime/completion.h"

namespace agentruntime {

// Thread-safe. Held by shared_ptr: what is under way holds it too.
class CallerReads : public std::enable_shared_from_this<CallerReads> {
 public:
  struct Bounds {
    int64_t at_once_max = 0;             // threads of the blocking pool
    int64_t walks_at_once_max = 0;       // of those
    int64_t waiting_max = 0;             // without those of watchers
    const char* what = "waiting reads";  // in the refusal
  };
  enum class Kind {
    kRows,     // a few rows, or one page
    kWalk,     // perhaps a whole journal, or very many runs
    kWatcher,  // a few rows for a watch or a waiting GetRun: kWatchersMax bounds those, so their reads are never refused
  };

  CallerReads(boost::asio::any_io_executor blocking_pool, Bounds bounds) : pool_(std::move(blocking_pool)), bounds_(bounds) {}

  // Runs `work(stop)`, which returns a StatusOr and must not throw, on the pool, and continues on the coroutine's own executor with what it returned. Whoever
  // waits for work that is under way waits for its end. The caller has left once the coroutine is cancelled or `left` says so: then `stop` is asked for, and
  // what has not begun never does. RESOURCE_EXHAUSTED (TooManyAtOnce): too many wait. CANCELLED: the caller left first.
  template <typename Work>
  boost::asio::awaitable<std::invoke_result_t<Work, std::stop_token>> Read(Kind kind, Work work, std::stop_token left = {}) {
    using Result = std::invoke_result_t<Work, std::stop_token>;
    const auto self = shared_from_this();
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    // One that came before is not told again.
    if (cancellation.cancelled() != boost::asio::cancellation_type::none || left.stop_requested()) co_return CallerLeft();
    auto done = std::make_shared<Completion<Result>>();
    std::stop_source stop;
    auto added = Add(kind, [done, token = stop.get_token(), work = std::move(work)]() mutable { done->Complete(work(token)); });
    if (!added.ok()) co_return std::move(added).status();
    const std::stop_callback give_up(stop.get_token(), [&self, &done, number = *added] {
      if (self->Remove(number)) done->Complete(CallerLeft());
    });
    const std::stop_callback on_left(left, [&stop] { stop.request_stop(); });
    auto slot = cancellation.slot();
    if (slot.is_connected()) slot.assign([stop](boost::asio::cancellation_type) mutable { stop.request_stop(); });
    Result result = co_await done->Wait();
    if (slot.is_connected()) slot.clear();
    co_return result;
  }

  int64_t under_way() ABSL_LOCKS_EXCLUDED(mu_);
  int64_t waiting() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Job {
    Kind kind;
    absl::AnyInvocable<void()> run;
  };
  using Number = uint64_t;                // grows with each read
  using Waiting = std::map<Number, Job>;  // first come, first served

  static absl::Status CallerLeft() { return absl::CancelledError("the caller has left"); }

  absl::StatusOr<Number> Add(Kind kind, absl::AnyInvocable<void()> run) ABSL_LOCKS_EXCLUDED(mu_);
  // False if it does not wait any more.
  bool Remove(Number number) ABSL_LOCKS_EXCLUDED(mu_);
  void Begin(Job job);
  void Ended(Kind kind) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasPlace(Kind kind) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Count(Kind kind, int64_t change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Out of where it waits.
  Job Take(Waiting& waiting, Waiting::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const boost::asio::any_io_executor pool_;
  const Bounds bounds_;

  Mutex mu_;
  Number last_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t under_way_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t walks_under_way_ ABSL_GUARDED_BY(mu_) = 0;  // of those
  Waiting rows_ ABSL_GUARDED_BY(mu_);                 // watchers' among them
  Waiting walks_ ABSL_GUARDED_BY(mu_);
  int64_t counted_ ABSL_GUARDED_BY(mu_) = 0;  // of both, without watchers'
};

}  // namespace agentruntime
