// One flipped bit, or a file that ends early, in the database or its log: found out and named, or without effect; never served as if it were good.
//
// A healthy store's files are damaged at random and opened. Allowed are a refusal (DATA_LOSS, FAILED_PRECONDITION) that names the file; reads that fail and
// say what is damaged; the end of the process; or an answer that is byte for byte what was written, of each run, agent and request, by name, in lists and by
// label, or that lacks something which --doctor finds. A
// log that lost its end is what a crash leaves too: then the answer is what was written up to there. Of a log with a flipped bit no more than the last
// transaction may be missing. Each damage is met by a process of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mman.h>

#include <cmath>
#include <map>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "storage/sqlite/inspector.h"
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

// Of all damages about one in 55, 62 and 174, in 4,000. The fifty of one story are not independent, so each is held against more.
constexpr double kHiddenRate = 1.0 / 30;
constexpr double kUnlabelledRate = 1.0 / 35;
constexpr double kLastTransactionRate = 1.0 / 100;

// Of `count` independent trials with this rate, as many as all but one in 100,000 runs of them stay within (Poisson).
int64_t MostOf(double rate, int64_t count) {
  const double mean = rate * static_cast<double>(count);
  double within = 0;
  for (int64_t most = 0;; ++most) {
    within += std::exp(static_cast<double>(most) * std::log(mean) - mean - std::lgamma(static_cast<double>(most) + 1));
    if (within >= 1 - 1e-5) return most;
  }
}

// The files of a store that was cut off without a warning, everything synced, and what it may answer.
struct Healthy {
  DiskImage image;
  Story story;
  std::map<std::string, int> texts;
  std::vector<std::string> marks;  // of small rows: the store's own, agents', labels', a deleted run's
  int last_burst = 0;              // items before the last one that changed something
};

// What becomes of a damaged store. The last three are what README.md does not promise, each bounded.
enum class Outcome { kWrong, kRefused, kHarmless, kShorter, kNamed, kFailStop, kLastTransaction, kHidden, kUnlabelled };

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
      healthy.marks = {stores->store->id(), "kindtest", "customer"};
      const std::string deleted = absl::StrCat(static_cast<int>(CreateOutcome::Kind::kDeleted), " ");
      for (const auto& [request, outcome] : healthy.story.models.back().requests()) {
        if (absl::StartsWith(outcome, deleted)) healthy.marks.push_back(request);
        if (healthy.marks.size() > 3) break;
      }
      for (const auto& [name, text] : healthy.story.models.back().AgentTexts()) healthy.marks.emplace_back(absl::StripPrefix(name, "agents/"));
      // As a kill leaves it: most of it in the log.
      healthy.image = GetImage(folder_.path());
    }
    (void)disk_.Take();
    if (closed) healthy.image = GetImage(folder_.path());  // all of it in the database
    for (size_t i = 0; i < healthy.story.models.size(); ++i) healthy.texts[healthy.story.models[i].Text()] = static_cast<int>(i);
    for (size_t i = 0; i < healthy.story.items.size(); ++i) {
      // One that changes nothing, of retries and of appends that are lost, writes nothing.
      const bool changes = healthy.story.models[i].Text() != healthy.story.models.back().Text();
      if (healthy.story.items[i].begins_burst && changes) healthy.last_burst = static_cast<int>(i);
    }
    return healthy;
  }

  // A byte of a small row, or of what lies beside it: rows that are a few bytes of a file are hardly met else. `size` if there is none.
  static size_t ByteOfASmallRow(Random& random, const std::string& file, const std::vector<std::string>& marks) {
    constexpr size_t kBeside = 8;
    const std::string& mark = marks[Below(random, marks.size())];
    std::vector<size_t> places;
    for (size_t at = file.find(mark); at != std::string::npos; at = file.find(mark, at + 1)) places.push_back(at);
    if (places.empty()) return file.size();
    const size_t at = places[Below(random, places.size())] + Below(random, mark.size() + 2 * kBeside);
    return at < kBeside ? 0 : std::min(at - kBeside, file.size() - 1);
  }

  // What was done, in words.
  static std::string Damage(Random& random, const std::vector<std::string>& marks, DiskImage& image) {
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
    size_t at = Below(random, 4) == 0 ? Below(random, std::min<size_t>(200, file.size())) : Below(random, file.size());
    if (const size_t small = Below(random, 5) == 0 ? ByteOfASmallRow(random, file, marks) : file.size(); small < file.size()) at = small;
    const int bit = static_cast<int>(Below(random, 8));
    file[at] = static_cast<char>(static_cast<unsigned char>(file[at]) ^ (1 << bit));
    return absl::StrCat("bit ", bit, " of byte ", at, " of ", name, ", which has ", file.size());
  }

  TempDir folder_;
  RecordingVfs disk_;  // does not sync, which is all that is wanted of it here
  Shared* const shared_;
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

