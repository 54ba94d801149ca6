// Fixtures of the suites: the promises of storage/store.h and storage/agent_store.h as tests, for every kind of store that an executable names.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/conformance/store_harness.h"

namespace agentruntime {

class StoreSuite : public testing::TestWithParam<StoreKind> {
 protected:
  StoreSuite() : harness_(GetParam().open()) {}
  AgentStore& agents() { return harness_->agents(); }
  Store& store() { return harness_->store(); }
  void Reopen() { harness_->Reopen(); }
  void Restore() { harness_->Restore(); }

 private:
  std::unique_ptr<StoreHarness> harness_;
};

inline std::string NameOfKind(const testing::TestParamInfo<StoreKind>& info) { return info.param.name; }

}  // namespace agentruntime
