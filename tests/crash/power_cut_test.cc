// Real power cuts: the store writes to an ext4 disk that is shut down beneath it, killed, mounted again, and must hold what was acknowledged.
//
// The controls are the same store over a file system that does not sync, and with synchronous=NORMAL, which syncs the log before it is copied only: each must
// lose acknowledged writes, and the same comparison must find that.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/crash/effort.h"
#include "tests/crash/store_image.h"
#include "tests/crash/store_story.h"
#include "tests/support/loop_disk.h"
#include "tests/support/mount_namespace.h"
#include "tests/support/recording_vfs.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {
namespace {

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

constexpr int64_t kDiskBytes = 48 << 20;        // the log is copied after a few of its megabytes, several times in a life
constexpr int64_t kLargeDiskBytes = 512 << 20;  // sparse; no life comes to a copy
constexpr int kAcknowledgedMin = 20;            // items before each cut
constexpr int kCutsPerDisk = 10;                // then a new one
constexpr int kItems = 600;
constexpr int kInFlightMax = 16;  // items that may be there without having been acknowledged: one burst, with room
constexpr absl::Duration kLifeMax = absl::Seconds(30);

struct Shared {
  std::atomic<int> acknowledged;
  std::atomic<bool> ready;  // the store is open
};

// Every connection that this process has opened since SeeConnection is asked.
std::vector<sqlite3*>& Connections() {
  static std::vector<sqlite3*>& connections = *new std::vector<sqlite3*>;
  return connections;
}

int SeeConnection(sqlite3* connection, char**, const void*) {
  Connections().push_back(connection);
  return SQLITE_OK;
}

// How a store syncs. kNormal: as the pragma has it, told to its connections behind its back; it asks for FULL itself, and looks whether it got it.
enum class Syncs { kFull, kNormal };

class PowerCutTest : public ::testing::Test {
 protected:
  explicit PowerCutTest(int64_t disk_bytes = kDiskBytes) : disk_(folder_.File("image"), folder_.File("disk"), disk_bytes) {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory) Shared();
  }
  ~PowerCutTest() override { munmap(shared_, sizeof(Shared)); }

  std::string Path() const { return absl::StrCat(disk_.folder(), "/", kDatabase); }

  // A child that plays the story until it is killed. Has no thread when it begins.
  [[noreturn]] void Live(const Story& story, Epoch epoch, const std::string& vfs, Syncs syncs) {
    alarm(60);
    if (syncs == Syncs::kNormal && sqlite3_auto_extension(reinterpret_cast<void (*)()>(&SeeConnection)) != SQLITE_OK) _exit(2);
    const int silent = open("/dev/null", O_WRONLY);
    dup2(silent, STDERR_FILENO);
    auto stores = sqlite::OpenStores({.path = Path(), .readers = 1, .vfs = vfs});
    if (!stores.ok() || stores->store->epoch() != epoch) _exit(2);
    // Nothing is queued yet: the store's threads wait.
    for (sqlite3* const connection : Connections()) {
      if (sqlite3_exec(connection, "PRAGMA synchronous=NORMAL", nullptr, nullptr, nullptr) != SQLITE_OK) _exit(2);
    }
    shared_->ready = true;
    const std::string wrong = Play(story, *stores, {.acknowledged = [&](int number) {
                                     if (number > shared_->acknowledged) shared_->acknowledged = number;
                                   }});
    for (;;) pause();
  }

