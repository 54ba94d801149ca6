// A real folder, a real index, a clock that the test moves.
#include "runtime/tools/documents.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "storage/sqlite/text_index.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TestClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::UnixEpoch() + Monotonic(); }
  absl::Duration Monotonic() const override { return absl::Milliseconds(now_ms_.load()); }
  void Advance(absl::Duration by) { now_ms_ += absl::ToInt64Milliseconds(by); }

 private:
  std::atomic<int64_t> now_ms_ = 1000;
};

// Counts what reaches the index, and can say once that the file was damaged.
class WatchedIndex final : public TextIndex {
 public:
  absl::StatusOr<std::vector<IndexedDocument>> Documents(absl::string_view collection) override {
    ++lists;
    return index_->Documents(collection);
  }
  absl::Status Replace(absl::string_view collection, const IndexedDocument& document, const std::vector<Passage>& passages) override {
    ++replaced;
    if (on_replace) on_replace();
    return index_->Replace(collection, document, passages);
  }
  absl::Status Remove(absl::string_view collection, absl::string_view document) override { return index_->Remove(collection, document); }
  absl::StatusOr<std::vector<SearchHit>> Search(absl::string_view collection, const std::vector<std::string>& words, int32_t limit) override {
    ++searched;
    if (damaged) {
      damaged = false;
      index_ = *sqlite::OpenTextIndex(":memory:");
      return absl::DataLossError("damaged");
    }
    return index_->Search(collection, words, limit);
  }
  absl::StatusOr<std::vector<TermCount>> Count(absl::string_view collection, const std::vector<std::string>& words) override {
    return index_->Count(collection, words);
  }
  absl::StatusOr<int64_t> PassageCount(absl::string_view collection) override { return index_->PassageCount(collection); }

  std::atomic<int> lists = 0;
  std::atomic<int> replaced = 0;
  std::atomic<int> searched = 0;
  bool damaged = false;
  std::function<void()> on_replace;

 private:
  std::unique_ptr<TextIndex> index_ = *sqlite::OpenTextIndex(":memory:");
};

class DocumentsTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(dir_.File(name)).parent_path());
    std::ofstream(dir_.File(name)) << text;
  }
  std::vector<std::string> Find(const std::string& word) {
    clock_.Advance(kFolderCheckInterval);
    const auto search = documents_.Search({word}, 10);
    EXPECT_TRUE(search.ok()) << search.status();
    std::vector<std::string> found;
    if (search.ok()) {
      for (const SearchHit& hit : search->hits) found.push_back(absl::StrCat(hit.document, ":", hit.passage.line, " ", hit.passage.text));
    }
    return found;
  }

  TempDir dir_;
  const Folder folder_{dir_.path()};
  TestClock clock_;
  WatchedIndex index_;
  Documents documents_{folder_, index_, clock_};
};

TEST_F(DocumentsTest, FindsInFilesOfAllFolders) {
  Write("a.md", "# A\n\nAn apple.\n");
  Write("sub/deep/b.txt", "Another apple.\n");
  Write("c.html", "apple");
  Write(".hidden.md", "apple");
  Write(".git/d.md", "apple");
  EXPECT_THAT(Find("apple"), ::testing::UnorderedElementsAre("a.md:3 An apple.", "sub/deep/b.txt:1 Another apple."));
}

