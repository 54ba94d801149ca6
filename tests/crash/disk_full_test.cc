// The disk fills up at random moments while runs are submitted, and space comes back: refusals with a retry time, reads that go on, nothing acknowledged lost,
// and life again by itself within five seconds. Or it has no inode left: a server that is under way or was killed goes on, one that ended says what it lacks.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/base/mutex.h"
#include "server/exit_code.h"
#include "tests/crash/effort.h"
#include "tests/crash/load_server.h"
#include "tests/crash/power_cut.h"
#include "tests/support/calls.h"
#include "tests/support/http_server.h"
#include "tests/support/loop_disk.h"
#include "tests/support/mount_namespace.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

constexpr int64_t kDiskBytes = 16 << 20;
constexpr int kAcceptedMin = 10;       // between two fills
constexpr int64_t kFillsPerDisk = 25;  // then a new one: runs stay, of a few kilobytes each, and so many fills leave the most of it free
constexpr absl::Duration kRecoveryMax = absl::Seconds(5);
constexpr absl::Duration kConditionMax = absl::Seconds(30);

class DiskFullTest : public ::testing::Test {
 protected:
  ~DiskFullTest() override {
    stopping_ = true;
    if (load_.joinable()) load_.join();
    if (server_.running()) server_.Kill();
  }

  std::string Ballast() const { return server_.File("data/ballast"); }
  // Takes what is free now. The store gives some back as it copies its log, so this is done until it is refused.
  void Fill() const {
    const int file = open(Ballast().c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0) << strerror(errno);
    std::string block(256 << 10, 'x');
    while (!block.empty()) {
      if (write(file, block.data(), block.size()) <= 0) block.resize(block.size() / 2);
    }
    close(file);
  }

  // Submits one run after the other; a refused one again, with the same request id.
  void Load() {
    const Stubs stubs(server_.Connect());
    while (!stopping_) {
      const int number = accepted_;
      const auto run = Create(stubs, Submit("add", absl::StrCat("job-", number)));
      MutexLock lock(mu_);
      if (run.ok()) {
        names_.push_back(run->name());
        ++accepted_;
        continue;
      }
      const client::ErrorDetails details = client::DetailsOf(run.status());
      const bool as_promised = run.status().code() == absl::StatusCode::kUnavailable && details.reason == "STORE_UNAVAILABLE" &&
                               details.retry_delay.value_or(absl::ZeroDuration()) > absl::ZeroDuration();
      if (!as_promised) wrong_.push_back(run.status().ToString());
      ++refused_;
    }
  }

