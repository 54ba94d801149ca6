// The suite over SQLite, and what is special to its file.
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "storage/sqlite/text_index.h"
#include "tests/conformance/text_index_suite.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::testing {
namespace {

INSTANTIATE_TEST_SUITE_P(Sqlite, TextIndexSuite, ::testing::Values(TextIndexCase{[] { return *sqlite::OpenTextIndex(":memory:"); }}));

const IndexedDocument kDocument{"a.md", 1, absl::UnixEpoch()};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class SqliteTextIndexTest : public ::testing::Test {
 protected:
  // An index with one passage, closed again.
  void Fill() {
    const auto index = sqlite::OpenTextIndex(path_);
    ASSERT_TRUE(index.ok()) << index.status();
    ASSERT_TRUE((*index)->Replace("c", kDocument, {{1, "", "kept"}}).ok());
  }
  // Behind the index's back, while it is closed.
  void Change(const char* sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    EXPECT_EQ(sqlite3_changes(database), 1) << sql;
    sqlite3_close(database);
  }
  int64_t Passages() {
    const auto index = sqlite::OpenTextIndex(path_);
    EXPECT_TRUE(index.ok()) << index.status();
    return index.ok() ? (*index)->PassageCount("c").value_or(-1) : -1;
  }

  TempDir folder_;
  const std::string path_ = folder_.File("index.db");
};

TEST_F(SqliteTextIndexTest, KeepsWhatWasIndexed) {
  Fill();
  EXPECT_EQ(Passages(), 1);
}

TEST_F(SqliteTextIndexTest, OthersMayNotReadIt) {
  const auto index = sqlite::OpenTextIndex(path_);
  ASSERT_TRUE((*index)->Replace("c", kDocument, {{1, "", "kept"}}).ok());
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(file.status().permissions() & ~std::filesystem::perms::owner_all, std::filesystem::perms::none) << file.path();
  }
}

