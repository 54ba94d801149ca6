// What a server weighs: one that does nothing, and each run that waits for its model.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/await.h"
#include "tests/support/calls.h"
#include "tests/support/server_usage.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {
namespace {

// A machine's libraries, and what else it does, move these figures by a tenth and more: the benchmark holds them to their targets, 40 MiB and 8 KiB. A server
// that weighs more than this weighs more anywhere.
constexpr int64_t kIdleBytesMax = 44 << 20;
constexpr size_t kStarts = 5;
constexpr size_t kRuns = 1'000;
constexpr size_t kRounds = 3;
constexpr size_t kWarmUpRuns = 1'000;  // what a server takes once is no run's
constexpr int64_t kRunBytesMax = 12 << 10;

// What the server says once that holds.
template <typename Holds>
void AwaitInfo(const Stubs& stubs, absl::string_view what, Holds holds) {
  AwaitThat(what, [&] {
    const auto info = Call(stubs.admin, &v1::AdminService::Stub::GetServerInfo, v1::GetServerInfoRequest());
    return info.ok() && holds(*info);
  });
}

// One after the other: what many calls at once take and leave behind would be counted for the runs, to their advantage.
void CreateRuns(const Stubs& stubs, const std::string& input, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const auto run = Create(stubs, Submit(input));
    ASSERT_TRUE(run.ok()) << run.status();
  }
}

int64_t Median(std::vector<int64_t> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

TEST(MemoryTest, AServerThatDoesNothingIsSmall) {
  std::vector<int64_t> bytes;
  for (size_t start = 0; start < kStarts; ++start) {
    TestServer server;
    server.Start();
    ASSERT_FALSE(::testing::Test::HasFailure());
    AwaitInfo(Stubs(server.Connect()), "the server answers", [](const v1::ServerInfo&) { return true; });
    bytes.push_back(ResidentBytes(server.pid()));
  }
  // The least disturbed of them: the bar is close.
  const int64_t idle = *std::min_element(bytes.begin(), bytes.end());
  printf("%.1f MiB\n", static_cast<double>(idle) / (1 << 20));
  EXPECT_GT(idle, 0);
  EXPECT_LE(idle, kIdleBytesMax);
}

TEST(MemoryTest, ARunThatWaitsForItsModelIsSmall) {
  TestServer server;
  server.Start();
  ASSERT_FALSE(::testing::Test::HasFailure());
  const Stubs stubs(server.Connect());
  CreateRuns(stubs, "add", kWarmUpRuns);
  AwaitInfo(stubs, "every run has ended", [](const v1::ServerInfo& info) { return info.runs().queued() + info.runs().running() == 0; });
  std::vector<int64_t> each;
  for (size_t round = 1; round <= kRounds; ++round) {
    const int64_t before = ResidentBytes(server.pid());
    CreateRuns(stubs, "hang", kRuns);
    AwaitInfo(stubs, "every run has a session", [&](const v1::ServerInfo& info) { return info.sessions() == static_cast<int64_t>(round * kRuns); });
    each.push_back((ResidentBytes(server.pid()) - before) / static_cast<int64_t>(kRuns));
    printf("%lld bytes each\n", static_cast<long long>(each.back()));
  }
  EXPECT_GT(Median(each), 0);
  EXPECT_LE(Median(each), kRunBytesMax);
}

}  // namespace
}  // namespace agentruntime::testing
