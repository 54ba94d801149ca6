#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/bench/agentd.h"
#include "tests/bench/calls.h"
#include "tests/bench/fail.h"
#include "tests/bench/statistics.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

constexpr double kStopMillisMax = 100;

// Takes connections, by the kernel's queue alone, and never answers.
class DeafPeer {
 public:
  DeafPeer() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(socket_, 1024) != 0) Fail("cannot listen");
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~DeafPeer() { close(socket_); }
  DeafPeer(const DeafPeer&) = delete;
  DeafPeer& operator=(const DeafPeer&) = delete;
  const std::string& address() const { return address_; }

 private:
  const int socket_;
  std::string address_;
};

struct Latencies {
  std::vector<double> reply;
  std::vector<double> stop;
};

// Asks for the stop first, then cancels: both answers are timed from the cancel.
void CancelOne(v1::RunService::Stub& stub, const std::string& run, Latencies& latencies) {
  grpc::ClientContext wait_context;
  v1::GetRunRequest wait;
  wait.set_name(run);
  wait.mutable_wait()->set_seconds(60);
  v1::Run stopped;
  absl::Time stop_time;
  grpc::Status wait_status;
  absl::Notification has_stopped;
  stub.async()->GetRun(&wait_context, &wait, &stopped, [&](grpc::Status status) {
    stop_time = absl::Now();
    wait_status = std::move(status);
    has_stopped.Notify();
  });
  grpc::ClientContext context;
  v1::CancelRunRequest request;
  request.set_name(run);
  v1::Run cancelled;
  const absl::Time began = absl::Now();
  const grpc::Status status = stub.CancelRun(&context, request, &cancelled);
  latencies.reply.push_back(absl::ToDoubleMilliseconds(absl::Now() - began));
  has_stopped.WaitForNotification();
  if (!status.ok() || !wait_status.ok() || stopped.stop().reason() != v1::STOP_REASON_CANCELLED)
    Fail(absl::StrCat(run, " was not cancelled: ", status.error_message(), wait_status.error_message(), stopped.stop().detail()));
  latencies.stop.push_back(absl::ToDoubleMilliseconds(stop_time - began));
}

void AwaitEvent(v1::RunService::Stub& stub, const std::string& run, v1::Event::KindCase kind) {
  for (const absl::Time until = absl::Now() + absl::Seconds(30); absl::Now() < until; absl::SleepFor(absl::Milliseconds(5))) {
    for (const v1::Event& event : EventsOf(stub, run)) {
      if (event.kind_case() == kind) return;
    }
  }
  Fail(run + " does not come to its wait");
}

// `begun`: the event from which on a run waits there.
void Measure(const Setting& setting, Report& report, const std::string& where, v1::Event::KindCase begun, AgentdOptions options) {
  options.program = setting.agentd();
  options.folder = setting.Folder("cancel." + where);
  const auto server = StartAgentd(options);
  const Stubs stubs = Connect(server->address(), 1);
  const std::vector<std::string> names = CreateRuns(stubs, setting.quick ? 100 : 500, [](int) { return "Take your time."; });
  for (const std::string& name : names) AwaitEvent(*stubs[0], name, begun);
  Latencies latencies;
  for (const std::string& name : names) CancelOne(*stubs[0], name, latencies);
  const double stop = Percentile(latencies.stop, 0.99);
  report.Add({.name = absl::StrCat("cancel.", where, ".reply_p50"), .value = Median(latencies.reply), .unit = "ms"});
  report.Add({.name = absl::StrCat("cancel.", where, ".reply_p99"), .value = Percentile(latencies.reply, 0.99), .unit = "ms"});
  report.Add({.name = absl::StrCat("cancel.", where, ".stop_p50"), .value = Median(latencies.stop), .unit = "ms"});
  report.Add({.name = absl::StrCat("cancel.", where, ".stop_p99"),
              .value = stop,
              .unit = "ms",
              .target = absl::StrCat("under 100 ms from the cancel to the stop in the caller's hands, while a ", where, " is asked"),
              .met = stop < kStopMillisMax});
}

}  // namespace

void Cancel(const Setting& setting, Report& report) {
  const DeafPeer provider;
  const DeafPeer endpoint;
  // A model of ours that takes long, a provider that never answers, and a tool whose endpoint never does.
  Measure(setting, report, "model", v1::Event::kModelCalled, {.script = R"({"steps": [{"delay": "1h", "text": "Late."}]})"});
  Measure(setting, report, "provider", v1::Event::kModelCalled,
          {.model = absl::StrCat("openai: {base_url: \"http://", provider.address(), "/v1\", model: deaf, connections_max: 1000, idle_timeout: 1h}")});
  Measure(setting, report, "tool", v1::Event::kCallStarted,
          {.script = R"({"steps": [{"calls": [{"tool": "tool", "arguments": {}}]}, {"text": "Late."}]})",
           .tool = absl::StrCat("timeout: 10m, http_call: {url: \"http://", endpoint.address(),
                                "/\", description: never answers, side_effect: SIDE_EFFECT_READ_ONLY, connections_max: 1000}")});
}

}  // namespace agentruntime::bench
