#include "server/rpc/page_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agentruntime/v1/run_service.pb.h"
#include "proto/util/errors.h"

namespace agentruntime::rpc {
namespace {

constexpr char kStore[] = "00112233445566778899aabbccddeeff";

v1::ListRunsRequest Request() {
  v1::ListRunsRequest request;
  request.set_agent("agents/a");
  (*request.mutable_labels())["x"] = "1";
  (*request.mutable_labels())["y"] = "2";
  return request;
}

TEST(PageTokenTest, GivesBackTheKey) {
  const std::string query = QueryOf(Request());
  EXPECT_EQ(*DecodePageToken(EncodePageToken(kStore, query, "01jd3zk8v4m9q2c7h5n0xt6bwe"), kStore, query), "01jd3zk8v4m9q2c7h5n0xt6bwe");
  EXPECT_EQ(*DecodePageToken("", kStore, query), "");
}

TEST(PageTokenTest, TheSizeOfThePageMayChange) {
  v1::ListRunsRequest other = Request();
  other.set_page_size(7);
  other.set_page_token("anything");
  EXPECT_EQ(QueryOf(other), QueryOf(Request()));
}

TEST(PageTokenTest, AnotherQueryIsRefused) {
  const std::string token = EncodePageToken(kStore, QueryOf(Request()), "k");
  v1::ListRunsRequest other = Request();
  other.set_oldest_first(true);
  EXPECT_EQ(ReasonOf(DecodePageToken(token, kStore, QueryOf(other)).status()), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
}

TEST(PageTokenTest, AnotherMethodWithTheSameBytesIsRefused) {
  v1::ListStepsRequest steps;
  steps.set_parent("runs/x");
  v1::ListEventsRequest events;
  events.set_parent("runs/x");
  EXPECT_EQ(ReasonOf(DecodePageToken(EncodePageToken(kStore, QueryOf(steps), "3"), kStore, QueryOf(events)).status()), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
}

TEST(PageTokenTest, AnotherStoreIsRefusedByName) {
  const std::string query = QueryOf(Request());
  const absl::Status status = DecodePageToken(EncodePageToken("ffeeddccbbaa99887766554433221100", query, "k"), kStore, query).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("page_token: it is of another store"));
}

TEST(PageTokenTest, EveryChangedCharacterIsRefused) {
  const std::string query = QueryOf(Request());
  const std::string token = EncodePageToken(kStore, query, "01jd3zk8v4m9q2c7h5n0xt6bwe");
  for (size_t i = 0; i < token.size(); ++i) {
    std::string forged = token;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(DecodePageToken(forged, kStore, query).ok()) << i;
  }
  EXPECT_FALSE(DecodePageToken(token.substr(1), kStore, query).ok());
  EXPECT_FALSE(DecodePageToken(token + "AAAA", kStore, query).ok());
  EXPECT_FALSE(DecodePageToken("%%%", kStore, query).ok());
  EXPECT_FALSE(DecodePageToken(std::string(100'000, 'A'), kStore, query).ok());
}

}  // namespace
}  // namespace agentruntime::rpc
