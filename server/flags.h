// The command line of agentd.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace agentruntime {

struct Flags {
  enum class Action { kServe, kCheckConfig, kDoctor, kVersion, kHelp };
  Action action = Action::kServe;
  std::string config;     // file; empty: all defaults
  std::string listen;     // instead of listen.grpc
  std::string store;      // instead of store.sqlite.path
  std::string port_file;  // gets the bound address once the server serves
  bool restored = false;  // the store is a restored copy
};

extern const char kUsage[];

// `arguments` without the program's name; `--name value` and `--name=value`. INVALID_ARGUMENT names the argument.
absl::StatusOr<Flags> ParseFlags(const std::vector<std::string>& arguments);

}  // namespace agentruntime