// Each answer of a store, one by one: what is damaged must not hide the rest, and nothing may be wrong.
class Answers {
 public:
  Answers(sqlite::Stores& stores, const StoreModel& model) : stores_(stores), model_(model) {
    for (const auto& [id, text] : model_.RunTexts()) TakeRun(id, text);
    TakeRunList({}, AllRuns());
    for (const auto& [label, runs] : model_.Labelled()) TakeRunList({label}, runs);
    for (const auto& [name, text] : model_.AgentTexts()) Take(name, ObserveAgent(stores_, name), text, "free");
    TakeAgentList();
    for (const auto& [id, outcome] : model_.requests()) TakeRequest(ObserveRequest(*stores_.store, id), outcome);
  }

  // DATA_LOSS with the name of what is damaged. Or SQLite's refusal of a page, which does not know what the page would have held, with its code.
  void TakeRefusal(absl::string_view name, const absl::Status& status) {
    const bool of_a_page = status.code() == absl::StatusCode::kDataLoss && absl::StrContains(status.message(), "SQLite code ");
    const bool of_a_name = status.code() == absl::StatusCode::kDataLoss && (name.empty() || absl::StrContains(status.message(), name));
    if (status.code() == absl::StatusCode::kNotFound) {
      ++hidden_;
    } else if (of_a_page || of_a_name) {
      ++named_;
    } else {
      absl::StrAppend(&wrong_, name, ": ", status.ToString(), "; ");
    }
  }

  int named() const { return named_; }            // refused, and the refusal says what is damaged
  int hidden() const { return hidden_; }          // not found although it is there, or without an artifact
  int unlabelled() const { return unlabelled_; }  // missing from a list by a label that it has
  const std::string& wrong() const { return wrong_; }

 private:
  void TakeRun(const RunId& id, const std::string& written) {
    const auto found = ObserveRun(*stores_.store, id);
    if (found.ok() && *found != written && LacksArtifactsOnly(*found, written)) {
      ++hidden_;
    } else {
      Take(id.ToString(), found, written, "");
    }
  }

  void TakeRequest(const absl::StatusOr<std::string>& found, absl::string_view written) {
    if (found.ok() && absl::StartsWith(*found, absl::StrCat(static_cast<int>(CreateOutcome::Kind::kDamaged), " "))) {
      ++named_;
    } else {
      Take("", found, written, "free");
    }
  }

  // `absent`: what is answered where nothing is known.
  void Take(absl::string_view name, const absl::StatusOr<std::string>& found, absl::string_view written, absl::string_view absent) {
    if (!found.ok()) {
      TakeRefusal(name, found.status());
    } else if (*found == absent) {
      ++hidden_;
    } else if (*found != written) {
      absl::StrAppend(&wrong_, name, " is served as\n", *found, "\ninstead of\n", written, "\n");
    }
  }

  std::set<RunId> AllRuns() const {
    std::set<RunId> runs;
    for (const auto& [id, text] : model_.RunTexts()) runs.insert(id);
    return runs;
  }

  void TakeRunList(const std::map<std::string, std::string>& labels, std::set<RunId> runs) {
    const std::map<RunId, std::string> texts = model_.RunTexts();
    const auto page = stores_.store->ListRuns({.labels = labels, .oldest_first = true, .limit = 1000});
    if (!page.ok()) return TakeRefusal("", page.status());
    for (const RunRecord& record : page->runs) {
      const bool listed = runs.erase(record.id) == 1;
      if (!listed || !absl::StartsWith(texts.at(record.id), RunLine(record))) absl::StrAppend(&wrong_, "a list has ", RunLine(record));
    }
    (labels.empty() ? hidden_ : unlabelled_) += static_cast<int>(runs.size());
  }

  void TakeAgentList() {
    std::map<std::string, std::string> texts = model_.AgentTexts();
    const auto agents = stores_.agents->List("", 1000);
    if (!agents.ok()) return TakeRefusal("", agents.status());
    for (const v1::Agent& agent : *agents) {
      const auto text = texts.find(agent.name());
      const std::string written = text == texts.end() ? "none" : text->second;
      if (written != AgentText(agent)) absl::StrAppend(&wrong_, "a list has ", agent.name(), " as ", AgentText(agent), "\ninstead of\n", written, "\n");
      if (text != texts.end()) texts.erase(text);
    }
    hidden_ += static_cast<int>(texts.size());
  }

  sqlite::Stores& stores_;
  const StoreModel& model_;
  int named_ = 0;
  int hidden_ = 0;
  int unlabelled_ = 0;
  std::string wrong_;
};

