#include "storage/sqlite/file_system.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <array>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace agentruntime::sqlite {
namespace {

// What statfs(2) and the file systems' own sources say; not all are in linux/magic.h.
constexpr std::array<std::pair<int64_t, const char*>, 15> kNetwork = {{
    {NFS_SUPER_MAGIC, "nfs"},
    {SMB_SUPER_MAGIC, "smb"},
    {0xFF534D42, "cifs"},
    {0xFE534D42, "smb2"},
    {0x00C36400, "ceph"},
    {AFS_SUPER_MAGIC, "afs"},
    {0x6B414653, "kafs"},
    {CODA_SUPER_MAGIC, "coda"},
    {0x564C, "ncp"},
    {V9FS_MAGIC, "9p"},
    {0x0BD00BD0, "lustre"},
    {0x47504653, "gpfs"},
    {0x19830326, "beegfs"},
    {0x786F4256, "vboxsf"},
    {0xAAD7AAEA, "panfs"},
}};

constexpr std::array<absl::string_view, 13> kNetworkFuse = {
    "fuse.sshfs",  "fuse.glusterfs", "fuse.ceph",    "fuse.ceph-fuse", "fuse.s3fs",      "fuse.rclone",    "fuse.gcsfuse",
    "fuse.davfs2", "fuse.davfs",     "fuse.juicefs", "fuse.mfs",       "fuse.seaweedfs", "fuse.curlftpfs",
};

}  // namespace

std::string NetworkFileSystem(int64_t type, absl::string_view mounted) {
  for (const auto& [magic, name] : kNetwork) {
    if (type == magic) return name;
  }
  if (type != FUSE_SUPER_MAGIC) return "";
  for (const absl::string_view name : kNetworkFuse) {
    if (mounted == name) return std::string(name);
  }
  return "";
}

std::string MountedType(absl::string_view mountinfo, unsigned major_number, unsigned minor_number) {
  const std::string device = absl::StrCat(major_number, ":", minor_number);
  for (const absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    // "36 35 98:0 /root /mounted options optional... - type source options"; blanks within a field are written as \040.
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 3 || fields[2] != device) continue;
    for (size_t i = 6; i + 1 < fields.size(); ++i) {
      if (fields[i] == "-") return std::string(fields[i + 1]);
    }
  }
  return "";
}

std::optional<std::string> NetworkFileSystemOf(const std::string& folder) {
  struct statfs system;
  struct stat info;
  if (statfs(folder.c_str(), &system) != 0 || stat(folder.c_str(), &info) != 0) return std::nullopt;
  std::ifstream file("/proc/self/mountinfo");
  const std::string mounts((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return NetworkFileSystem(static_cast<uint32_t>(system.f_type), MountedType(mounts, major(info.st_dev), minor(info.st_dev)));
}

}  // namespace agentruntime::sqlite
