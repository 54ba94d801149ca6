#include "server/config_defaults.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <thread>

#include "proto/util/limits.h"
#include "proto/util/time.h"
#include "runtime/environment.h"

namespace agentruntime {
namespace {

constexpr int32_t kThreadsMax = 256;
constexpr size_t kNodeBytesMax = 64;
constexpr absl::Duration kHttpGetTimeout = absl::Seconds(10);

void MakeAbsolute(const std::string& folder, std::string& path) {
  if (!path.empty()) path = (std::filesystem::path(folder) / path).lexically_normal().string();
}

std::string HostName() {
  std::array<char, 256> name = {};
  if (gethostname(name.data(), name.size() - 1) != 0) return "agentd";
  std::string text(name.data());
  text.erase(std::remove_if(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c > '~'; }), text.end());
  return text.empty() ? "agentd" : text.substr(0, kNodeBytesMax);
}

void FillSessions(config::v1::Sessions& sessions) {
  if (!sessions.has_threads()) sessions.set_threads(std::clamp(static_cast<int32_t>(std::thread::hardware_concurrency()), 1, kThreadsMax));
  if (!sessions.has_running_max()) sessions.set_running_max(kRunningRunsMaxDefault);
  if (!sessions.has_queued_max()) sessions.set_queued_max(kQueuedRunsMaxDefault);
}

// A lowered maximum lowers the default that nobody set.
void FillLimits(config::v1::LimitsConfig& limits) {
  v1::Limits maxima = PublishedMaximumLimits();
  maxima.MergeFrom(limits.maxima());
  v1::Limits defaults = PublishedDefaultLimits();
  defaults.set_max_steps(std::min(defaults.max_steps(), maxima.max_steps()));
  defaults.set_max_tool_calls(std::min(defaults.max_tool_calls(), maxima.max_tool_calls()));
  defaults.set_max_tokens(std::min(defaults.max_tokens(), maxima.max_tokens()));
  defaults.set_max_repeats(std::min(defaults.max_repeats(), maxima.max_repeats()));
  if (FromProto(maxima.timeout()) < FromProto(defaults.timeout())) *defaults.mutable_timeout() = maxima.timeout();
  // A duration is replaced, not merged: its seconds and nanos belong together.
  if (limits.maxima().has_timeout()) *maxima.mutable_timeout() = limits.maxima().timeout();
  // There is no default budget of money, but where the operator bounds what may be asked for, whoever asks for none has that.
  if (maxima.max_cost_micros() < kMaxCostMicrosMaximum) defaults.set_max_cost_micros(maxima.max_cost_micros());
  const v1::Limits given = limits.defaults();
  defaults.MergeFrom(given);
  if (given.has_timeout()) *defaults.mutable_timeout() = given.timeout();
  *limits.mutable_maxima() = std::move(maxima);
  *limits.mutable_defaults() = std::move(defaults);
}

void FillModel(const std::string& folder, config::v1::ModelConfig& model) {
  if (model.has_scripted()) MakeAbsolute(folder, *model.mutable_scripted()->mutable_file());
  if (!model.has_openai()) return;
  auto& openai = *model.mutable_openai();
  if (openai.api_key().source_case() == config::v1::Secret::kFile) MakeAbsolute(folder, *openai.mutable_api_key()->mutable_file());
  if (!openai.has_connections_max()) openai.set_connections_max(256);
  if (!openai.has_idle_timeout()) *openai.mutable_idle_timeout() = ToProto(kModelIdleTimeout);
  if (openai.max_tokens_field().empty()) openai.set_max_tokens_field("max_tokens");
  if (!model.has_context_tokens()) model.set_context_tokens(128'000);
}

void FillHttpCall(const std::string& folder, config::v1::HttpCallTool& tool) {
  if (tool.input_schema().empty()) tool.set_input_schema(R"({"type":"object"})");
  if (tool.side_effect() == v1::SIDE_EFFECT_UNSPECIFIED) tool.set_side_effect(v1::SIDE_EFFECT_UNSAFE);
  if (tool.token().source_case() == config::v1::Secret::kFile) MakeAbsolute(folder, *tool.mutable_token()->mutable_file());
  if (!tool.has_response_bytes_max()) tool.set_response_bytes_max(1'000'000);
  if (!tool.has_connections_max()) tool.set_connections_max(64);
}

void FillTool(const std::string& folder, config::v1::ToolConfig& tool) {
  if (!tool.has_timeout())
    *tool.mutable_timeout() = ToProto(tool.has_http_get() ? kHttpGetTimeout : tool.has_sub_agent() ? kChildTimeoutDefault : kToolTimeout);
  if (tool.has_search_docs()) MakeAbsolute(folder, *tool.mutable_search_docs()->mutable_folder());
  if (tool.has_read_doc()) MakeAbsolute(folder, *tool.mutable_read_doc()->mutable_folder());
  if (tool.has_http_get() && !tool.http_get().has_response_bytes_max()) tool.mutable_http_get()->set_response_bytes_max(65'536);
  if (tool.has_http_call()) FillHttpCall(folder, *tool.mutable_http_call());
}

}  // namespace

void FillDefaults(const std::string& folder, config::v1::ServerConfig& config) {
  if (config.listen().grpc().empty()) config.mutable_listen()->set_grpc("127.0.0.1:7070");
  if (config.store().sqlite().path().empty()) config.mutable_store()->mutable_sqlite()->set_path("agentd.db");
  MakeAbsolute(folder, *config.mutable_store()->mutable_sqlite()->mutable_path());
  FillSessions(*config.mutable_sessions());
  FillLimits(*config.mutable_limits());
  if (config.models().empty()) {
    auto* model = config.add_models();
    model->set_name("extractive");
    model->mutable_extractive();
  }
  for (auto& model : *config.mutable_models()) FillModel(folder, model);
  for (auto& tool : *config.mutable_tools()) FillTool(folder, tool);
  for (auto& file : *config.mutable_agents()) MakeAbsolute(folder, file);
  auto& log = *config.mutable_log();
  if (log.level() == config::v1::LOG_LEVEL_UNSPECIFIED) log.set_level(config::v1::LOG_LEVEL_INFO);
  if (log.format() == config::v1::LOG_FORMAT_UNSPECIFIED) log.set_format(config::v1::LOG_FORMAT_LOGFMT);
  if (!config.has_drain_grace()) *config.mutable_drain_grace() = ToProto(kDrainGraceDefault);
  if (config.node().empty()) config.set_node(HostName());
}

}  // namespace agentruntime
