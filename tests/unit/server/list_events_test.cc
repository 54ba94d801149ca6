// Tokens that no server gave: whoever knows the store's id can make one with a right checksum.
#include <gtest/gtest.h>

#include "proto/util/errors.h"
#include "server/rpc/page_token.h"
#include "server/rpc/run_handlers.h"
#include "tests/unit/runtime/runtime_fixture.h"

namespace agentruntime::rpc {
namespace {

using testing::RuntimeTest;
using testing::Steps;
using testing::TestRuntime;

TEST_F(RuntimeTest, AForgedTokenIsRefusedAndNoRunIsTakenForDamaged) {
  TestRuntime runtime(Config(Steps(0, "")));
  Backend backend;
  backend.runtime = &*runtime;
  backend.store_id = runtime->store_id();
  v1::ListEventsRequest request;
  request.set_parent(runtime.RunToStop().name());
  for (const char* key : {"-1", "-5", "-9223372036854775808", "9223372036854775808", "x"}) {
    request.set_page_token(EncodePageToken(backend.store_id, QueryOf(request), key));
    EXPECT_EQ(ReasonOf(runtime.Await(ListEvents(backend, request)).status()), v1::ERROR_REASON_PAGE_TOKEN_INVALID) << key;
  }
  EXPECT_EQ(runtime.Await(runtime->GetInfo())->store.set_aside, 0);
  request.set_page_token(EncodePageToken(backend.store_id, QueryOf(request), "1"));
  const auto rest = runtime.Await(ListEvents(backend, request));
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->events(0).sequence(), 2);
}

}  // namespace
}  // namespace agentruntime::rpc
