// The SQLite stores under the suites.
#include <memory>
#include <utility>

#include "storage/sqlite/stores.h"
#include "tests/conformance/store_harness.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

class SqliteHarness final : public StoreHarness {
 public:
  SqliteHarness() { Open(/*restored=*/false); }
  Store& store() override { return *stores_.store; }
  AgentStore& agents() override { return *stores_.agents; }
  void Reopen() override {
    stores_ = {};
    Open(/*restored=*/false);
  }
  void Restore() override {
    stores_ = {};
    Open(/*restored=*/true);
  }

 private:
  void Open(bool restored) {
    absl::StatusOr<sqlite::Stores> stores = sqlite::OpenStores({.path = folder_.File("agentd.db"), .agent_bounds = kSuiteAgentBounds, .restored = restored});
    if (!stores.ok()) abort();
    stores_ = *std::move(stores);
  }

  TempDir folder_;
  sqlite::Stores stores_;
};

}  // namespace

std::vector<StoreKind> StoreKinds() {
  return {{"Sqlite", [] { return std::make_unique<SqliteHarness>(); }}};
}

}  // namespace agentruntime
