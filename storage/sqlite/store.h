// Store over SQLite.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/sqlite/core.h"
#include "storage/store.h"

namespace agentruntime::sqlite {

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(std::shared_ptr<Core> core);
  ~SqliteStore() override;

  Epoch epoch() const override;
  const std::string& id() const override;
  Epoch restored_epoch() const override;
  void Create(NewRun run, CreateDone done) override;
  absl::StatusOr<std::optional<CreateOutcome>> FindRequest(const std::string& tenant, const std::string& request_id, const std::string& request_hash) override;
  void Append(AppendRequest request, AppendDone done) override;
  void Delete(const RunId& run, DeleteDone done) override;
  absl::StatusOr<std::vector<EventPtr>> ReadEvents(const RunId& run, Sequence after, ReadLimit limit) override;
  absl::StatusOr<ArtifactPiece> ReadArtifact(const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) override;
  absl::StatusOr<std::vector<ArtifactRecord>> ListArtifacts(const RunId& run) override;
  absl::StatusOr<RunRecord> GetRun(const RunId& run) override;
  absl::StatusOr<RunPage> ListRuns(const RunQuery& query, const std::stop_token& stop) override;
  absl::StatusOr<std::vector<RunId>> Conversation(const std::string& tenant, const std::string& conversation, int32_t limit) override;
  absl::StatusOr<std::vector<UnfinishedRun>> UnfinishedRuns(std::optional<RunId> after, int32_t limit) override;
  absl::StatusOr<StoreInfo> Info() override;
  bool writable() const override;
  void SetWritableListener(absl::AnyInvocable<void(bool)> listener) override;

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace agentruntime::sqlite
