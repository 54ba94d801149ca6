// One flipped bit, or a file that ends early, in the database or its log: found out and named, or without effect; never served as if it were good.
//
// A healthy store's files are damaged at random and opened. Allowed are a refusal (DATA_LOSS, FAILED_PRECONDITION) that names the file; reads that fail with
// DATA_LOSS and name the run; the end of the process; or an answer that is byte for byte what was written. A log that lost its end is what a crash leaves
// too: then the answer is what was written up to there. Of a log with a flipped bit no more than the last transaction may be missing. Each damage is met by a
// process of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mman.h>

#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tests/crash/child.h"
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

// What becomes of a damaged store.
enum class Outcome { kWrong, kRefused, kHarmless, kShorter, kNamed, kHidden, kFailStop };

// Seen by the child and by the test.
struct Shared {
  Outcome outcome;
  char wrong[4096];  // why it is that; ends with 0
};

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() : shared_(new(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared()) {}
  ~DamageTest() override { munmap(shared_, sizeof(Shared)); }

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
  Shared* const shared_;
};

// Each answer of a store, one by one: a damaged run must not hide the others, and none may be wrong.
struct Answers {
  int hidden = 0;  // runs that are NOT_FOUND although they are there, or lack artifacts
  std::string wrong;
};

bool IsArtifact(absl::string_view line) { return absl::StartsWith(line, " artifact "); }

// All of it but artifacts, which may be fewer.
bool LacksArtifactsOnly(absl::string_view found, absl::string_view written) {
  std::vector<absl::string_view> left = absl::StrSplit(found, '\n');
  for (const absl::string_view line : absl::StrSplit(written, '\n')) {
    if (!left.empty() && left.front() == line) {
      left.erase(left.begin());
    } else if (!IsArtifact(line)) {
      return false;
    }
  }
  return left.empty();
}

Answers Compare(sqlite::Stores& stores, const StoreModel& model) {
  Answers answers;
  for (const auto& [id, lines] : model.RunTexts()) {
    const auto run = ObserveRun(*stores.store, id);
    if (run.status().code() == absl::StatusCode::kNotFound) {
      ++answers.hidden;
    } else if (!run.ok()) {
      const bool named = run.status().code() == absl::StatusCode::kDataLoss || run.status().code() == absl::StatusCode::kInternal;
      if (!named) absl::StrAppend(&answers.wrong, id.ToString(), ": ", run.status().ToString(), "; ");
    } else if (*run != lines) {
      if (LacksArtifactsOnly(*run, lines)) {
        ++answers.hidden;
      } else {
        absl::StrAppend(&answers.wrong, id.ToString(), " is served as\n", *run, "instead of\n", lines);
      }
    }
  }
  return answers;
}

// The child: opens what is there, and compares. Says why if an answer is wrong.
Outcome Meet(const std::string& folder, const std::string& vfs, const Healthy& healthy, const std::string& what, std::string& wrong) {
  const StoreModel& model = healthy.story.models.back();
  bool noticed = false;
  Answers answers;
  {
    auto stores = sqlite::OpenStores({.path = absl::StrCat(folder, "/", kDatabase), .readers = 1, .vfs = vfs});
    if (!stores.ok()) {
      const absl::StatusCode code = stores.status().code();
      const bool as_promised = code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kFailedPrecondition || code == absl::StatusCode::kUnavailable;
      if (!as_promised || !absl::StrContains(stores.status().message(), kDatabase)) wrong = stores.status().ToString();
      return Outcome::kRefused;
    }
    const auto text = Observe(*stores, model.request_ids());
    if (text.ok() && *text == model.Text()) return Outcome::kHarmless;
    // A log that ends earlier, or whose last transaction is damaged: everything up to there, as after a crash.
    const auto prefix = text.ok() ? healthy.texts.find(*text) : healthy.texts.end();
    if (prefix != healthy.texts.end() && absl::StrContains(what, "-wal") && (absl::StrContains(what, " ends at ") || prefix->second >= healthy.last_burst)) {
      return Outcome::kShorter;
    }
    answers = Compare(*stores, model);
    wrong = answers.wrong;
    const auto info = stores->store->Info();
    noticed = !text.ok() || info.value_or(StoreInfo()).set_aside > 0;
  }
  if (answers.hidden == 0) return Outcome::kNamed;
  // A key that was changed in an index hides its row; then something else must have noticed. See README.md, what is not promised.
  if (!noticed && IntegrityOf(absl::StrCat(folder, "/", kDatabase)) == "ok") absl::StrAppend(&wrong, answers.hidden, " runs are hidden, and nothing says so");
  return Outcome::kHidden;
}

TEST_F(DamageTest, IsFoundOutAndNamedOrHarmless) {
  Effort effort("damages", 400, 200);
  Random random(effort.seed());
  std::map<Outcome, int> outcomes;
  Healthy healthy;
  for (int64_t number = 0; number < effort.count(); ++number) {
    if (number % kDamagesPerStory == 0) healthy = Make(random, number / kDamagesPerStory % 2 == 1);
    DiskImage image = healthy.image;
    const std::string what = Damage(random, image);
    SCOPED_TRACE(absl::StrCat("damage ", number, ": ", what));
    PutImage(folder_.path(), image);
    const int code = RunInChild([&] {
      std::string wrong;
      shared_->outcome = Meet(folder_.path(), disk_.name(), healthy, what, wrong);
      absl::SNPrintF(shared_->wrong, sizeof(shared_->wrong), "%s", wrong);
    });
    ASSERT_THAT(code, ::testing::AnyOf(0, kFailStopCode));
    ASSERT_STREQ(shared_->wrong, "");
    ++outcomes[code == kFailStopCode ? Outcome::kFailStop : shared_->outcome];
  }
  effort.Figure("refused to open", outcomes[Outcome::kRefused]);
  effort.Figure("ends of the process", outcomes[Outcome::kFailStop]);
  effort.Figure("named by reads", outcomes[Outcome::kNamed]);
  effort.Figure("hidden from a lookup, and noticed", outcomes[Outcome::kHidden]);
  effort.Figure("without effect", outcomes[Outcome::kHarmless]);
  effort.Figure("a shorter log", outcomes[Outcome::kShorter]);
  EXPECT_GE(outcomes[Outcome::kRefused] + outcomes[Outcome::kNamed], effort.count() / 10);
  EXPECT_GE(outcomes[Outcome::kHarmless], effort.count() / 20);
}

}  // namespace
}  // namespace agentruntime::testing