TEST_F(DocumentsTest, WithoutADescriptorNothingIsTakenForRemovedAndTheRemedyIsNamed) {
  Write("a.md", "An apple.\n");
  Write("sub/b.md", "Another apple.\n");
  EXPECT_EQ(Find("apple").size(), 2u);
  const int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(lowest);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const int left : {0, 1}) {  // one is enough for the folder itself
    const rlimit few = {static_cast<rlim_t>(lowest + left), before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    clock_.Advance(kFolderCheckInterval);
    const auto search = documents_.Search({"apple"}, 10);
    const auto text = folder_.Read("sub/b.md");
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(search.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(search.status().message()), ::testing::AllOf(HasSubstr("Too many open files"), HasSubstr("ulimit -n")));
    EXPECT_EQ(text.status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(Find("apple").size(), 2u);
}

TEST_F(DocumentsTest, FollowsChanges) {
  Write("a.md", "An apple.\n");
  EXPECT_THAT(Find("apple"), ElementsAre("a.md:1 An apple."));
  Write("a.md", "A pear instead.\n");
  EXPECT_THAT(Find("apple"), IsEmpty());
  EXPECT_THAT(Find("pear"), ElementsAre("a.md:1 A pear instead."));
  Write("b.md", "A fig.\n");
  EXPECT_THAT(Find("fig"), ElementsAre("b.md:1 A fig."));
  fs::remove(dir_.File("a.md"));
  EXPECT_THAT(Find("pear"), IsEmpty());
}

TEST_F(DocumentsTest, SameSizeAndOtherTimeIsAChange) {
  Write("a.md", "apple\n");
  EXPECT_THAT(Find("apple"), ElementsAre("a.md:1 apple"));
  Write("a.md", "grape\n");
  fs::last_write_time(dir_.File("a.md"), fs::file_time_type::clock::now() + std::chrono::seconds(5));
  EXPECT_THAT(Find("grape"), ElementsAre("a.md:1 grape"));
}

TEST_F(DocumentsTest, ReadsOnlyWhatChangedAndChecksOnceASecond) {
  Write("a.md", "apple\n");
  Write("b.md", "pear\n");
  Find("apple");
  EXPECT_EQ(index_.replaced, 2);
  Write("b.md", "pear and fig\n");
  for (int i = 0; i < 9; ++i) {
    clock_.Advance(absl::Milliseconds(100));
    ASSERT_TRUE(documents_.Search({"fig"}, 10).ok());
  }
  EXPECT_EQ(index_.lists, 1);
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(documents_.Search({"fig"}, 10)->hits.size(), 1u);
  EXPECT_EQ(index_.lists, 2);
  EXPECT_EQ(index_.replaced, 3);
}

TEST_F(DocumentsTest, TheSameSearchIsKeptUntilADocumentChanges) {
  Write("a.md", "apple\n");
  Find("apple");
  const int searched = index_.searched;
  EXPECT_EQ(Find("apple").size(), 1u);
  EXPECT_EQ(index_.searched, searched);
  EXPECT_EQ(documents_.Search({"apple"}, 9)->hits.size(), 1u) << "another limit is another search";
  EXPECT_EQ(index_.searched, searched + 1);
  Write("b.md", "apple\n");
  EXPECT_EQ(Find("apple").size(), 2u);
  fs::remove(dir_.File("a.md"));
  EXPECT_THAT(Find("apple"), ElementsAre("b.md:1 apple"));
  for (size_t i = 0; i < 2 * kSearchesKeptMax; ++i) EXPECT_TRUE(Find(absl::StrCat("w", i)).empty());
}

TEST_F(DocumentsTest, EmptyFolderIsAnError) {
  const auto search = documents_.Search({"x"}, 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(search.status()));
  EXPECT_THAT(std::string(search.status().message()), HasSubstr("holds no *.md or *.txt document"));
}

TEST_F(DocumentsTest, MissingFolderIsAnErrorUntilItIsThere) {
  const Folder folder(dir_.File("later"));
  Documents documents(folder, index_, clock_);
  const auto search = documents.Search({"x"}, 1);
  EXPECT_TRUE(absl::IsNotFound(search.status()));
  EXPECT_THAT(std::string(search.status().message()), HasSubstr("/later\""));
  Write("later/a.md", "x marks it\n");
  EXPECT_EQ(documents.Search({"x"}, 1)->hits.size(), 1u) << "a failed check is tried again at once";
}

TEST_F(DocumentsTest, LinksThatLeadOutAreNotFollowed) {
  TempDir outside;
  std::ofstream(outside.File("secret.md")) << "apple\n";
  Write("a.md", "An apple.\n");
  fs::create_symlink(outside.File("secret.md"), dir_.File("link.md"));
  fs::create_directory_symlink(outside.path(), dir_.File("folder"));
  fs::create_directory_symlink(dir_.path(), dir_.File("loop"));
  fs::create_symlink(dir_.File("nowhere"), dir_.File("broken.md"));
  fs::create_symlink("a.md", dir_.File("inside.md"));
  EXPECT_THAT(Find("apple"), ::testing::UnorderedElementsAre("a.md:1 An apple.", "inside.md:1 An apple."));
  const auto search = documents_.Search({"apple"}, 10);
  ASSERT_EQ(search->skipped.size(), 2u);
  EXPECT_EQ(search->documents, 2);
}

TEST_F(DocumentsTest, PipesAndTooLargeFilesAreLeftOut) {
  Write("a.md", "apple\n");
  Write("large.md", std::string(kDocumentBytesMax + 1, 'x'));
  ASSERT_EQ(mkfifo(dir_.File("pipe.md").c_str(), 0600), 0);
  EXPECT_THAT(Find("apple"), ElementsAre("a.md:1 apple"));
  const auto search = documents_.Search({"apple"}, 10);
  ASSERT_EQ(search->skipped.size(), 1u);
  EXPECT_EQ(search->skipped[0].name, "large.md");
  const int searched = index_.searched;
  Find("apple");
  EXPECT_EQ(index_.searched, searched) << "that it still cannot be read is no change";
}

TEST_F(DocumentsTest, ABranchThatIsTooDeepIsLeftOutAndNamedOnceInTheLog) {
  std::string deepest;
  for (int i = 0; i < kFolderDepthMax; ++i) absl::StrAppend(&deepest, i == 0 ? "" : "/", "d");
  Write(deepest + "/b.md", "apple\n");
  Write(deepest + "/d/e/c.md", "apple\n");
  Write("a.md", "apple\n");
  ::testing::internal::CaptureStderr();
  EXPECT_THAT(Find("apple"), ::testing::UnorderedElementsAre("a.md:1 apple", deepest + "/b.md:1 apple"));
  clock_.Advance(kFolderCheckInterval);
  const auto search = documents_.Search({"apple"}, 10);
  FlushLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  ASSERT_TRUE(search.ok()) << search.status();
  ASSERT_EQ(search->skipped.size(), 1u);
  EXPECT_EQ(search->skipped[0].name, deepest + "/d");
  EXPECT_EQ(search->skipped[0].why, "it is nested deeper than 16 folders");
  const size_t first = log.find("documents are nested too deep");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("documents are nested too deep", first + 1), std::string::npos) << log;
  EXPECT_THAT(log, HasSubstr(deepest + "/d"));
  EXPECT_THAT(log, HasSubstr(dir_.path()));
}

TEST_F(DocumentsTest, InvalidUtf8IsReplaced) {
  Write("a.md", "An \xff\xfe apple.\n");
  EXPECT_THAT(Find("apple"), ElementsAre("a.md:1 An \xEF\xBF\xBD\xEF\xBF\xBD apple."));
}

TEST_F(DocumentsTest, DamagedIndexIsFilledAgain) {
  Write("a.md", "apple\n");
  EXPECT_THAT(Find("apple"), ElementsAre("a.md:1 apple"));
  index_.damaged = true;
  EXPECT_EQ(documents_.Search({"apple"}, 2)->hits.size(), 1u);
}

TEST_F(DocumentsTest, AStoppedSearchIndexesNoFurtherAndTheNextGoesOnFromThere) {
  for (int i = 0; i < 10; ++i) Write(absl::StrCat(i, ".md"), "apple\n");
  std::stop_source stop;
  index_.on_replace = [&] {
    if (index_.replaced == 4) stop.request_stop();
  };
  EXPECT_EQ(documents_.Search({"apple"}, 2, stop.get_token()).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(index_.replaced, 4);
  EXPECT_EQ(documents_.Search({"apple"}, 20)->hits.size(), 10u);
  EXPECT_EQ(index_.replaced, 10);
}

TEST_F(DocumentsTest, ASearchThatWaitsForAnotherThreadsIndexingIsStopped) {
  Write("a.md", "apple\n");
  std::stop_source stop;
  absl::Status waited;
  index_.on_replace = [&] {
    std::thread waiter([&] { waited = documents_.Search({"apple"}, 2, stop.get_token()).status(); });
    stop.request_stop();
    waiter.join();  // while this thread is still indexing
  };
  EXPECT_TRUE(documents_.Search({"apple"}, 2).ok());
  EXPECT_EQ(waited.code(), absl::StatusCode::kCancelled);
}

TEST_F(DocumentsTest, ManyThreadsWhileTheFolderChanges) {
  Write("a.md", "apple\n");
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!done) EXPECT_EQ(documents_.Search({"apple"}, 10)->hits.size(), 1u);
    });
  }
  for (int i = 0; i < 20; ++i) {
    Write(absl::StrCat("b", i, ".md"), "pear\n");
    clock_.Advance(kFolderCheckInterval);
    EXPECT_TRUE(documents_.Search({"pear"}, 10).ok());
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Find("pear").size(), 10u);
}

TEST(FolderTest, NothingOutsideCanBeRead) {
  TempDir root;
  fs::create_directory(root.File("docs"));
  std::ofstream(root.File("secret.md")) << "secret";
  std::ofstream(root.File("docs/a.md")) << "a";
  fs::create_symlink(root.File("secret.md"), root.File("docs/link.md"));
  fs::create_directory_symlink(root.path(), root.File("docs/up"));
  const Folder folder(root.File("docs"));
  EXPECT_EQ(*folder.Read("a.md"), "a");
  for (const std::string& name : {std::string("../secret.md"), std::string("./../secret.md"), root.File("secret.md"), std::string("link.md"),
                                  std::string("up/secret.md"), std::string("x/../../secret.md"), std::string(".."), std::string("/"), std::string(""),
                                  std::string("a.md\0.md", 8), std::string("a.md/"), std::string("//a.md"), std::string("\xff.md"),
                                  std::string(2000, 'a') + ".md", std::string("/etc/passwd"), std::string("missing.md"), std::string("up")}) {
    const auto text = folder.Read(name);
    EXPECT_FALSE(text.ok()) << name << " gave " << *text;
  }
}

}  // namespace
}  // namespace agentruntime
