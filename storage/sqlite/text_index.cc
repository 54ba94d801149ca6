#include "storage/sqlite/text_index.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/base/log.h"
#include "proto/base/mutex.h"
#include "proto/base/status.h"
#include "proto/base/text.h"
#include "storage/sqlite/checksum.h"
#include "storage/sqlite/disk.h"
#include "storage/sqlite/tokenizer.h"

namespace agentruntime::sqlite {
namespace {

constexpr int kApplicationId = 0x41525449;  // "ARTI": tells our index from other databases
constexpr int kFormat = 2;
constexpr int kPassageBits = 24;  // a passage's row is its document's id and, in so many bits, its number in the document
constexpr int64_t kPassagesMax = int64_t{1} << kPassageBits;
constexpr size_t kSnippetTokensMax = 32;

// `scope` holds one token that names the collection, so that FTS5 itself cuts a search down to it. What is read for an answer has a checksum: of a passage it
// covers where it stands as well.
constexpr char kSchema[] = R"sql(
  CREATE TABLE collections(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE documents(id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, modify_us INTEGER NOT NULL,
                         passages INTEGER NOT NULL, crc INTEGER NOT NULL, UNIQUE(collection, name));
  CREATE VIRTUAL TABLE passages USING fts5(text, heading, scope, line UNINDEXED, crc UNINDEXED, tokenize = 'porter unicode61');
)sql";

enum class Sql {
  kBegin,
  kCommit,
  kRollback,
  kAddCollection,
  kCollection,
  kDocuments,
  kDocument,
  kNextDocument,
  kAddDocument,
  kDropDocument,
  kAddPassage,
  kDropPassages,
  kSearch,
  kCount,
  kPassageCount,
  kCheckPassages,
  kEnd
};

constexpr const char* kSql[] = {
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "INSERT OR IGNORE INTO collections(name) VALUES(?1)",
    "SELECT id FROM collections WHERE name = ?1",
    "SELECT id, name, size, modify_us, passages, crc FROM documents WHERE collection = ?1 ORDER BY name",
    "SELECT id FROM documents WHERE collection = ?1 AND name = ?2",
    "SELECT coalesce(max(id), 0) + 1 FROM documents",
    "INSERT INTO documents(id, collection, name, size, modify_us, passages, crc) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    "DELETE FROM documents WHERE id = ?1",
    "INSERT INTO passages(rowid, text, heading, scope, line, crc) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    "DELETE FROM passages WHERE rowid BETWEEN ?1 AND ?2",
    R"sql(SELECT d.name, p.line, p.heading, p.text, -p.rank, p.rowid, p.crc FROM passages p CROSS JOIN documents d ON d.id = p.rowid >> 24
          WHERE p.passages MATCH ?1 AND p.rank MATCH 'bm25(1.0, 0.5, 0.0)' ORDER BY p.rank LIMIT ?2)sql",
    "SELECT count(*) FROM passages WHERE passages MATCH ?1",
    "SELECT coalesce(sum(passages), 0) FROM documents WHERE collection = ?1",
    "INSERT INTO passages(passages) VALUES('integrity-check')",
};
static_assert(std::size(kSql) == static_cast<size_t>(Sql::kEnd));

absl::Status Failure(int code, absl::string_view path, sqlite3* connection) {
  const std::string what = absl::StrCat("text index ", path, ": ", connection == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection));
  if (IsDamage(code)) return absl::DataLossError(what);
  if ((code & 0xff) == SQLITE_BUSY) return absl::FailedPreconditionError(absl::StrCat(what, ": another process has it open"));
  if ((code & 0xff) == SQLITE_CANTOPEN && OutOfInodes(std::string(path))) return NoInodeFree(absl::StrCat("text index ", path));
  return absl::UnavailableError(what);
}

