#include "tests/bench/group_commit.h"

#include <sqlite3.h>

#include <filesystem>
#include <utility>

#include "absl/time/clock.h"
#include "tests/bench/fail.h"

namespace agentruntime::bench {

GroupCommit::GroupCommit(const std::string& file, const RecordedRows& rows) : next_id_(static_cast<uint64_t>(absl::GetCurrentTimeNanos())) {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix);
  if (sqlite3_open(file.c_str(), &database_) != SQLITE_OK) Fail("cannot open " + file);
  // The size of a page, the page cache and the size of the log at which it is copied are the product's.
  std::vector<std::string> settings = {"PRAGMA page_size=8192", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-16384",
                                       "PRAGMA wal_autocheckpoint=2048"};
  settings.insert(settings.end(), rows.schema.begin(), rows.schema.end());
  for (const std::string& sql : settings) {
    if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) Fail(sqlite3_errmsg(database_));
  }
  begin_ = Prepare("BEGIN IMMEDIATE");
  commit_ = Prepare("COMMIT");
  insert_run_ = PrepareInsert("runs", rows.run);
  for (const auto& event : rows.events) insert_events_.push_back(PrepareInsert("events", event));
  thread_ = std::thread([this] { Loop(); });
}

GroupCommit::~GroupCommit() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  work_.notify_all();
  thread_.join();
  for (sqlite3_stmt* insert : insert_events_) sqlite3_finalize(insert);
  sqlite3_finalize(insert_run_);
  sqlite3_finalize(begin_);
  sqlite3_finalize(commit_);
  sqlite3_close(database_);
}

void GroupCommit::Push(std::function<void()> done) {
  bool first = false;
  {
    std::lock_guard lock(mu_);
    queue_.push_back(std::move(done));
    first = queue_.size() == 1;
  }
  if (first) work_.notify_one();
}

void GroupCommit::Loop() {
  std::vector<std::function<void()>> batch;
  for (;;) {
    {
      std::unique_lock lock(mu_);
      work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      batch.swap(queue_);
    }
    Step(begin_);
    for (size_t i = 0; i < batch.size(); ++i) InsertRun();
    Step(commit_);
    for (const auto& done : batch) done();
    batch.clear();
  }
}

void GroupCommit::InsertRun() {
  // In the order of time, as the product's ids.
  std::string id(16, '\0');
  const uint64_t number = next_id_++;
  for (int byte = 0; byte < 8; ++byte) id[byte] = static_cast<char>(number >> (56 - 8 * byte));
  sqlite3_bind_blob(insert_run_, 2, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
  Step(insert_run_);
  const int64_t row = sqlite3_last_insert_rowid(database_);
  for (sqlite3_stmt* insert : insert_events_) {
    sqlite3_bind_int64(insert, 2, row);
    Step(insert);
  }
}

sqlite3_stmt* GroupCommit::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) Fail(sqlite3_errmsg(database_));
  return statement;
}

// Everything but the second column, which says which run it is, is bound once.
sqlite3_stmt* GroupCommit::PrepareInsert(const std::string& table, const std::vector<Value>& row) {
  std::string sql = "INSERT INTO " + table + " VALUES (NULL";
  for (size_t i = 1; i < row.size(); ++i) sql += ", ?" + std::to_string(i + 1);
  sqlite3_stmt* const statement = Prepare(sql + ")");
  for (size_t i = 2; i < row.size(); ++i) {
    const int parameter = static_cast<int>(i) + 1;
    if (const auto* number = std::get_if<int64_t>(&row[i])) sqlite3_bind_int64(statement, parameter, *number);
    if (const auto* text = std::get_if<std::string>(&row[i])) {
      sqlite3_bind_text(statement, parameter, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
    }
    if (const auto* blob = std::get_if<std::vector<char>>(&row[i])) {
      sqlite3_bind_blob(statement, parameter, blob->data(), static_cast<int>(blob->size()), SQLITE_TRANSIENT);
      if (blob->empty()) sqlite3_bind_zeroblob(statement, parameter, 0);  // without bytes it would be NULL
    }
  }
  return statement;
}

void GroupCommit::Step(sqlite3_stmt* statement) {
  if (sqlite3_step(statement) != SQLITE_DONE) Fail(sqlite3_errmsg(database_));
  sqlite3_reset(statement);
}

}  // namespace agentruntime::bench
