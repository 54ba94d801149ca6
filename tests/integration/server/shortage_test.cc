// The real server where the system gives it less than it asks for.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/server/fixture.h"
#include "tests/support/full_pipe.h"

namespace agentruntime::testing {
namespace {

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

}  // namespace
}  // namespace agentruntime::testing
