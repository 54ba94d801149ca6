// One agentd for all tests of a suite.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/calls.h"
#include "tests/support/raw_call.h"
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

// grpc.health.v1.HealthCheckRequest{service}; the answer's first field is the status.
inline std::string Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  std::string request;
  if (!service.empty()) request = absl::StrCat(std::string(1, '\x0a'), std::string(1, static_cast<char>(service.size())), service);
  const auto response = RawCall(channel, "/grpc.health.v1.Health/Check", request);
  if (!response.ok()) return std::string(absl::StatusCodeToString(response.status().code()));
  if (*response == std::string("\x08\x01", 2)) return "SERVING";
  if (*response == std::string("\x08\x02", 2)) return "NOT_SERVING";
  return "?";
}

// A name of the right form that no run has.
inline constexpr char kNoRun[] = "runs/00000000000000000000000000";

}  // namespace agentruntime::testing
