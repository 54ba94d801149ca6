#include "server/rpc/unary.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <memory>

#include "runtime/strand.h"
#include "server/rpc/refusal.h"

namespace agentruntime::rpc {
namespace {

namespace asio = boost::asio;
using Answer = absl::StatusOr<grpc::ByteBuffer>;

// gRPC's threads only post to the strand. Lives until both the coroutine and gRPC are done with it. The call was counted.
class Unary final : public grpc::ServerUnaryReactor {
 public:
  static Unary* Start(Host& host, grpc::ByteBuffer* response, OnLeave on_leave, asio::awaitable<Answer> body) {
    auto call = std::make_shared<Unary>(host, on_leave);
    call->self_ = call;
    auto finish = [call, response](std::exception_ptr thrown, Answer answer) {
      if (thrown) std::rethrow_exception(thrown);
      if (answer.ok() && !call->TakeRoom(answer->Length())) answer = TooManyAtOnce("bytes of answers that callers have not taken", kUntakenAnswerBytesMax);
      if (answer.ok()) response->Swap(&*answer);
      call->Finish(ToGrpc(answer.status()));
    };
    asio::co_spawn(call->strand_, Run(std::move(body)), asio::bind_cancellation_slot(call->signal_.slot(), std::move(finish)));
    return call.get();
  }

  Unary(Host& host, OnLeave on_leave) : host_(host), strand_(Strand::On(host.pool)), on_leave_(on_leave) {}
  ~Unary() override {
    host_.answers.GiveBack(answer_bytes_);
    host_.calls.Leave();
  }

 private:
  bool TakeRoom(size_t bytes) {
    // What a write did is done: who is told to try again would do it twice.
    if (on_leave_ == OnLeave::kGoOn) return true;
    const int64_t taken = host_.answers.Take(bytes);
    if (taken > 0) answer_bytes_ = taken;
    return taken >= 0;
  }
  static asio::awaitable<Answer> Run(asio::awaitable<Answer> body) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return co_await std::move(body);
  }

  void OnCancel() override {
    if (on_leave_ == OnLeave::kGoOn) return;
    asio::post(strand_, [call = self_] { call->signal_.emit(asio::cancellation_type::terminal); });
  }
  // gRPC calls nothing after this.
  void OnDone() override { std::shared_ptr<Unary> last = std::move(self_); }
  // OnCancel and OnDone take no time and hold nobody up, so they run on the thread that has the news, as they do for the reactor that gRPC gives out itself
  // (`DefaultReactor`, which cannot hear that its caller left). Otherwise gRPC hands each call to a thread of its executor once more at its end: without that
  // a tenth more calls a second where the cores are busy. gRPC has the hook for itself and says that it is no API: if it goes, this line no longer compiles and
  // may go with it, and nothing but that tenth.
  bool InternalInlineable() override { return true; }

  Host& host_;
  const Strand strand_;
  const OnLeave on_leave_;
  int64_t answer_bytes_ = 0;          // in the room for answers
  asio::cancellation_signal signal_;  // emitted on the strand
  std::shared_ptr<Unary> self_;       // gRPC's reference
};

}  // namespace

grpc::ServerUnaryReactor* StartUnary(Host& host, grpc::ByteBuffer* response, OnLeave on_leave, asio::awaitable<Answer> body) {
  if (!host.calls.Enter()) return Refuse<grpc::ServerUnaryReactor>(host.calls);
  return Unary::Start(host, response, on_leave, std::move(body));
}

}  // namespace agentruntime::rpc
