#include "storage/sqlite/writer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "proto/base/log.h"
#include "proto/base/planted_bug.h"
#include "storage/sqlite/disk.h"

namespace agentruntime::sqlite {
namespace {

constexpr absl::Duration kRetryPause = absl::Milliseconds(200);
// The log is copied again when it has grown by this share of checkpoint_bytes_ since.
constexpr int64_t kCheckpointStepShare = 4;
// How long a checkpoint waits for readers; their transactions end after 1,000 rows.
constexpr int kCheckpointWaitMs = 1000;

// A reader that meets the index of the log while it changes takes the write lock for a moment to look again: that is no busy disk.
constexpr int kBusyWaitMs = 250;

// A full disk, or a person at a SQL prompt who holds the lock. SQLite has then changed nothing that a rollback does not take back. The shared index of the
// log is no data: a transaction that it has no room for may be in the log all the same, where the next try, which is the same, overwrites it.
bool IsSlowDisk(int code) { return IsFull(code) || (code & 0xff) == SQLITE_BUSY; }

}  // namespace

Writer::Writer(std::unique_ptr<Database> database, Epoch epoch, std::function<void(absl::string_view)> fail)
    : database_(std::move(database)),
      epoch_(epoch),
      page_bytes_(database_->Query("PRAGMA page_size")),
      path_(sqlite3_db_filename(database_->handle(), "main")),
      checkpoint_bytes_(std::clamp(SpaceOf(path_).size / kCheckpointDiskShare, kCheckpointBytesMin, kCheckpointBytes)),
      batch_bytes_(std::min(kBatchBytesMax, checkpoint_bytes_)),
      fail_(std::move(fail)) {
  // Longer waits happen in PauseUnlessStopping, where Stop can end them.
  sqlite3_busy_timeout(database_->handle(), kBusyWaitMs);
  sqlite3_wal_hook(
      database_->handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        auto* writer = static_cast<Writer*>(self);
        writer->log_bytes_ = pages * writer->page_bytes_;
        return SQLITE_OK;
      },
      this);
  sweeping_ = AnyUnnamedArtifacts(*database_, epoch_);
  counts_ = CountRuns(*database_);
  thread_ = std::thread([this] { Loop(); });
}

Writer::~Writer() { Stop(); }

void Writer::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    work_.NotifyAll();
    room_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  MutexLock lock(mu_);
  stopped_ = true;
  queue_.clear();
  moved_.NotifyAll();
}

void Writer::Push(std::unique_ptr<Item> item) {
  std::vector<std::unique_ptr<Item>> items;
  items.push_back(std::move(item));
  Push(std::move(items));
}

void Writer::Push(std::vector<std::unique_ptr<Item>> items) {
  bool was_empty = false;
  {
    MutexLock lock(mu_);
    while (queue_bytes_ > kQueueBytesMax && writable() && !stopping_) room_.Wait(mu_);
    if (stopped_) return;
    was_empty = queue_.empty();
    for (std::unique_ptr<Item>& item : items) {
      item->number = next_number_++;
      queue_bytes_ += item->bytes;
      queue_.push_back(std::move(item));
    }
  }
  if (was_empty) work_.NotifyOne();  // not under the lock: the writer would wake only to wait for it
}

std::unique_ptr<Item> Writer::SweepItem() {
  auto more = std::make_shared<bool>(false);
  auto item = std::make_unique<Item>();
  item->what = TaskItem{.task = [this, more](Database& database) { *more = SweepArtifacts(database, epoch_); }, .done = [this, more] { sweeping_ = *more; }};
  item->bytes = kSweptChunksMax * kChunkBytes;
  return item;
}

RunCounts Writer::counts() {
  MutexLock lock(mu_);
  return counts_;
}

bool Writer::RunTask(absl::AnyInvocable<void(Database&)> task) {
  if (!writable()) return false;
  auto done = std::make_shared<bool>(false);  // shared: the caller may leave first; guarded by mu_
  auto item = std::make_unique<Item>();
  item->what = TaskItem{.task = std::move(task), .done = [this, done] {
                          MutexLock lock(mu_);
                          *done = true;
                          moved_.NotifyAll();
                        }};
  Push(std::move(item));
  MutexLock lock(mu_);
  while (!*done && writable() && !stopped_) moved_.Wait(mu_);
  return *done;
}

