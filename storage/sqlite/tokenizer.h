// The tokens that FTS5 makes of a text, from FTS5 itself: whether a passage contains a word is then answered exactly as the index answers it.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime::sqlite {

struct Token {
  std::string stem;
  int begin = 0;  // bytes of the text
  int end = 0;
};

// Belongs to one connection: not thread-safe, and gone before the connection closes.
class Tokenizer {
 public:
  // `porter unicode61`. INTERNAL if this SQLite has no FTS5.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(sqlite3* connection);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  std::vector<Token> Split(absl::string_view text) const;

 private:
  Tokenizer(const fts5_tokenizer& methods, Fts5Tokenizer* tokenizer) : methods_(methods), tokenizer_(tokenizer) {}

  const fts5_tokenizer methods_;
  Fts5Tokenizer* const tokenizer_;
};

}  // namespace agentruntime::sqlite
