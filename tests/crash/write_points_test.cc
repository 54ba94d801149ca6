// The power goes away at every point between two writes of the store, and what was not synced is lost, kept or torn.
//
// A chain of lives: a store is opened on what the cut before left, lives through a seeded story while its disk is recorded, and then the power is cut at
// every point of that recording: as it opens (and repairs), between appends, amid a copy of the log, as it closes. Each cut is one point: the
// survivors are opened by the real store and compared with the story. One of them is where the next life begins.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/sqlite/database.h"
#include "tests/conformance/store_calls.h"
#include "tests/crash/child.h"
#include "tests/crash/effort.h"
#include "tests/crash/power_cut.h"
#include "tests/crash/store_image.h"
#include "tests/crash/store_story.h"
#include "tests/support/mount_namespace.h"
#include "tests/support/old_store.h"
#include "tests/support/recording_vfs.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {
namespace {

constexpr int kLivesPerChain = 4;
constexpr int64_t kNotAcknowledged = int64_t{1} << 40;
// Of the disk that a life is recorded on: an eighth of it, at least 1 MiB, is what the log grows to.
constexpr int64_t kDiskBytes = 8 << 20;

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

// One life of a store: what was asked of it, when each answer came, and what its disk was told.
struct Life {
  Epoch epoch = 0;
  int64_t opened_at = 0;  // calls of the disk when it was open
  Story story;
  std::vector<int64_t> acknowledged_at;  // [i]: calls of the disk when item i + 1 was acknowledged
  DiskTrace trace;
  std::map<std::string, int> texts;  // what the store may hold: text to the number of items that make it (the most)

  int AcknowledgedBefore(int64_t position) const {
    int last = 0;
    for (size_t i = 0; i < acknowledged_at.size(); ++i) {
      if (acknowledged_at[i] <= position) last = static_cast<int>(i) + 1;
    }
    return last;
  }
};

// Where a life begins.
struct Beginning {
  DiskImage image = {{kDatabase, ""}};  // the file is made, and its folder synced, before SQLite opens it
  StoreModel model;
  Epoch epoch = 0;  // the greatest that anybody heard of
};

class WritePointsTest : public ::testing::Test {
 protected:
  WritePointsTest() {
    Mount(recorded_, kDiskBytes);
    Mount(found_, 64 << 20);
  }
  ~WritePointsTest() override {
    umount2(recorded_.c_str(), MNT_DETACH);
    umount2(found_.c_str(), MNT_DETACH);
  }

  static void Mount(const std::string& folder, int64_t bytes) {
    std::filesystem::create_directory(folder);
    ASSERT_EQ(mount("tmpfs", folder.c_str(), "tmpfs", 0, absl::StrCat("size=", bytes).c_str()), 0) << strerror(errno);
  }

