// The suite over SQLite, and what is special to its file.
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
