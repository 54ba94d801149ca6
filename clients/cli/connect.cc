#include "clients/cli/connect.h"

#include <grpcpp/channel.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/cli/address.h"
#include "clients/cli/text.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/error.h"
#include "proto/util/names.h"

namespace agentruntime::cli {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
constexpr int kAgentsMax = 1'000;  // among which a nearest name is looked for
constexpr int kLastPageSize = 20;

}  // namespace

std::unique_ptr<Session> Connect(const Output& output, const std::string& address) {
  auto channel = client::MakeChannel(address);
  if (!client::Connect(*channel, kConnectTimeout).ok()) {
    const std::string why = WhyNoServer(address);
    if (output.json) {
      Fail(output, absl::UnavailableError(absl::StrCat("no server at ", address, ": ", why)));
    } else {
      output.err << "agentctl: unreachable: no server at " << Printable(address) << ": " << why
                 << "\n  start one:  ./deploy/run.sh   or   agentd --config agentd.yaml\n"
                    "  elsewhere:  --server HOST:PORT   or   AGENTRUNTIME_SERVER=HOST:PORT"
                 << std::endl;
    }
    return nullptr;
  }
  return std::unique_ptr<Session>(
      new Session{output, address, channel, client::RunClient(channel), client::AgentClient(channel), client::AdminClient(channel)});
}

absl::StatusOr<std::string> ResolveRun(Session& session, const std::string& run) {
  if (run == "last") {
    // The one that somebody submitted: newer ones may answer its calls. A list does not say which do.
    v1::ListRunsRequest request;
    request.set_page_size(kLastPageSize);
    do {
      const auto newest = session.runs.List(request);
      if (!newest.ok()) return newest.status();
      for (const v1::Run& listed : newest->runs()) {
        const auto run = session.runs.Get(listed.name());
        if (!run.ok() && !absl::IsNotFound(run.status())) return run.status();
        if (run.ok() && run->parent_call().empty()) return run->name();
      }
      request.set_page_token(newest->next_page_token());
    } while (!request.page_token().empty());
    return absl::NotFoundError(absl::StrCat("there is no run yet; make one with: ", session.output.program, " run AGENT \"...\""));
  }
  std::string name = absl::StartsWith(run, "runs/") ? run : absl::StrCat("runs/", run);
  if (!ParseRunName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", run, "\" is no run: give its id (26 characters, see ", session.output.program, " runs), runs/{id}, or last"));
  }
  return name;
}

ExitCode FailRun(const Output& output, const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? FailUsage(output, std::string(status.message())) : Fail(output, status);
}

ExitCode FailAgent(Session& session, const absl::Status& status) {
  const client::ErrorDetails details = client::DetailsOf(status);
  const auto agent = details.metadata.find("agent");
  if (!absl::IsNotFound(status) || details.reason != "AGENT_NOT_FOUND" || agent == details.metadata.end()) return Fail(session.output, status);
  v1::ListAgentsRequest request;
  request.set_page_size(kAgentsMax);
  const auto agents = session.agents.List(request);
  if (!agents.ok()) return Fail(session.output, status);
  std::vector<std::string> names;
  for (const v1::Agent& known : agents->agents()) names.emplace_back(absl::StripPrefix(known.name(), "agents/"));
  const std::string nearest = NearestName(absl::StripPrefix(agent->second, "agents/"), names);
  if (nearest.empty()) return Fail(session.output, status);
  absl::Status better(status.code(), absl::StrCat("there is no ", agent->second, "; did you mean \"", nearest, "\"?"));
  status.ForEachPayload([&better](absl::string_view url, const absl::Cord& payload) { better.SetPayload(url, payload); });
  return Fail(session.output, better);
}

std::string ResolveAgent(const std::string& agent) {
  if (absl::StartsWith(agent, "agents/")) return agent;
  const std::vector<std::string> parts = absl::StrSplit(agent, '/');
  if (parts.size() == 2) return absl::StrCat("agents/", parts[0], "/revisions/", parts[1]);
  return absl::StrCat("agents/", agent);
}

}  // namespace agentruntime::cli
