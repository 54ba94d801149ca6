#include "tests/crash/store_image.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/crash/store_story.h"

namespace agentruntime::testing {
namespace {

constexpr absl::string_view kSuffixes[] = {"", "-wal", "-journal", "-shm"};

}  // namespace

void PutImage(const std::string& folder, const DiskImage& image) {
  for (const absl::string_view suffix : kSuffixes) std::filesystem::remove(absl::StrCat(folder, "/", kDatabase, suffix));
  for (const auto& [name, bytes] : image) {
    const std::string path = absl::StrCat(folder, "/", name);
    std::ofstream file(path, std::ios::binary);
    chmod(path.c_str(), 0600);
    if (!file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) abort();
  }
}

DiskImage GetImage(const std::string& folder) {
  DiskImage image;
  for (const absl::string_view suffix : kSuffixes) {
    const std::string name = absl::StrCat(kDatabase, suffix);
    std::ifstream file(absl::StrCat(folder, "/", name), std::ios::binary);
    if (!file || suffix == "-shm") continue;
    std::ostringstream bytes;
    bytes << file.rdbuf();
    image[name] = bytes.str();
  }
  return image;
}

Found FindStore(const std::string& folder, const std::string& vfs, const std::vector<std::string>& request_ids) {
  Found found;
  const std::string path = absl::StrCat(folder, "/", kDatabase);
  {
    auto stores = sqlite::OpenStores({.path = path, .readers = 1, .vfs = vfs});
    if (!stores.ok()) return {.status = stores.status(), .text = ""};
    found.epoch = stores->store->epoch();
    auto text = Observe(*stores, request_ids);
    if (!text.ok()) return {.status = text.status(), .text = "", .epoch = found.epoch};
    found.text = *std::move(text);
  }
  if (const std::string integrity = IntegrityOf(path); integrity != "ok") found.status = absl::DataLossError(integrity);
  return found;
}

std::string IntegrityOf(const std::string& path) {
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  std::string answer;
  if (sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK &&
      sqlite3_prepare_v2(database, "PRAGMA integrity_check(3)", -1, &statement, nullptr) == SQLITE_OK) {
    while (sqlite3_step(statement) == SQLITE_ROW)
      absl::StrAppend(&answer, answer.empty() ? "" : "; ", reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  }
  if (answer.empty()) answer = absl::StrCat("cannot be checked: ", sqlite3_errmsg(database));
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return answer;
}

}  // namespace agentruntime::testing
