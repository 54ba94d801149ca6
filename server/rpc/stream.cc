#include "server/rpc/stream.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "proto/base/mutex.h"
#include "runtime/fifo.h"
#include "runtime/strand.h"
#include "server/rpc/codec.h"
#include "server/rpc/refusal.h"
#include "server/rpc/status.h"

namespace agentruntime::rpc {
namespace {

namespace asio = boost::asio;

// What waits for the client behind the message under way: few and small, because a slow client holds it. Over either a writer waits.
constexpr size_t kQueuedMessagesMax = 16;
constexpr size_t kQueuedBytesMax = 64 << 10;

// The coroutine queues messages; whichever thread of gRPC's finishes one begins the next, so that a message costs no turn of the pool. Lives until both the
// coroutine and gRPC are done with it. The call was counted.
class Stream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public ResponseStream {
 public:
  static Stream* Start(Host& host, StreamBody body) {
    auto stream = std::make_shared<Stream>(host);
    stream->self_ = stream;
    asio::co_spawn(stream->strand_, body(*stream), [stream](std::exception_ptr thrown, absl::Status status) {
      if (thrown) std::rethrow_exception(thrown);
      stream->cancel_ = {};
      stream->End(ToGrpc(status));
    });
    return stream.get();
  }

  explicit Stream(Host& host) : host_(host), strand_(Strand::On(host.pool)) {}
  ~Stream() override { host_.calls.Leave(); }

  asio::awaitable<bool> Write(EncodedResponse message) override {
    if (!Queue(std::move(message))) {
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
          [this](auto handler) {
            AwaitRoom([strand = strand_, shared = std::make_shared<decltype(handler)>(std::move(handler))]() mutable {
              asio::post(strand, [shared = std::move(shared)]() mutable { std::move (*shared)(); });
            });
          },
          asio::use_awaitable);
    }
    co_return !IsGone();
  }

  void OnCancel(absl::AnyInvocable<void()> cancel) override {
    if (IsGone() && cancel) return cancel();
    cancel_ = std::move(cancel);
  }

 private:
  bool IsGone() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return gone_;
  }
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return gone_ || (queue_.size() < kQueuedMessagesMax && queued_bytes_ < kQueuedBytesMax); }

  // False if the writer is to wait before the next.
  bool Queue(EncodedResponse message) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      if (gone_) return true;
      if (writing_) {
        queued_bytes_ += message.size();
        queue_.push_back(std::move(message));
        return HasRoom();
      }
      writing_ = true;
    }
    buffer_ = Share(std::move(message));
    StartWrite(&buffer_);
    return true;
  }

  // Calls `then` once there is room, perhaps at once.
  void AwaitRoom(absl::AnyInvocable<void()> then) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      if (!HasRoom()) {
        room_ = std::move(then);
        return;
      }
    }
    then();
  }

  // The coroutine has ended: what is queued still goes out.
  void End(grpc::Status status) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      if (writing_) {
        end_ = std::move(status);
        return;
      }
    }
    Finish(std::move(status));
  }

  void OnWriteDone(bool ok) override {
    buffer_.Clear();  // the stream may idle from here on, and a buffer of gRPC's takes a third of a kilobyte beside its message
    EncodedResponse next;
    std::optional<grpc::Status> end;
    absl::AnyInvocable<void()> room;
    {
      MutexLock lock(mu_);
      if (!ok) {
        gone_ = true;
        queue_ = {};
      }
      writing_ = !queue_.empty();
      if (writing_) {
        next = std::move(queue_.front());
        queue_.pop_front();
        queued_bytes_ -= next.size();
      }
      if (queue_.empty()) end = std::exchange(end_, std::nullopt);
      if (HasRoom()) room = std::exchange(room_, nullptr);
    }
    if (next) {
      buffer_ = Share(std::move(next));
      if (end) {
        StartWriteAndFinish(&buffer_, grpc::WriteOptions(), *std::move(end));
      } else {
        StartWrite(&buffer_);
      }
    } else if (end) {
      Finish(*std::move(end));
    }
    if (room) room();
  }
  void OnCancel() override {
    {
      MutexLock lock(mu_);
      gone_ = true;
    }
    asio::post(strand_, [stream = self_] {
      if (auto cancel = std::exchange(stream->cancel_, {})) cancel();
    });
  }
  // gRPC calls nothing after this.
  void OnDone() override { std::shared_ptr<Stream> last = std::move(self_); }

  Host& host_;
  const Strand strand_;
  std::shared_ptr<Stream> self_;       // gRPC's reference
  absl::AnyInvocable<void()> cancel_;  // on the strand
  grpc::ByteBuffer buffer_;            // of the message under way

  Mutex mu_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool gone_ ABSL_GUARDED_BY(mu_) = false;
  Fifo<EncodedResponse> queue_ ABSL_GUARDED_BY(mu_);  // behind the one under way
  size_t queued_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  absl::AnyInvocable<void()> room_ ABSL_GUARDED_BY(mu_);  // wakes the writer
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mu_);  // to be sent behind the last message
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartStream(Host& host, StreamBody body) {
  if (!host.calls.Enter()) return Refuse<grpc::ServerWriteReactor<grpc::ByteBuffer>>(host.calls);
  return Stream::Start(host, std::move(body));
}

}  // namespace agentruntime::rpc
