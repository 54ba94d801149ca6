#include <gtest/gtest.h>

#include "storage/sqlite/file_system.h"
#include "tests/support/temp_dir.h"

namespace agentruntime::sqlite {
namespace {

constexpr int64_t kExt4 = 0xEF53, kTmpfs = 0x01021994, kFuse = 0x65735546;

TEST(FileSystemTest, WhatReachesOtherMachinesIsNamed) {
  EXPECT_EQ(NetworkFileSystem(0x6969, "nfs4"), "nfs");
  EXPECT_EQ(NetworkFileSystem(0xFE534D42, "cifs"), "smb2");
  EXPECT_EQ(NetworkFileSystem(0x00C36400, "ceph"), "ceph");
  EXPECT_EQ(NetworkFileSystem(0x01021997, "9p"), "9p");
  EXPECT_EQ(NetworkFileSystem(0x0BD00BD0, "lustre"), "lustre");
  EXPECT_EQ(NetworkFileSystem(kExt4, "ext4"), "");
  EXPECT_EQ(NetworkFileSystem(kTmpfs, "tmpfs"), "");
}

TEST(FileSystemTest, FuseIsAsLocalAsItsProgram) {
  EXPECT_EQ(NetworkFileSystem(kFuse, "fuse.sshfs"), "fuse.sshfs");
  EXPECT_EQ(NetworkFileSystem(kFuse, "fuse.glusterfs"), "fuse.glusterfs");
  EXPECT_EQ(NetworkFileSystem(kFuse, "virtiofs"), "") << "a virtual machine's own host";
  EXPECT_EQ(NetworkFileSystem(kFuse, "fuseblk"), "") << "ntfs-3g on a disk of this machine";
  EXPECT_EQ(NetworkFileSystem(kFuse, "fuse.fuse-overlayfs"), "") << "a container's";
  EXPECT_EQ(NetworkFileSystem(kFuse, ""), "");
  EXPECT_EQ(NetworkFileSystem(kExt4, "fuse.sshfs"), "") << "what statfs says comes first";
}

TEST(FileSystemTest, TheTypeStandsBehindTheOptionalFields) {
  constexpr char kMounts[] =
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "40 22 0:55 / /mnt/far rw,nosuid shared:30 master:2 - fuse.sshfs me@far:/ rw,user_id=1000\n"
      "41 22 0:56 / /odd\\040name rw - tmpfs - rw\n"
      "42 22 0:57\n";
  EXPECT_EQ(MountedType(kMounts, 8, 1), "ext4");
  EXPECT_EQ(MountedType(kMounts, 0, 55), "fuse.sshfs");
  EXPECT_EQ(MountedType(kMounts, 0, 56), "tmpfs");
  EXPECT_EQ(MountedType(kMounts, 0, 57), "");
  EXPECT_EQ(MountedType(kMounts, 0, 5), "");
}

TEST(FileSystemTest, AFolderOfThisMachine) {
  const TempDir folder;
  EXPECT_EQ(NetworkFileSystemOf(folder.path()), "");
  EXPECT_EQ(NetworkFileSystemOf(folder.File("none")), std::nullopt);
}

}  // namespace
}  // namespace agentruntime::sqlite
