// Which run a request id was used for.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "storage/sqlite/database.h"
#include "storage/types.h"

namespace agentruntime::sqlite {

// Within the transaction that is open. nullopt: the id is free, or empty, which is none; also after an error of the database.
std::optional<CreateOutcome> SelectRequest(Database& database, absl::string_view tenant, absl::string_view request_id, absl::string_view request_hash);

}  // namespace agentruntime::sqlite
