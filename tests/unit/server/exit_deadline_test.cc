#include "server/exit_deadline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/full_pipe.h"

namespace agentruntime {
namespace {

TEST(ExitDeadlineTest, EndsAProcessThatDoesNotEndByItself) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const ExitDeadline deadline(absl::Milliseconds(1));
        for (;;) pause();
      },
      ::testing::ExitedWithCode(0), "something still works and does not stop; leaving without it");
}

TEST(ExitDeadlineTest, EndsAProcessWhoseLogNobodyReads) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const testing::FullPipe pipe;
        dup2(pipe.write_end(), STDERR_FILENO);
        alarm(30);  // else the test would hang with it
        const ExitDeadline deadline(absl::Milliseconds(1));
        for (;;) pause();
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(ExitDeadlineTest, LeavesAProcessAloneThatDoes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        {
          const ExitDeadline deadline(absl::Hours(1));
        }
        _exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace agentruntime
