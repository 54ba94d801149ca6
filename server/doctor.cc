#include "server/doctor.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/util/names.h"
#include "runtime/load.h"
#include "storage/sqlite/inspector.h"
#include "storage/sqlite/stores.h"

namespace agentruntime {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;

// Every byte of what is kept beside the journal.
absl::Status ReadArtifacts(Store& store, const RunId& run) {
  const auto artifacts = store.ListArtifacts(run);
  if (!artifacts.ok()) return artifacts.status();
  for (const ArtifactRecord& artifact : *artifacts) {
    for (int64_t offset = 0;;) {
      const auto piece = store.ReadArtifact(run, artifact.number, offset, kPieceBytes);
      if (!piece.ok()) return piece.status();
      if (piece->data.empty()) break;
      offset += static_cast<int64_t>(piece->data.size());
    }
  }
  return absl::OkStatus();
}

absl::Status Examine(Store& store, const RunId& run) {
  if (const auto state = LoadState(store, run); !state.ok()) return state.status();
  return ReadArtifacts(store, run);
}

}  // namespace

ExitCode ExamineStore(const std::string& path, std::ostream& out) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    out << path << ": there is no store; name it with --store FILE or in the configuration\n";
    return ExitCode::kStore;
  }
  auto stores = sqlite::OpenStores({.path = path, .readers = 1});
  if (!stores.ok()) {
    out << std::string(stores.status().message()) << "\n";
    return sqlite::IsInUse(stores.status()) ? ExitCode::kInUse : ExitCode::kStore;
  }
  auto inspector = sqlite::Inspector::Open(path);
  if (!inspector.ok()) {
    out << std::string(inspector.status().message()) << "\n";
    return ExitCode::kStore;
  }
  int64_t runs = 0, damaged = 0, unreadable = 0;
  bool walked = false;
  while (!walked) {
    const auto next = (*inspector)->NextRuns(unreadable);
    if (!next.ok()) {
      out << path << ": the list of runs cannot be read to its end: " << std::string(next.status().message()) << "\n";
      break;
    }
    walked = next->empty();
    for (const RunId& run : *next) {
      ++runs;
      const absl::Status status = Examine(*stores->store, run);
      if (status.ok()) continue;
      ++damaged;
      out << RunName(run) << ": " << std::string(status.message()) << "\n";
    }
  }
  const std::vector<std::string> faults = (*inspector)->FileFaults();
  for (const std::string& fault : faults) out << path << ": " << fault << "\n";
  if (unreadable > 0) out << path << ": rows of runs whose id cannot be read: " << unreadable << "\n";
  const bool whole = walked && damaged == 0 && unreadable == 0 && faults.empty();
  out << runs << (runs == 1 ? " run, " : " runs, ") << damaged << " damaged; the file "
      << (walked && unreadable == 0 && faults.empty() ? "is whole" : "is damaged") << "\n";
  return whole ? ExitCode::kDrained : ExitCode::kDamaged;
}

}  // namespace agentruntime
