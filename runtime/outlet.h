// Where durable events go: to watchers, and one log line for each stop.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/gate.h"
#include "runtime/hub.h"

namespace agentruntime {

class Outlet final : public Publisher {
 public:
  explicit Outlet(std::shared_ptr<Hub> hub) : hub_(std::move(hub)) {}
  void Keep(const RunId& run, std::shared_ptr<const v1::Run> settled) override { hub_->Keep(run, std::move(settled)); }
  void Withdraw(const RunId& run) override { hub_->Withdraw(run); }
  void Publish(const RunId& run, std::vector<EventPtr> events, std::shared_ptr<const v1::Run> settled) override;
  void PublishDelta(const RunId& run, v1::Delta delta) override { hub_->PublishDelta(run, std::move(delta)); }
  void SetAside(const RunId& run, const absl::Status& why) override { hub_->SetAside(run, why); }
  void TakeBack(const RunId& run) override { hub_->TakeBack(run); }

 private:
  const std::shared_ptr<Hub> hub_;
};

}  // namespace agentruntime
