// A store that hands everything on to another: for tests that change or look at one call.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/store.h"

namespace agentruntime::testing {

class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  Epoch epoch() const override { return store_->epoch(); }
  const std::string& id() const override { return store_->id(); }
  Epoch restored_epoch() const override { return store_->restored_epoch(); }
  void Create(NewRun run, CreateDone done) override { store_->Create(std::move(run), std::move(done)); }
  absl::StatusOr<std::optional<CreateOutcome>> FindRequest(const std::string& tenant, const std::string& request_id, const std::string& request_hash) override {
    return store_->FindRequest(tenant, request_id, request_hash);
  }
  void Append(AppendRequest request, AppendDone done) override { store_->Append(std::move(request), std::move(done)); }
  void Delete(const RunId& run, DeleteDone done) override { store_->Delete(run, std::move(done)); }
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override { return store_->ReadEvents(run, after, limit); }
  absl::StatusOr<ArtifactPiece> ReadArtifact(const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) override {
    return store_->ReadArtifact(run, number, offset, bytes_max);
  }
  absl::StatusOr<std::vector<ArtifactRecord>> ListArtifacts(const RunId& run) override { return store_->ListArtifacts(run); }
  absl::StatusOr<RunRecord> GetRun(const RunId& run) override { return store_->GetRun(run); }
  absl::StatusOr<RunPage> ListRuns(const RunQuery& query, const std::stop_token& stop) override { return store_->ListRuns(query, stop); }
  absl::StatusOr<std::vector<RunId>> Conversation(const std::string& tenant, const std::string& conversation, int32_t limit) override {
    return store_->Conversation(tenant, conversation, limit);
  }
  absl::StatusOr<std::vector<UnfinishedRun>> UnfinishedRuns(std::optional<RunId> after, int32_t limit) override { return store_->UnfinishedRuns(after, limit); }
  absl::StatusOr<StoreInfo> Info() override { return store_->Info(); }
  bool writable() const override { return store_->writable(); }
  void SetWritableListener(absl::AnyInvocable<void(bool)> listener) override { store_->SetWritableListener(std::move(listener)); }

 private:
  const std::unique_ptr<Store> store_;
};

}  // namespace agentruntime::testing
