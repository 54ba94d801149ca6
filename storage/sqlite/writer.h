// The one thread that writes: takes everything that is queued, commits it as one transaction with one sync, and tells who waits.
//
// There is no artificial delay: what arrives while one transaction syncs is the next one.
// Source of the idea: group commit after LevelDB's write queue.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "proto/base/mutex.h"
#include "storage/sqlite/batch.h"
#include "storage/sqlite/database.h"
#include "storage/sqlite/items.h"

namespace agentruntime::sqlite {

// One transaction.
inline constexpr int64_t kBatchBytesMax = 4 << 20;
inline constexpr size_t kBatchItemsMax = 1000;
// All that may wait for a slow disk: who comes after that blocks in Push until there is room. Nobody blocks for a full one, which may stay full for hours: then
// sessions record nothing but cancels, and callers are refused.
inline constexpr int64_t kQueueBytesMax = 256 << 20;
// The log is copied into the database above this size: the least and the most, between them an eighth of the disk.
inline constexpr int64_t kCheckpointBytesMin = 1 << 20;
inline constexpr int64_t kCheckpointBytes = 16 << 20;
inline constexpr int64_t kCheckpointDiskShare = 8;
// Above so many times that size the writer waits for readers so that the log can begin anew.
inline constexpr int64_t kLogGrowthMax = 4;
inline constexpr int64_t kLogBytesMax = kLogGrowthMax * kCheckpointBytes;
// The writer looks at the disk's free space when the log has grown by so much, or by less if less is free. Below twice the log's size the log is copied
// and cut at once: what it holds must fit into the database file beside it, or a full disk would never get better.
inline constexpr int64_t kLookBytes = 256 << 10;

// Thread-safe.
class Writer {
 public:
  // `fail` ends the process and does not return: called when nobody can say any more what the disk holds.
  Writer(std::unique_ptr<Database> database, Epoch epoch, std::function<void(absl::string_view)> fail);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Queues. Completions come on the writer's thread, in the order of the calls.
  void Push(std::unique_ptr<Item> item) ABSL_LOCKS_EXCLUDED(mu_);
  // The same of several, with nothing between them.
  void Push(std::vector<std::unique_ptr<Item>> items) ABSL_LOCKS_EXCLUDED(mu_);
  // Runs `task` in a transaction and waits until it is durable. False if the disk does not take it now: whether it will is unknown.
  // `task` owns what it needs: it may run again, also after this returned false.
  bool RunTask(absl::AnyInvocable<void(Database&)> task) ABSL_LOCKS_EXCLUDED(mu_);
  // Commits what is queued, unless the disk is full, and ends the thread. Later items are dropped. Not on the writer's thread.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // As of the last commit.
  RunCounts counts() ABSL_LOCKS_EXCLUDED(mu_);

  bool writable() const { return writable_.load(std::memory_order_acquire); }
  void SetWritableListener(absl::AnyInvocable<void(bool)> listener) ABSL_LOCKS_EXCLUDED(telling_mu_);

 private:
  using Items = std::vector<std::unique_ptr<Item>>;

  void Loop();
  Items TakeBatch() ABSL_LOCKS_EXCLUDED(mu_);
  // Commits items from `begin` on, as many as make one transaction, and returns the end of them; `begin` if it gave up because Stop was called while the
  // disk was full.
  size_t Commit(Items& items, size_t begin);
  size_t TryCommit(Items& items, size_t begin) ABSL_LOCKS_EXCLUDED(mu_);  // `begin`: see the database's error
  void Deliver(Items& items, size_t begin, size_t end);
  void RememberLost(const AppendItem& item) ABSL_LOCKS_EXCLUDED(mu_);
  void ForgetLost(uint64_t first_number);
  // What nobody names any more goes piece by piece, each behind what callers wait for.
  std::unique_ptr<Item> SweepItem();
  void CheckpointIfDue();
  int Checkpoint(int mode);  // OK, or the code that says full or busy
  // After a rollback on a full disk: copies and cuts the log. True if that freed anything, so that another try makes sense at once.
  bool MakeRoom();
  void SetWritable(bool writable, absl::string_view why) ABSL_LOCKS_EXCLUDED(mu_, telling_mu_);
  void Tell() ABSL_EXCLUSIVE_LOCKS_REQUIRED(telling_mu_);
  bool PauseUnlessStopping() ABSL_LOCKS_EXCLUDED(mu_);
  void Fail(absl::string_view what);

  const std::unique_ptr<Database> database_;
  const Epoch epoch_;
  const int64_t page_bytes_;
  const std::string path_;
  const int64_t checkpoint_bytes_;  // of this disk
  const int64_t batch_bytes_;       // of one transaction on this disk
  const std::function<void(absl::string_view)> fail_;
  std::atomic<bool> writable_ = true;

  // Of the writer's thread.
  LostRuns lost_;
  RunCache cache_;
  bool sweeping_ = false;           // chunks of artifacts are to be removed
  int64_t log_bytes_ = 0;           // after the last commit; it is empty when we begin
  int64_t looked_bytes_ = 0;        // of the log when the disk was last looked at
  int64_t next_look_bytes_ = 0;     // of the log when it is to be looked at again
  int64_t checkpointed_bytes_ = 0;  // of the log when it was last copied

  Mutex mu_;
  CondVar work_;   // something is queued, or Stop
  CondVar room_;   // the queue is shorter
  CondVar moved_;  // a task is done, or writable changed
  std::deque<std::unique_ptr<Item>> queue_ ABSL_GUARDED_BY(mu_);
  int64_t queue_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  RunCounts counts_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  Mutex telling_mu_;  // held over the call: what is told last is what holds; never taken under mu_
  bool told_ ABSL_GUARDED_BY(telling_mu_) = true;
  absl::AnyInvocable<void(bool)> listener_ ABSL_GUARDED_BY(telling_mu_);

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace agentruntime::sqlite
