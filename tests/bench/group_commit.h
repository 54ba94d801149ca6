// The floor of the disk: one thread that writes the rows of whole runs into SQLite, everything that is queued as one transaction (WAL, synchronous=FULL).
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/recorded_run.h"

struct sqlite3;
struct sqlite3_stmt;

namespace agentruntime::bench {

class GroupCommit {
 public:
  // `file` is made anew.
  GroupCommit(const std::string& file, const RecordedRows& rows);
  ~GroupCommit();
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // Writes one more run with new ids, and calls `done` on the writer's thread when it is durable. Thread-safe.
  void Push(std::function<void()> done);

 private:
  void Loop();
  void InsertRun();
  sqlite3_stmt* Prepare(const std::string& sql);
  sqlite3_stmt* PrepareInsert(const std::string& table, const std::vector<Value>& row);
  void Step(sqlite3_stmt* statement);

  sqlite3* database_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  sqlite3_stmt* insert_run_ = nullptr;
  std::vector<sqlite3_stmt*> insert_events_;
  uint64_t next_id_ = 0;

  std::mutex mu_;
  std::condition_variable work_;
  std::vector<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace agentruntime::bench
