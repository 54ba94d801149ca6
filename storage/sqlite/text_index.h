// TextIndex in an SQLite file of its own, by FTS5 with English stems (porter over unicode61).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/text_index.h"

namespace agentruntime::sqlite {

inline constexpr int32_t kSearchWordsMax = 64;  // of one Search or Count; more: INVALID_ARGUMENT
inline constexpr int32_t kSearchHitsMax = 1000;

// Opens or creates the index at `path`; ":memory:" keeps it in memory. Its content can be built again at any time, so nothing is synced, and a file that is
// damaged or of another format is dropped and begun anew, empty, and the log says so. All of it is read for that: 100,000 passages take half a second. The file
// is locked: a second process gets FAILED_PRECONDITION, as does a `path` that holds something else (another program's database). UNAVAILABLE: the disk refuses.
//
// Methods besides: DATA_LOSS: the file was found damaged since, by SQLite or by the checksum of a passage or of a document's row, and is empty now;
// UNAVAILABLE: the disk is full or fails. One connection behind a
// mutex: a search takes well under a millisecond over 100,000 passages unless its words are in most of them.
absl::StatusOr<std::unique_ptr<TextIndex>> OpenTextIndex(const std::string& path);

}  // namespace agentruntime::sqlite