TEST_F(SqliteTextIndexTest, OneProcessAtATime) {
  const auto index = sqlite::OpenTextIndex(path_);
  ASSERT_TRUE(index.ok());
  const auto second = sqlite::OpenTextIndex(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(SqliteTextIndexTest, DamagedFileIsBegunAnew) {
  Fill();
  std::string bytes = ReadFile(path_);
  ASSERT_GT(bytes.size(), 8192u);
  std::fill(bytes.begin() + 4096, bytes.end(), 'x');
  std::ofstream(path_, std::ios::binary) << bytes;
  EXPECT_EQ(Passages(), 0);
}

TEST_F(SqliteTextIndexTest, FileOfZerosIsBegunAnew) {
  std::ofstream(path_, std::ios::binary) << std::string(8192, '\0');
  EXPECT_EQ(Passages(), 0);
}

TEST_F(SqliteTextIndexTest, OtherFormatIsBegunAnew) {
  Fill();
  std::string bytes = ReadFile(path_);
  bytes[63] = 99;  // user_version, big endian at 60
  std::ofstream(path_, std::ios::binary) << bytes;
  EXPECT_EQ(Passages(), 0);
}

// Whatever the flipped bit does to the words that lead to it.
TEST_F(SqliteTextIndexTest, ADamagedPassageIsNotServed) {
  const std::string text = "Keys may send 600 requests.";
  const std::string heading = "Limits of keys";
  for (const auto& [place, bit] : std::vector<std::pair<std::string, int>>{{"Keys", 5}, {".", 0}, {"600", 0}, {"Limits", 5}}) {
    SCOPED_TRACE(place);
    std::filesystem::remove(path_);
    {
      const auto index = sqlite::OpenTextIndex(path_);
      ASSERT_TRUE(index.ok()) << index.status();
      ASSERT_TRUE((*index)->Replace("c", kDocument, {{3, heading, text}}).ok());
    }
    std::string bytes = ReadFile(path_);
    const size_t at = bytes.find(text + heading);  // as FTS5 keeps the columns
    ASSERT_NE(at, std::string::npos);
    const size_t flipped = bytes.find(place, at);
    bytes[flipped] = static_cast<char>(bytes[flipped] ^ (1 << bit));
    std::ofstream(path_, std::ios::binary) << bytes;

    const auto index = sqlite::OpenTextIndex(path_);
    ASSERT_TRUE(index.ok()) << index.status();
    const auto hits = (*index)->Search("c", {"send"}, 10);
    if (hits.ok()) EXPECT_TRUE(hits->empty()) << (*hits)[0].passage.text;  // found out when it was opened
    EXPECT_EQ(*(*index)->PassageCount("c"), 0) << "begun anew";
    ASSERT_TRUE((*index)->Replace("c", kDocument, {{3, heading, text}}).ok());
    const auto again = (*index)->Search("c", {"send"}, 10);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->at(0).passage.text, text);
  }
}

// Of the row itself, behind the back of what finds it.
TEST_F(SqliteTextIndexTest, NeitherAPlaceNorADocumentsNameIsServedDamaged) {
  for (const char* sql : {"UPDATE passages_content SET c3 = c3 + 1", "UPDATE passages_content SET c4 = c4 + 1", "UPDATE documents SET name = 'b.md'",
                          "UPDATE collections SET name = 'd'", "UPDATE documents SET size = size + 1", "UPDATE documents SET passages = 7"}) {
    SCOPED_TRACE(sql);
    std::filesystem::remove(path_);
    Fill();
    Change(sql);
    const auto index = sqlite::OpenTextIndex(path_);
    ASSERT_TRUE(index.ok()) << index.status();
    const auto asked = [&](const std::string& collection) {
      if (!(*index)->Documents(collection).ok()) return -1;  // as whoever searches asks first
      const auto hits = (*index)->Search(collection, {"kept"}, 10);
      return hits.ok() ? static_cast<int>(hits->size()) : -1;
    };
    EXPECT_LE(asked("c"), 0);
    EXPECT_LE(asked("d"), 0);
  }
}

// Nothing would be found of the other one, and nobody would know why.
TEST_F(SqliteTextIndexTest, EachCollectionIsToldOnceThatItIsEmpty) {
  {
    const auto index = sqlite::OpenTextIndex(path_);
    ASSERT_TRUE(index.ok()) << index.status();
    for (const char* collection : {"one", "two"}) ASSERT_TRUE((*index)->Replace(collection, kDocument, {{1, "", "kept"}}).ok());
  }
  Change("UPDATE passages_content SET c3 = c3 + 1 WHERE c2 = 'collection1'");
  const auto index = sqlite::OpenTextIndex(path_);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ((*index)->Search("two", {"kept"}, 10)->size(), 1u);
  EXPECT_TRUE(absl::IsDataLoss((*index)->Search("one", {"kept"}, 10).status()));
  EXPECT_TRUE((*index)->Search("one", {"kept"}, 10)->empty());
  EXPECT_TRUE(absl::IsDataLoss((*index)->Search("two", {"kept"}, 10).status()));
  EXPECT_TRUE((*index)->Search("two", {"kept"}, 10)->empty());
  EXPECT_TRUE((*index)->Search("three", {"kept"}, 10)->empty()) << "one that had nothing";
}

TEST_F(SqliteTextIndexTest, FilesOfOthersAreLeftAlone) {
  std::ofstream(path_) << "a letter to my aunt, long enough to be no empty file";
  EXPECT_TRUE(absl::IsFailedPrecondition(sqlite::OpenTextIndex(path_).status())) << sqlite::OpenTextIndex(path_).status();
  EXPECT_EQ(ReadFile(path_), "a letter to my aunt, long enough to be no empty file");
}

TEST_F(SqliteTextIndexTest, DatabasesOfOthersAreLeftAlone) {
  Fill();
  std::string bytes = ReadFile(path_);
  bytes[68] = 7;  // application_id, big endian at 68
  std::ofstream(path_, std::ios::binary) << bytes;
  EXPECT_TRUE(absl::IsFailedPrecondition(sqlite::OpenTextIndex(path_).status()));
  EXPECT_EQ(ReadFile(path_), bytes);
}

TEST_F(SqliteTextIndexTest, NamesAPathThatCannotBeOpened) {
  const auto index = sqlite::OpenTextIndex(folder_.File("no/such/folder.db"));
  EXPECT_TRUE(absl::IsUnavailable(index.status())) << index.status();
}

}  // namespace
}  // namespace agentruntime::testing
