// agentd --doctor: looks through a store that no server has open, and names what is damaged.
#pragma once

#include <ostream>
#include <string>

#include "server/exit_code.h"

namespace agentruntime {

// Reads and folds every journal of the store at `path`, compares it with the run's columns, labels and checksums, reads every artifact and every revision of an
// agent, and has SQLite check the file. Each fault is a line of `out`, the last line sums up. Nothing is written: a damaged run stays set aside, and the others
// are served. kDrained: all is whole; kDamaged: something is not; kStore, kInUse: the store cannot be looked at, `out` says why.
ExitCode ExamineStore(const std::string& path, std::ostream& out);

}  // namespace agentruntime
