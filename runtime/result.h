// A tool's result made fit for the journal: what is small stands in `call_finished`, what is large is kept apart as an artifact, and `call_finished` has its
// beginning and its name. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agentruntime/v1/content.pb.h"
#include "proto/util/limits.h"
#include "storage/types.h"

namespace agentruntime {

struct RunState;

// Bytes. Smaller ones are for tests.
struct ResultBounds {
  int64_t inline_bytes_max = kResultBytesMax;
  int64_t bytes_max = kArtifactBytesMax;            // of one result
  int64_t run_bytes_max = kArtifactBytesPerRunMax;  // of all artifacts of a run
  int64_t excerpt_bytes_max = kArtifactExcerptBytesMax;
};

// A part that is an artifact, but for its name.
struct LargePart {
  size_t part = 0;   // which of the parts
  std::string hash;  // SHA-256 of the content
  std::shared_ptr<const std::string> content;
};

// What of a run's artifacts holds which content: numbers by hash.
using ArtifactIndex = std::map<std::string, int32_t>;

int64_t ContentBytes(const std::vector<v1::Part>& parts);

// Whether a result has too much to stand in its event.
bool IsLarge(const std::vector<v1::Part>& parts, const ResultBounds& bounds);

// Makes every text valid UTF-8.
void MakeValid(std::vector<v1::Part>& parts);

// Cuts a result to `bytes_max` and replaces its largest parts by artifacts without a name until the rest stands within `inline_bytes_max`. A result of many
// parts is joined first. Takes its time: it reads all of the content.
std::vector<LargePart> KeepApart(std::vector<v1::Part>& parts, const ResultBounds& bounds);

// Gives large parts their names: that of the run's artifact with the same content, or the run's next number. For what the run has no room for the excerpt
// stays, as text that says so. Returns what is to be stored; `index` has it then.
std::vector<StagedArtifact> NameArtifacts(const RunState& state, const ResultBounds& bounds, ArtifactIndex& index, std::vector<v1::Part>& parts,
                                          std::vector<LargePart> large);

}  // namespace agentruntime
