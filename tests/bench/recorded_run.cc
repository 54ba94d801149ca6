#include "tests/bench/recorded_run.h"

#include <grpcpp/grpcpp.h>
#include <sqlite3.h>

#include <fstream>

#include "tests/bench/channels.h"
#include "tests/bench/fail.h"
#include "tests/bench/load.h"

namespace agentruntime::bench {
namespace {

Value ValueOf(sqlite3_stmt* statement, int column) {
  const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
  const int size = sqlite3_column_bytes(statement, column);
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return sqlite3_column_int64(statement, column);
    case SQLITE_TEXT: return std::string(bytes, static_cast<size_t>(size));
    case SQLITE_BLOB: return std::vector<char>(bytes, bytes + size);
    default: return std::monostate();
  }
}

std::vector<std::vector<Value>> Query(sqlite3* database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) != SQLITE_OK) Fail(sqlite3_errmsg(database));
  std::vector<std::vector<Value>> rows;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    auto& row = rows.emplace_back();
    for (int column = 0; column < sqlite3_column_count(statement); ++column) row.push_back(ValueOf(statement, column));
  }
  sqlite3_finalize(statement);
  return rows;
}

std::string BytesOf(const google::protobuf::Message& message) { return message.SerializeAsString(); }

void Check(const grpc::Status& status) {
  if (!status.ok()) Fail("cannot record the example run: " + status.error_message());
}

void WriteBytes(std::ofstream& file, const std::string& bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file.write(bytes.data(), size);
}

bool ReadBytes(std::ifstream& file, std::string& bytes) {
  uint32_t size = 0;
  if (!file.read(reinterpret_cast<char*>(&size), sizeof(size))) return false;
  bytes.resize(size);
  return static_cast<bool>(file.read(bytes.data(), size));
}

}  // namespace

RecordedRows ReadRows(const std::string& database) {
  sqlite3* handle = nullptr;
  if (sqlite3_open_v2(database.c_str(), &handle, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) Fail("cannot open " + database);
  RecordedRows rows;
  const char kSchema[] = "SELECT sql FROM sqlite_schema WHERE tbl_name IN ('runs', 'events') AND sql IS NOT NULL ORDER BY type = 'index'";
  for (const auto& row : Query(handle, kSchema)) rows.schema.push_back(std::get<std::string>(row[0]));
  const auto runs = Query(handle, "SELECT * FROM runs WHERE state = 'STOPPED' ORDER BY id DESC LIMIT 1");
  if (runs.size() != 1) Fail(database + " has no stopped run");
  rows.run = runs.front();
  rows.events = Query(handle, "SELECT * FROM events WHERE run = (SELECT id FROM runs WHERE state = 'STOPPED' ORDER BY id DESC LIMIT 1) ORDER BY sequence");
  sqlite3_close(handle);
  return rows;
}

RecordedAnswers RecordAnswers(const std::string& address) {
  const Stubs stubs = Connect(address, 1);
  RecordedAnswers answers;
  v1::Run run;
  {
    grpc::ClientContext context;
    v1::CreateRunRequest request;
    *request.mutable_run() = RunOfBench(kExampleInput);
    Check(stubs[0]->CreateRun(&context, request, &run));
    answers.created = BytesOf(run);
  }
  {
    grpc::ClientContext context;
    v1::GetRunRequest request;
    request.set_name(run.name());
    request.mutable_wait()->set_seconds(60);
    Check(stubs[0]->GetRun(&context, request, &run));
    answers.got = BytesOf(run);
  }
  grpc::ClientContext context;
  v1::RunAgentRequest request;
  *request.mutable_run() = RunOfBench(kExampleInput);
  const auto reader = stubs[0]->RunAgent(&context, request);
  v1::WatchRunResponse response;
  while (reader->Read(&response)) answers.stream.push_back(BytesOf(response));
  Check(reader->Finish());
  return answers;
}

void WriteAnswers(const RecordedAnswers& answers, const std::string& file) {
  std::ofstream out(file, std::ios::binary);
  WriteBytes(out, answers.created);
  WriteBytes(out, answers.got);
  for (const std::string& message : answers.stream) WriteBytes(out, message);
  if (!out.flush()) Fail("cannot write " + file);
}

RecordedAnswers ReadAnswers(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  RecordedAnswers answers;
  std::string message;
  if (!ReadBytes(in, answers.created) || !ReadBytes(in, answers.got)) Fail("cannot read " + file);
  while (ReadBytes(in, message)) answers.stream.push_back(message);
  return answers;
}

}  // namespace agentruntime::bench
