#include "tests/support/http_server.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <list>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace agentruntime::testing {

namespace asio = boost::asio;
using asio::ip::tcp;

void HttpServer::Connection::Answer(int status, absl::string_view body, absl::string_view headers) {
  Write(absl::StrCat("HTTP/1.1 ", status, " X\r\nContent-Length: ", body.size(), "\r\n", headers, "\r\n", body));
}

namespace {

class SocketConnection final : public HttpServer::Connection {
 public:
  explicit SocketConnection(tcp::socket socket) : socket_(std::move(socket)), handle_(socket_.native_handle()) {
    boost::system::error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
  }

  bool Write(absl::string_view bytes) override {
    boost::system::error_code error;
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), error);
    if (error) open_ = false;
    return !error;
  }
  void WaitForClose() override {
    boost::system::error_code error;
    char byte;
    while (!error) socket_.read_some(asio::buffer(&byte, 1), error);
    open_ = false;
  }
  void Close() override {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    open_ = false;
  }
  void Reset() override {
    boost::system::error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    MutexLock lock(mu_);
    closed_ = true;
    socket_.close(ignored);
    open_ = false;
  }

  // False at the end of the connection.
  bool Read(ServedRequest& request) {
    if (!open_) return false;
    boost::system::error_code error;
    const size_t head = asio::read_until(socket_, asio::dynamic_buffer(input_), "\r\n\r\n", error);
    if (error) return false;
    const std::vector<std::string> lines = absl::StrSplit(absl::string_view(input_).substr(0, head - 4), "\r\n");
    const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
    request.method = words[0];
    request.target = words.size() > 1 ? words[1] : "";
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::pair<std::string, std::string> header = absl::StrSplit(lines[i], absl::MaxSplits(':', 1));
      request.headers[absl::AsciiStrToLower(header.first)] = std::string(absl::StripAsciiWhitespace(header.second));
    }
    input_.erase(0, head);
    size_t length = 0;
    if (!absl::SimpleAtoi(request.headers["content-length"], &length)) length = 0;
    if (input_.size() < length) asio::read(socket_, asio::dynamic_buffer(input_), asio::transfer_exactly(length - input_.size()), error);
    if (error) return false;
    request.body = input_.substr(0, length);
    input_.erase(0, length);
    return true;
  }
  // From another thread: ends every wait on the socket.
  void Interrupt() {
    MutexLock lock(mu_);
    if (!closed_) ::shutdown(handle_, SHUT_RDWR);
  }

 private:
  tcp::socket socket_;
  const int handle_;
  std::string input_;
  bool open_ = true;
  Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

struct HttpServer::Impl {
  // A connection and its thread; both go when it has ended and another one comes.
  struct Served {
    explicit Served(tcp::socket socket) : connection(std::move(socket)) {}
    SocketConnection connection;
    std::atomic<bool> ended = false;
    std::thread thread;
  };

  Impl(Handler handler, Keep keep) : handler(std::move(handler)), keep(keep), acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}

  void Accept() {
    for (int number = 1;; ++number) {
      boost::system::error_code error;
      tcp::socket socket(context);
      acceptor.accept(socket, error);
      MutexLock lock(mu);
      if (stopping || error) return;
      std::erase_if(served, [](const std::unique_ptr<Served>& one) {
        if (one->ended) one->thread.join();
        return one->ended.load();
      });
      accepted = number;
      Served* const one = served.emplace_back(std::make_unique<Served>(std::move(socket))).get();
      one->thread = std::thread([this, one, number] {
        Serve(one->connection, number);
        MutexLock done(mu);
        one->ended = true;
        changed.NotifyAll();
      });
    }
  }

  void Serve(SocketConnection& connection, int number) {
    for (;;) {
      ServedRequest request;
      if (!connection.Read(request)) return connection.Close();
      request.connection = number;
      if (keep == Keep::kRequests) {
        MutexLock lock(mu);
        requests.push_back(request);
        changed.NotifyAll();
      }
      handler(request, connection);
    }
  }

  const Handler handler;
  const Keep keep;
  asio::io_context context;
  tcp::acceptor acceptor;
  Mutex mu;
  CondVar changed;
  bool stopping ABSL_GUARDED_BY(mu) = false;
  std::vector<ServedRequest> requests ABSL_GUARDED_BY(mu);
  int accepted ABSL_GUARDED_BY(mu) = 0;
  std::list<std::unique_ptr<Served>> served ABSL_GUARDED_BY(mu);
  std::thread accept_thread;
};

HttpServer::HttpServer(Handler handler, Keep keep) : impl_(std::make_unique<Impl>(std::move(handler), keep)) {
  impl_->accept_thread = std::thread([this] { impl_->Accept(); });
}

HttpServer::~HttpServer() {
  std::list<std::unique_ptr<Impl::Served>> served;
  {
    MutexLock lock(impl_->mu);
    impl_->stopping = true;
    for (const auto& one : impl_->served) one->connection.Interrupt();
  }
  ::shutdown(impl_->acceptor.native_handle(), SHUT_RDWR);
  impl_->accept_thread.join();
  {
    MutexLock lock(impl_->mu);
    served.swap(impl_->served);
  }
  for (const auto& one : served) one->thread.join();
}

int HttpServer::port() const { return impl_->acceptor.local_endpoint().port(); }

std::string HttpServer::Url(absl::string_view target) const { return absl::StrCat("http://127.0.0.1:", port(), target); }

void HttpServer::AwaitQuiet() {
  // Connections are accepted in order: when this one has been ended, all before it have been accepted.
  tcp::socket probe(impl_->context);
  probe.connect(impl_->acceptor.local_endpoint());
  probe.shutdown(tcp::socket::shutdown_send);
  boost::system::error_code error;
  char byte;
  while (!error) probe.read_some(asio::buffer(&byte, 1), error);
  MutexLock lock(impl_->mu);
  const auto busy = [](const auto& one) { return !one->ended; };
  while (std::any_of(impl_->served.begin(), impl_->served.end(), busy)) impl_->changed.Wait(impl_->mu);
}

bool HttpServer::AwaitRequests(size_t count) {
  const absl::Time until = absl::Now() + absl::Minutes(1);
  MutexLock lock(impl_->mu);
  while (impl_->requests.size() < count && absl::Now() < until) impl_->changed.WaitFor(impl_->mu, until - absl::Now());
  return impl_->requests.size() >= count;
}

int HttpServer::connections() const {
  MutexLock lock(impl_->mu);
  return impl_->accepted;
}

std::vector<ServedRequest> HttpServer::requests() const {
  MutexLock lock(impl_->mu);
  return impl_->requests;
}

}  // namespace agentruntime::testing
