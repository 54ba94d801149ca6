// Calls that are refused before anything of theirs is looked at.
#pragma once

#include "proto/util/errors.h"
#include "server/rpc/host.h"
#include "server/rpc/status.h"

namespace agentruntime::rpc {

// Over the bound of open calls. `Reactor` is of the kind that the method returns; it owns itself.
template <typename Reactor>
Reactor* Refuse(const OpenCalls& calls) {
  class Refusal final : public Reactor {
    void OnDone() override { delete this; }
  };
  auto* const refusal = new Refusal;
  refusal->Finish(ToGrpc(TooManyAtOnce("open calls", calls.most())));
  return refusal;
}

}  // namespace agentruntime::rpc
