#include "storage/sqlite/artifacts.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "storage/sqlite/checksum.h"

namespace agentruntime::sqlite {
namespace {

int64_t SumOfChunk(const RunId& run, int64_t number, Epoch epoch, int64_t chunk, absl::string_view data) {
  Checksum checksum;
  checksum.Add(run.bytes());
  checksum.Add(number);
  checksum.Add(epoch);
  checksum.Add(chunk);
  checksum.Add(data);
  return checksum.value();
}

int64_t SumOfHead(const RunId& run, int64_t number, Epoch epoch, absl::string_view media_type, absl::string_view hash, int64_t bytes) {
  Checksum checksum;
  checksum.Add(run.bytes());
  checksum.Add(number);
  checksum.Add(epoch);
  checksum.Add(media_type);
  checksum.Add(hash);
  checksum.Add(bytes);
  return checksum.value();
}

// A head and the epoch of its chunks.
struct Head {
  ArtifactRecord record;
  Epoch epoch = 0;
};

// The row under a statement that selects number, epoch, media_type, hash, bytes, crc.
absl::StatusOr<Head> ReadHead(Statement& select, const RunId& run) {
  Head head{{static_cast<int32_t>(select.Integer(0)), std::string(select.Bytes(2)), std::string(select.Bytes(3)), select.Integer(4)}, select.Integer(1)};
  const ArtifactRecord& record = head.record;
  if (SumOfHead(run, select.Integer(0), head.epoch, record.media_type, record.hash, record.bytes) != select.Integer(5)) {
    return ArtifactDamaged(run, record.number, "its checksum does not fit");
  }
  return head;
}

absl::Status CheckRunExists(Database& database, const RunId& run) {
  Statement& select = database.Use("SELECT 1 FROM runs WHERE run = ?1");
  const bool found = select.BindBlob(run.bytes()).Step();
  RETURN_IF_ERROR(database.TakeError());
  select.Reset();
  return found ? absl::OkStatus() : RunNotFound(run);
}

absl::StatusOr<Head> SelectHead(Database& database, const RunId& run, int32_t number) {
  Statement& select = database.Use("SELECT number, epoch, media_type, hash, bytes, crc FROM artifacts WHERE run = ?1 AND number = ?2");
  if (!select.BindBlob(run.bytes()).Bind(int64_t{number}).Step()) {
    RETURN_IF_ERROR(database.TakeError());
    RETURN_IF_ERROR(CheckRunExists(database, run));
    return ArtifactNotFound(run, number);
  }
  absl::StatusOr<Head> head = ReadHead(select, run);
  select.Reset();
  return head;
}

}  // namespace

std::vector<ChunkRow> MakeChunkRows(const RunId& run, Epoch epoch, const StagedArtifact& artifact) {
  std::vector<ChunkRow> rows;
  const auto bytes = static_cast<int64_t>(artifact.content->size());
  for (int64_t chunk = 0; chunk * kChunkBytes < bytes; ++chunk) {
    ChunkRow& row = rows.emplace_back(ChunkRow{artifact.number, chunk, artifact.content, 0});
    row.crc = SumOfChunk(run, row.number, epoch, chunk, row.data());
  }
  return rows;
}

HeadRow MakeHeadRow(const RunId& run, Epoch epoch, const StagedArtifact& artifact) {
  HeadRow row;
  row.record = {artifact.number, artifact.media_type, artifact.hash, static_cast<int64_t>(artifact.content->size())};
  row.crc = SumOfHead(run, row.record.number, epoch, row.record.media_type, row.record.hash, row.record.bytes);
  return row;
}

void InsertChunk(Database& database, const RunId& run, Epoch epoch, const ChunkRow& row) {
  if (row.chunk == 0) {
    database.Use("INSERT OR IGNORE INTO unnamed_artifacts (run, number, epoch, abandoned) VALUES (?, ?, ?, 0)")
        .BindBlob(run.bytes())
        .Bind(int64_t{row.number})
        .Bind(epoch)
        .Run();
  }
  // Replaced is what an append left that was lost.
  database.Use("INSERT OR REPLACE INTO artifact_chunks (run, number, epoch, chunk, data, crc) VALUES (?, ?, ?, ?, ?, ?)")
      .BindBlob(run.bytes())
      .Bind(int64_t{row.number})
      .Bind(epoch)
      .Bind(row.chunk)
      .BindBlob(row.data())
      .Bind(row.crc)
      .Run();
}

void InsertHead(Database& database, const RunId& run, Epoch epoch, const HeadRow& row) {
  database.Use("INSERT OR REPLACE INTO artifacts (run, number, epoch, media_type, hash, bytes, crc) VALUES (?, ?, ?, ?, ?, ?, ?)")
      .BindBlob(run.bytes())
      .Bind(int64_t{row.record.number})
      .Bind(epoch)
      .BindText(row.record.media_type)
      .BindBlob(row.record.hash)
      .Bind(row.record.bytes)
      .Bind(row.crc)
      .Run();
  database.Use("DELETE FROM unnamed_artifacts WHERE run = ?1 AND number = ?2 AND epoch = ?3")
      .BindBlob(run.bytes())
      .Bind(int64_t{row.record.number})
      .Bind(epoch)
      .Run();
}

bool AbandonArtifacts(Database& database, const RunId& run) {
  database.Use("INSERT OR IGNORE INTO unnamed_artifacts (run, number, epoch, abandoned) SELECT run, number, epoch, 1 FROM artifacts WHERE run = ?1")
      .BindBlob(run.bytes())
      .Run();
  database.Use("DELETE FROM artifacts WHERE run = ?1").BindBlob(run.bytes()).Run();
  return database.Use("UPDATE unnamed_artifacts SET abandoned = 1 WHERE run = ?1").BindBlob(run.bytes()).Run() > 0;
}

bool AnyUnnamedArtifacts(Database& database, Epoch now) {
  Statement& select = database.Use("SELECT 1 FROM unnamed_artifacts WHERE epoch < ?1 OR abandoned = 1 LIMIT 1");
  const bool any = select.Bind(now).Step();
  select.Reset();
  return any;
}

bool SweepArtifacts(Database& database, Epoch now) {
  int64_t left = kSweptChunksMax;
  while (left > 0) {
    Statement& select = database.Use("SELECT run, number, epoch FROM unnamed_artifacts WHERE epoch < ?1 OR abandoned = 1 LIMIT 1");
    if (!select.Bind(now).Step()) return false;
    const std::string run(select.Bytes(0));
    const int64_t number = select.Integer(1);
    const Epoch epoch = select.Integer(2);
    select.Reset();
    const int64_t removed = database
                                .Use(
                                    "DELETE FROM artifact_chunks WHERE id IN "
                                    "(SELECT id FROM artifact_chunks WHERE run = ?1 AND number = ?2 AND epoch = ?3 LIMIT ?4)")
                                .BindBlob(run)
                                .Bind(number)
                                .Bind(epoch)
                                .Bind(left)
                                .Run();
    if (database.failed()) return true;
    left -= std::max<int64_t>(removed, 1);  // one without chunks counts too: there may be many
    if (removed > 0 && left <= 0) break;    // perhaps not all of it
    database.Use("DELETE FROM unnamed_artifacts WHERE run = ?1 AND number = ?2 AND epoch = ?3").BindBlob(run).Bind(number).Bind(epoch).Run();
  }
  return true;
}

absl::StatusOr<ArtifactPiece> SelectArtifact(Database& database, const RunId& run, int32_t number, int64_t offset, int64_t bytes_max) {
  ASSIGN_OR_RETURN(const Head head, SelectHead(database, run, number));
  const int64_t total = head.record.bytes;
  if (offset < 0 || offset > total) return OffsetBeyondEnd(run, number, offset, total);
  const int64_t end = offset + std::min(std::max<int64_t>(bytes_max, 1), total - offset);
  ArtifactPiece piece;
  piece.total_bytes = total;
  if (offset == end) return piece;
  piece.data.reserve(static_cast<size_t>(end - offset));
  Statement& select =
      database.Use("SELECT chunk, data, crc FROM artifact_chunks WHERE run = ?1 AND number = ?2 AND epoch = ?3 AND chunk >= ?4 AND chunk <= ?5 ORDER BY chunk");
  select.BindBlob(run.bytes()).Bind(int64_t{number}).Bind(head.epoch).Bind(offset / kChunkBytes).Bind((end - 1) / kChunkBytes);
  for (int64_t chunk = offset / kChunkBytes; chunk * kChunkBytes < end; ++chunk) {
    if (!select.Step() || select.Integer(0) != chunk) {
      RETURN_IF_ERROR(database.TakeError());
      select.Reset();
      return ArtifactDamaged(run, number, absl::StrCat("the piece at byte ", chunk * kChunkBytes, " is missing"));
    }
    const absl::string_view data = select.Bytes(1);
    const int64_t begin = chunk * kChunkBytes;
    if (static_cast<int64_t>(data.size()) != std::min(kChunkBytes, total - begin) || SumOfChunk(run, number, head.epoch, chunk, data) != select.Integer(2)) {
      select.Reset();
      return ArtifactDamaged(run, number, absl::StrCat("the checksum of the piece at byte ", begin, " does not fit"));
    }
    const int64_t from = std::max(offset - begin, int64_t{0});
    absl::StrAppend(&piece.data, data.substr(static_cast<size_t>(from), static_cast<size_t>(std::min(end - begin, kChunkBytes) - from)));
  }
  select.Reset();
  return piece;
}

absl::StatusOr<std::vector<ArtifactRecord>> SelectArtifacts(Database& database, const RunId& run, std::optional<int32_t> after, int32_t limit) {
  std::vector<ArtifactRecord> records;
  Statement& select = database.Use("SELECT number, epoch, media_type, hash, bytes, crc FROM artifacts WHERE run = ?1 AND number > ?2 ORDER BY number LIMIT ?3");
  // From the very first: a damaged number may be any.
  select.BindBlob(run.bytes()).Bind(after ? *after : std::numeric_limits<int64_t>::min()).Bind(int64_t{limit});
  while (select.Step()) {
    absl::StatusOr<Head> head = ReadHead(select, run);
    if (!head.ok()) {
      select.Reset();
      return std::move(head).status();
    }
    records.push_back(std::move(head->record));
  }
  RETURN_IF_ERROR(database.TakeError());
  if (records.empty()) RETURN_IF_ERROR(CheckRunExists(database, run));
  return records;
}

}  // namespace agentruntime::sqlite
