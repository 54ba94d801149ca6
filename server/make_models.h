// The configured models.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/base/clock.h"
#include "runtime/http/http_client.h"
#include "runtime/models/model.h"
#include "runtime/timers.h"
#include "server/config.h"

namespace agentruntime {

// What models are made of; borrowed, outlives the models.
struct ModelParts {
  const Clock* clock = nullptr;
  Timers* timers = nullptr;
  HttpClient* http = nullptr;
};

// By name. INVALID_ARGUMENT names the model (a script that is none).
absl::StatusOr<std::map<std::string, std::shared_ptr<Model>>> MakeModels(const LoadedConfig& config, const ModelParts& parts);

}  // namespace agentruntime
