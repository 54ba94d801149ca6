// Tells a log that was damaged from one that a crash cut short. SQLite takes both for the second: it uses the log up to the first frame whose checksum does
// not fit and silently forgets what is behind it, which after a flipped bit may be thousands of acknowledged transactions.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace agentruntime::sqlite {

// Call it before SQLite opens the file, under the server's lock. OK if there is no log. DATA_LOSS where behind the first frame that does not fit a transaction
// ends and another one begins: the second was written after the first had been synced. One bit of that frame may have turned round, or, as long as the database
// lacks something of the log, of the log's header; of damage beyond that the transaction it is in and the next one are needed to find it out. Nothing is
// refused that a crash of the process, of the system or of the power can leave. Not found out: damage in the last transaction, which looks like one that was
// being written, and a log that was cut or removed.
absl::Status CheckLog(const std::string& database_path);

}  // namespace agentruntime::sqlite
