// The tables, and how an older file becomes a newer one.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/sqlite/database.h"

namespace agentruntime::sqlite {

// Rises with each change of the tables and with each new kind or meaning of an event: an older server must not misread a newer journal.
inline constexpr int32_t kFormat = 6;
// What events are made of at this format; tests/lint/stored_messages_test.sh says what to do when it is not so any more.
// Stored messages: 348be77d3f446183
// "AgRt": tells our files from other SQLite databases.
inline constexpr int32_t kApplicationId = 0x41675274;

// FAILED_PRECONDITION if the file is of another program or of a newer format. (0, 0) is a file without tables yet.
absl::Status CheckFormat(absl::string_view path, uint32_t application_id, uint32_t format);

// The same of what the database reads as: the log may hold a newer header than the file. Writes nothing.
absl::Status CheckFormat(Database& database, absl::string_view path);

// Brings an empty or older database to kFormat, in one transaction. Errors as CheckFormat's; DATA_LOSS if the file is damaged. From
// formats before 4 the events are copied within the file: that needs their space in the log and in the file, and leaves the old ones' for what is written
// later. `new_id`: of the store, if it has none yet.
absl::Status Migrate(Database& database, absl::string_view path, const std::string& new_id);

}  // namespace agentruntime::sqlite
