// One agentd for all tests of a suite.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {

class SharedServer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new TestServer();
    server_->Start();
    stubs_ = new Stubs(server_->Connect());
  }
  static void TearDownTestSuite() {
    delete stubs_;
    delete server_;
  }
  void SetUp() override { ASSERT_TRUE(server_->running()); }

  static TestServer& server() { return *server_; }
  static const Stubs& stubs() { return *stubs_; }

 private:
  static inline TestServer* server_ = nullptr;
  static inline Stubs* stubs_ = nullptr;
};

// A name of the right form that no run has.
inline constexpr char kNoRun[] = "runs/00000000000000000000000000";

}  // namespace agentruntime::testing
