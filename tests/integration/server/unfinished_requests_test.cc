// Callers who begin requests and never end them, or take no answer: what the server keeps of those.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/answer_room.h"
#include "server/server.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/await.h"
#include "tests/support/server_usage.h"

namespace agentruntime::testing {
namespace {

constexpr uint32_t kWindow = 65535;       // of HTTP/2, until the server says otherwise
constexpr size_t kFrameBytesMax = 16384;  // the same
constexpr int kHeldBackSeconds = 2;       // without leave to send more: then the sender gives up
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kReset = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;

std::string BigEndian(uint32_t number) {
  const uint32_t bytes = htonl(number);
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
}
uint32_t Number(absl::string_view bytes) {
  uint32_t number = 0;
  memcpy(&number, bytes.data(), sizeof(number));
  return ntohl(number);
}

std::string Literal(absl::string_view name, absl::string_view value) {
  return absl::StrCat(std::string(1, '\0'), std::string(1, static_cast<char>(name.size())), name, std::string(1, static_cast<char>(value.size())), value);
}

// HTTP/2 as far as it takes to send a message and not to end it. gRPC's own client would hold as much memory as the server.
class HalfSender {
 public:
  explicit HalfSender(const std::string& address, const std::string& settings = "") {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    open_ = connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
    EXPECT_TRUE(open_) << strerror(errno);
    const timeval most = {.tv_sec = kHeldBackSeconds, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    WriteFrame(kSettings, 0, 0, settings);
  }
  ~HalfSender() { close(socket_); }
  HalfSender(const HalfSender&) = delete;
  HalfSender& operator=(const HalfSender&) = delete;

  // A call whose message is announced with `announced` bytes, and `bytes` of it. False: the server has cut the call or the connection off, or
  // keeps it back.
  bool Send(uint32_t announced, int64_t bytes) {
    const uint32_t stream = next_stream_;
    next_stream_ += 2;
    windows_[stream] = initial_window_;
    WriteHeaders(stream, "CreateRun");
    std::string piece = absl::StrCat(std::string(1, '\0'), BigEndian(announced));
    for (int64_t sent = 0; sent < bytes;) {
      while (open_ && windows_.contains(stream) && std::min(windows_[stream], window_) <= 0) ReadFrame();
      if (!open_ || !windows_.contains(stream)) return false;
      piece.resize(static_cast<size_t>(std::min<int64_t>({bytes - sent, windows_[stream], window_, static_cast<int64_t>(kFrameBytesMax)})));
      WriteFrame(kData, 0, stream, piece);
      windows_[stream] -= static_cast<int64_t>(piece.size());
      window_ -= static_cast<int64_t>(piece.size());
      sent += static_cast<int64_t>(piece.size());
      piece.assign(kFrameBytesMax, '\0');
    }
    return true;
  }

  // A whole call.
  void Ask(absl::string_view method, const std::string& request) {
    const uint32_t stream = next_stream_;
    next_stream_ += 2;
    WriteHeaders(stream, method);
    WriteFrame(kData, kEndStream, stream, absl::StrCat(std::string(1, '\0'), BigEndian(static_cast<uint32_t>(request.size())), request));
  }

 private:
  void WriteHeaders(uint32_t stream, absl::string_view method) {
    WriteFrame(kHeaders, kEndHeaders, stream,
               absl::StrCat("\x83\x86", Literal(":path", absl::StrCat("/agentruntime.v1.RunService/", method)), Literal(":authority", "x"),
                            Literal("te", "trailers"), Literal("content-type", "application/grpc")));
  }
  void Write(absl::string_view bytes) {
    while (open_ && !bytes.empty()) {
      const ssize_t count = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      open_ = count > 0;
      if (open_) bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  void WriteFrame(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view body) {
    Write(absl::StrCat(BigEndian(static_cast<uint32_t>(body.size())).substr(1), std::string({static_cast<char>(type), static_cast<char>(flags)}),
                       BigEndian(stream), body));
  }
  std::string Read(size_t count) {
    std::string bytes(count, '\0');
    open_ = open_ && (count == 0 || recv(socket_, bytes.data(), count, MSG_WAITALL) == static_cast<ssize_t>(count));
    return bytes;
  }
  void ReadFrame() {
    const std::string head = Read(9);
    if (!open_) return;
    const std::string body = Read(Number(head) >> 8);
    if (!open_) return;
    const auto type = static_cast<uint8_t>(head[3]);
    const auto flags = static_cast<uint8_t>(head[4]);
    const uint32_t stream = Number(absl::string_view(head).substr(5));
    if (type == kReset) windows_.erase(stream);
    if (type == kWindowUpdate && stream == 0) window_ += Number(body);
    if (type == kWindowUpdate && windows_.contains(stream)) windows_[stream] += Number(body);
    if (type == kPing && (flags & kAck) == 0) WriteFrame(kPing, kAck, 0, body);
    if (type == kSettings && (flags & kAck) == 0) {
      for (absl::string_view left = body; left.size() >= 6; left.remove_prefix(6)) {
        if (left[0] != 0 || left[1] != 4) continue;  // SETTINGS_INITIAL_WINDOW_SIZE
        const int64_t now = Number(left.substr(2));
        for (auto& [number, window] : windows_) window += now - initial_window_;
        initial_window_ = now;
      }
      WriteFrame(kSettings, kAck, 0, "");
    }
  }

  int socket_ = -1;
  bool open_ = false;
  uint32_t next_stream_ = 1;
  int64_t initial_window_ = kWindow;
  int64_t window_ = kWindow;             // of the connection
  std::map<uint32_t, int64_t> windows_;  // of calls that the server has not cut off
};

// Beside the messages: a connection, its calls, and what is cut off and not given back yet.
constexpr int64_t kGrowthMax = 3 * static_cast<int64_t>(kUnfinishedRequestBytesMax);

class Growth {
 public:
  explicit Growth(pid_t server) : server_(server), before_(ResidentBytes(server)) {}
  void Look() { most_ = std::max(most_, ResidentBytes(server_) - before_); }
  int64_t most() const { return most_; }

 private:
  const pid_t server_;
  const int64_t before_;
  int64_t most_ = 0;
};

TEST(UnfinishedRequestsTest, MessagesThatDoNotEndTakeABoundedAmountOfMemory) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  Growth growth(server.pid());
  std::vector<std::unique_ptr<HalfSender>> callers;
  int64_t sent = 0;
  for (bool held_back = false; !held_back && growth.most() < kGrowthMax;) {
    callers.push_back(std::make_unique<HalfSender>(server.address()));
    for (int call = 0; call < 8; ++call) {
      held_back = !callers.back()->Send(4 << 20, 3 << 20);
      if (!held_back) sent += 3 << 20;
      growth.Look();
    }
  }
  EXPECT_GT(sent, static_cast<int64_t>(kUnfinishedRequestBytesMax) / 2) << "too little to show anything";
  EXPECT_LT(growth.most(), kGrowthMax);
  Answered(Stubs(server.Connect()));
}

TEST(UnfinishedRequestsTest, AMessageThatIsAnnouncedWithMoreThanItMayHaveIsCutOff) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  Growth growth(server.pid());
  HalfSender caller(server.address());
  EXPECT_FALSE(caller.Send(2'000'000'000, 1024 << 20));
  growth.Look();
  EXPECT_LT(growth.most(), kGrowthMax);
  Answered(Stubs(server.Connect()));
}

TEST(UnfinishedRequestsTest, AnswersThatNobodyTakesAreBoundedAndSmallOnesGoPast) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  const Stubs stubs(server.Connect());
  const auto run = Create(stubs, Submit(absl::StrCat("hang", std::string(250'000, 'x'))));
  ASSERT_TRUE(run.ok()) << run.status();
  v1::GetRunRequest request;
  request.set_name(run->name());
  const auto get = [&] { return Call(stubs.run, &v1::RunService::Stub::GetRun, request).status(); };
  EXPECT_TRUE(get().ok());
  Growth growth(server.pid());
  {
    std::vector<std::unique_ptr<HalfSender>> callers;
    for (int i = 0; i < 20; ++i) {
      callers.push_back(std::make_unique<HalfSender>(server.address(), std::string("\x00\x04\x00\x00\x00\x00", 6)));  // a window of nothing
      for (int call = 0; call < 100; ++call) callers.back()->Ask("GetRun", request.SerializeAsString());
      AwaitThat("no read waits, over whose bound calls are refused, too", [&] {
        const auto info = Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
        return info.ok() && info->reads_waiting() == 0;
      });
    }
    AwaitThat("there is no room for another answer", [&] { return absl::StrContains(std::string(get().message()), "bytes of answers"); });
    const auto another = Create(stubs, Submit(absl::StrCat("hang", std::string(250'000, 'y'))));
    EXPECT_TRUE(another.ok()) << "it is durable, and who is told to try again would have two: " << another.status();
    growth.Look();
    EXPECT_LT(growth.most(), 2 * rpc::kUntakenAnswerBytesMax) << "500 MiB were asked for";
    Answered(stubs);
  }
  AwaitThat("there is room again", [&] { return get().ok(); });
}

TEST(UnfinishedRequestsTest, LargeRequestsOfManyCallersAreAllAnswered) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  const std::string input(250'000, 'x');  // nearly what a run may have
  constexpr int kCallers = 128;
  std::vector<absl::Status> statuses(kCallers);
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] {
      const Stubs own(server.Connect());
      for (int call = 0; call < 2 && statuses[i].ok(); ++call) statuses[i] = Create(own, Submit(input)).status();
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace agentruntime::testing
