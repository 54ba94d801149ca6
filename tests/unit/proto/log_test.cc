#include "proto/base/log.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/support/full_pipe.h"

namespace agentruntime {
namespace {

using ::testing::HasSubstr;

// Standard error goes to a pipe that is full, while it lives.
class FullStandardError {
 public:
  FullStandardError() : before_(dup(STDERR_FILENO)) { dup2(pipe_.write_end(), STDERR_FILENO); }
  ~FullStandardError() {
    dup2(before_, STDERR_FILENO);
    close(before_);
  }

  // What comes behind that which filled it, up to and with `text`.
  std::string ReadUntil(absl::string_view text) { return pipe_.ReadUntil(text); }

 private:
  testing::FullPipe pipe_;
  const int before_;
};

TEST(LogTest, NobodyWaitsForAReaderAndWhoReadsLaterHearsWhatIsMissing) {
  constexpr int kLines = 4000;
  const std::string padding(1000, 'x');
  FullStandardError error;
  for (int i = 0; i < kLines; ++i) Log(LogLevel::kInfo, "a line", {{"padding", padding}});
  Log(LogLevel::kError, "why it ends");
  FlushLog();
  const std::string text = error.ReadUntil("why it ends");
  int seen = 0;
  int dropped = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t told = line.find(" log lines were dropped: stderr is not read");
    if (told != absl::string_view::npos) {
      const size_t number = line.rfind('"', told) + 1;
      ASSERT_TRUE(absl::SimpleAtoi(line.substr(number, told - number), &dropped)) << line;
    } else if (line.find("a line") != absl::string_view::npos) {
      EXPECT_EQ(dropped, 0) << "a line behind those that are missing was kept, and they are told later";
      ++seen;
    }
  }
  EXPECT_GT(seen, 500);
  EXPECT_GT(dropped, 0);
  EXPECT_EQ(seen + dropped, kLines);
}

TEST(LogTest, WhatIsMissingIsToldAlsoWhereNothingFollows) {
  FullStandardError error;
  for (int i = 0; i < 4000; ++i) Log(LogLevel::kInfo, "a line", {{"padding", std::string(1000, 'x')}});
  EXPECT_THAT(error.ReadUntil("were dropped"), HasSubstr("a line"));
}

#if !__has_feature(thread_sanitizer)  // which allows no threads after a fork
TEST(LogTest, TheChildOfAForkWritesItsLines) {
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "of the parent");
  FlushLog();
  const pid_t child = fork();
  if (child == 0) {
    Log(LogLevel::kInfo, "of the child");
    FlushLog(absl::Seconds(10));
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("of the child"));
}
#endif

TEST(LogTest, LinesComeInOrderAndWholeAndFlushWaitsForThem) {
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "one", {{"value", "two\nlines"}, {"number", 3}});
  Say("agentd: as it is");
  FlushLog();
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, ::testing::MatchesRegex("time=[^ ]* level=info message=\"one\" value=\"two\\\\nlines\" number=3\nagentd: as it is\n"));
}

}  // namespace
}  // namespace agentruntime
