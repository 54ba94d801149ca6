#include "server/rpc/stream.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "runtime/strand.h"
#include "server/rpc/codec.h"
#include "server/rpc/status.h"

namespace agentruntime::rpc {
namespace {

namespace asio = boost::asio;

// gRPC's threads only post to the strand; everything else happens there. Lives until both the coroutine and gRPC are done with it.
class Stream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public ResponseStream {
 public:
  static Stream* Start(Host& host, StreamBody body) {
    auto stream = std::make_shared<Stream>(host);
    stream->self_ = stream;
    asio::co_spawn(stream->strand_, Run(stream, body(*stream)), [stream](std::exception_ptr thrown, absl::Status status) {
      if (thrown) std::rethrow_exception(thrown);
      stream->Finish(ToGrpc(status));
    });
    return stream.get();
  }

  explicit Stream(Host& host) : host_(host), strand_(Strand::On(host.pool)) { host_.calls.Enter(); }
  ~Stream() override { host_.calls.Leave(); }

  asio::awaitable<bool> Write(EncodedResponse message) override {
    if (gone_) co_return false;
    buffer_ = Share(std::move(message));
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(bool)>(
        [this](auto handler) {
          written_ = [handler = std::make_shared<decltype(handler)>(std::move(handler))](bool ok) { std::move (*handler)(ok); };
          StartWrite(&buffer_);
        },
        asio::use_awaitable);
  }

  void OnCancel(absl::AnyInvocable<void()> cancel) override {
    if (gone_ && cancel) return cancel();
    cancel_ = std::move(cancel);
  }

 private:
  static asio::awaitable<absl::Status> Run(std::shared_ptr<Stream> stream, asio::awaitable<absl::Status> body) {
    absl::Status status = co_await std::move(body);
    stream->cancel_ = {};
    co_return status;
  }

  void OnWriteDone(bool ok) override {
    asio::post(strand_, [stream = self_, ok] {
      if (!ok) stream->gone_ = true;
      std::exchange(stream->written_, {})(ok);
    });
  }
  void OnCancel() override {
    asio::post(strand_, [stream = self_] {
      stream->gone_ = true;
      if (auto cancel = std::exchange(stream->cancel_, {})) cancel();
    });
  }
  // gRPC calls nothing after this.
  void OnDone() override { std::shared_ptr<Stream> last = std::move(self_); }

  Host& host_;
  const Strand strand_;
  std::shared_ptr<Stream> self_;  // gRPC's reference
  grpc::ByteBuffer buffer_;
  absl::AnyInvocable<void(bool)> written_;  // of the write under way
  absl::AnyInvocable<void()> cancel_;
  bool gone_ = false;
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartStream(Host& host, StreamBody body) { return Stream::Start(host, std::move(body)); }

}  // namespace agentruntime::rpc