void Writer::SetWritableListener(absl::AnyInvocable<void(bool)> listener) {
  MutexLock order(telling_mu_);
  listener_ = std::move(listener);
  told_ = true;  // what everybody takes for granted
  Tell();        // the sweep begins with the thread and may have filled the disk by now
}

void Writer::Tell() {
  if (!listener_ || told_ == writable()) return;
  told_ = !told_;
  listener_(told_);
}

void Writer::Loop() {
  for (;;) {
    Items items = TakeBatch();
    if (items.empty()) break;
    for (size_t begin = 0; begin < items.size();) {
      const size_t end = Commit(items, begin);
      if (end == begin) return;
      Deliver(items, begin, end);
      CheckpointIfDue();
      begin = end;
    }
  }
  Checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
}

Writer::Items Writer::TakeBatch() {
  Items items;
  int64_t bytes = 0;
  MutexLock lock(mu_);
  while (queue_.empty() && !stopping_ && !sweeping_) work_.Wait(mu_);
  // An item that is larger than a transaction should be has one of its own.
  while (!queue_.empty() && items.size() < kBatchItemsMax && (items.empty() || bytes + queue_.front()->bytes <= batch_bytes_)) {
    bytes += queue_.front()->bytes;
    items.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  room_.NotifyAll();
  if (sweeping_ && !stopping_) items.push_back(SweepItem());  // number 0: what is lost is not forgotten for it
  return items;
}

size_t Writer::Commit(Items& items, size_t begin) {
  ForgetLost(items[begin]->number);
  size_t end = begin;
  while ((end = TryCommit(items, begin)) == begin) {
    const int code = database_->error();
    const std::string why = absl::StrCat(database_->error_text(), " (SQLite code ", code, ")");
    const bool retried = IsSlowDisk(code) || (IsPlanted(Bug::kRetryFailedSync) && code == SQLITE_IOERR_FSYNC);
    if (!retried) Fail(absl::StrCat("a commit failed: ", why));
    database_->ClearError();
    database_->Rollback();
    if (database_->failed()) Fail(absl::StrCat("a rollback failed: ", database_->error_text()));
    if (IsFull(code) && MakeRoom()) continue;
    SetWritable(false, why);
    if (!PauseUnlessStopping()) return begin;
  }
  SetWritable(true, "");
  return end;
}

size_t Writer::TryCommit(Items& items, size_t begin) {
  database_->Use("BEGIN IMMEDIATE").Run();
  Statement& select = database_->Use("SELECT epoch FROM server");
  const Epoch epoch = select.Step() ? select.Integer(0) : 0;
  select.Reset();
  if (database_->failed()) return begin;
  if (epoch != epoch_) Fail(absl::StrCat("the file's epoch is ", epoch, ", ours is ", epoch_, ": something else writes to it"));
  Batch batch(*database_, epoch_, lost_, cache_);
  size_t end = begin;
  while (end < items.size() && !batch.full()) {
    batch.Apply(*items[end++]);
    if (database_->failed()) return begin;
  }
  sweeping_ |= batch.left_artifacts();
  if (!batch.Finish()) Fail("the row of a run has gone: something else writes to the file");
  database_->Use("COMMIT").Run();
  if (IsPlanted(Bug::kIgnoreFailedSync) && database_->error() == SQLITE_IOERR_FSYNC) database_->ClearError();
  if (database_->failed()) return begin;
  // What goes into files that nobody can open any more is lost with the process, and is not to be acknowledged.
  if (const auto file = RemovedFile(*database_)) {
    Fail(absl::StrCat(*file, " was removed or replaced while it was in use; what was written since is lost. Put back what you have of it, then start again"));
  }
  batch.Remember(cache_);
  MutexLock lock(mu_);
  batch.Count(counts_);
  return end;
}

void Writer::Deliver(Items& items, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    std::unique_ptr<Item>& item = items[i];
    if (auto* append = std::get_if<AppendItem>(&item->what)) {
      if (append->result == AppendResult::kLost && !append->lost_with_another) RememberLost(*append);
      append->done(append->result);
    } else if (auto* create = std::get_if<CreateItem>(&item->what)) {
      create->done(create->outcome);
    } else if (auto* remove = std::get_if<DeleteItem>(&item->what)) {
      remove->done(std::move(remove->result));
    } else if (auto* task = std::get_if<TaskItem>(&item->what)) {
      task->done();
    }
    item.reset();
  }
}

