#include "server/acceptor.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "proto/base/mutex.h"

namespace agentruntime {
namespace {

int ConnectTo(int port) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  return connection;
}

// Whether the other side has closed it, once it has said or done anything.
bool IsClosed(int connection) {
  char byte;
  return recv(connection, &byte, 1, 0) <= 0;
}

TEST(AcceptorTest, AConnectionThatWouldTakeOneOfTheLastDescriptorsIsClosed) {
  const int lowest = dup(STDERR_FILENO);  // whatever the test was started with
  close(lowest);
  const int files = lowest + 80;  // a quarter of so few is kept
  auto acceptor = Acceptor::Open({.host = "127.0.0.1"}, files, kConnectionsMax);
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  (*acceptor)->Start([files](int connection) {
    EXPECT_LE(connection, files * 3 / 4);
    EXPECT_EQ(send(connection, "x", 1, MSG_NOSIGNAL), 1);
  });
  std::vector<int> open;
  while (open.size() < 100) {
    open.push_back(ConnectTo((*acceptor)->address().port));
    if (IsClosed(open.back())) break;
  }
  EXPECT_LT(open.size(), 40) << "each is two descriptors of this process";
  EXPECT_GT(open.size(), 10);
  (*acceptor)->Stop();
  for (const int connection : open) close(connection);
}

TEST(AcceptorTest, AConnectionOverTheBoundIsClosedAndThereIsRoomAgainOnceOneHasEnded) {
  Mutex mu;
  std::vector<int> taken;
  auto acceptor = Acceptor::Open({.host = "127.0.0.1"}, 1000, /*connections_max=*/3);
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  (*acceptor)->Start([&](int connection) {
    MutexLock lock(mu);
    taken.push_back(connection);
    EXPECT_EQ(send(connection, "x", 1, MSG_NOSIGNAL), 1);
  });
  const int port = (*acceptor)->address().port;
  std::vector<int> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(ConnectTo(port));
    EXPECT_FALSE(IsClosed(open.back()));
  }
  open.push_back(ConnectTo(port));
  EXPECT_TRUE(IsClosed(open.back()));
  int elsewhere = -1;
  {
    MutexLock lock(mu);
    close(taken[1]);
    elsewhere = dup(STDERR_FILENO);  // the number is another file's now
    EXPECT_EQ(elsewhere, taken[1]);
  }
  open.push_back(ConnectTo(port));
  EXPECT_FALSE(IsClosed(open.back()));
  open.push_back(ConnectTo(port));
  EXPECT_TRUE(IsClosed(open.back()));
  (*acceptor)->Stop();
  close(elsewhere);
  taken.erase(taken.begin() + 1);
  for (const int connection : taken) close(connection);
  for (const int connection : open) close(connection);
}

// Requests of models and tools have low numbers too: as many as they may be, they leave callers what is theirs.
TEST(AcceptorTest, OtherFilesThatAreOpenTakeNoCallersPlace) {
  EXPECT_EQ(ConnectionsMax(1024, 512), size_t{384});
  EXPECT_EQ(ConnectionsMax(1024, 0), kConnectionsMax);
  EXPECT_EQ(ConnectionsMax(1 << 20, 20'000), kConnectionsMax);
  EXPECT_EQ(ConnectionsMax(64, 1), size_t{47});
  EXPECT_EQ(ConnectionsMax(64, 100), size_t{1});

  constexpr int kFiles = 1024;
  constexpr int kOutbound = 700;
  std::vector<int> others;
  for (int i = 0; i < kOutbound; ++i) others.push_back(dup(STDERR_FILENO));
  const size_t connections_max = ConnectionsMax(kFiles, kOutbound);
  auto acceptor = Acceptor::Open({.host = "127.0.0.1"}, kFiles, connections_max);
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  std::vector<int> taken;
  (*acceptor)->Start([&](int connection) {
    taken.push_back(connection);
    EXPECT_EQ(send(connection, "x", 1, MSG_NOSIGNAL), 1);
  });
  std::vector<int> open;
  for (size_t i = 0; i < connections_max / 4; ++i) {
    open.push_back(ConnectTo((*acceptor)->address().port));
    EXPECT_FALSE(IsClosed(open.back())) << i;
  }
  (*acceptor)->Stop();
  for (const int each : others) close(each);
  for (const int each : taken) close(each);
  for (const int each : open) close(each);
}

TEST(AcceptorTest, AnAddressThatIsTakenIsRefused) {
  const auto first = Acceptor::Open({.host = "127.0.0.1"}, 1000, kConnectionsMax);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(Acceptor::Open((*first)->address(), 1000, kConnectionsMax).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace agentruntime
