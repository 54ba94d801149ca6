// The server that a command talks to.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clients/cli/output.h"
#include "clients/cpp/admin.h"
#include "clients/cpp/agents.h"
#include "clients/cpp/client.h"

namespace agentruntime::cli {

// Everything a command needs.
struct Session {
  Output output;
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  client::RunClient runs;
  client::AgentClient agents;
  client::AdminClient admin;
};

// Connects to an address that was checked (address.h), for at most 5 s. Says what is wrong and what to do where nobody answers, and returns null.
std::unique_ptr<Session> Connect(const Output& output, const std::string& address);

// `runs/{run}` of what a person wrote: that, the bare id, or `last`, the newest run. INVALID_ARGUMENT for another form, NOT_FOUND if there is no run.
absl::StatusOr<std::string> ResolveRun(Session& session, const std::string& run);
// As Fail, but a run of another form is a usage error.
ExitCode FailRun(const Output& output, const absl::Status& status);

// As Fail; where the server has no such agent, with the nearest name of those that it has.
ExitCode FailAgent(Session& session, const absl::Status& status);

// `agents/{agent}[/revisions/{n}]` of that, of `{agent}` or of `{agent}/{n}`; anything else as it is, for the server to judge.
std::string ResolveAgent(const std::string& agent);

}  // namespace agentruntime::cli
