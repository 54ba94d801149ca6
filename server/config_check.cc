#include "server/config_check.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/environment.h"
#include "runtime/http/address_guard.h"
#include "runtime/http/url.h"
#include "runtime/json_schema.h"
#include "runtime/models/script.h"
#include "server/listen_address.h"

namespace agentruntime {
namespace {

namespace cfg = config::v1;

constexpr int kModelsMax = 64;
constexpr int kToolsMax = 256;
constexpr int kAgentFilesMax = 256;
constexpr int kAllowHostsMax = 256;
constexpr int kConnectionsMax = 10'000;
constexpr size_t kToolDescriptionBytesMax = 4096;
constexpr absl::Duration kGraceMax = absl::Hours(1);
constexpr absl::Duration kToolTimeoutMaximum = absl::Hours(1);

// Whether others on the way can read what is sent there.
bool IsOverheard(const HttpUrl& url) { return url.scheme == "http" && !ParseListenAddress(absl::StrCat(url.host == "::1" ? "[::1]" : url.host, ":1")).ok(); }

// Why a tool cannot have this schema; empty: it can.
std::string WhyNoSchema(const std::string& text) {
  if (const auto schema = JsonSchema::Compile(text); !schema.ok()) return std::string(schema.status().message());
  const auto type = nlohmann::json::parse(text).value("type", nlohmann::json());
  return type == "object" ? "" : "does not say that arguments are an object, as every tool's are; add \"type\": \"object\"";
}

class Checker {
 public:
  // `maxima`: of runs.
  Checker(const v1::Limits& maxima, ConfigFaults& faults) : maxima_(maxima), faults_(faults) {}

  void Range(const std::string& path, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) faults_.Add(path, absl::StrCat(value, " is not in ", least, " to ", most));
  }

