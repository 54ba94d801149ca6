// Stores whose calls wait for the test: reads of one run's row, lists, or changes of agents.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "proto/base/mutex.h"
#include "storage/agent_store.h"
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

// Holds what is made.
class HeldAgents final : public AgentStore {
 public:
  HeldAgents(std::unique_ptr<AgentStore> agents, HeldReads& writes) : agents_(std::move(agents)), writes_(writes) {}

  absl::StatusOr<v1::Agent> Create(const v1::Agent& agent, absl::Time now) override {
    writes_.Pass();
    return agents_->Create(agent, now);
  }
  absl::StatusOr<v1::Agent> Update(const v1::Agent& agent, bool allow_missing, absl::Time now) override {
    writes_.Pass();
    return agents_->Update(agent, allow_missing, now);
  }
  absl::StatusOr<v1::Agent> Get(absl::string_view agent_id, int32_t revision) override { return agents_->Get(agent_id, revision); }
  absl::StatusOr<std::vector<v1::Agent>> List(absl::string_view after, int32_t limit) override { return agents_->List(after, limit); }

 private:
  const std::unique_ptr<AgentStore> agents_;
  HeldReads& writes_;
};

}  // namespace agentruntime::testing
