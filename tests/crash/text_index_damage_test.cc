// The same of the index of documents: one flipped bit, or a file that ends early. It can be built again from the documents, so what a search finds stands in
// them word for word, in that file and at that line; or the file is refused when it is opened, by name. Nearly always it is also all that the search would have
// found, in the same order: FTS5's check of its lists of words adds up sums that may cancel out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "runtime/tools/documents.h"
#include "storage/sqlite/text_index.h"
#include "tests/crash/effort.h"
#include "tests/crash/power_cut.h"
#include "tests/crash/store_image.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {
namespace {

constexpr int kDocuments = 6;
constexpr int kWords = 60;  // different ones
constexpr int32_t kHits = 1000;

// What some searches found.
struct Answers {
  std::string all;                 // with scores, counts and snippets
  std::set<std::string> passages;  // with their place
};

class TextIndexDamageTest : public ::testing::Test {
 protected:
  TextIndexDamageTest() {
    SetLogSink([this](absl::string_view line) { begun_anew_ += absl::StrContains(line, "begun anew") ? 1 : 0; });
  }
  ~TextIndexDamageTest() override {
    FlushLog();
    SetLogSink({});
  }

  void WriteDocuments(Random& random) const {
    const auto sentence = [&] {
      std::string text = "The";
      for (uint64_t left = 4 + Below(random, 12); left > 0; --left) absl::StrAppend(&text, " w", Below(random, kWords), "s");
      return text + ".";
    };
    for (int i = 0; i < kDocuments; ++i) {
      std::ofstream file(documents_.File(absl::StrCat("d", i, ".md")));
      for (uint64_t sections = 2 + Below(random, 6); sections > 0; --sections) {
        file << "# " << sentence() << "\n\n";
        for (uint64_t left = 1 + Below(random, 4); left > 0; --left) file << sentence() << " " << sentence() << "\n\n";
      }
    }
  }

  // Why the file cannot be opened, or what is found in it. INTERNAL: a search fails.
  absl::StatusOr<Answers> Search() {
    ASSIGN_OR_RETURN(const std::unique_ptr<TextIndex> index, sqlite::OpenTextIndex(files_.File(kDatabase)));
    const Folder folder(documents_.path());
    const SystemClock clock;
    Documents documents(folder, *index, clock);
    Answers answers;
    for (int word = 0; word < kWords; word += 7) {
      const auto search = documents.Search({absl::StrCat("w", word), word == 0 ? "the" : absl::StrCat("w", word + 1)}, kHits);
      if (!search.ok()) return absl::InternalError(absl::StrCat("a search: ", search.status().ToString()));
      absl::StrAppend(&answers.all, "search ", word, " in ", search->documents, " documents, ", search->passages, " passages\n");
      for (const TermCount& term : search->words) absl::StrAppend(&answers.all, term.term, " in ", term.passages, "\n");
      std::vector<std::string> hits;
      for (const SearchHit& hit : search->hits) {
        const std::string passage = absl::StrFormat("%s %d:%d\n%s\n%s", hit.document, hit.number, hit.passage.line, hit.passage.heading, hit.passage.text);
        hits.push_back(absl::StrFormat("%s\n%.9g %s\n%s", passage, hit.score, absl::StrJoin(hit.words, " "), hit.snippet));
        answers.passages.insert(passage);
      }
      std::sort(hits.begin(), hits.end());
      absl::StrAppend(&answers.all, absl::StrJoin(hits, "\n"), "\n");
    }
    return answers;
  }

  // What was done, in words.
  static std::string Damage(Random& random, DiskImage& image) {
    auto file = image.begin();
    std::advance(file, static_cast<int64_t>(Below(random, image.size())));
    auto& [name, bytes] = *file;
    if (bytes.empty()) return "nothing";
    if (Below(random, 6) == 0) {
      const size_t size = bytes.size();
      bytes.resize(Below(random, size));
      return absl::StrCat(name, " ends at ", bytes.size(), " of ", size);
    }
    const size_t at = Below(random, 6) == 0 ? Below(random, std::min<size_t>(100, bytes.size())) : Below(random, bytes.size());
    const int bit = static_cast<int>(Below(random, 8));
    bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1 << bit));
    return absl::StrCat("bit ", bit, " of byte ", at, " of ", name, ", which has ", bytes.size());
  }

  TempDir documents_;
  TempDir files_;
  std::atomic<int> begun_anew_ = 0;  // lines of the log that say so
};

TEST_F(TextIndexDamageTest, WhatIsFoundStandsInTheDocuments) {
  Effort effort("damages of a text index", 400, 100);
  Random random(effort.seed());
  WriteDocuments(random);
  PutImage(files_.path(), {});
  Answers written;
  DiskImage killed;
  {
    const auto index = sqlite::OpenTextIndex(files_.File(kDatabase));
    ASSERT_TRUE(index.ok()) << index.status();
    const Folder folder(documents_.path());
    const SystemClock clock;
    ASSERT_TRUE(Documents(folder, **index, clock).Search({"w1"}, 1).ok());
    killed = GetImage(files_.path());  // most of it in the log
  }
  const DiskImage closed = GetImage(files_.path());
  {
    const auto answers = Search();
    ASSERT_TRUE(answers.ok()) << answers.status();
    written = *answers;
  }
  ASSERT_GT(written.passages.size(), 10u);
  FlushLog();
  ASSERT_EQ(begun_anew_, 0);
  int refused = 0;
  int misled = 0;
  for (int64_t number = 0; number < effort.count(); ++number) {
    DiskImage image = number % 4 == 0 ? killed : closed;
    const std::string what = Damage(random, image);
    SCOPED_TRACE(absl::StrCat("damage ", number, ": ", what));
    PutImage(files_.path(), image);
    const auto answers = Search();
    if (answers.ok()) {
      for (const std::string& passage : answers->passages) ASSERT_TRUE(written.passages.contains(passage)) << passage;
      misled += answers->all == written.all ? 0 : 1;
      continue;
    }
    ++refused;
    ASSERT_THAT(answers.status().code(), ::testing::AnyOf(absl::StatusCode::kFailedPrecondition, absl::StatusCode::kUnavailable)) << answers.status();
    ASSERT_THAT(std::string(answers.status().message()), ::testing::HasSubstr(kDatabase));
  }
  FlushLog();
  effort.Figure("refused to open", refused);
  effort.Figure("begun anew", begun_anew_);
  effort.Figure("something not found, or in another order", misled);
  EXPECT_GE(begun_anew_, effort.count() / 10);
  EXPECT_LE(misled, 2 + effort.count() / 50);  // 2 of 4,000
  EXPECT_LE(refused, effort.count() / 10);     // by the first bytes of the file, which say whose it is
}

}  // namespace
}  // namespace agentruntime::testing
