// What a session has to do with runs that answer its calls: asking them to cancel before it stops.
#include <algorithm>
#include <boost/asio/post.hpp>

#include "proto/base/planted_bug.h"
#include "proto/util/names.h"
#include "runtime/grant.h"
#include "runtime/session.h"

namespace agentruntime {

namespace asio = boost::asio;

void Session::DropChildAttempts() {
  for (auto& [sequence, attempt] : attempts_) {
    if (!attempt->child) continue;
    attempt->dropped = true;
    attempt->timeout.reset();
    attempt->signal.emit(asio::cancellation_type::terminal);
  }
}

bool Session::IsAsked(const RunId& child) const {
  return std::any_of(asked_.begin(), asked_.end(), [&](const AskedChild& asked) { return asked.run == child; });
}

void Session::AskToCancel(const RunId& child) {
  if (IsAsked(child)) return;
  asked_.push_back({child});
  v1::Cancellation cancellation;
  cancellation.set_principal(RunName(run_));
  cancellation.set_cause("the run that it answers stops");
  gate_->WhenDurable(state_.last_sequence, [weak = weak_from_this(), child, cancellation](bool durable) {
    const auto self = weak.lock();
    if (self == nullptr || !durable) return;
    self->owner_.child_runs().Cancel(child, cancellation, [weak, child] {
      const auto session = weak.lock();
      if (session == nullptr) return;
      asio::post(session->strand_, [session, child] {
        for (AskedChild& asked : session->asked_) asked.agreed |= asked.run == child;
        session->inbox_.Wake();
      });
    });
  });
}

bool Session::MustAskChildren(const std::vector<v1::Event>& facts) {
  if (IsPlanted(Bug::kOrphanChildren)) return false;
  bool must = false;
  for (const v1::Event& fact : facts) {
    if (!fact.has_call_finished()) continue;
    const auto id = CallId::Parse(fact.call_finished().call_id());
    const CallState* const call = id ? state_.FindCall(*id) : nullptr;
    if (call == nullptr || call->child == nullptr) continue;
    const RunId child = ChildOf(*call);
    AskToCancel(child);
    must |= std::any_of(asked_.begin(), asked_.end(), [&](const AskedChild& asked) { return asked.run == child && !asked.agreed; });
  }
  return must;
}

void Session::TellAwaiting() {
  if (awaits_children_ == state_.awaits_children()) return;
  awaits_children_ = !awaits_children_;
  owner_.OnAwaiting(run_, awaits_children_);
}

}  // namespace agentruntime
