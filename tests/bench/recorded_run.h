// What the example run leaves behind, taken from a real server: its rows and its answers. The floors write and send the same.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace agentruntime::bench {

using Value = std::variant<std::monostate, int64_t, std::string, std::vector<char>>;  // NULL, INTEGER, TEXT, BLOB

struct RecordedRows {
  std::vector<std::string> schema;         // SQL of the tables `runs` and `events` and of their indexes
  std::vector<Value> run;                  // the run's row: first its rowid, then its id
  std::vector<std::vector<Value>> events;  // the same order
};

// Rows of one stopped run of a store that no server has open.
RecordedRows ReadRows(const std::string& database);

// Messages on the wire.
struct RecordedAnswers {
  std::string created;              // of CreateRun
  std::string got;                  // of GetRun
  std::vector<std::string> stream;  // of RunAgent
};

// Runs the example twice against a server.
RecordedAnswers RecordAnswers(const std::string& address);
void WriteAnswers(const RecordedAnswers& answers, const std::string& file);
RecordedAnswers ReadAnswers(const std::string& file);

}  // namespace agentruntime::bench