  void Range(const std::string& path, const google::protobuf::Duration& value, absl::Duration least, absl::Duration most) {
    const absl::Duration duration = FromProto(value);
    if (duration >= least && duration <= most) return;
    faults_.Add(path, absl::StrCat(absl::FormatDuration(duration), " is not in ", absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
  }

  void Count(const std::string& path, int count, int most) {
    if (count > most) faults_.Add(path, absl::StrCat(count, " are too many; at most ", most));
  }

  void Name(const std::string& path, const std::string& name, std::set<std::string>& seen) {
    if (name.empty()) return faults_.Add(path, "is missing");
    if (!IsToolName(name)) return faults_.Add(path, absl::StrCat("\"", name, "\" is not 1-64 characters of [a-zA-Z0-9_-]"));
    if (!seen.insert(name).second) faults_.Add(path, absl::StrCat("\"", name, "\" is there twice; names are unique"));
  }

  void Folder(const std::string& path, const std::string& folder) {
    std::error_code error;
    if (folder.empty()) return faults_.Add(path, "is missing");
    if (!std::filesystem::is_directory(folder, error)) faults_.Add(path, absl::StrCat("there is no folder ", folder, "; make it or correct the path"));
  }

  void Script(const std::string& path, const std::string& file) {
    std::error_code error;
    if (file.empty()) return faults_.Add(path, "is missing");
    if (!std::filesystem::is_regular_file(file, error)) return faults_.Add(path, absl::StrCat("there is no file ", file, "; make it or correct the path"));
    const auto script = LoadScript(file);
    if (script.ok()) return;
    if (absl::IsInvalidArgument(script.status())) return faults_.AddLine(std::string(script.status().message()));  // names its place in the script
    faults_.Add(path, absl::StrCat(file, " cannot be read; let agentd's user read it"));
  }

  void Limits(const std::string& path, const v1::Limits& limits, const v1::Limits& most) {
    Range(path + ".max_steps", limits.max_steps(), 1, most.max_steps());
    Range(path + ".max_tool_calls", limits.max_tool_calls(), 0, most.max_tool_calls());
    Range(path + ".max_tokens", limits.max_tokens(), 1, most.max_tokens());
    Range(path + ".max_repeats", limits.max_repeats(), kMaxRepeatsMinimum, most.max_repeats());
    Range(path + ".timeout", limits.timeout(), absl::Milliseconds(1), FromProto(most.timeout()));
    if (limits.has_max_cost_micros()) Range(path + ".max_cost_micros", limits.max_cost_micros(), 1, most.max_cost_micros());
  }

  void OpenAi(const std::string& path, const cfg::OpenAiModel& openai) {
    const std::string url_path = path + ".base_url";
    if (openai.base_url().empty()) {
      faults_.Add(url_path, "is missing; give the provider's URL, such as https://models.example.com/v1");
    } else if (const auto url = ParseHttpUrl(openai.base_url()); !url.ok()) {
      faults_.Add(url_path, url.status().message());
    } else if (openai.base_url().find_first_of("?#") != std::string::npos) {
      faults_.Add(url_path, "has a query or fragment; give the URL up to and without /chat/completions");
    } else if (absl::EndsWith(absl::StripSuffix(openai.base_url(), "/"), "/chat/completions")) {
      faults_.Add(url_path, "ends with /chat/completions, which is added to it; leave that out");
    } else if (openai.has_api_key() && IsOverheard(*url)) {
      faults_.Add(url_path, "would send the key without encryption; use https://, or leave api_key out");
    }
    if (openai.model().empty() || openai.model().size() > 256) faults_.Add(path + ".model", "is not 1-256 characters; give the provider's name of the model");
    Range(path + ".connections_max", openai.connections_max(), 1, kConnectionsMax);
    Range(path + ".idle_timeout", openai.idle_timeout(), absl::Seconds(1), absl::Hours(1));
    if (openai.max_tokens_field() != "max_tokens" && openai.max_tokens_field() != "max_completion_tokens") {
      faults_.Add(path + ".max_tokens_field", absl::StrCat("\"", openai.max_tokens_field(), "\" is neither max_tokens nor max_completion_tokens"));
    }
  }

  void Price(const std::string& path, const v1::ModelPrice& price) {
    Range(path + ".input_micros", price.input_micros(), 0, kPriceMicrosMax);
    Range(path + ".output_micros", price.output_micros(), 0, kPriceMicrosMax);
    // What is reserved is the price of a prompt that nobody has cached: the most that it may cost.
    if (price.has_cached_input_micros()) Range(path + ".cached_input_micros", price.cached_input_micros(), 0, price.input_micros());
  }

  void Currency(const std::string& code, bool is_priced) {
    if (code.empty() && is_priced) return faults_.Add("currency_code", "is missing, and a model has a price; give the currency of it, such as USD");
    const bool letters = code.size() == 3 && std::all_of(code.begin(), code.end(), [](unsigned char c) { return c >= 'A' && c <= 'Z'; });
    if (!code.empty() && !letters) faults_.Add("currency_code", absl::StrCat("\"", code, "\" is not three capital letters (ISO 4217), such as USD"));
  }

  void Model(const std::string& path, const cfg::ModelConfig& model) {
    if (model.has_price()) Price(path + ".price", model.price());
    if (model.has_context_tokens() && !model.has_openai()) faults_.Add(path + ".context_tokens", "has a meaning for openai models only; leave it out");
    switch (model.kind_case()) {
      case cfg::ModelConfig::kExtractive: return;
      case cfg::ModelConfig::kScripted: return Script(path + ".scripted.file", model.scripted().file());
      case cfg::ModelConfig::kOpenai: OpenAi(path + ".openai", model.openai()); break;
      case cfg::ModelConfig::KIND_NOT_SET: return faults_.Add(path, "has no kind; give one of extractive, scripted, openai");
    }
    Range(path + ".context_tokens", model.context_tokens(), 1'024, 100'000'000);
  }

  void HttpGet(const std::string& path, const cfg::HttpGetTool& tool) {
    if (tool.allow_hosts().empty()) faults_.Add(path + ".allow_hosts", "is missing; name the hosts that may be asked");
    Count(path + ".allow_hosts", tool.allow_hosts_size(), kAllowHostsMax);
    for (int i = 0; i < tool.allow_hosts_size(); ++i) {
      const auto list = HostAllowList::Parse({tool.allow_hosts(i)});
      if (!list.ok()) faults_.Add(absl::StrCat(path, ".allow_hosts[", i, "]"), list.status().message());
    }
    Range(path + ".response_bytes_max", tool.response_bytes_max(), 1, 10'000'000);
  }

  void Description(const std::string& path, const std::string& description) {
    if (absl::StripAsciiWhitespace(description).empty()) {
      faults_.Add(path, "is missing; tell the model what the tool does and when to use it");
    } else if (description.size() > kToolDescriptionBytesMax) {
      faults_.Add(path, absl::StrCat("has ", description.size(), " bytes; at most ", kToolDescriptionBytesMax));
    }
  }

  void SubAgent(const std::string& path, const cfg::SubAgentTool& tool) {
    if (tool.agent().empty()) {
      faults_.Add(path + ".agent", "is missing; name the agent that answers, as agents/{agent}");
    } else if (!ParseAgentName(tool.agent())) {
      faults_.Add(path + ".agent", absl::StrCat("\"", tool.agent(), "\" is not agents/{agent} or agents/{agent}/revisions/{revision}"));
    }
    Description(path + ".description", tool.description());
    const v1::Limits& limits = tool.limits();
    if (limits.has_max_steps()) Range(path + ".limits.max_steps", limits.max_steps(), 1, maxima_.max_steps());
    if (limits.has_max_tool_calls()) Range(path + ".limits.max_tool_calls", limits.max_tool_calls(), 0, maxima_.max_tool_calls());
    if (limits.has_max_tokens()) Range(path + ".limits.max_tokens", limits.max_tokens(), 1, maxima_.max_tokens());
    if (limits.has_max_repeats()) Range(path + ".limits.max_repeats", limits.max_repeats(), kMaxRepeatsMinimum, maxima_.max_repeats());
    if (limits.has_timeout()) Range(path + ".limits.timeout", limits.timeout(), absl::Milliseconds(1), FromProto(maxima_.timeout()));
    if (limits.has_max_cost_micros()) {
      Range(path + ".limits.max_cost_micros", limits.max_cost_micros(), 1, maxima_.has_max_cost_micros() ? maxima_.max_cost_micros() : kMaxCostMicrosMaximum);
    }
  }

  void HttpCall(const std::string& path, const cfg::HttpCallTool& tool) {
    const std::string url_path = path + ".url";
    if (tool.url().empty()) {
      faults_.Add(url_path, "is missing; give the URL that is called, such as https://billing.example.com/charge");
    } else if (const auto url = ParseHttpUrl(tool.url()); !url.ok()) {
      faults_.Add(url_path, url.status().message());
    } else if (absl::StrContains(tool.url(), '#')) {
      faults_.Add(url_path, "has a fragment, which is never sent; leave out what begins with #");
    } else if (tool.has_token() && IsOverheard(*url)) {
      faults_.Add(url_path, "would send the token without encryption; use https://, or leave token out");
    }
    Description(path + ".description", tool.description());
    if (const std::string why = WhyNoSchema(tool.input_schema()); !why.empty()) faults_.Add(path + ".input_schema", why);
    Range(path + ".response_bytes_max", tool.response_bytes_max(), 1, 10'000'000);
    Range(path + ".connections_max", tool.connections_max(), 1, kConnectionsMax);
  }

  void Tool(const std::string& path, const cfg::ToolConfig& tool) {
    Range(path + ".timeout", tool.timeout(), absl::Milliseconds(1), tool.has_sub_agent() ? kChildTimeoutMaximum : kToolTimeoutMaximum);
    switch (tool.kind_case()) {
      case cfg::ToolConfig::kSearchDocs: return Folder(path + ".search_docs.folder", tool.search_docs().folder());
      case cfg::ToolConfig::kReadDoc: return Folder(path + ".read_doc.folder", tool.read_doc().folder());
      case cfg::ToolConfig::kHttpGet: return HttpGet(path + ".http_get", tool.http_get());
      case cfg::ToolConfig::kHttpCall: return HttpCall(path + ".http_call", tool.http_call());
      case cfg::ToolConfig::kCalculator:
      case cfg::ToolConfig::kReadArtifact:
      case cfg::ToolConfig::kAskPerson:
      case cfg::ToolConfig::kClock: return;
      case cfg::ToolConfig::kSubAgent: return SubAgent(path + ".sub_agent", tool.sub_agent());
      case cfg::ToolConfig::KIND_NOT_SET:
        return faults_.Add(path,
                           "has no kind; give one of search_docs, read_doc, calculator, clock, http_get, http_call, read_artifact, ask_person, sub_agent");
    }
  }

  void Node(const std::string& node) {
    const bool printable = std::all_of(node.begin(), node.end(), [](unsigned char c) { return c > ' ' && c <= '~'; });
    if (!printable || node.size() > 64) faults_.Add("node", "is not 1-64 printable ASCII characters without spaces");
  }

 private:
  const v1::Limits& maxima_;
  ConfigFaults& faults_;
};

}  // namespace

void CheckConfig(const cfg::ServerConfig& config, ConfigFaults& faults) {
  Checker check(config.limits().maxima(), faults);
  if (const auto listen = ParseListenAddress(config.listen().grpc()); !listen.ok()) faults.Add("listen.grpc", listen.status().message());
  check.Range("sessions.threads", config.sessions().threads(), 1, 256);
  check.Range("sessions.running_max", config.sessions().running_max(), 1, 1'000'000);
  check.Range("sessions.queued_max", config.sessions().queued_max(), 1, 10'000'000);
  check.Limits("limits.maxima", config.limits().maxima(), PublishedMaximumLimits());
  check.Limits("limits.defaults", config.limits().defaults(), config.limits().maxima());
  check.Count("models", config.models_size(), kModelsMax);
  check.Count("tools", config.tools_size(), kToolsMax);
  check.Count("agents", config.agents_size(), kAgentFilesMax);
  check.Range("drain_grace", config.drain_grace(), absl::ZeroDuration(), kGraceMax);
  check.Node(config.node());
  check.Currency(config.currency_code(), std::any_of(config.models().begin(), config.models().end(), [](const auto& model) { return model.has_price(); }));
  std::set<std::string> model_names;
  for (int i = 0; i < std::min(config.models_size(), kModelsMax); ++i) {
    const std::string path = absl::StrCat("models[", i, "]");
    check.Name(path + ".name", config.models(i).name(), model_names);
    check.Model(path, config.models(i));
  }
  std::set<std::string> tool_names;
  for (int i = 0; i < std::min(config.tools_size(), kToolsMax); ++i) {
    const std::string path = absl::StrCat("tools[", i, "]");
    check.Name(path + ".name", config.tools(i).name(), tool_names);
    check.Tool(path, config.tools(i));
  }
}

Offer OfferOf(const cfg::ServerConfig& config) {
  Offer offer;
  for (const auto& model : config.models()) offer.models[model.name()] = model.has_extractive() ? "search_docs" : "";
  for (const auto& tool : config.tools()) offer.tools.push_back(tool.name());
  std::sort(offer.tools.begin(), offer.tools.end());
  return offer;
}

}  // namespace agentruntime
