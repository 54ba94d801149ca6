// One flipped bit, or a file that ends early, in the database or its log: found out and named, or without effect; never served as if it were good.
//
// A healthy store's files are damaged at random and opened. Allowed are a refusal (DATA_LOSS, FAILED_PRECONDITION) that names the file; reads that fail with
// DATA_LOSS and name the run; or an answer that is byte for byte what was written. A log that lost its end is what a crash leaves too: then the answer is
// what was written up to there. Of a log with a flipped bit no more than the last transaction may be missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/crash/effort.h"
#include "tests/crash/power_cut.h"
#include "tests/crash/store_image.h"
#include "tests/crash/store_story.h"
#include "tests/support/recording_vfs.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {
namespace {

constexpr int kDamagesPerStory = 50;

// The files of a store that was cut off without a warning, everything synced, and what it may answer.
struct Healthy {
  DiskImage image;
  Story story;
  std::map<std::string, int> texts;
  int last_burst = 0;  // items before it
};

class DamageTest : public ::testing::Test {
 protected:
  Healthy Make(Random& random, bool closed) {
    PutImage(folder_.path(), {});
    disk_.Record({{kDatabase, ""}});
    Healthy healthy;
    {
      auto stores = sqlite::OpenStores({.path = folder_.File(kDatabase), .readers = 1, .vfs = disk_.name()});
      EXPECT_TRUE(stores.ok()) << stores.status();
      healthy.story = MakeStory(random, StoreModel(), stores->store->epoch(), {.items = 60});
      EXPECT_EQ(Play(healthy.story, *stores, {}), "");
      // As a kill leaves it: most of it in the log.
      healthy.image = GetImage(folder_.path());
    }
    (void)disk_.Take();
    if (closed) healthy.image = GetImage(folder_.path());  // all of it in the database
    for (size_t i = 0; i < healthy.story.models.size(); ++i) healthy.texts[healthy.story.models[i].Text()] = static_cast<int>(i);
    for (size_t i = 0; i < healthy.story.items.size(); ++i) {
      if (healthy.story.items[i].begins_burst) healthy.last_burst = static_cast<int>(i);
    }
    return healthy;
  }

  // What was done, in words.
  static std::string Damage(Random& random, DiskImage& image) {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : image) {
      if (!bytes.empty()) names.push_back(name);
    }
    std::string& file = image[names[Below(random, names.size())]];
    const std::string& name = names.size() > 1 && &file == &image[names[1]] ? names[1] : names[0];
    if (Below(random, 5) == 0) {
      const size_t size = Below(random, file.size());
      const std::string what = absl::StrCat(name, " ends at ", size, " of ", file.size());
      file.resize(size);
      return what;
    }
    // Small files have their important bytes at the beginning.
    const size_t at = Below(random, 4) == 0 ? Below(random, std::min<size_t>(200, file.size())) : Below(random, file.size());
    const int bit = static_cast<int>(Below(random, 8));
    file[at] = static_cast<char>(static_cast<unsigned char>(file[at]) ^ (1 << bit));
    return absl::StrCat("bit ", bit, " of byte ", at, " of ", name, ", which has ", file.size());
  }

  TempDir folder_;
  RecordingVfs disk_;  // does not sync, which is all that is wanted of it here
};

// Each answer of a store, one by one: a damaged run must not hide the others, and none may be wrong.
struct Answers {
  int right = 0, named = 0;
  int hidden = 0;  // NOT_FOUND although it is there
  std::string wrong;
};

Answers Compare(sqlite::Stores& stores, const StoreModel& model) {
  Answers answers;
  for (const auto& [id, lines] : model.RunTexts()) {
    const auto run = ObserveRun(*stores.store, id);
    if (run.status().code() == absl::StatusCode::kNotFound) {
      ++answers.hidden;
    } else if (!run.ok()) {
      const bool named = run.status().code() == absl::StatusCode::kDataLoss || run.status().code() == absl::StatusCode::kInternal;
      if (!named) absl::StrAppend(&answers.wrong, id.ToString(), ": ", run.status().ToString(), "; ");
      answers.named += named ? 1 : 0;
    } else if (*run == lines) {
      ++answers.right;
    } else {
      absl::StrAppend(&answers.wrong, id.ToString(), " is served as\n", *run, "instead of\n", lines);
    }
  }
  return answers;
}

TEST_F(DamageTest, IsFoundOutAndNamedOrHarmless) {
  Effort effort("damages", 400, 200);
  Random random(effort.seed());
  int refused = 0, named = 0, harmless = 0, shorter = 0, hidden = 0;
  Healthy healthy;
  for (int64_t number = 0; number < effort.count(); ++number) {
    if (number % kDamagesPerStory == 0) healthy = Make(random, number / kDamagesPerStory % 2 == 1);
    DiskImage image = healthy.image;
    const std::string what = Damage(random, image);
    SCOPED_TRACE(absl::StrCat("damage ", number, ": ", what));
    PutImage(folder_.path(), image);
    auto stores = sqlite::OpenStores({.path = folder_.File(kDatabase), .readers = 1, .vfs = disk_.name()});
    if (!stores.ok()) {
      EXPECT_THAT(stores.status().code(), ::testing::AnyOf(absl::StatusCode::kDataLoss, absl::StatusCode::kFailedPrecondition, absl::StatusCode::kUnavailable));
      EXPECT_TRUE(absl::StrContains(stores.status().message(), kDatabase)) << stores.status();
      ++refused;
      continue;
    }
    const auto text = Observe(*stores, healthy.story.models.back().request_ids());
    if (text.ok() && *text == healthy.story.models.back().Text()) {
      ++harmless;
      continue;
    }
    // A log that ends earlier, or whose last transaction is damaged: everything up to there, as after a crash.
    const auto prefix = text.ok() ? healthy.texts.find(*text) : healthy.texts.end();
    if (prefix != healthy.texts.end() && absl::StrContains(what, "-wal") && (absl::StrContains(what, " ends at ") || prefix->second >= healthy.last_burst)) {
      ++shorter;
      continue;
    }
    const Answers answers = Compare(*stores, healthy.story.models.back());
    EXPECT_EQ(answers.wrong, "") << (text.ok() ? "" : text.status().ToString());
    // A key that was changed in an index hides its row; the damage must then show in a read that goes another way. See README.md, what is not promised.
    if (answers.hidden > 0) {
      EXPECT_FALSE(text.ok()) << answers.hidden << " runs are hidden, and nothing says so";
      ++hidden;
    }
    ++named;
    if (HasFailure()) break;
  }
  effort.Figure("refused to open", refused);
  effort.Figure("named by reads", named);
  effort.Figure("of those with runs hidden from a lookup", hidden);
  effort.Figure("without effect", harmless);
  effort.Figure("a shorter log", shorter);
  EXPECT_GE(refused + named, effort.count() / 10);
  EXPECT_GE(harmless, effort.count() / 20);
  EXPECT_GE(shorter, effort.count() / 100);
}

}  // namespace
}  // namespace agentruntime::testing
