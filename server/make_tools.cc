#include "server/make_tools.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/time.h"
#include "runtime/tools/ask_person.h"
#include "runtime/tools/calculator.h"
#include "runtime/tools/clock.h"
#include "runtime/tools/http_call.h"
#include "runtime/tools/http_get.h"
#include "runtime/tools/read_artifact.h"
#include "runtime/tools/read_doc.h"
#include "runtime/tools/search_docs.h"
#include "runtime/tools/sub_agent.h"

namespace agentruntime {
namespace {

namespace cfg = config::v1;

// A tool with the timeout of the configuration.
class WithTimeout final : public Tool {
 public:
  WithTimeout(std::shared_ptr<Tool> tool, absl::Duration timeout) : tool_(std::move(tool)), spec_(tool_->spec()) { spec_.timeout = timeout; }

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override { return tool_->Call(std::move(request), progress); }

 private:
  const std::shared_ptr<Tool> tool_;
  ToolSpec spec_;
};

DocumentFolder& FolderOf(const std::string& path, const ToolParts& parts) {
  std::unique_ptr<DocumentFolder>& folder = (*parts.folders)[path];
  if (folder == nullptr) folder = std::make_unique<DocumentFolder>(path, *parts.text_index, *parts.clock);
  return *folder;
}

absl::StatusOr<std::shared_ptr<Tool>> MakeHttpCall(const cfg::ToolConfig& tool, const Keys& keys, const ToolParts& parts) {
  const cfg::HttpCallTool& call = tool.http_call();
  HttpCallOptions options;
  options.name = tool.name();
  options.url = call.url();
  options.description = call.description();
  options.input_schema = call.input_schema();
  options.side_effect = call.side_effect();
  if (const auto token = keys.tools.find(tool.name()); token != keys.tools.end()) options.token = token->second;
  options.response_bytes_max = call.response_bytes_max();
  options.connections_max = call.connections_max();
  ASSIGN_OR_RETURN(std::unique_ptr<Tool> made, HttpCallTool::Open(std::move(options), *parts.http, *parts.clock));
  return std::shared_ptr<Tool>(std::move(made));
}

absl::StatusOr<std::shared_ptr<Tool>> MakeTool(const cfg::ToolConfig& tool, const Keys& keys, const ToolParts& parts) {
  switch (tool.kind_case()) {
    case cfg::ToolConfig::kSearchDocs:
      return std::make_shared<SearchDocs>(tool.name(), FolderOf(tool.search_docs().folder(), parts).documents, parts.blocking_pool);
    case cfg::ToolConfig::kReadDoc: return std::make_shared<ReadDoc>(tool.name(), FolderOf(tool.read_doc().folder(), parts).folder, parts.blocking_pool);
    case cfg::ToolConfig::kCalculator: return std::make_shared<Calculator>(tool.name());
    case cfg::ToolConfig::kClock: return std::make_shared<ClockTool>(tool.name(), *parts.clock, parts.blocking_pool);
    case cfg::ToolConfig::kHttpGet: {
      HttpGetOptions options;
      options.name = tool.name();
      options.allow_hosts.assign(tool.http_get().allow_hosts().begin(), tool.http_get().allow_hosts().end());
      options.response_bytes_max = tool.http_get().response_bytes_max();
      options.timeout = FromProto(tool.timeout());
      ASSIGN_OR_RETURN(std::unique_ptr<Tool> made, HttpGetTool::Open(std::move(options), *parts.http, *parts.clock));
      return std::shared_ptr<Tool>(std::move(made));
    }
    case cfg::ToolConfig::kHttpCall: return MakeHttpCall(tool, keys, parts);
    case cfg::ToolConfig::kReadArtifact: return std::make_shared<ReadArtifact>(tool.name(), *parts.store, parts.blocking_pool);
    case cfg::ToolConfig::kAskPerson: return std::make_shared<AskPerson>(tool.name());
    case cfg::ToolConfig::kSubAgent:
      return std::make_shared<SubAgent>(SubAgentOptions{tool.name(), tool.sub_agent().agent(), tool.sub_agent().description(), tool.sub_agent().limits()});
    case cfg::ToolConfig::KIND_NOT_SET: break;
  }
  return absl::InvalidArgumentError(absl::StrCat("tool \"", tool.name(), "\" has no kind"));
}

}  // namespace

absl::StatusOr<std::map<std::string, std::shared_ptr<Tool>>> MakeTools(const LoadedConfig& config, const ToolParts& parts) {
  std::map<std::string, std::shared_ptr<Tool>> tools;
  for (const cfg::ToolConfig& tool : config.config.tools()) {
    ASSIGN_OR_RETURN(std::shared_ptr<Tool> made, MakeTool(tool, config.keys, parts));
    tools[tool.name()] = std::make_shared<WithTimeout>(std::move(made), FromProto(tool.timeout()));
  }
  return tools;
}

}  // namespace agentruntime
