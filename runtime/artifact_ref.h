// An artifact that a run's journal names: its own, or of the run that it was forked from.
#pragma once

#include <cstdint>

#include "proto/util/names.h"

namespace agentruntime {

struct ArtifactRef {
  ArtifactName name;
  int64_t bytes = 0;  // of the whole content
};

}  // namespace agentruntime
