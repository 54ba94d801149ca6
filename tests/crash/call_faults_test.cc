// The k-th sync, write, truncate, open or mapping of the store fails, for every k that a life of it has.
//
// Each point is a process of its own that lives through a seeded story and notes each acknowledgement in memory that it shares with the test. After a fault
// that no retry can cure it must not acknowledge anything and must end with code 74 (or refuse to open), also if the same call would succeed the next time: a
// kernel that could not write a page takes it for written, so the sync after a failed one reports success for what is lost. After a fault that may pass (a
// full disk, half a write) it goes on. Either way the next start finds everything acknowledged and nothing half.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/store_calls.h"
#include "tests/crash/child.h"
#include "tests/crash/effort.h"
#include "tests/crash/store_image.h"
#include "tests/crash/store_story.h"
#include "tests/support/failing_calls.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mount_namespace.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {
namespace {

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

// What a child ends with, beside the store's own 74.
enum Exit { kLived = 0, kRefusedToOpen = 3, kAnsweredWrongly = 4, kServedWrongly = 5, kFailStop = kFailStopCode };
constexpr int64_t kPointsOfAKindMax = 60;  // in one story
constexpr int64_t kDiskBytes = 8 << 20;
constexpr int64_t kFreeBytes = 1240 << 10;  // so little that the log is copied now and then, and enough that one copy may fail

constexpr int64_t kForEver = int64_t{1} << 40;

// One way in which the disk fails.
struct Fault {
  const char* name;
  bool sync = false;  // else a system call
  CallFault call;
  bool passes = false;  // the store may live on
};

const Fault kFaults[] = {
    {.name = "sync of the log, EIO once", .sync = true, .call = {.file = StoreFile::kLog}},
    {.name = "sync of the database, EIO once", .sync = true, .call = {.file = StoreFile::kDatabase}},
    {.name = "sync of the log, EIO for ever", .sync = true, .call = {.file = StoreFile::kLog, .times = kForEver}},
    {.name = "sync of the database, EIO for ever", .sync = true, .call = {.file = StoreFile::kDatabase, .times = kForEver}},
    {.name = "write of the log, EIO once", .call = {.kind = CallKind::kWrite, .file = StoreFile::kLog, .error = EIO}},
    {.name = "write of the database, EIO once", .call = {.kind = CallKind::kWrite, .file = StoreFile::kDatabase, .error = EIO}},
    {.name = "write of the log, EIO for ever", .call = {.kind = CallKind::kWrite, .file = StoreFile::kLog, .times = kForEver, .error = EIO}},
    {.name = "write of the database, EIO for ever", .call = {.kind = CallKind::kWrite, .file = StoreFile::kDatabase, .times = kForEver, .error = EIO}},
    {.name = "truncate of the log, EIO", .call = {.kind = CallKind::kTruncate, .file = StoreFile::kLog, .error = EIO}},
    {.name = "truncate of the database, EIO", .call = {.kind = CallKind::kTruncate, .file = StoreFile::kDatabase, .error = EIO}},
    {.name = "write of the log, ENOSPC", .call = {.kind = CallKind::kWrite, .file = StoreFile::kLog, .error = ENOSPC}, .passes = true},
    {.name = "write of the database, ENOSPC", .call = {.kind = CallKind::kWrite, .file = StoreFile::kDatabase, .error = ENOSPC}, .passes = true},
    {.name = "write of the log, interrupted", .call = {.kind = CallKind::kWrite, .file = StoreFile::kLog, .error = EINTR}, .passes = true},
    {.name = "write of the log, half of it", .call = {.kind = CallKind::kWrite, .file = StoreFile::kLog}, .passes = true},
    {.name = "write of the database, half of it", .call = {.kind = CallKind::kWrite, .file = StoreFile::kDatabase}, .passes = true},
    {.name = "open of the database, EMFILE", .call = {.kind = CallKind::kOpen, .file = StoreFile::kDatabase, .error = EMFILE}, .passes = true},
    {.name = "open of the log, EMFILE", .call = {.kind = CallKind::kOpen, .file = StoreFile::kLog, .error = EMFILE}, .passes = true},
    {.name = "open of the index or a journal, EMFILE", .call = {.kind = CallKind::kOpen, .file = StoreFile::kOther, .error = EMFILE}, .passes = true},
    {.name = "mapping of the index, ENOMEM", .call = {.kind = CallKind::kMap, .file = StoreFile::kOther, .error = ENOMEM}, .passes = true},
};

// Seen by the child and by the test.
struct Shared {
  std::atomic<int> acknowledged;        // items
  std::atomic<int> acknowledged_after;  // the fault
  std::atomic<bool> happened;
  std::atomic<int64_t> calls;  // of the fault's kind
};

class CallFaultsTest : public ::testing::Test {
 protected:
  CallFaultsTest() {
    std::filesystem::create_directory(disk_);
    EXPECT_EQ(mount("tmpfs", disk_.c_str(), "tmpfs", 0, absl::StrCat("size=", kDiskBytes).c_str()), 0) << strerror(errno);
    FillTheDisk();
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory) Shared();
  }
  ~CallFaultsTest() override {
    munmap(shared_, sizeof(Shared));
    umount2(disk_.c_str(), MNT_DETACH);
  }