void Writer::RememberLost(const AppendItem& item) {
  MutexLock lock(mu_);
  // Whoever queues after this has heard of it.
  lost_[item.run] = next_number_;
}

void Writer::ForgetLost(uint64_t first_number) {
  absl::erase_if(lost_, [&](const auto& entry) { return entry.second <= first_number; });
}

void Writer::CheckpointIfDue() {
  if (log_bytes_ < looked_bytes_) looked_bytes_ = next_look_bytes_ = checkpointed_bytes_ = 0;  // it began anew
  if (log_bytes_ < next_look_bytes_) return;
  looked_bytes_ = log_bytes_;
  const int64_t free = SpaceOf(path_).free;
  if (free / 2 < log_bytes_) {
    next_look_bytes_ = log_bytes_ + kLookBytes;  // if it cannot be cut, it may be a reader whom not each commit should wait for
    // A copy that found no space is tried again after the next commit: a log that went on growing meanwhile would not fit beside itself any more.
    if (IsFull(Checkpoint(SQLITE_CHECKPOINT_TRUNCATE))) next_look_bytes_ = log_bytes_;
    return;
  }
  // At the next look the log fits into the space that is left then, also if one transaction goes beyond it or the copy has to be tried again.
  next_look_bytes_ = log_bytes_ + std::min(kLookBytes, (free - log_bytes_) / 4);
  if (log_bytes_ < checkpoint_bytes_ || log_bytes_ < checkpointed_bytes_ + checkpoint_bytes_ / kCheckpointStepShare) return;
  checkpointed_bytes_ = log_bytes_;
  Checkpoint(log_bytes_ < kLogGrowthMax * checkpoint_bytes_ ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART);
}

int Writer::Checkpoint(int mode) {
  if (mode != SQLITE_CHECKPOINT_PASSIVE) sqlite3_busy_timeout(database_->handle(), kCheckpointWaitMs);
  const int code = sqlite3_wal_checkpoint_v2(database_->handle(), "main", mode, nullptr, nullptr);
  sqlite3_busy_timeout(database_->handle(), kBusyWaitMs);
  if (code == SQLITE_OK) {
    if (mode == SQLITE_CHECKPOINT_TRUNCATE) log_bytes_ = 0;
    return SQLITE_OK;
  }
  // Full or busy: the log stays as it is and the next checkpoint goes on.
  if (!IsSlowDisk(code)) Fail(absl::StrCat("a checkpoint failed: ", sqlite3_errmsg(database_->handle()), " (SQLite code ", code, ")"));
  return code;
}

bool Writer::MakeRoom() {
  if (const int code = CutLog(*database_); code != SQLITE_OK && !IsSlowDisk(code)) {
    Fail(absl::StrCat("the log cannot be cut: ", sqlite3_errstr(code), " (SQLite code ", code, ")"));
  }
  return log_bytes_ > 0 && Checkpoint(SQLITE_CHECKPOINT_TRUNCATE) == SQLITE_OK;
}

void Writer::SetWritable(bool writable, absl::string_view why) {
  if (writable_.exchange(writable, std::memory_order_acq_rel) == writable) return;
  if (writable) {
    Log(LogLevel::kInfo, "the store writes again");
  } else {
    Log(LogLevel::kWarn, "the store cannot write, it tries again until it can", {{"why", std::string(why)}});
  }
  {
    MutexLock lock(mu_);
    moved_.NotifyAll();
    room_.NotifyAll();
  }
  MutexLock order(telling_mu_);
  Tell();
}

bool Writer::PauseUnlessStopping() {
  MutexLock lock(mu_);
  if (!stopping_) work_.WaitFor(mu_, kRetryPause);
  return !stopping_;
}

void Writer::Fail(absl::string_view what) {
  fail_(what);
  std::abort();  // it promised not to return
}

}  // namespace agentruntime::sqlite
