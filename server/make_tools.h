// The configured tools.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/base/clock.h"
#include "runtime/http/http_client.h"
#include "runtime/tools/documents.h"
#include "runtime/tools/folder.h"
#include "runtime/tools/tool.h"
#include "server/config.h"
#include "storage/store.h"
#include "storage/text_index.h"

namespace agentruntime {

// Folders that tools share, by path; what they borrow outlives them.
struct DocumentFolder {
  DocumentFolder(const std::string& path, TextIndex& index, const Clock& clock) : folder(path), documents(folder, index, clock) {}

  Folder folder;
  Documents documents;
};

// What tools are made of; borrowed, outlives the tools.
struct ToolParts {
  const Clock* clock = nullptr;
  HttpClient* http = nullptr;
  TextIndex* text_index = nullptr;
  Store* store = nullptr;
  boost::asio::any_io_executor blocking_pool;
  std::map<std::string, std::unique_ptr<DocumentFolder>>* folders = nullptr;  // filled as tools need them
};

// By name. The configuration was checked. INVALID_ARGUMENT names the tool.
absl::StatusOr<std::map<std::string, std::shared_ptr<Tool>>> MakeTools(const LoadedConfig& config, const ToolParts& parts);

}  // namespace agentruntime
