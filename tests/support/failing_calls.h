// System calls of SQLite that fail when told to: the k-th of a kind, on one of its files.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace agentruntime::testing {

enum class CallKind { kWrite, kTruncate, kOpen, kMap };
enum class StoreFile { kDatabase, kLog, kOther };

struct CallFault {
  CallKind kind = CallKind::kWrite;
  StoreFile file = StoreFile::kLog;
  int64_t at = 0;     // the first call that fails, from 1; 0: none
  int64_t times = 1;  // how many fail
  int error = 0;      // errno; 0 for a write: half of it is written, as a disk that is about to be full does
};

// For the whole process, from now on; a process does it once. Counts are of calls of that kind on that file since then.
void FailCalls(const CallFault& fault);
// The next call of the fault's kind on its file is the first that fails.
void FailFromNow();
// Calls of the fault's kind on its file so far.
int64_t CallsSeen();
// The fault has happened.
bool CallFailed();

// The store file that `path` is.
StoreFile StoreFileOf(absl::string_view path);

}  // namespace agentruntime::testing
