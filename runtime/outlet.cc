#include "runtime/outlet.h"

#include <string>

#include "absl/strings/strip.h"
#include "proto/base/log.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

void LogStop(const RunId& run, const v1::Event& event) {
  const v1::Stop& stop = event.run_stopped().stop();
  const std::string reason(absl::StripPrefix(v1::StopReason_Name(stop.reason()), "STOP_REASON_"));
  Log(LogLevel::kInfo, "run stopped",
      {{"run", run.ToString()}, {"reason", reason}, {"code", stop.error().reason()}, {"step", event.step()}, {"active_ms", event.active_us() / 1000}});
}

}  // namespace

void Outlet::Publish(const RunId& run, std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) {
  for (const EventPtr& event : events) {
    if (event->has_run_stopped()) LogStop(run, *event);
  }
  hub_->Publish(run, std::move(events), std::move(settled));
}

}  // namespace agentruntime
