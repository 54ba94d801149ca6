// What the judge holds large results to: stored once, numbered as they appear, there with their event and not before, gone with their run.
#include <algorithm>
#include <set>
#include <string>

#include "proto/util/names.h"
#include "tests/simulation/judge.h"

namespace agentruntime::simulation {

// `known` is as of the event before.
void Judge::CheckArtifacts(const DiskRun& row, const Known& known, const v1::Event& event) {
  const RunId& run = known.fold.id;
  const auto wrong = [&](absl::string_view what) {
    world_.Fail("artifacts: ", what, " in ", run.ToString(), " event ", event.sequence(), ": ", event.ShortDebugString().substr(0, 300));
  };
  int32_t last = known.fold.own_artifacts;
  for (const v1::Part& part : event.call_finished().result()) {
    if (!part.has_artifact()) continue;
    const auto name = ParseArtifactName(part.artifact().name());
    if (!name) {
      wrong("a name that is none");
      continue;
    }
    if (name->run != run) {
      wrong("the name of another run's artifact");
      continue;
    }
    if (name->number > last + 1) wrong("a number is left out");
    counts.artifacts += name->number > last ? 1 : 0;
    last = std::max(last, name->number);
    const auto stored = row.artifacts.find(name->number);
    if (stored == row.artifacts.end()) {
      wrong("it is named and not there");
    } else if (stored->second.record.bytes != part.artifact().bytes()) {
      wrong("its size is another");
    }
    if (static_cast<int64_t>(part.artifact().excerpt().size()) > world_.settings.options.result.excerpt_bytes_max) wrong("a long excerpt");
  }
  std::set<std::string> hashes;
  int64_t bytes = 0;
  for (const auto& [number, artifact] : row.artifacts) {
    if (!hashes.insert(artifact.record.hash).second) wrong("the same content is kept twice");
    bytes += artifact.record.bytes;
  }
  if (bytes > world_.settings.options.result.run_bytes_max) wrong("the run keeps too much");
}

void Judge::SeenArtifact(const RunId& run, int32_t number, const ArtifactPiece& piece) {
  ++counts.artifacts_read;
  const Known* const known = Find(run);
  if (known == nullptr || known->fold.own_artifacts < number) {
    return world_.Fail("visible: artifact ", number, " of ", run.ToString(), " left before the event that names it was durable");
  }
  for (const ArtifactRef& ref : known->fold.artifacts) {
    if (ref.name.run == run && ref.name.number == number && ref.bytes != piece.total_bytes) {
      world_.Fail("visible: artifact ", number, " of ", run.ToString(), " has ", piece.total_bytes, " bytes instead of ", ref.bytes);
    }
  }
  if (static_cast<int64_t>(piece.data.size()) != piece.total_bytes) world_.Fail("visible: artifact ", number, " of ", run.ToString(), " is not whole");
}

void Judge::CheckChunks() {
  MutexLock lock(world_.disk.mu);
  for (const auto& [key, chunks] : world_.disk.chunks) {
    const auto run = world_.disk.runs.find(key.run);
    const bool named = run != world_.disk.runs.end() && run->second.artifacts.contains(key.number) && run->second.artifacts.at(key.number).epoch == key.epoch;
    if (!named && key.epoch != world_.disk.epoch) world_.Fail("artifacts: chunks of ", key.run.ToString(), " are left that no event names");
  }
}

}  // namespace agentruntime::simulation