  // One life and its end. The number of items that are there after it, -1 if that is no prefix of the story, kLostSome if it is one without acknowledged ones.
  static constexpr int kLostSome = -2;
  int LiveAndCut(Random& random, const std::string& vfs, StoreModel& model, Epoch& epoch, int& acknowledged, Syncs syncs = Syncs::kFull) {
    const Story story = MakeStory(random, model, epoch, {.items = kItems});
    new (shared_) Shared();
    const pid_t child = fork();
    if (child == 0) Live(story, epoch, vfs, syncs);
    if (child < 0) abort();  // a signal to -1 goes to every process there is
    const absl::Time until = absl::Now() + kLifeMax;
    while (shared_->acknowledged < kAcknowledgedMin && absl::Now() < until) absl::SleepFor(absl::Microseconds(200));
    absl::SleepFor(absl::Microseconds(static_cast<int64_t>(Below(random, 40'000))));  // the moment of the cut is what is random here
    // What is acknowledged while the disk is being shut down may be gone: the call takes a while, and a sync that is under way can still report success.
    acknowledged = shared_->acknowledged;
    disk_.CutPower();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    disk_.Unmount();
    disk_.Mount();
    EXPECT_GE(acknowledged, kAcknowledgedMin);
    const Found found = FindStore(disk_.folder(), "", story.models.back().request_ids());
    why_ = absl::StrCat(acknowledged, " items acknowledged before the cut, ", shared_->acknowledged.load(), " in the end; ", found.status.ToString());
    if (!found.status.ok()) return -1;
    epoch = found.epoch + 1;
    for (int items = acknowledged; items <= std::min(acknowledged + kInFlightMax, kItems); ++items) {
      if (story.models[static_cast<size_t>(items)].Text() != found.text) continue;
      model = story.models[static_cast<size_t>(items)];
      return items;
    }
    for (int items = acknowledged - 1; items >= 0; --items) {
      if (story.models[static_cast<size_t>(items)].Text() == found.text) {
        absl::StrAppend(&why_, "; ", items, " are there");
        return kLostSome;
      }
    }
    return -1;
  }

  // Each cut is of a new store.
  void ExpectLosses(Effort& effort, const std::string& vfs, Syncs syncs) {
    Random random(effort.seed());
    int lost = 0;
    for (int64_t cut = 0; cut < effort.count(); ++cut) {
      if (disk_.mounted()) disk_.Unmount();
      disk_.Format();
      disk_.Mount();
      ASSERT_FALSE(HasFailure());
      StoreModel model;
      Epoch epoch = 1;
      int acknowledged = 0;
      if (LiveAndCut(random, vfs, model, epoch, acknowledged, syncs) < acknowledged) ++lost;
    }
    effort.Figure("cuts that lost acknowledged items", lost);
    EXPECT_EQ(lost, effort.count());
  }

  TempDir folder_;
  LoopDisk disk_;
  Shared* shared_ = nullptr;
  std::string why_;
};

TEST_F(PowerCutTest, WhatWasAcknowledgedIsThere) {
  Effort effort("power cuts", 100, 10);
  Random random(effort.seed());
  StoreModel model;
  Epoch epoch = 1;
  int64_t total = 0, more = 0;
  int least = kItems;
  for (int64_t cut = 0; cut < effort.count(); ++cut) {
    if (cut % kCutsPerDisk == 0) {
      if (disk_.mounted()) disk_.Unmount();
      disk_.Format();
      disk_.Mount();
      ASSERT_FALSE(HasFailure());
      model = StoreModel();
      epoch = 1;
    }
    int acknowledged = 0;
    const int items = LiveAndCut(random, "", model, epoch, acknowledged);
    ASSERT_GE(items, acknowledged) << "cut " << cut << ": " << (items == kLostSome ? "acknowledged items are lost" : "it holds no prefix of the story") << "; "
                                   << why_;
    ASSERT_FALSE(HasFailure());
    total += acknowledged;
    more += items > acknowledged ? 1 : 0;
    least = std::min(least, acknowledged);
  }
  effort.Figure("acknowledged items", static_cast<double>(total));
  effort.Figure("fewest of a life", least);
  effort.Figure("cuts that kept more than was acknowledged", static_cast<double>(more));
}

// The controls.
TEST_F(PowerCutTest, AStoreThatDoesNotSyncLosesWhatWasAcknowledged) {
  Effort effort("power cuts without syncs", 5, 2);
  const RecordingVfs no_sync;
  ExpectLosses(effort, no_sync.name(), Syncs::kFull);
}

// A copy of the log syncs it first: on a small disk, a quarter of the cuts come as that is done, and lose nothing.
class LargeDiskPowerCutTest : public PowerCutTest {
 protected:
  LargeDiskPowerCutTest() : PowerCutTest(kLargeDiskBytes) {}
};

TEST_F(LargeDiskPowerCutTest, AStoreWithSynchronousNormalLosesWhatWasAcknowledged) {
  Effort effort("power cuts with synchronous=NORMAL", 5, 2);
  ExpectLosses(effort, "", Syncs::kNormal);
}

}  // namespace
}  // namespace agentruntime::testing
