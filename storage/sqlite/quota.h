// A used-up disk quota is a full disk.
#pragma once

namespace agentruntime::sqlite {

// SQLite reports a write that a quota refuses (EDQUOT) as one of a broken disk, which ends the process. From here on it sees ENOSPC instead, and so a full
// disk, which only delays. Of the whole process; calls after the first do nothing. Thread-safe.
void TreatQuotaAsFullDisk();

}  // namespace agentruntime::sqlite
