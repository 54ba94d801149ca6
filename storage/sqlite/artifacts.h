// Artifacts in tables: heads, which a durable event names, and chunks, which were written before.
//
// A chunk belongs to (run, number, epoch). While it has no head its artifact stands in `unnamed_artifacts`: what an epoch leaves there has no owner any more
// and is removed piece by piece, as are the chunks of a deleted run. A later epoch that uses the number again writes other chunks, so neither meets the other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// The content of one row: large enough that a big artifact is few rows, small enough that one of them holds nobody up.
inline constexpr int64_t kChunkBytes = 256 << 10;
// Removed in one transaction.
inline constexpr int kSweptChunksMax = 16;

// A piece of an artifact, on its way to the table.
struct ChunkRow {
  int32_t number = 0;
  int64_t chunk = 0;                           // from 0
  std::shared_ptr<const std::string> content;  // of the whole artifact
  int64_t crc = 0;

  absl::string_view data() const { return absl::string_view(*content).substr(static_cast<size_t>(chunk * kChunkBytes), kChunkBytes); }
};
std::vector<ChunkRow> MakeChunkRows(const RunId& run, Epoch epoch, const StagedArtifact& artifact);

// An artifact with its last event: from here on it can be read.
struct HeadRow {
  ArtifactRecord record;
  int64_t crc = 0;
};
HeadRow MakeHeadRow(const RunId& run, Epoch epoch, const StagedArtifact& artifact);

// Within the transaction that is open; errors stay in the database.
void InsertChunk(Database& database, const RunId& run, Epoch epoch, const ChunkRow& row);
void InsertHead(Database& database, const RunId& run, Epoch epoch, const HeadRow& row);
// The run goes: its artifacts cannot be read any more, their chunks are left to SweepArtifacts. True if it had any.
bool AbandonArtifacts(Database& database, const RunId& run);
// Whether there is anything to sweep, as of the epoch `now`.
bool AnyUnnamedArtifacts(Database& database, Epoch now);
// Removes at most kSweptChunksMax chunks that nobody will ever name. True if there are more.
bool SweepArtifacts(Database& database, Epoch now);

// As Store's, within the transaction that is open.
absl::StatusOr<ArtifactPiece> SelectArtifact(Database& database, const RunId& run, int32_t number, int64_t offset, int64_t bytes_max);
// At most `limit`, by number, behind `after`.
absl::StatusOr<std::vector<ArtifactRecord>> SelectArtifacts(Database& database, const RunId& run, std::optional<int32_t> after, int32_t limit);

}  // namespace agentruntime::sqlite
