#include "server/outbound.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace agentruntime {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kManyFiles = 1'000'000;

void AddModel(config::v1::ServerConfig& config, int connections_max) { config.add_models()->mutable_openai()->set_connections_max(connections_max); }
void AddCall(config::v1::ServerConfig& config, int connections_max) { config.add_tools()->mutable_http_call()->set_connections_max(connections_max); }

TEST(OutboundTest, WhatEachMayAskForFitsTogether) {
  config::v1::ServerConfig config;
  EXPECT_EQ(*OutboundRequests(config, kManyFiles), 1);
  config.add_models()->mutable_extractive();
  config.add_tools()->mutable_clock();
  AddModel(config, 10'000);
  AddCall(config, 64);
  EXPECT_EQ(*OutboundRequests(config, kManyFiles), 10'064) << "nobody waits below its own bound";
  config.add_tools()->mutable_http_get();
  EXPECT_EQ(*OutboundRequests(config, kManyFiles), 10'064 + 256);
}

TEST(OutboundTest, TogetherTheyShareWhatThereIs) {
  config::v1::ServerConfig config;
  for (int i = 0; i < 5; ++i) AddModel(config, 9'000);
  EXPECT_EQ(*OutboundRequests(config, kManyFiles), kOutboundRequestsMax);
  config = config::v1::ServerConfig();
  AddModel(config, 400);
  AddCall(config, 400);
  EXPECT_EQ(*OutboundRequests(config, 1'024), 1'024 - kDescriptorsReserved);
}

TEST(OutboundTest, WhatNoRequestCouldKeepIsRefused) {
  config::v1::ServerConfig config;
  AddModel(config, 256);
  AddCall(config, 4'000);
  const auto refused = OutboundRequests(config, 4'096);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("tools[0].http_call.connections_max: 4000 requests at once do not fit: this process may open 4096 files"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("or ask for at most 3584"));
  EXPECT_TRUE(OutboundRequests(config, 4'512).ok());
}

TEST(OutboundTest, WhereThereIsNoFieldTheProcessIsToOpenMoreFiles) {
  config::v1::ServerConfig config;
  config.add_tools()->mutable_http_get();
  const auto refused = OutboundRequests(config, 600);
  EXPECT_EQ(refused.status().message(),
            "tools[0].http_get: 256 requests at once do not fit: this process may open 600 files, and 512 of them are for callers and the store; raise its "
            "limit (ulimit -n, LimitNOFILE)");
}

}  // namespace
}  // namespace agentruntime
