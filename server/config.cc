#include "server/config.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/yaml.h"
#include "server/config_agents.h"
#include "server/config_check.h"
#include "server/config_defaults.h"

namespace agentruntime {
namespace {

constexpr std::uintmax_t kTextFileBytesMax = 1 << 20;

// The command line's words replace the file's, and are relative to the working folder.
absl::Status Override(const ConfigOverrides& overrides, config::v1::ServerConfig& config) {
  if (!overrides.listen.empty()) {
    if (const auto listen = ParseListenAddress(overrides.listen); !listen.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--listen: ", listen.status().message()));
    }
    config.mutable_listen()->set_grpc(overrides.listen);
  }
  if (!overrides.store.empty()) config.mutable_store()->mutable_sqlite()->set_path(std::filesystem::absolute(overrides.store).string());
  return absl::OkStatus();
}

struct ConfigText {
  config::v1::ServerConfig config;  // with its defaults
  std::string text;                 // of the file
};

absl::StatusOr<ConfigText> Read(const std::string& file, const ConfigOverrides& overrides) {
  ConfigText read;
  std::string folder = std::filesystem::current_path().string();
  if (!file.empty()) {
    ASSIGN_OR_RETURN(read.text, ReadTextFile(file));
    RETURN_IF_ERROR(ReadYaml(file, read.text, read.config));
    folder = std::filesystem::absolute(file).parent_path().string();
  }
  RETURN_IF_ERROR(Override(overrides, read.config));
  FillDefaults(folder, read.config);
  return read;
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return absl::NotFoundError(absl::StrCat("there is no file ", path));
  if (error || !std::filesystem::is_regular_file(status)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  if (std::filesystem::file_size(path, error) > kTextFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is larger than ", kTextFileBytesMax, " bytes"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::PermissionDeniedError(absl::StrCat(path, " cannot be read: ", std::strerror(errno)));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::StatusOr<config::v1::ServerConfig> ReadConfig(const std::string& file, const ConfigOverrides& overrides) {
  ASSIGN_OR_RETURN(ConfigText read, Read(file, overrides));
  return std::move(read.config);
}

absl::StatusOr<LoadedConfig> LoadConfig(const std::string& file, const ConfigOverrides& overrides) {
  LoadedConfig loaded;
  ASSIGN_OR_RETURN(ConfigText read, Read(file, overrides));
  loaded.config = std::move(read.config);
  const std::string name = file.empty() ? "default configuration" : file;
  ConfigFaults faults(name, read.text);
  CheckConfig(loaded.config, faults);
  loaded.keys = ReadKeys(loaded.config, faults);
  loaded.offer = OfferOf(loaded.config);
  if (faults.ok()) loaded.agents = ReadAgents(loaded.config, loaded.offer, faults);
  RETURN_IF_ERROR(faults.status());
  ASSIGN_OR_RETURN(loaded.listen, ParseListenAddress(loaded.config.listen().grpc()));
  return loaded;
}

}  // namespace agentruntime