  template <typename Condition>
  static bool Await(Condition condition, absl::Duration most) {
    const absl::Time until = absl::Now() + most;
    while (!condition()) {
      if (absl::Now() > until) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }

  void StartLoad() {
    stopping_ = false;
    load_ = std::thread([this] { Load(); });
  }
  void StopLoad() {
    stopping_ = true;
    load_.join();
  }
  // Every run that was acknowledged comes to its end.
  void ExpectAnswers() {
    const Stubs stubs(server_.Connect());
    for (const std::string& name : names_) {
      const auto run = AwaitStop(stubs, name);
      ASSERT_TRUE(run.ok()) << run.status();
      ASSERT_EQ(run->stop().reason(), v1::STOP_REASON_FINAL_ANSWER) << name;
    }
  }

  // `renew` makes an empty disk, and gives it back where there was one.
  void FillAndFree(absl::string_view what, const std::function<void()>& renew) {
    Effort effort(absl::StrCat("fills of ", what), 25, 4);
    Random random(effort.seed());
    for (int64_t fill = 0; fill < effort.count(); fill += kFillsPerDisk) {
      ASSERT_NO_FATAL_FAILURE(renew());
      ASSERT_NO_FATAL_FAILURE(FillOneDisk(std::min(kFillsPerDisk, effort.count() - fill), random));
    }
    MutexLock lock(mu_);
    EXPECT_THAT(wrong_, ::testing::IsEmpty());
    EXPECT_LE(longest_, kRecoveryMax * effort.leniency());
    effort.Figure("acknowledged runs", accepted_);
    effort.Figure("refusals", refused_);
    effort.Figure("longest until it went on, ms", absl::ToDoubleMilliseconds(longest_));
  }
  // The life of one server.
  void FillOneDisk(int64_t fills, Random& random) {
    server_.Start();
    ASSERT_FALSE(HasFailure());
    StartLoad();
    for (int64_t fill = 0; fill < fills; ++fill) ASSERT_NO_FATAL_FAILURE(FillOnce(random));
    StopLoad();
    ExpectAnswers();
    names_.clear();
    server_.Kill();
  }
  void FillOnce(Random& random) {
    const int before = accepted_;
    ASSERT_TRUE(Await([&] { return accepted_ >= before + kAcceptedMin; }, kConditionMax)) << "nothing is accepted";
    absl::SleepFor(absl::Milliseconds(static_cast<int64_t>(Below(random, 30))));  // the moment is what is random here
    const int refused_before = refused_;
    ASSERT_TRUE(Await(
        [&] {
          Fill();
          return refused_ > refused_before;
        },
        kConditionMax))
        << "a full disk is not noticed";
    v1::GetRunRequest get;
    {
      MutexLock lock(mu_);
      get.set_name(names_[Below(random, names_.size())]);
    }
    const auto read = Call(Stubs(server_.Connect()).run, &v1::RunService::Stub::GetRun, get);
    ASSERT_TRUE(read.ok()) << "reads do not go on: " << read.status();
    const int accepted_before = accepted_;
    const absl::Time freed = absl::Now();
    ASSERT_TRUE(std::filesystem::remove(Ballast()));
    ASSERT_TRUE(Await([&] { return accepted_ > accepted_before; }, kConditionMax)) << "it does not go on";
    longest_ = std::max(longest_, absl::Now() - freed);
  }

  // Makes empty files until there is no inode for another one, in a folder that is there.
  void TakeInodes() {
    for (;;) {
      const std::string path = server_.File(absl::StrCat("data/ballast/", ballast_));
      const int file = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
      if (file < 0) break;
      ++ballast_;
      close(file);
    }
    ASSERT_EQ(errno, ENOSPC) << strerror(errno);
  }
  void FreeInodes() {
    while (ballast_ > 0) ASSERT_TRUE(std::filesystem::remove(server_.File(absl::StrCat("data/ballast/", --ballast_))));
  }

  // A store needs new files as it starts only, and only after a clean end.
  void TakeAndFreeInodes(absl::string_view what) {
    Effort effort(absl::StrCat("times without an inode on ", what), 5, 2);
    Random random(effort.seed());
    std::filesystem::create_directory(server_.File("data/ballast"));
    for (int64_t time = 0; time < effort.count(); ++time) {
      server_.Start();
      ASSERT_FALSE(HasFailure());
      StartLoad();
      int before = accepted_;
      ASSERT_TRUE(Await([&] { return accepted_ >= before + kAcceptedMin; }, kConditionMax)) << "nothing is accepted";
      absl::SleepFor(absl::Milliseconds(static_cast<int64_t>(Below(random, 30))));  // the moment is what is random here
      TakeInodes();
      before = accepted_;
      ASSERT_TRUE(Await([&] { return accepted_ >= before + kAcceptedMin; }, kConditionMax)) << "a server that is under way needs no file";
      StopLoad();
      EXPECT_EQ(refused_, 0);
      // After a crash its files are there.
      server_.Kill();
      server_.Start();
      ASSERT_FALSE(HasFailure());
      ExpectAnswers();
      // After a clean end the index of texts needs a log again; so does the store where somebody has brought the database alone.
      server_.Send(SIGTERM);
      ASSERT_EQ(server_.WaitForEnd(), 0);
      const bool alone = time % 2 == 1;
      for (const char* suffix : {"-wal", "-shm"}) {
        if (alone) std::filesystem::remove(absl::StrCat(server_.File("data/agentd.db"), suffix));
      }
      TakeInodes();
      const Ended refused = RunAgentd(server_.folder(), {"--config", "agentd.yaml"});
      EXPECT_EQ(refused.exit_code, static_cast<int>(ExitCode::kStore)) << refused.err;
      EXPECT_THAT(refused.err, ::testing::HasSubstr(alone ? "agentd.db" : "agentd.text.db"));
      EXPECT_THAT(refused.err, ::testing::HasSubstr("has no inode free")) << "it does not say what is wrong";
      FreeInodes();
      ASSERT_FALSE(HasFailure());
    }
    server_.Start();
    ASSERT_FALSE(HasFailure());
    ExpectAnswers();
    MutexLock lock(mu_);
    EXPECT_THAT(wrong_, ::testing::IsEmpty());
    effort.Figure("acknowledged runs", accepted_);
  }

  TestServer server_;
  int ballast_ = 0;  // files
  std::thread load_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0;
  std::atomic<int> refused_ = 0;
  absl::Duration longest_;  // from a disk with space to a run that is accepted
  Mutex mu_;
  std::vector<std::string> names_;  // of the load's thread and, under mu_, of the test's
  std::vector<std::string> wrong_ ABSL_GUARDED_BY(mu_);
};

TEST_F(DiskFullTest, OfMemory) {
  const std::string folder = server_.File("data");
  std::filesystem::create_directory(folder);
  FillAndFree("a tmpfs", [&] {
    umount2(folder.c_str(), MNT_DETACH);  // if there was one
    ASSERT_EQ(mount("tmpfs", folder.c_str(), "tmpfs", 0, absl::StrCat("size=", kDiskBytes).c_str()), 0) << strerror(errno);
  });
  umount2(folder.c_str(), MNT_DETACH);
}

// The model is outside: that its connection ends is what shows that the work was aborted, while the disk is still full.
TEST_F(DiskFullTest, ACancelAbortsLiveWorkAtOnceAndIsAcknowledgedWhenDurable) {
  constexpr char kHangs[] = "cancel-me";
  std::atomic<int> asked = 0, left = 0;  // by the run that is cancelled
  HttpServer provider([&](const ServedRequest& request, HttpServer::Connection& connection) {
    const bool ours = absl::StrContains(request.body, kHangs);
    if (ours) ++asked;
    connection.WaitForClose();
    if (ours) ++left;
  });
  WriteLoadConfig(server_, provider.Url("/v1"));
  std::filesystem::create_directory(server_.File("data"));
  ASSERT_EQ(mount("tmpfs", server_.File("data").c_str(), "tmpfs", 0, absl::StrCat("size=", kDiskBytes).c_str()), 0) << strerror(errno);
  server_.Start();
  ASSERT_FALSE(HasFailure());
  v1::CancelRunRequest cancel;
  {
    const Stubs stubs(server_.Connect());
    const auto run = Create(stubs, Submit(kHangs));
    ASSERT_TRUE(run.ok()) << run.status();
    cancel.set_name(run->name());
    ASSERT_TRUE(provider.AwaitRequests(1));
    int others = 0;
    ASSERT_TRUE(Await(
        [&] {
          Fill();
          return !Create(stubs, Submit("another", absl::StrCat("another-", ++others))).ok();
        },
        kConditionMax))
        << "a full disk is not noticed";
    const auto refused = Call(stubs.run, &v1::RunService::Stub::CancelRun, cancel);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable) << refused.status();
    ASSERT_TRUE(Await([&] { return left == 1; }, kConditionMax)) << "the model is still being asked";
    ASSERT_TRUE(std::filesystem::remove(Ballast()));
    ASSERT_TRUE(Await([&] { return Call(stubs.run, &v1::RunService::Stub::CancelRun, cancel).ok(); }, kConditionMax)) << "the cancel is never acknowledged";
  }
  server_.Kill();
  server_.Start();
  ASSERT_FALSE(HasFailure());
  {
    const Stubs stubs(server_.Connect());
    const auto stopped = AwaitStop(stubs, cancel.name());
    ASSERT_TRUE(stopped.ok()) << stopped.status();
    EXPECT_EQ(stopped->stop().reason(), v1::STOP_REASON_CANCELLED);
    EXPECT_EQ(asked, 1) << "after a cancel the model is not asked again";
  }
  server_.Kill();
  umount2(server_.File("data").c_str(), MNT_DETACH);
}

TEST_F(DiskFullTest, OfMemoryWithoutInodes) {
  std::filesystem::create_directory(server_.File("data"));
  ASSERT_EQ(mount("tmpfs", server_.File("data").c_str(), "tmpfs", 0, absl::StrCat("nr_inodes=64,size=", kDiskBytes).c_str()), 0) << strerror(errno);
  TakeAndFreeInodes("a tmpfs");
  server_.Kill();
  umount2(server_.File("data").c_str(), MNT_DETACH);
}

TEST_F(DiskFullTest, OfExt4WithoutInodes) {
  LoopDisk disk(server_.File("image"), server_.File("data"), kDiskBytes);
  disk.Mount();
  ASSERT_FALSE(HasFailure());
  TakeAndFreeInodes("an ext4");
  server_.Kill();
  disk.Unmount();
}

TEST_F(DiskFullTest, OfExt4) {
  LoopDisk disk(server_.File("image"), server_.File("data"), kDiskBytes);
  FillAndFree("an ext4", [&] {
    if (disk.mounted()) disk.Unmount();
    disk.Format();
    disk.Mount();
  });
  disk.Unmount();
}

}  // namespace
}  // namespace agentruntime::testing
