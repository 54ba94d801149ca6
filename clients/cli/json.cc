#include "clients/cli/display.h"

namespace agentruntime::cli {
namespace {

class JsonDisplay final : public Display {
 public:
  explicit JsonDisplay(const Output& output) : output_(output) {}

  void OnRun(const v1::Run&) override {}  // said once, at the end
  void OnEvent(const v1::Event& event) override { PrintJson(output_, event); }
  void OnDelta(const v1::Delta& delta) override {
    v1::WatchRunResponse wrapped;  // tells it from an event
    *wrapped.mutable_delta() = delta;
    PrintJson(output_, wrapped);
  }
  void OnChildWaits(const v1::Run&) override {}  // a program asks for the child itself; every line is an event, a delta or the run
  void OnWaits(const v1::Run&) override {}
  void OnReconnect(const absl::Status&, absl::Duration) override {}
  void OnStop(const v1::Run& run) override { PrintJson(output_, run); }

 private:
  const Output output_;
};

}  // namespace

std::unique_ptr<Display> MakeJsonDisplay(const Output& output) { return std::make_unique<JsonDisplay>(output); }

std::unique_ptr<Display> MakeDisplay(const Output& output) {
  if (output.json) return MakeJsonDisplay(output);
  return output.live ? MakeTimeline(output) : MakePlainDisplay(output);
}

}  // namespace agentruntime::cli