  // Leaves so little of the disk that the log is copied and cut every few transactions; not so little that a story does not fit.
  void Fill(int64_t left) const {
    std::filesystem::remove(recorded_ + "/ballast");
    const int64_t free = static_cast<int64_t>(std::filesystem::space(recorded_).available);
    if (free <= left) return;
    const int file = open((recorded_ + "/ballast").c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(posix_fallocate(file, 0, free - left), 0);
    close(file);
  }

  void Resize(int64_t bytes) const {
    ASSERT_EQ(mount("tmpfs", recorded_.c_str(), "tmpfs", MS_REMOUNT, absl::StrCat("size=", bytes).c_str()), 0) << strerror(errno);
  }

  // A store that cannot write waits for somebody who makes room, and a story may need more of it than Fill left: how its items fall into transactions, and so
  // what is in the log at once, is a matter of chance.
  void MakeRoom() {
    ++room_made_;
    std::filesystem::remove(recorded_ + "/ballast");
    Resize(2 * kDiskBytes);
  }

  Life Record(Random& random, const Beginning& from, bool idle = false) {
    Life life;
    const bool tight = Below(random, 3) > 0;
    std::filesystem::remove(recorded_ + "/ballast");
    PutImage(recorded_, from.image);
    if (tight) Fill(static_cast<int64_t>((1600 + Below(random, 400)) << 10));
    disk_.Record(from.image);
    {
      auto stores = sqlite::OpenStores({.path = recorded_ + "/" + kDatabase, .readers = 1, .vfs = disk_.name()});
      EXPECT_TRUE(stores.ok()) << stores.status();
      if (!stores.ok()) return life;
      stores->store->SetWritableListener([this](bool writable) {
        if (!writable) MakeRoom();
      });
      life.opened_at = disk_.position();
      life.epoch = stores->store->epoch();
      life.story = MakeStory(random, from.model, life.epoch, {.items = idle ? 0 : tight ? 40 : 60, .large = !tight});
      life.acknowledged_at.assign(life.story.items.size(), kNotAcknowledged);
      const StoryHooks hooks = {.hold = [this] { disk_.Hold(); },
                                .await_held = [this] { disk_.AwaitHeld(); },
                                .release = [this] { disk_.Release(); },
                                .acknowledged = [&](int number) { life.acknowledged_at[static_cast<size_t>(number - 1)] = disk_.position(); }};
      EXPECT_EQ(Play(life.story, *stores, hooks), "");
    }
    life.trace = disk_.Take();
    for (size_t i = 0; i < life.story.models.size(); ++i) life.texts[life.story.models[i].Text()] = static_cast<int>(i);
    return life;
  }

  // As Examine, where the survivors may be so bad that a store ends its process over them.
  bool FoundOut(const DiskImage& survivors, const Life& life, int acknowledged) {
    const int code = RunInChild([&] {
      std::string why;
      if (Examine(survivors, life, 0, why) < acknowledged) _exit(kFailStopCode);
    });
    EXPECT_THAT(code, ::testing::AnyOf(0, kFailStopCode));
    return code != 0;
  }

  // Opens the survivors of a cut and compares. The number of items that they hold, or -1 if they hold no prefix of the story (`why` says more).
  int Examine(const DiskImage& survivors, const Life& life, Epoch heard_of, std::string& why) {
    PutImage(found_, survivors);
    const Found found = FindStore(found_, disk_.name(), life.story.models.back().request_ids());
    if (!found.status.ok()) {
      why = found.status.ToString();
      return -1;
    }
    if (found.epoch <= heard_of) {
      why = absl::StrCat("epoch ", found.epoch, " after ", heard_of);
      return -1;
    }
    const auto text = life.texts.find(found.text);
    if (text == life.texts.end()) {
      why = absl::StrCat("what it holds is no prefix of what was asked:\n", found.text);
      return -1;
    }
    return text->second;
  }

  TempDir folder_;
  const std::string recorded_ = folder_.File("recorded");
  const std::string found_ = folder_.File("found");
  RecordingVfs disk_;
  std::atomic<int64_t> room_made_ = 0;
};

// What the cuts of one test have shown.
struct Seen {
  int64_t lives = 0, points = 0, with_work = 0, acknowledged = 0, kept_more = 0, opening = 0, copying = 0;
};

// A chain is cut at every call if the count allows it, else at some of them, evenly: four lives are more than one life with each of its calls.
TEST_F(WritePointsTest, WhatWasAcknowledgedIsThereAndNothingIsHalf) {
  Effort effort("points", 10'000, 600);
  Seen seen;
  for (uint64_t chain = 0; seen.points < effort.count(); ++chain) {
    Random random(effort.seed() + chain);
    std::filesystem::remove(recorded_ + "/ballast");
    PutImage(recorded_, {});
    Resize(kDiskBytes);
    Beginning from;
    for (int number = 0; number < kLivesPerChain && seen.points < effort.count(); ++number) {
      const Life life = Record(random, from);
      ASSERT_FALSE(HasFailure());
      ++seen.lives;
      Beginning next = from;
      uint64_t cuts = 0;
      PowerCut cut(life.trace);
      const auto examine = [&](const DiskImage& survivors) {
        const int64_t position = cut.position();
        const int least = life.AcknowledgedBefore(position);
        const Epoch heard_of = position >= life.opened_at ? life.epoch : from.epoch;
        std::string why;
        const int items = Examine(survivors, life, heard_of, why);
        ASSERT_GE(items, least) << "chain seed " << effort.seed() + chain << ", life " << number << ", cut at call " << position << " of "
                                << life.trace.calls.size() << ": " << least << " items were acknowledged, found " << items << "; " << why;
        ++seen.points;
        seen.acknowledged += least;
        seen.with_work += least > 0 ? 1 : 0;
        seen.kept_more += items > least ? 1 : 0;
        seen.opening += position < life.opened_at ? 1 : 0;
        seen.copying += position > 0 && !life.trace.calls[static_cast<size_t>(position - 1)].is_log ? 1 : 0;
        // Any of them may be where the next life begins.
        if (Below(random, ++cuts) == 0) next = {survivors, life.story.models[static_cast<size_t>(items)], heard_of};
      };
      const uint64_t one_of = 1 + life.trace.calls.size() * kLivesPerChain / static_cast<uint64_t>(effort.count());
      for (;; cut.Pass()) {
        if (Below(random, one_of) == 0) examine(cut.Survivors(random));
        if (!HasFatalFailure() && cut.before_sync_of_log()) examine(cut.Everything());
        if (HasFatalFailure()) return;
        if (cut.at_end()) break;
      }
      from = std::move(next);
    }
  }
  effort.Figure("points examined", static_cast<double>(seen.points));  // the last life is finished
  effort.Figure("lives", static_cast<double>(seen.lives));
  effort.Figure("with acknowledged work", static_cast<double>(seen.with_work));
  effort.Figure("acknowledged items checked", static_cast<double>(seen.acknowledged));
  effort.Figure("more survived than was acknowledged", static_cast<double>(seen.kept_more));
  effort.Figure("while opening", static_cast<double>(seen.opening));
  effort.Figure("after a write of the database", static_cast<double>(seen.copying));
  effort.Figure("lives that needed room", static_cast<double>(room_made_));
  EXPECT_GE(seen.with_work, seen.points / 4);
  EXPECT_GE(seen.acknowledged, seen.points);
  EXPECT_GE(seen.kept_more, seen.lives);  // every life commits several times, and one cut before each of its syncs keeps everything
  EXPECT_GE(seen.opening, 1);
  EXPECT_GE(seen.copying, seen.points / 100);
  EXPECT_LE(room_made_, 2 + seen.lives / 4) << "a log that is cut in time fits beside its copy";
}

// The chunks of one artifact take several transactions before its event's. Whatever a cut leaves, the artifact is there whole with the event, or not at all;
// and what is left of it then is removed by the next life.
TEST_F(WritePointsTest, ACutBetweenChunksAndTheirEventLeavesNothing) {
  Effort effort("points of an artifact", 400, 60);
  Random random(effort.seed());
  const RunId run = TestRunId(1);
  const StagedArtifact artifact = TestArtifact(1, 2'000'000);
  const Beginning from;
  PutImage(recorded_, from.image);
  disk_.Record(from.image);
  int64_t begun_at = 0, acknowledged_at = 0;
  {
    auto stores = sqlite::OpenStores({.path = recorded_ + "/" + kDatabase, .readers = 1, .vfs = disk_.name()});
    ASSERT_TRUE(stores.ok()) << stores.status();
    CreateNow(*stores->store, TestRun(run));
    begun_at = disk_.position();
    AppendRequest request = TestAppend(run, stores->store->epoch(), 1);
    request.artifacts = {artifact};
    ASSERT_EQ(AppendNow(*stores->store, std::move(request)), AppendResult::kDurable);
    acknowledged_at = disk_.position();
  }
  const DiskTrace trace = disk_.Take();
  const auto calls = static_cast<int64_t>(trace.calls.size()) - begun_at;
  int64_t points = 0, named = 0, left = 0;
  PowerCut cut(trace);
  while (cut.position() < begun_at) cut.Pass();
  for (;; cut.Pass()) {
    if (cut.at_end() || static_cast<int64_t>(Below(random, static_cast<uint64_t>(calls))) < effort.count()) {
      ++points;
      const DiskImage survivors = cut.Survivors(random);
      const auto rows = [&](const char* sql) {
        auto database = sqlite::Database::Open({.path = found_ + "/" + kDatabase});
        return database.ok() ? (*database)->Query(sql) : -1;
      };
      PutImage(found_, survivors);
      left += rows("SELECT count(*) FROM unnamed_artifacts") > 0 ? 1 : 0;
      PutImage(found_, survivors);
      bool there = false;
      {
        auto stores = sqlite::OpenStores({.path = found_ + "/" + kDatabase, .readers = 1});
        ASSERT_TRUE(stores.ok()) << stores.status();
        there = stores->store->GetRun(run)->projection.last_sequence == 2;
        const auto whole = stores->store->ReadArtifact(run, 1, 0, 2'000'000);
        if (there) {
          ASSERT_TRUE(whole.ok() && whole->data == *artifact.content) << "cut at call " << cut.position() << ": " << whole.status();
        } else {
          ASSERT_EQ(whole.status().code(), absl::StatusCode::kNotFound) << "cut at call " << cut.position();
        }
        for (int i = 0; i < 3; ++i) CreateNow(*stores->store, TestRun(TestRunId(100 + i)));  // each takes a piece of what is left along
      }
      ASSERT_TRUE(there || cut.position() < acknowledged_at) << "cut at call " << cut.position();
      EXPECT_EQ(rows("SELECT count(*) FROM artifact_chunks"), there ? 8 : 0) << "cut at call " << cut.position();
      EXPECT_EQ(rows("SELECT count(*) FROM unnamed_artifacts"), 0);
      named += there ? 1 : 0;
    }
    if (cut.at_end()) break;
  }
  effort.Figure("points examined", static_cast<double>(points));
  effort.Figure("with the event", static_cast<double>(named));
  effort.Figure("with chunks and no event", static_cast<double>(left));
  EXPECT_GE(named, 1);
  EXPECT_GE(left, points / 40);
}

// A store that is made: whatever a cut leaves of its first moments can be opened, and is empty.
TEST_F(WritePointsTest, TheFirstMomentsOfAStore) {
  Effort effort("points of a new store", 2'000, 200);
  Random random(effort.seed());
  const Life life = Record(random, Beginning(), /*idle=*/true);
  ASSERT_GE(life.trace.calls.size(), 20u);
  for (int64_t points = 0; points < effort.count();) {
    for (PowerCut cut(life.trace); !cut.at_end() && points < effort.count(); cut.Pass(), ++points) {
      std::string why;
      ASSERT_EQ(Examine(cut.Survivors(random), life, cut.position() >= life.opened_at ? life.epoch : 0, why), 0)
          << "cut at call " << cut.position() << " of " << life.trace.calls.size() << ": " << why;
    }
  }
}

// A cut as the file had become one with a log: the journal of that change is there still, and a log as well. Whoever opens it undoes the change and makes it
// again, and that journal must not come back once an epoch was given out.
TEST_F(WritePointsTest, AStoreThatWasCutAsItsLogWasMade) {
  Effort effort("points of a store begun twice", 1'000, 200);
  Random random(effort.seed());
  Beginning half;
  {
    const Life first = Record(random, Beginning(), /*idle=*/true);
    PowerCut cut(first.trace);
    const auto removes_journal = [](const DiskCall& call) { return call.kind == DiskCall::Kind::kRemove; };
    const auto last = std::find_if(first.trace.calls.rbegin(), first.trace.calls.rend(), removes_journal);
    ASSERT_NE(last, first.trace.calls.rend());
    while (cut.position() < first.trace.calls.rend() - last - 1) cut.Pass();
    half.image = cut.Everything();
    half.image[absl::StrCat(kDatabase, "-wal")] = "";
  }
  const Life life = Record(random, half, /*idle=*/true);
  ASSERT_FALSE(HasFailure());
  for (int64_t points = 0; points < effort.count();) {
    for (PowerCut cut(life.trace); !cut.at_end() && points < effort.count(); cut.Pass(), ++points) {
      std::string why;
      ASSERT_EQ(Examine(cut.Survivors(random), life, cut.position() >= life.opened_at ? life.epoch : 0, why), 0)
          << "cut at call " << cut.position() << " of " << life.trace.calls.size() << ": " << why;
    }
  }
}

// A file of an older format that becomes one of this server's: a cut at any point leaves the one or the other, with all that it held.
TEST_F(WritePointsTest, AFileWhoseFormatIsRenewed) {
  Effort effort("points while a format is renewed", 600, 200);
  Random random(effort.seed());
  int64_t points = 0;
  size_t calls = 0;
  const std::vector<int> formats = {2, 3, 4, 5};  // whose events move; with forks; that gets new columns; that gets one
  for (const int format : formats) {
    const std::string folder = folder_.File(absl::StrCat("format ", format));
    std::filesystem::create_directory(folder);
    MakeOldStore(folder + "/" + kDatabase, format);
    const DiskImage old = GetImage(folder);
    PutImage(found_, old);
    const Found whole = FindStore(found_, "", {});
    ASSERT_TRUE(whole.status.ok()) << whole.status;
    ASSERT_THAT(whole.text, ::testing::HasSubstr("\nlast 9 "));
    PutImage(recorded_, old);
    disk_.Record(old);
    ASSERT_TRUE(sqlite::OpenStores({.path = recorded_ + "/" + kDatabase, .readers = 1, .vfs = disk_.name()}).ok());
    const DiskTrace trace = disk_.Take();
    calls += trace.calls.size();
    for (const int64_t end = points + effort.count() / static_cast<int64_t>(formats.size()); points < end;) {
      for (PowerCut cut(trace); !cut.at_end() && points < end; cut.Pass(), ++points) {
        PutImage(found_, cut.Survivors(random));
        const Found found = FindStore(found_, disk_.name(), {});
        ASSERT_TRUE(found.status.ok()) << "format " << format << ", cut at call " << cut.position() << " of " << trace.calls.size() << ": " << found.status;
        ASSERT_EQ(found.text, whole.text) << "format " << format << ", cut at call " << cut.position() << " of " << trace.calls.size();
      }
    }
  }
  effort.Figure("calls of the disk", static_cast<double>(calls));
}

// The control: a disk that lies about syncs loses acknowledged items, and the same comparison finds that.
TEST_F(WritePointsTest, ADiskThatLiesIsFoundOut) {
  Effort effort("points on a disk that lies", 300, 100);
  Random random(effort.seed());
  const Life life = Record(random, Beginning());
  int64_t found_out = 0;
  for (int64_t points = 0; points < effort.count();) {
    PowerCut cut(life.trace, /*ignore_syncs=*/true);
    while (!cut.at_end() && points < effort.count()) {
      cut.Pass();
      if (Below(random, 4) != 0) continue;
      ++points;
      if (FoundOut(cut.Survivors(random), life, life.AcknowledgedBefore(cut.position()))) ++found_out;
    }
  }
  effort.Figure("found out", static_cast<double>(found_out));
  EXPECT_GE(found_out, effort.count() / 10);
}

}  // namespace
}  // namespace agentruntime::testing
