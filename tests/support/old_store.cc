#include "tests/support/old_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace agentruntime::testing {

void MakeOldStore(const std::string& path, int format, const std::string& sql) {
  // Format 1 had the tables of format 2; its view named fewer kinds.
  std::ifstream file(AGENTRUNTIME_OLD_STORES "/format_" + std::to_string(std::max(format, 2)) + ".sql");
  const std::string dump((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  sqlite3* database = nullptr;
  const bool opened = !dump.empty() && sqlite3_open(path.c_str(), &database) == SQLITE_OK;
  const auto run = [&](const std::string& statements) {
    if (opened && sqlite3_exec(database, statements.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return;
    fprintf(stderr, "cannot make an old store: %s\n", sqlite3_errmsg(database));
    abort();
  };
  run("PRAGMA journal_mode=WAL");
  run(dump);
  if (format == 1) run("DROP VIEW journal; CREATE VIEW journal AS SELECT run, sequence FROM events; PRAGMA user_version=1");
  run(sql);
  sqlite3_close(database);
}

}  // namespace agentruntime::testing
