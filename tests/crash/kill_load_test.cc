// kill -9 of the real server, or the end of its machine's power, at random moments, under a load of 200 runs at once. What must hold: under_load.h.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/crash/effort.h"
#include "tests/crash/under_load.h"
#include "tests/support/loop_disk.h"
#include "tests/support/mount_namespace.h"

namespace agentruntime::testing {
namespace {

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

constexpr int64_t kDiskBytes = int64_t{1} << 30;  // sparse
constexpr int64_t kDiskBytesOfACut = 8 << 20;     // what the runs between two cuts leave there

class KillLoadTest : public UnderLoad {};

TEST_F(KillLoadTest, NothingAcknowledgedIsLostAndNothingDecidedIsAskedAgain) {
  Effort effort("kills", 300, 10);
  LiveThrough(effort, {.strike = [&] { server_.Kill(); }});
}

TEST_F(KillLoadTest, NothingAcknowledgedIsLostByAPowerCut) {
  Effort effort("power cuts of a server", 6, 3);
  LoopDisk disk(server_.File("image"), server_.File("data"), kDiskBytes + effort.count() * kDiskBytesOfACut);
  disk.Mount();
  ASSERT_FALSE(HasFailure());
  LiveThrough(effort, {.strike = [&] {
                // The machine stops as a whole: what a running server said while the disk is being shut down would be no acknowledgement before the cut.
                server_.Send(SIGSTOP);
                ASSERT_EQ(waitpid(server_.pid(), nullptr, WUNTRACED), server_.pid());
                disk.CutPower();
                server_.Kill();
                disk.Unmount();
                disk.Mount();
              }});
  disk.Unmount();
}

}  // namespace
}  // namespace agentruntime::testing
