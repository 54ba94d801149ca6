#include "tests/support/old_store.h"

#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace agentruntime::testing {

void MakeOldStore(const std::string& path, int format, const std::string& sql) {
  std::ifstream file(AGENTRUNTIME_FORMAT_2);
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
  // Format 1 had the same tables; its view named fewer kinds.
  if (format == 1) run("DROP VIEW journal; CREATE VIEW journal AS SELECT run, sequence FROM events; PRAGMA user_version=1");
  run(sql);
  sqlite3_close(database);
}

}  // namespace agentruntime::testing
