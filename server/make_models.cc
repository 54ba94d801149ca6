#include "server/make_models.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/time.h"
#include "runtime/models/extractive.h"
#include "runtime/models/openai.h"
#include "runtime/models/script.h"
#include "runtime/models/scripted.h"

namespace agentruntime {
namespace {

namespace cfg = config::v1;

absl::StatusOr<std::shared_ptr<Model>> MakeOpenAi(const cfg::ModelConfig& model, const LoadedConfig& config, const ModelParts& parts) {
  const cfg::OpenAiModel& openai = model.openai();
  OpenAiOptions options;
  options.name = model.name();
  options.base_url = openai.base_url();
  options.provider_model = openai.model();
  if (const auto key = config.keys.models.find(model.name()); key != config.keys.models.end()) options.api_key = key->second;
  options.context_tokens = model.context_tokens();
  options.connections_max = openai.connections_max();
  options.idle_timeout = FromProto(openai.idle_timeout());
  options.max_tokens_field = openai.max_tokens_field();
  if (openai.has_parallel_tool_calls()) options.parallel_tool_calls = openai.parallel_tool_calls();
  ASSIGN_OR_RETURN(std::unique_ptr<Model> made, OpenAiModel::Open(std::move(options), *parts.http, *parts.clock));
  return std::shared_ptr<Model>(std::move(made));
}

absl::StatusOr<std::shared_ptr<Model>> MakeModel(const cfg::ModelConfig& model, const LoadedConfig& config, const ModelParts& parts) {
  switch (model.kind_case()) {
    case cfg::ModelConfig::kExtractive: return std::make_shared<Extractive>(model.name());
    case cfg::ModelConfig::kScripted: {
      ASSIGN_OR_RETURN(std::shared_ptr<const Script> script, LoadScript(model.scripted().file()));
      return std::make_shared<Scripted>(model.name(), std::move(script), *parts.timers);
    }
    case cfg::ModelConfig::kOpenai: return MakeOpenAi(model, config, parts);
    case cfg::ModelConfig::KIND_NOT_SET: break;
  }
  return absl::InvalidArgumentError("it has no kind");
}

}  // namespace

absl::StatusOr<std::map<std::string, std::shared_ptr<Model>>> MakeModels(const LoadedConfig& config, const ModelParts& parts) {
  std::map<std::string, std::shared_ptr<Model>> models;
  for (const cfg::ModelConfig& model : config.config.models()) {
    auto made = MakeModel(model, config, parts);
    if (!made.ok()) return absl::InvalidArgumentError(absl::StrCat("model \"", model.name(), "\": ", made.status().message()));
    models[model.name()] = *std::move(made);
  }
  return models;
}

}  // namespace agentruntime
