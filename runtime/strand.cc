#include "runtime/strand.h"

#include <boost/asio/post.hpp>

namespace agentruntime {

namespace asio = boost::asio;

namespace {

// The strand that this thread runs now; a function of one strand may run another's pool by itself, so they nest.
thread_local const void* running = nullptr;

class Running {
 public:
  explicit Running(const void* queue) : before_(std::exchange(running, queue)) {}
  ~Running() { running = before_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  const void* const before_;
};

}  // namespace

Strand::Queue::Queue(asio::any_io_executor pool)
    : pool_(std::move(pool)), context_(asio::query(pool_, asio::execution::context_as<asio::execution_context&>)) {}

bool Strand::Queue::IsRunningHere() const noexcept { return running == this; }

void Strand::Queue::Push(absl::AnyInvocable<void()> function) {
  {
    MutexLock lock(mu_);
    ready_.push_back(std::move(function));
    if (std::exchange(scheduled_, true)) return;
  }
  PostRun();
}

void Strand::Queue::PostRun() {
  // A pool that stops drops what it was to run. So does the strand then: what is queued may hold the strand, and would keep both for ever.
  class Turn {
   public:
    explicit Turn(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
    Turn(Turn&&) = default;
    ~Turn() {
      if (queue_ == nullptr) return;
      Fifo<absl::AnyInvocable<void()>> dropped;
      MutexLock lock(queue_->mu_);
      dropped = std::exchange(queue_->ready_, {});
      queue_->scheduled_ = false;
    }
    void operator()() { std::exchange(queue_, nullptr)->Run(); }

   private:
    std::shared_ptr<Queue> queue_;
  };
  asio::post(pool_, Turn(shared_from_this()));
}

void Strand::Queue::Run() {
  Fifo<absl::AnyInvocable<void()>> batch;
  {
    MutexLock lock(mu_);
    batch = std::exchange(ready_, {});
  }
  {
    const Running here(this);
    for (; !batch.empty(); batch.pop_front()) batch.front()();
  }
  {
    MutexLock lock(mu_);
    if (ready_.empty()) {
      scheduled_ = false;
      return;
    }
  }
  PostRun();
}

}  // namespace agentruntime
