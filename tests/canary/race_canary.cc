// Whether the race detector can judge the core: a correct program over what the core is made of (strands of a pool, the gate with tickets completed on a
// thread of their own, a Status that travels between threads) must give no report. Built with AGENTRUNTIME_RACE it has one race, which must be reported.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "runtime/completion.h"
#include "runtime/gate.h"
#include "runtime/strand.h"

namespace agentruntime {
namespace {

namespace asio = boost::asio;

constexpr int kSessions = 64;
constexpr Sequence kEvents = 50;

class Counter final : public Publisher {
 public:
  void Publish(const RunId&, std::vector<EventPtr> events, std::shared_ptr<const v1::Run>) override {
    published += static_cast<int64_t>(events.size());
#ifdef AGENTRUNTIME_RACE
    raced += 1;  // of every strand, guarded by nothing
#endif
  }
  void PublishDelta(const RunId&, v1::Delta) override {}
  void SetAside(const RunId&, const absl::Status&) override {}
  void TakeBack(const RunId&) override {}

  std::atomic<int64_t> published = 0;
  int64_t raced = 0;
};

// Records events, has each made durable by `writer`, and waits for it; then hands a Status over.
asio::awaitable<void> Session(std::shared_ptr<Counter> outside, Strand strand, asio::any_io_executor writer, std::shared_ptr<Completion<absl::Status>> ended) {
  auto gate = std::make_shared<Gate>(RunId(), 0, /*settled=*/false, strand, outside);
  for (Sequence sequence = 1; sequence <= kEvents; ++sequence) {
    auto event = std::make_shared<v1::Event>();
    event->set_sequence(sequence);
    asio::post(writer, [done = gate->Add({std::move(event)}, nullptr)]() mutable { done(AppendResult::kDurable); });
    if (!co_await gate->Durable(sequence)) std::abort();
  }
  ended->Complete(absl::NotFoundError("a message that is long enough to live on the heap"));
}

asio::awaitable<absl::Status> Await(std::shared_ptr<Completion<absl::Status>> ended) { co_return co_await ended->Wait(); }

int Main() {
  asio::thread_pool pool(4);
  asio::thread_pool writer(1);
  const auto outside = std::make_shared<Counter>();
  std::vector<std::future<absl::Status>> ends;
  for (int i = 0; i < kSessions; ++i) {
    auto ended = std::make_shared<Completion<absl::Status>>();
    const auto strand = Strand::On(pool.get_executor());
    asio::co_spawn(strand, Session(outside, strand, writer.get_executor(), ended), [](const std::exception_ptr&) {});
    ends.push_back(asio::co_spawn(Strand::On(pool.get_executor()), Await(ended), asio::use_future));
  }
  int64_t statuses = 0;
  for (auto& end : ends) statuses += absl::IsNotFound(end.get()) ? 1 : 0;
  writer.join();
  pool.join();
  std::printf("%lld events, %lld statuses\n", static_cast<long long>(outside->published.load()), static_cast<long long>(statuses));
  return outside->published == kSessions * kEvents && statuses == kSessions ? 0 : 1;
}

}  // namespace
}  // namespace agentruntime

int main() { return agentruntime::Main(); }
