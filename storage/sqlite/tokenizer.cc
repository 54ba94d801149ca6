#include "storage/sqlite/tokenizer.h"

#include "absl/status/status.h"

namespace agentruntime::sqlite {
namespace {

// SQLite hands out its table of FTS5 functions through a bound pointer.
fts5_api* Fts5Api(sqlite3* connection) {
  fts5_api* api = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection, "SELECT fts5(?1)", -1, &statement, nullptr) == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  return api;
}

int AddToken(void* context, int flags, const char* token, int token_bytes, int begin, int end) {
  if ((flags & FTS5_TOKEN_COLOCATED) != 0) return SQLITE_OK;
  static_cast<std::vector<Token>*>(context)->push_back({std::string(token, static_cast<size_t>(token_bytes)), begin, end});
  return SQLITE_OK;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(sqlite3* connection) {
  fts5_api* const api = Fts5Api(connection);
  void* context = nullptr;
  fts5_tokenizer methods{};
  Fts5Tokenizer* tokenizer = nullptr;
  const char* arguments[] = {"unicode61"};
  if (api == nullptr || api->xFindTokenizer(api, "porter", &context, &methods) != SQLITE_OK ||
      methods.xCreate(context, arguments, 1, &tokenizer) != SQLITE_OK) {
    return absl::InternalError("this SQLite has no full-text search (FTS5)");
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(methods, tokenizer));
}

Tokenizer::~Tokenizer() { methods_.xDelete(tokenizer_); }

std::vector<Token> Tokenizer::Split(absl::string_view text) const {
  std::vector<Token> tokens;
  methods_.xTokenize(tokenizer_, &tokens, FTS5_TOKENIZE_AUX, text.data(), static_cast<int>(text.size()), &AddToken);
  return tokens;
}

}  // namespace agentruntime::sqlite
