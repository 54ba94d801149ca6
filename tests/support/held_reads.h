// Stores whose reads wait for the test: those of one run's row, or lists.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "proto/base/mutex.h"
#include "tests/support/forwarding_store.h"

namespace agentruntime::testing {

// Thread-safe. Reads go through until Hold, and again after Release.
class HeldReads {
 public:
  void Hold() {
    MutexLock lock(mu_);
    held_ = true;
  }
  void Release() {
    MutexLock lock(mu_);
    held_ = false;
    changed_.NotifyAll();
  }
  // Of those that are held.
  void AwaitUnderWay(int count) {
    MutexLock lock(mu_);
    while (under_way_ < count) changed_.Wait(mu_);
  }
  int under_way() {
    MutexLock lock(mu_);
    return under_way_;
  }
  void Pass() {
    MutexLock lock(mu_);
    ++under_way_;
    changed_.NotifyAll();
    while (held_) changed_.Wait(mu_);
    --under_way_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mu_) = false;
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;
};

class HeldStore final : public ForwardingStore {
 public:
  HeldStore(std::unique_ptr<Store> store, HeldReads& reads) : ForwardingStore(std::move(store)), reads_(reads) {}

  absl::StatusOr<RunRecord> GetRun(const RunId& run) override {
    reads_.Pass();
    return ForwardingStore::GetRun(run);
  }

 private:
  HeldReads& reads_;
};

class HeldLists final : public ForwardingStore {
 public:
  HeldLists(std::unique_ptr<Store> store, HeldReads& reads) : ForwardingStore(std::move(store)), reads_(reads) {}

  absl::StatusOr<RunPage> ListRuns(const RunQuery& query, const std::stop_token& stop) override {
    reads_.Pass();
    return ForwardingStore::ListRuns(query, stop);
  }

 private:
  HeldReads& reads_;
};

}  // namespace agentruntime::testing
