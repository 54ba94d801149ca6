// The simulated store under the suites that hold the real ones to their promises: the same code as in the simulation, on a thread of its own.
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>

#include "tests/conformance/store_calls.h"
#include "tests/conformance/store_harness.h"
#include "tests/simulation/store.h"

namespace agentruntime::simulation {
namespace {

class SimulatedHarness final : public StoreHarness {
 public:
  SimulatedHarness() { Open(/*restored=*/false); }
  ~SimulatedHarness() override { Close(); }
  Store& store() override { return *store_; }
  AgentStore& agents() override { return *agents_; }
  void Reopen() override {
    Close();
    Open(/*restored=*/false);
  }
  void Restore() override {
    Close();
    Open(/*restored=*/true);
  }

 private:
  void Open(bool restored) {
    store_ = std::make_unique<SimulatedStore>(disk_, commits_, timers_, thread_.get_executor(), SimulatedStore::Opening{random_, restored});
    agents_ = std::make_unique<SimulatedAgentStore>(disk_, *store_, kSuiteAgentBounds);
  }
  // On the store's thread, where its completions belong.
  void Close() {
    Awaited<bool> closed;
    boost::asio::post(thread_, [&] {
      agents_.reset();
      store_.reset();
      closed.Set(true);
    });
    closed.Wait();
  }

  Disk disk_;
  SystemRandom random_;
  Commits commits_;
  SystemTimers timers_;
  boost::asio::thread_pool thread_{1};
  std::unique_ptr<SimulatedStore> store_;
  std::unique_ptr<SimulatedAgentStore> agents_;
};

}  // namespace
}  // namespace agentruntime::simulation

namespace agentruntime {

std::vector<StoreKind> StoreKinds() {
  return {{"Simulated", [] { return std::make_unique<simulation::SimulatedHarness>(); }}};
}

}  // namespace agentruntime