// One use of a prepared statement: bound by position, stepped, reset at its end.
class Query {
 public:
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  ~Query() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // `text` lives until the query's end.
  Query& Bind(absl::string_view text) {
    sqlite3_bind_text64(statement_, ++bound_, text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    return *this;
  }
  Query& Bind(int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  // SQLITE_ROW, SQLITE_DONE or an error.
  int Step() { return sqlite3_step(statement_); }
  int64_t Int(int column) const { return sqlite3_column_int64(statement_, column); }
  double Double(int column) const { return sqlite3_column_double(statement_, column); }
  std::string Text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return std::string(text == nullptr ? "" : text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  sqlite3_stmt* const statement_;
  int bound_ = 0;
};

// What documents say is for whom the store is for: SQLite would make a file that everybody may read. Its log gets the file's mode. A failure shows as SQLite
// opens it.
void MakeForOwner(const std::string& path) {
  if (path == ":memory:") return;
  if (const int file = open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600); file >= 0) close(file);
}

// An open file with its statements. Not thread-safe.
class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path) {
    std::unique_ptr<Connection> made(new Connection(path));
    MakeForOwner(path);
    const int opened = sqlite3_open_v2(path.c_str(), &made->connection_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (opened != SQLITE_OK) return Failure(opened, path, made->connection_);
    sqlite3_extended_result_codes(made->connection_, 1);
    RETURN_IF_ERROR(made->SetUp());
    return made;
  }
  ~Connection() {
    tokenizer_.reset();
    for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
    sqlite3_close(connection_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  sqlite3_stmt* Statement(Sql sql) const { return statements_[static_cast<size_t>(sql)]; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  absl::Status Fail(int code) const { return Failure(code, path_, connection_); }
  absl::Status Damaged(absl::string_view what) const { return absl::DataLossError(absl::StrCat("text index ", path_, ": ", what, " is damaged")); }

  template <typename... Values>
  absl::Status Run(Sql sql, const Values&... values) {
    Query query(Statement(sql));
    (query.Bind(values), ...);
    const int code = query.Step();
    return code == SQLITE_DONE || code == SQLITE_ROW ? absl::OkStatus() : Fail(code);
  }

  // The first column of the first row; `otherwise` if there is no row.
  template <typename... Values>
  absl::StatusOr<int64_t> Value(Sql sql, int64_t otherwise, const Values&... values) {
    Query query(Statement(sql));
    (query.Bind(values), ...);
    const int code = query.Step();
    if (code == SQLITE_ROW) return query.Int(0);
    if (code == SQLITE_DONE) return otherwise;
    return Fail(code);
  }

 private:
  explicit Connection(const std::string& path) : path_(path) {}

  absl::Status Execute(const char* sql) {
    const int code = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
    return code == SQLITE_OK ? absl::OkStatus() : Fail(code);
  }

  absl::StatusOr<std::string> Ask(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(connection_, sql, -1, &statement, nullptr);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    const auto* text = code == SQLITE_ROW ? reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)) : nullptr;
    std::string answer = text == nullptr ? "" : text;
    absl::Status status = code == SQLITE_ROW || code == SQLITE_DONE ? absl::OkStatus() : Fail(code);
    sqlite3_finalize(statement);
    if (!status.ok()) return status;
    return answer;
  }

  absl::Status SetUp() {
    RETURN_IF_ERROR(Execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;"));
    ASSIGN_OR_RETURN(const std::string tables, Ask("SELECT count(*) FROM sqlite_schema"));
    if (tables == "0") {
      RETURN_IF_ERROR(Execute("PRAGMA journal_mode = WAL;"));
      RETURN_IF_ERROR(Execute(
          absl::StrCat("BEGIN IMMEDIATE;", kSchema, "PRAGMA application_id = ", kApplicationId, "; PRAGMA user_version = ", kFormat, "; COMMIT;").c_str()));
    }
    ASSIGN_OR_RETURN(const std::string application, Ask("PRAGMA application_id"));
    if (application != absl::StrCat(kApplicationId)) {
      return absl::FailedPreconditionError(absl::StrCat("text index ", path_, ": the file is another program's database; give the index a path of its own"));
    }
    ASSIGN_OR_RETURN(const std::string format, Ask("PRAGMA user_version"));
    if (format != absl::StrCat(kFormat)) return absl::DataLossError(absl::StrCat("text index ", path_, ": format ", format));
    ASSIGN_OR_RETURN(const std::string check, Ask("PRAGMA integrity_check(1)"));
    if (check != "ok") return absl::DataLossError(absl::StrCat("text index ", path_, ": ", check));
    for (const char* sql : kSql) {
      const int code = sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statements_.emplace_back(), nullptr);
      if (code == SQLITE_ERROR) return absl::DataLossError(absl::StrCat("text index ", path_, ": other tables than expected: ", sqlite3_errmsg(connection_)));
      if (code != SQLITE_OK) return Fail(code);
    }
    ASSIGN_OR_RETURN(tokenizer_, Tokenizer::Create(connection_));
    // SQLite does not look into what FTS5 keeps in its rows: words that lead to no passage, or to another. 100,000 passages take 0.4 s.
    RETURN_IF_ERROR(Run(Sql::kCheckPassages));
    // Nor does FTS5 into the sizes of the two columns that are not indexed: none, and part of every score.
    ASSIGN_OR_RETURN(const std::string sizes, Ask("SELECT count(*) FROM passages_docsize WHERE substr(sz, -2) <> x'0000'"));
    return sizes == "0" ? absl::OkStatus() : Damaged("the size of a passage");
  }

  const std::string path_;
  sqlite3* connection_ = nullptr;
  std::vector<sqlite3_stmt*> statements_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

int64_t SumOfDocument(int64_t id, int64_t collection, absl::string_view name, int64_t size, int64_t modify_us, int64_t passages) {
  Checksum checksum;
  checksum.Add(name);
  for (const int64_t value : {id, collection, size, modify_us, passages}) checksum.Add(value);
  return checksum.value();
}

int64_t SumOfPassage(absl::string_view collection, absl::string_view document, int64_t row, const Passage& passage) {
  Checksum checksum;
  checksum.Add(collection);
  checksum.Add(document);
  checksum.Add(row);
  checksum.Add(int64_t{passage.line});
  checksum.Add(passage.heading);
  checksum.Add(passage.text);
  return checksum.value();
}

void LogAnew(absl::string_view path, const absl::Status& why) {
  Log(LogLevel::kWarn, "the text index cannot be used as it is and is begun anew; documents are indexed again when they are searched",
      {{"path", path}, {"why", std::string(why.message())}});
}

// Whether the file may be dropped: it is ours by its beginning, or a crash left it empty.
bool IsDroppable(const std::string& path) {
  char header[16] = {};
  std::ifstream(path, std::ios::binary).read(header, sizeof header);
  return absl::string_view(header, 15) == "SQLite format 3" || std::all_of(std::begin(header), std::end(header), [](char c) { return c == 0; });
}

absl::StatusOr<std::unique_ptr<Connection>> OpenOrRebuild(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(path);
  if (!absl::IsDataLoss(connection.status()) || path == ":memory:") return connection;
  if (!IsDroppable(path)) {
    return absl::FailedPreconditionError(absl::StrCat("text index ", path, ": the file is no index; remove it or give the index a path of its own"));
  }
  LogAnew(path, connection.status());
  for (const absl::string_view suffix : {"", "-wal", "-shm", "-journal"}) std::remove(absl::StrCat(path, suffix).c_str());
  return Connection::Open(path);
}

// `word` as an FTS5 string: whatever is in it, it is never syntax.
std::string Quoted(absl::string_view word) {
  return absl::StrCat("\"", absl::StrReplaceAll(MakeValidUtf8(word), {{"\"", "\"\""}, {absl::string_view("\0", 1), " "}}), "\"");
}

std::string Match(int64_t collection, const std::vector<std::string>& words) {
  std::string any;
  for (const std::string& word : words) absl::StrAppend(&any, any.empty() ? "" : " OR ", Quoted(word));
  return absl::StrCat("scope : \"collection", collection, "\" AND {text heading} : (", any, ")");
}

// Where in `tokens` the stems of a word stand in a row.
bool Occurs(const std::vector<Token>& word, const std::vector<Token>& tokens, std::vector<bool>* marked) {
  if (word.empty()) return false;
  bool found = false;
  for (size_t i = 0; i + word.size() <= tokens.size(); ++i) {
    if (!std::equal(word.begin(), word.end(), tokens.begin() + i, [](const Token& a, const Token& b) { return a.stem == b.stem; })) continue;
    found = true;
    if (marked == nullptr) break;
    std::fill_n(marked->begin() + i, word.size(), true);
  }
  return found;
}

// At most kSnippetTokensMax tokens of `text`, from shortly before the first one marked.
std::string Snippet(absl::string_view text, const std::vector<Token>& tokens, const std::vector<bool>& marked) {
  if (tokens.empty()) return std::string(text);
  const size_t first = std::find(marked.begin(), marked.end(), true) - marked.begin();
  size_t begin = first == marked.size() ? 0 : first - std::min(first, kSnippetTokensMax / 4);
  const size_t end = std::min(tokens.size(), begin + kSnippetTokensMax);
  begin = end - std::min(end, kSnippetTokensMax);
  size_t at = begin == 0 ? 0 : tokens[begin].begin;
  std::string snippet = begin == 0 ? "" : "...";
  for (size_t i = begin; i < end; ++i) {
    const size_t token_begin = tokens[i].begin;
    const size_t token_end = tokens[i].end;
    absl::StrAppend(&snippet, text.substr(at, token_begin - at), marked[i] ? "[" : "", text.substr(token_begin, token_end - token_begin), marked[i] ? "]" : "");
    at = token_end;
  }
  absl::StrAppend(&snippet, end == tokens.size() ? text.substr(at) : "...");
  return snippet;
}

absl::Status CheckWords(const std::vector<std::string>& words) {
  if (words.size() > kSearchWordsMax) return absl::InvalidArgumentError(absl::StrCat("words: ", words.size(), " are more than ", kSearchWordsMax));
  return absl::OkStatus();
}

class SqliteTextIndex final : public TextIndex {
 public:
  SqliteTextIndex(std::string path, std::unique_ptr<Connection> connection) : path_(std::move(path)), connection_(std::move(connection)) {}

  absl::StatusOr<std::vector<IndexedDocument>> Documents(absl::string_view collection) override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    RETURN_IF_ERROR(TellOfLoss(collection));
    return Healed(collection, DocumentsLocked(collection));
  }

  absl::Status Replace(absl::string_view collection, const IndexedDocument& document, const std::vector<Passage>& passages) override ABSL_LOCKS_EXCLUDED(mu_) {
    if (static_cast<int64_t>(passages.size()) > kPassagesMax) {
      return absl::InvalidArgumentError(absl::StrCat(document.name, ": more than ", kPassagesMax, " passages"));
    }
    MutexLock lock(mu_);
    return Change(collection, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return ReplaceLocked(collection, document, passages); });
  }

