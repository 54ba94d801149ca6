#include "server/rpc/status.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agentruntime/internal/v1/rpc_error.pb.h"
#include "proto/util/errors.h"

namespace agentruntime::rpc {
namespace {

internal::v1::Status Details(const grpc::Status& status) {
  internal::v1::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(StatusTest, DetailsTravelUnderTheirGoogleNames) {
  const grpc::Status status = ToGrpc(InvalidFields({{"run.input", "give at least one text"}, {"run.limits.max_steps", "0 is below 1"}}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "run.input: give at least one text; run.limits.max_steps: 0 is below 1");
  const internal::v1::Status details = Details(status);
  EXPECT_EQ(details.code(), 3);
  ASSERT_EQ(details.details_size(), 2);
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  internal::v1::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(details.details(0).value()));
  EXPECT_EQ(info.reason(), "INVALID_FIELD");
  EXPECT_EQ(info.domain(), "agentruntime");
  EXPECT_EQ(details.details(1).type_url(), "type.googleapis.com/google.rpc.BadRequest");
  internal::v1::BadRequest bad_request;
  ASSERT_TRUE(bad_request.ParseFromString(details.details(1).value()));
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(1).field(), "run.limits.max_steps");
}

TEST(StatusTest, RetryInfoTravels) {
  const internal::v1::Status details = Details(ToGrpc(StoreUnavailable("disk full")));
  ASSERT_EQ(details.details_size(), 2);
  EXPECT_EQ(details.details(1).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
}

TEST(StatusTest, ManyViolationsStayWithinTheMetadataBound) {
  std::vector<FieldViolation> violations;
  for (int i = 0; i < 500; ++i) violations.push_back({"agent.tools[" + std::to_string(i) + "]", std::string(100, 'x')});
  const grpc::Status status = ToGrpc(InvalidFields(violations));
  EXPECT_LE(status.error_message().size(), kStatusMessageBytesMax);
  EXPECT_LE(status.error_details().size(), kStatusDetailsBytesMax);
  EXPECT_EQ(Details(status).details_size(), 2);
}

TEST(StatusTest, FaultsOfOursAreNotShownToCallers) {
  for (const absl::Status& fault : {absl::InternalError("SELECT failed in /var/x.db"), InternalError("SELECT failed in /var/x.db"),
                                    absl::UnknownError("/var/x.db"), absl::UnavailableError("/var/x.db")}) {
    const absl::Status seen = ForCaller(fault, "GetRun", "runs/x");
    EXPECT_EQ(seen.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(ReasonOf(seen), v1::ERROR_REASON_INTERNAL);
    EXPECT_EQ(std::string(seen.message()).find("x.db"), std::string::npos) << seen;
  }
}

TEST(StatusTest, OnlyWhatHasARequestIdIsToBeRepeatedWithIt) {
  EXPECT_EQ(QueueFull("queued runs", 5).message(), "the server holds 5 queued runs, its limit; try again later with the same request_id");
  const absl::Status reads = TooManyAtOnce("reads of the store", 5);
  EXPECT_EQ(reads.message(), "the server holds 5 reads of the store, its limit; try again later");
  EXPECT_EQ(reads.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(reads), v1::ERROR_REASON_QUEUE_FULL);
}

TEST(StatusTest, ErrorsOfTheCataloguePassUnchanged) {
  const absl::Status error = StoreUnavailable("disk full");
  EXPECT_EQ(ForCaller(error, "CreateRun", ""), error);
  EXPECT_EQ(ForCaller(absl::CancelledError("gone"), "WatchRun", "").code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(ToGrpc(ForCaller(absl::OkStatus(), "GetRun", "")).ok());
}

}  // namespace
}  // namespace agentruntime::rpc
