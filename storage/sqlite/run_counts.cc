#include "storage/sqlite/run_counts.h"

#include "storage/sqlite/rows.h"

namespace agentruntime::sqlite {

void RunCounts::Add(v1::RunState state, int64_t runs) {
  if (state == v1::RUN_STATE_QUEUED) queued += runs;
  if (state == v1::RUN_STATE_RUNNING) running += runs;
  if (state == v1::RUN_STATE_WAITING) waiting += runs;
}

RunCounts CountRuns(Database& database) {
  RunCounts counts;
  Statement select(database, "SELECT state, count(*) FROM runs WHERE state <> 'STOPPED' GROUP BY state");
  while (select.Step()) counts.Add(ParseState(select.Bytes(0)), select.Integer(1));
  database.ClearError();
  return counts;
}

}  // namespace agentruntime::sqlite
