#include "server/flags.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/util/names.h"

namespace agentruntime {

const char kUsage[] = R"(agentd runs agents: a server for agentctl and other clients.

usage: agentd [--config FILE] [--listen HOST:PORT] [--store FILE] [--port-file FILE] [--restored]
       agentd --check-config FILE
       agentd --doctor [--config FILE] [--store FILE]
       agentd --version | --help

  --config FILE        configuration; without it: 127.0.0.1:7070, ./agentd.db, the extractive model, no tools
  --check-config FILE  checks a configuration, prints it with every default, and ends
  --doctor             reads all of a store that no server has open, names each run, artifact and agent that is damaged, and ends; writes
                       nothing; of the configuration only the store counts
  --listen HOST:PORT   instead of listen.grpc; loopback only; port 0 takes a free one
  --store FILE         instead of store.sqlite.path
  --port-file FILE     written with HOST:PORT once the server serves
  --restored           the store is a copy that is put back or beside its original. For one start: the store gets a new id, old page tokens are refused,
                       and runs that were unfinished in it stop, with nothing more done, until somebody resumes them

SIGTERM and SIGINT drain: runs stop at their next journaled point and go on at the next start. A second one ends at once, which is safe too.
exit: 0 drained, 64 usage, 65 damage found by --doctor, 74 store failure, 75 port or store in use, 78 bad configuration, 130 and 143 by a second SIGINT or SIGTERM
)";

absl::StatusOr<Flags> ParseFlags(const std::vector<std::string>& arguments) {
  Flags flags;
  std::string check_config;
  const std::map<std::string, std::string*> with_value = {{"--config", &flags.config},
                                                          {"--check-config", &check_config},
                                                          {"--listen", &flags.listen},
                                                          {"--store", &flags.store},
                                                          {"--port-file", &flags.port_file}};
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (argument == "--version") {
      flags.action = Flags::Action::kVersion;
    } else if (argument == "--help" || argument == "-h") {
      flags.action = Flags::Action::kHelp;
    } else if (argument == "--doctor") {
      flags.action = Flags::Action::kDoctor;
    } else if (argument == "--restored") {
      flags.restored = true;
    } else if (const auto found = with_value.find(name); found != with_value.end()) {
      const bool has_next = equals != std::string::npos || i + 1 < arguments.size();
      if (!has_next) return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
      *found->second = equals != std::string::npos ? argument.substr(equals + 1) : arguments[++i];
      if (found->second->empty()) return absl::InvalidArgumentError(absl::StrCat(name, " needs a value"));
    } else {
      if (name == "--restored" || name == "--doctor") return absl::InvalidArgumentError(absl::StrCat(name, " takes no value"));
      std::vector<std::string> names = {"--version", "--help", "--doctor", "--restored"};
      for (const auto& [known, value] : with_value) names.push_back(known);
      const std::string nearest = NearestName(name, names);
      return absl::InvalidArgumentError(
          absl::StrCat("there is no argument ", argument, nearest.empty() ? "; see agentd --help" : absl::StrCat("; did you mean ", nearest, "?")));
    }
  }
  if (flags.action == Flags::Action::kDoctor && flags.restored) {
    return absl::InvalidArgumentError("--doctor does not go with --restored: look at the copy first, then start it");
  }
  if (flags.action == Flags::Action::kDoctor && !check_config.empty()) {
    return absl::InvalidArgumentError(
        "--doctor does not go with --check-config: each looks at one thing and ends; for the store of a configuration give --config");
  }
  if (!check_config.empty() && flags.action == Flags::Action::kServe) {
    flags.action = Flags::Action::kCheckConfig;
    flags.config = check_config;
  }
  return flags;
}

}  // namespace agentruntime
