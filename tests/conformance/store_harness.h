// What the conformance suites need of a store: to open it, and to open it again over what is durable.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/agent_store.h"
#include "storage/store.h"

namespace agentruntime {

// What harnesses open their stores with: enough for the largest page, few enough to be reached.
inline constexpr AgentBounds kSuiteAgentBounds = {.agents_max = kPageSizeMax + 10, .revisions_max = 5};

class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  virtual Store& store() = 0;
  virtual AgentStore& agents() = 0;
  // Closes and opens again. References from before are void.
  virtual void Reopen() = 0;
  // The same, as a copy that was restored.
  virtual void Restore() = 0;
};

// A kind of store. Each harness begins empty.
struct StoreKind {
  std::string name;  // letters and digits
  std::function<std::unique_ptr<StoreHarness>()> open;
};

// What the suites run over: defined by the executable that links them.
std::vector<StoreKind> StoreKinds();

}  // namespace agentruntime