  absl::Status Remove(absl::string_view collection, absl::string_view document) override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return Change(collection, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) -> absl::Status {
      ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kCollection, 0, collection));
      return RemoveLocked(id, document);
    });
  }

  absl::StatusOr<std::vector<SearchHit>> Search(absl::string_view collection, const std::vector<std::string>& words, int32_t limit) override
      ABSL_LOCKS_EXCLUDED(mu_) {
    RETURN_IF_ERROR(CheckWords(words));
    if (limit < 1 || limit > kSearchHitsMax) return absl::InvalidArgumentError(absl::StrCat("limit: ", limit, " is not within 1-", kSearchHitsMax));
    if (words.empty()) return std::vector<SearchHit>();
    MutexLock lock(mu_);
    RETURN_IF_ERROR(TellOfLoss(collection));
    return Healed(collection, SearchLocked(collection, words, limit));
  }

  absl::StatusOr<std::vector<TermCount>> Count(absl::string_view collection, const std::vector<std::string>& words) override ABSL_LOCKS_EXCLUDED(mu_) {
    RETURN_IF_ERROR(CheckWords(words));
    MutexLock lock(mu_);
    RETURN_IF_ERROR(TellOfLoss(collection));
    return Healed(collection, CountLocked(collection, words));
  }

  absl::StatusOr<int64_t> PassageCount(absl::string_view collection) override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    RETURN_IF_ERROR(TellOfLoss(collection));
    return Healed(collection, PassageCountLocked(collection));
  }

 private:
  // DATA_LOSS, once, if the file was begun anew for another collection's sake: nothing would be found of this one, and nobody would know why.
  absl::Status TellOfLoss(absl::string_view collection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto [told, fresh] = told_.try_emplace(std::string(collection), begun_anew_);
    if (std::exchange(told->second, begun_anew_) == begun_anew_) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("text index ", path_, ": was damaged and is begun anew, index again"));
  }

  // Begins the file anew if `status`, of a call for `collection`, says that it is damaged.
  absl::Status Heal(absl::string_view collection, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!absl::IsDataLoss(status)) return status;
    LogAnew(path_, status);
    told_[std::string(collection)] = ++begun_anew_;
    connection_.reset();
    for (const absl::string_view suffix : {"", "-wal", "-shm", "-journal"}) {
      if (path_ != ":memory:") std::remove(absl::StrCat(path_, suffix).c_str());
    }
    absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(path_);
    absl::string_view where = "begun anew";
    if (!connection.ok()) {
      where = "the disk fails, kept in memory until the next start";
      connection = Connection::Open(":memory:");
    }
    if (!connection.ok()) return std::move(connection).status();
    connection_ = *std::move(connection);
    return absl::DataLossError(absl::StrCat(status.message(), ": ", where, ", index again"));
  }

  template <typename T>
  absl::StatusOr<T> Healed(absl::string_view collection, absl::StatusOr<T> result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (result.ok()) return result;
    return Heal(collection, std::move(result).status());
  }

  // `change()` as one transaction.
  template <typename F>
  absl::Status Change(absl::string_view collection, F change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    RETURN_IF_ERROR(TellOfLoss(collection));
    absl::Status status = connection_->Run(Sql::kBegin);
    if (status.ok()) {
      status = change();
      if (status.ok()) status = connection_->Run(Sql::kCommit);
      if (!status.ok()) connection_->Run(Sql::kRollback).IgnoreError();  // it may have ended already
    }
    return Heal(collection, std::move(status));
  }

  absl::Status ReplaceLocked(absl::string_view collection, const IndexedDocument& document, const std::vector<Passage>& passages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    RETURN_IF_ERROR(connection_->Run(Sql::kAddCollection, collection));
    ASSIGN_OR_RETURN(const int64_t collection_id, connection_->Value(Sql::kCollection, 0, collection));
    RETURN_IF_ERROR(RemoveLocked(collection_id, document.name));
    ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kNextDocument, 0));
    const int64_t modify_us = absl::ToUnixMicros(document.modify_time);
    const auto count = static_cast<int64_t>(passages.size());
    RETURN_IF_ERROR(connection_->Run(Sql::kAddDocument, id, collection_id, absl::string_view(document.name), document.size, modify_us, count,
                                     SumOfDocument(id, collection_id, document.name, document.size, modify_us, count)));
    const std::string scope = absl::StrCat("collection", collection_id);
    int64_t row = id << kPassageBits;
    for (const Passage& passage : passages) {
      RETURN_IF_ERROR(connection_->Run(Sql::kAddPassage, row, absl::string_view(passage.text), absl::string_view(passage.heading), absl::string_view(scope),
                                       int64_t{passage.line}, SumOfPassage(collection, document.name, row, passage)));
      ++row;
    }
    return absl::OkStatus();
  }

  absl::Status RemoveLocked(int64_t collection_id, absl::string_view document) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kDocument, 0, collection_id, document));
    if (id == 0) return absl::OkStatus();
    RETURN_IF_ERROR(connection_->Run(Sql::kDropPassages, id << kPassageBits, ((id + 1) << kPassageBits) - 1));
    return connection_->Run(Sql::kDropDocument, id);
  }

  absl::StatusOr<std::vector<IndexedDocument>> DocumentsLocked(absl::string_view collection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kCollection, 0, collection));
    std::vector<IndexedDocument> documents;
    Query query(connection_->Statement(Sql::kDocuments));
    query.Bind(id);
    int code;
    while ((code = query.Step()) == SQLITE_ROW) {
      IndexedDocument document{query.Text(1), query.Int(2), absl::FromUnixMicros(query.Int(3))};
      const int64_t sum = SumOfDocument(query.Int(0), id, document.name, document.size, query.Int(3), query.Int(4));
      if (query.Int(5) != sum) return connection_->Damaged("the row of a document");
      documents.push_back(std::move(document));
    }
    if (code != SQLITE_DONE) return connection_->Fail(code);
    return documents;
  }

  absl::StatusOr<std::vector<SearchHit>> SearchLocked(absl::string_view collection, const std::vector<std::string>& words, int32_t limit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kCollection, 0, collection));
    const Tokenizer& tokenizer = connection_->tokenizer();
    std::vector<std::vector<Token>> word_tokens;
    for (const std::string& word : words) word_tokens.push_back(tokenizer.Split(word));
    std::vector<SearchHit> hits;
    const std::string match = Match(id, words);
    Query query(connection_->Statement(Sql::kSearch));
    query.Bind(match).Bind(int64_t{limit});
    int code;
    while ((code = query.Step()) == SQLITE_ROW) {
      SearchHit hit{query.Text(0),
                    static_cast<int32_t>(query.Int(5) & (kPassagesMax - 1)),
                    {static_cast<int32_t>(query.Int(1)), query.Text(2), query.Text(3)},
                    query.Double(4),
                    "",
                    {}};
      if (query.Int(6) != SumOfPassage(collection, hit.document, query.Int(5), hit.passage)) return connection_->Damaged("a passage");
      const std::vector<Token> text = tokenizer.Split(hit.passage.text);
      const std::vector<Token> heading = tokenizer.Split(hit.passage.heading);
      std::vector<bool> marked(text.size());
      for (size_t i = 0; i < words.size(); ++i) {
        const bool in_text = Occurs(word_tokens[i], text, &marked);
        if (in_text || Occurs(word_tokens[i], heading, nullptr)) hit.words.push_back(words[i]);
      }
      hit.snippet = Snippet(hit.passage.text, text, marked);
      hits.push_back(std::move(hit));
    }
    if (code != SQLITE_DONE) return connection_->Fail(code);
    return hits;
  }

  absl::StatusOr<std::vector<TermCount>> CountLocked(absl::string_view collection, const std::vector<std::string>& words) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kCollection, 0, collection));
    std::vector<TermCount> counts;
    for (const std::string& word : words) {
      const std::string match = Match(id, {word});
      ASSIGN_OR_RETURN(const int64_t passages, connection_->Value(Sql::kCount, 0, absl::string_view(match)));
      counts.push_back({word, passages});
    }
    return counts;
  }

  absl::StatusOr<int64_t> PassageCountLocked(absl::string_view collection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ASSIGN_OR_RETURN(const int64_t id, connection_->Value(Sql::kCollection, 0, collection));
    return connection_->Value(Sql::kPassageCount, 0, id);
  }

  const std::string path_;
  Mutex mu_;
  std::unique_ptr<Connection> connection_ ABSL_GUARDED_BY(mu_);
  int64_t begun_anew_ ABSL_GUARDED_BY(mu_) = 0;               // how often
  std::map<std::string, int64_t> told_ ABSL_GUARDED_BY(mu_);  // the last of these that a collection was told of; collections are the folders of a configuration
};

}  // namespace

absl::StatusOr<std::unique_ptr<TextIndex>> OpenTextIndex(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, OpenOrRebuild(path));
  return std::make_unique<SqliteTextIndex>(path, std::move(connection));
}

}  // namespace agentruntime::sqlite
