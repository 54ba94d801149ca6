// Whether a folder lies on this machine. Between machines SQLite's locks and the shared memory of its log are known not to work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace agentruntime::sqlite {

// The name of the network file system that holds the folder; "": it is none that we know. nullopt: it cannot be asked, errno says why.
std::optional<std::string> NetworkFileSystemOf(const std::string& folder);

// The judgement. `type`: of statfs(2). `mounted`: the type in /proc/self/mountinfo, which tells apart what all say FUSE to statfs: a file system of FUSE is
// as local as its program makes it, so those that are known to reach other machines are named, and any other is taken as a local one.
std::string NetworkFileSystem(int64_t type, absl::string_view mounted);

// The type of the mount with these device numbers in the text of /proc/self/mountinfo; "": there is none.
std::string MountedType(absl::string_view mountinfo, unsigned major_number, unsigned minor_number);

}  // namespace agentruntime::sqlite