  static Story MakeChildStory(uint64_t seed) {
    Random random(seed);
    return MakeStory(random, StoreModel(), /*epoch=*/1, {.items = 60});
  }

  // The child. Has no thread when it begins and never returns.
  [[noreturn]] void Live(const Fault& fault, const Story& story) {
    FaultVfs disk;
    const auto note = [&](int64_t number) {
      shared_->calls = number;
      if (fault.call.at == 0 || number < fault.call.at || number >= fault.call.at + fault.call.times) return false;
      shared_->happened = true;
      return true;
    };
    int64_t syncs = 0;
    if (fault.sync) {
      disk.sync_fails = [&](bool is_log) { return is_log == (fault.call.file == StoreFile::kLog) && note(++syncs); };
    } else {
      FailCalls(fault.call);
    }
    auto stores = sqlite::OpenStores({.path = Path(), .readers = 2, .vfs = disk.name()});
    const auto keep = [&] {
      if (fault.sync) return;
      shared_->calls = CallsSeen();
      shared_->happened = CallFailed();
    };
    keep();
    if (!stores.ok()) _exit(kRefusedToOpen);
    const StoryHooks hooks = {.acknowledged = [&](int number) {
      keep();
      // An agent's writer hears of it on its own thread, which may be late.
      if (shared_->happened && story.items[static_cast<size_t>(number - 1)].kind != StoryItem::Kind::kAgent) ++shared_->acknowledged_after;
      if (number > shared_->acknowledged) shared_->acknowledged = number;
    }};
    const std::string wrong = Play(story, *stores, hooks);
    keep();
    if (!wrong.empty()) _exit(kAnsweredWrongly);
    const auto text = Observe(*stores, story.models.back().request_ids());
    if (text.ok() && *text != story.models.back().Text()) _exit(kServedWrongly);
    stores = absl::CancelledError();
    keep();
    _exit(kLived);
  }

  // All but kFreeBytes of an empty disk.
  void FillTheDisk() {
    const int ballast = open(ballast_.c_str(), O_CREAT | O_WRONLY, 0600);
    EXPECT_EQ(posix_fallocate(ballast, 0, kDiskBytes - kFreeBytes), 0);
    close(ballast);
  }

  // What a child left on a disk that its story had filled: a start needs room, and says so. So it is given room, as by a person who reads that.
  Found FindAfterRoomWasMade(const std::vector<std::string>& request_ids) {
    std::filesystem::remove(ballast_);
    Found found = FindStore(disk_, "", request_ids);
    PutImage(disk_, {});
    FillTheDisk();
    return found;
  }

  // The exit code of a child that does this, or 128 + the signal that ended it.
  template <typename Life>
  int Run(Life live) {
    PutImage(disk_, {});
    new (shared_) Shared();
    return RunInChild(live);
  }

  std::string Path() const { return disk_ + "/" + kDatabase; }

  TempDir folder_;
  const std::string disk_ = folder_.File("data");
  const std::string ballast_ = disk_ + "/ballast";
  Shared* shared_ = nullptr;
};

