// Fails under a compiler that destroys an aggregate argument of an awaited coroutine twice (gcc 12 does). Run when the build is configured.
#include <coroutine>
#include <cstdlib>
#include <string>
#include <utility>

static int live = 0;

struct Counted {
  std::string text = "a string that is too long for the small-string buffer";
  Counted() { ++live; }
  Counted(Counted&& other) noexcept : text(std::move(other.text)) { ++live; }
  ~Counted() { --live; }
};

struct Options {
  Counted name;
  int number = 0;
};

struct Task {
  struct promise_type {
    std::coroutine_handle<> waiter;
    Task get_return_object() { return Task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Resume {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> done) noexcept {
          return done.promise().waiter ? done.promise().waiter : std::noop_coroutine();
        }
        void await_resume() noexcept {}
      };
      return Resume{};
    }
    void return_void() {}
    void unhandled_exception() { std::abort(); }
  };
  explicit Task(std::coroutine_handle<promise_type> made) : handle(made) {}
  Task(Task&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  ~Task() {
    if (handle) handle.destroy();
  }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) {
    handle.promise().waiter = waiter;
    return handle;
  }
  void await_resume() {}
  std::coroutine_handle<promise_type> handle;
};

static Task Use(Options options) {
  if (options.number != 7) std::abort();
  co_return;
}

static Task Call() { co_await Use(Options{.name = Counted(), .number = 7}); }

int main() {
  {
    Task task = Call();
    task.handle.resume();
  }
  return live == 0 ? 0 : 1;
}
