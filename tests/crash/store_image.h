// A store's files, put somewhere and opened.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/sqlite/stores.h"
#include "tests/support/recording_vfs.h"

namespace agentruntime::testing {

inline constexpr char kDatabase[] = "agentd.db";

// Empties `folder` of a store and puts `image` there.
void PutImage(const std::string& folder, const DiskImage& image);
// What is there now; the shared index of the log is no data and left out.
DiskImage GetImage(const std::string& folder);

// How a store was found.
struct Found {
  absl::Status status;  // of opening, or of the first read that failed
  std::string text;     // as Observe gives it
  Epoch epoch = 0;
};
// Opens the store in `folder`, reads all of it, closes it, and asks SQLite whether the file is whole.
Found FindStore(const std::string& folder, const std::string& vfs, const std::vector<std::string>& request_ids);

// "ok", or what SQLite says of the file.
std::string IntegrityOf(const std::string& path);

}  // namespace agentruntime::testing
