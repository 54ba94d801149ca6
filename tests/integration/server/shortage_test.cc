// The real server where the system gives it less than it asks for.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/integration/server/fixture.h"
#include "tests/support/full_pipe.h"

namespace agentruntime::testing {
namespace {

int ConnectTo(const std::string& address) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0) << strerror(errno);
  return connection;
}

TEST(ShortageTest, AServerWhoseLogNobodyReadsAnswersAndEnds) {
  TestServer server;
  const std::string log = server.File("log");  // where its standard error goes
  ASSERT_EQ(mkfifo(log.c_str(), 0600), 0);
  const int reader = open(log.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  FillPipe(reader);
  server.Start();
  std::filesystem::remove(log);  // the server holds its end; a failed test would wait for the other
  if (server.running()) {
    Answered(Stubs(server.Connect()));
    server.Send(SIGTERM);
    EXPECT_EQ(server.WaitForEnd(), 0);
  }
  close(reader);
}

// One call whose header `te` has a value that gRPC reports in full: the preface, empty settings, and headers without compression.
void SendBadCall(const std::string& address) {
  const std::string value(1000, 'y');
  const std::string headers = absl::StrCat("\x83\x86", std::string("\x00\x02te\x7f\xe9\x06", 7), value, std::string("\x00\x05:path\x02/x", 10));
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  bytes.append("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 9);
  bytes.append({'\0', static_cast<char>(headers.size() >> 8), static_cast<char>(headers.size() & 0xff), 1, 5, 0, 0, 0, 1});
  bytes += headers;
  const int connection = ConnectTo(address);
  EXPECT_EQ(send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  shutdown(connection, SHUT_WR);
  char answer[256];
  while (recv(connection, answer, sizeof(answer), 0) > 0) {
  }
  close(connection);
}

TEST(ShortageTest, CallersCannotFloodTheLog) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  const absl::Time begin = absl::Now();
  // Until one of the later lines says that others are missing.
  int calls = 0;
  while (!std::regex_search(server.Log(), std::regex("left_out=[1-9]"))) {
    ASSERT_LT(absl::Now() - begin, absl::Seconds(30)) << "of " << calls << " lines none is missing";
    for (int i = 0; i < 50; ++i) SendBadCall(server.address());
    calls += 50;
  }
  const absl::Duration took = absl::Now() - begin;
  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(server.Log(), '\n')) {
    EXPECT_LT(line.size(), 500);
    lines += absl::StrContains(line, "gRPC reports") ? 1 : 0;
  }
  EXPECT_LE(lines, 5 * (absl::ToInt64Seconds(took) + 2));
  Answered(Stubs(server.Connect()));
}

// agentd under a limit of the shell's `ulimit`.
Ended RunLimited(const std::string& folder, const std::string& ulimit) {
  const TempDir output;
  const std::string command =
      absl::StrCat("cd ", folder, "; ulimit -c 0; ulimit ", ulimit, "; exec timeout -s KILL 20 ", AGENTD, " --config agentd.yaml 2>", output.File("err"));
  Ended ended;
  const int status = system(command.c_str());
  ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::ifstream err(output.File("err"));
  ended.err.assign(std::istreambuf_iterator<char>(err), {});
  return ended;
}

TEST(ShortageTest, AServerWithTooFewDescriptorsDoesNotStartAndSaysHowManyItNeeds) {
  const TestServer server;
  const Ended ended = RunLimited(server.folder(), "-n 24");
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_EQ(ended.err, "agentd: this process may open 24 files, and a server needs at least 64; raise its limit (ulimit -n, LimitNOFILE)\n");
  EXPECT_FALSE(std::filesystem::exists(server.File("data")));
}

TEST(ShortageTest, AServerWithTooLittleAddressSpaceDoesNotStartAndSaysHowMuchItNeeds) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "the sanitizer itself needs terabytes";
#endif
#endif
  const TestServer server;
  const Ended ended = RunLimited(server.folder(), "-v 204800");
  EXPECT_EQ(ended.exit_code, 78);
  EXPECT_THAT(ended.err, ::testing::EndsWith("agentd: this process may have 200 MiB of address space, and a server needs at least 512; raise its limit "
                                             "(ulimit -v, LimitAS)\n"));
}

TEST(ShortageTest, AServerThatHadNoDescriptorForAConnectionTakesTheNextOnes) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  const rlimit few = {100, 100};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, &few, nullptr), 0) << strerror(errno);
  std::vector<int> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(ConnectTo(server.address()));
  EXPECT_TRUE(server.WaitForLog("Too many open files"));
  for (const int connection : silent) close(connection);
  Answered(Stubs(server.Connect()));
  server.Send(SIGTERM);
  EXPECT_EQ(server.WaitForEnd(), 0);
}

TEST(ShortageTest, AStoreThatMayNotGrowEndsTheServerAndTheLogSaysWhy) {
  TestServer server;
  server.Start();
  ASSERT_TRUE(server.running());
  std::vector<std::string> accepted;
  const rlimit small = {256 << 10, 256 << 10};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_FSIZE, &small, nullptr), 0) << strerror(errno);
  {
    const Stubs stubs(server.Connect());
    while (accepted.size() < 10000) {
      const auto run = Create(stubs, Submit("add"));
      if (!run.ok()) break;
      accepted.push_back(run->name());
    }
  }
  EXPECT_EQ(server.WaitForEnd(), 74);
  EXPECT_THAT(server.Log(), ::testing::HasSubstr("the store cannot go on, the process ends"));

  server.Start();
  const Stubs stubs(server.Connect());
  ASSERT_FALSE(accepted.empty());
  for (const std::string& name : accepted) EXPECT_TRUE(AwaitStop(stubs, name).ok()) << name;
}

}  // namespace
}  // namespace agentruntime::testing