TEST_F(CallFaultsTest, AfterAFailedCallNothingIsAcknowledgedAndNothingIsLost) {
  Effort effort("points", 500, 60);
  const int64_t most_of_a_kind = std::max<int64_t>(1, std::min<int64_t>(effort.count() / (4 * static_cast<int64_t>(std::size(kFaults))), kPointsOfAKindMax));
  Random random(effort.seed());
  int points = 0, happened = 0, stopped = 0, refused = 0, lived = 0, with_work = 0;
  for (uint64_t story_number = 0; points < effort.count(); ++story_number) {
    const Story story = MakeChildStory(effort.seed() + story_number);
    std::map<std::string, int> texts;
    for (size_t i = 0; i < story.models.size(); ++i) texts[story.models[i].Text()] = static_cast<int>(i);
    for (Fault fault : kFaults) {
      ASSERT_EQ(Run([&] { Live(fault, story); }), kLived) << "without a fault";
      const int64_t calls = shared_->calls;
      // Every call if there are few; else spread over all of them.
      const int64_t points_of_kind = std::min({calls, most_of_a_kind, effort.count() - points});
      for (int64_t point = 0; point < points_of_kind; ++point, ++points) {
        fault.call.at = 1 + point * calls / points_of_kind + static_cast<int64_t>(Below(random, static_cast<uint64_t>(calls / points_of_kind)));
        const int code = Run([&] { Live(fault, story); });
        const int acknowledged = shared_->acknowledged;
        SCOPED_TRACE(absl::StrCat("story ", story_number, ", ", fault.name, ", call ", fault.call.at, " of ", calls, ", exit code ", code, ", ", acknowledged,
                                  " items acknowledged"));
        if (fault.passes) {
          ASSERT_THAT(code, ::testing::AnyOf(kLived, kRefusedToOpen, kFailStop));
        } else if (shared_->happened) {
          ASSERT_THAT(code, ::testing::AnyOf(kRefusedToOpen, kFailStop)) << "it goes on after what no retry cures";
          ASSERT_EQ(shared_->acknowledged_after, 0) << "it acknowledges after what no retry cures";
        }
        const Found found = FindAfterRoomWasMade(story.models.back().request_ids());
        ASSERT_TRUE(found.status.ok()) << found.status;
        const auto text = texts.find(found.text);
        ASSERT_NE(text, texts.end()) << "what it holds is no prefix of what was asked:\n" << found.text;
        ASSERT_GE(text->second, acknowledged);
        happened += shared_->happened || code != kLived ? 1 : 0;
        stopped += code == kFailStop ? 1 : 0;
        refused += code == kRefusedToOpen ? 1 : 0;
        lived += code == kLived ? 1 : 0;
        with_work += acknowledged > 0 ? 1 : 0;
      }
    }
  }
  effort.Figure("faults that happened", happened);
  effort.Figure("fail-stops", stopped);
  effort.Figure("refused to open", refused);
  effort.Figure("lived on", lived);
  effort.Figure("with acknowledged work", with_work);
  EXPECT_GE(happened, points * 8 / 10);
  EXPECT_GE(with_work, happened / 4);
  EXPECT_GE(stopped, happened / 10);
  EXPECT_GE(lived, happened / 10);
}

// On a small disk the log is copied and cut while what it holds still fits beside it. One copy that finds the disk full for a moment must be repeated before
// the log has grown out of that: else the disk stays full for ever, although nobody else takes anything of it.
TEST_F(CallFaultsTest, ACopyThatFoundTheDiskFullIsRepeatedWhileItStillFits) {
  constexpr int kEvents = 13;
  const auto live = [&] {
    FailCalls({.kind = CallKind::kWrite, .file = StoreFile::kDatabase, .error = ENOSPC});
    auto stores = sqlite::OpenStores({.path = Path()});
    const RunId run = TestRunId(1);
    CreateNow(*stores->store, TestRun(run));
    FailFromNow();
    for (Sequence last = 1; last < kEvents; ++last) {
      AppendRequest request = TestAppend(run, stores->store->epoch(), last);
      request.events = {TestEvent(last + 1, stores->store->epoch(), 60'000)};
      if (AppendNow(*stores->store, std::move(request)) != AppendResult::kDurable) _exit(kAnsweredWrongly);
      shared_->acknowledged = static_cast<int>(last);
    }
    shared_->happened = CallFailed();
    _exit(kLived);
  };
  EXPECT_EQ(Run(live), kLived) << shared_->acknowledged << " events were acknowledged";
  EXPECT_TRUE(shared_->happened);
  EXPECT_TRUE(FindStore(disk_, "", {}).status.ok());
}

}  // namespace
}  // namespace agentruntime::testing