// Whether --doctor has something to tell beside what it makes of journals, which are no real ones here.
bool DoctorFinds(const std::string& path) {
  const auto inspector = sqlite::Inspector::Open(path);
  if (!inspector.ok() || !(*inspector)->FileFaults().empty() || !(*inspector)->AgentFaults().empty()) return true;
  for (int64_t unreadable = 0;;) {
    const auto runs = (*inspector)->NextRuns(unreadable);
    if (!runs.ok() || unreadable > 0) return true;
    if (runs->empty()) return false;
    for (const RunId& run : *runs) {
      if (!(*inspector)->GetRun(run).ok() || !(*inspector)->LabelFaults(run).empty()) return true;
    }
  }
}

// The child: opens what is there, and compares. Says why if an answer is wrong.
Outcome Meet(const std::string& folder, const std::string& vfs, const Healthy& healthy, const std::string& what, std::string& wrong) {
  const std::string path = absl::StrCat(folder, "/", kDatabase);
  const StoreModel& written = healthy.story.models.back();
  Outcome whole = Outcome::kHarmless;
  bool noticed = false;
  int hidden = 0;
  int unlabelled = 0;
  {
    auto stores = sqlite::OpenStores({.path = path, .readers = 1, .vfs = vfs});
    if (!stores.ok()) {
      const absl::StatusCode code = stores.status().code();
      const bool as_promised = code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kFailedPrecondition || code == absl::StatusCode::kUnavailable;
      if (!as_promised || !absl::StrContains(stores.status().message(), kDatabase)) wrong = stores.status().ToString();
      return Outcome::kRefused;
    }
    const StoreModel* model = &written;
    const auto text = Observe(*stores, written.request_ids());
    const bool of_log = absl::StrContains(what, "-wal");
    const auto prefix = text.ok() && of_log ? healthy.texts.find(*text) : healthy.texts.end();
    if (prefix != healthy.texts.end() && *text != written.Text()) {
      // A log that ends earlier: everything up to there, as after a crash. Or its last transaction has a flipped bit, as if it had been interrupted.
      model = &healthy.story.models[static_cast<size_t>(prefix->second)];
      whole = absl::StrContains(what, " ends at ") ? Outcome::kShorter : Outcome::kLastTransaction;
      const bool allowed = whole == Outcome::kShorter || prefix->second >= healthy.last_burst;
      if (!allowed) absl::StrAppend(&wrong, "only the first ", prefix->second, " items are there, and nothing says so; ");
    }
    Answers answers(*stores, *model);
    if (!text.ok()) answers.TakeRefusal("", text.status());  // of a page that only reading all of it meets
    absl::StrAppend(&wrong, answers.wrong());
    hidden = answers.hidden();
    unlabelled = answers.unlabelled();
    noticed = answers.named() > 0 || stores->store->Info().value_or(StoreInfo()).set_aside > 0;
    if (hidden == 0 && answers.named() > 0) return Outcome::kNamed;
    if (hidden == 0 && text.ok() && *text != model->Text()) absl::StrAppend(&wrong, "what is served is none of what was written:\n", *text);
  }
  if (hidden == 0 && unlabelled == 0) return whole;
  // A key that was changed in an index or in a label hides its row; then something else must notice, if only --doctor.
  if (!noticed && !DoctorFinds(path)) absl::StrAppend(&wrong, hidden + unlabelled, " answers lack something, and nothing says so");
  return hidden > 0 ? Outcome::kHidden : Outcome::kUnlabelled;
}

TEST_F(DamageTest, IsFoundOutAndNamedOrHarmless) {
  Effort effort("damages", 400, 200);
  Random random(effort.seed());
  std::map<Outcome, int> outcomes;
  Healthy healthy;
  for (int64_t number = 0; number < effort.count(); ++number) {
    if (number % kDamagesPerStory == 0) healthy = Make(random, number / kDamagesPerStory % 2 == 1);
    DiskImage image = healthy.image;
    const std::string what = Damage(random, healthy.marks, image);
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
  effort.Figure("missing from a list by label, and noticed", outcomes[Outcome::kUnlabelled]);
  effort.Figure("the last transaction forgotten", outcomes[Outcome::kLastTransaction]);
  effort.Figure("without effect", outcomes[Outcome::kHarmless]);
  effort.Figure("a shorter log", outcomes[Outcome::kShorter]);
  EXPECT_GE(outcomes[Outcome::kRefused] + outcomes[Outcome::kNamed], effort.count() / 10);
  EXPECT_GE(outcomes[Outcome::kHarmless], effort.count() / 20);
  EXPECT_LE(outcomes[Outcome::kHidden], MostOf(kHiddenRate, effort.count()));
  EXPECT_LE(outcomes[Outcome::kUnlabelled], MostOf(kUnlabelledRate, effort.count()));
  EXPECT_LE(outcomes[Outcome::kLastTransaction], MostOf(kLastTransactionRate, effort.count()));
}

}  // namespace
}  // namespace agentruntime::testing
