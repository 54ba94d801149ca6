// Full-text search over passages of documents. Derived data: it can always be built again from the documents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentruntime {

// A piece of a document that can be quoted.
struct Passage {
  int32_t line = 0;     // first line in the document, from 1
  std::string heading;  // the headings above it, outermost first, joined by " > "; may be empty
  std::string text;     // verbatim
};

// A document as it was indexed; `size` and `modify_time` tell whether it changed since.
struct IndexedDocument {
  std::string name;  // relative to its folder, `/` between parts
  int64_t size = 0;
  absl::Time modify_time;
};

struct SearchHit {
  std::string document;
  int32_t number = 0;  // of the passage in its document, from 0
  Passage passage;
  double score = 0;                // BM25, higher is better; comparable within one search only
  std::string snippet;             // the part of the text around the words found, each in [brackets], at most 32 words
  std::vector<std::string> words;  // those searched for that the text or the heading contains, in the order searched for
};

struct TermCount {
  std::string term;
  int64_t passages = 0;  // that contain it
};

// Thread-safe; calls block. A collection is one folder of documents. What is given back is what was put in, or DATA_LOSS: something was damaged, all of it is
// gone, and the documents are to be indexed again. Each collection is told so once.
class TextIndex {
 public:
  virtual ~TextIndex() = default;

  // Every indexed document of the collection, by name.
  virtual absl::StatusOr<std::vector<IndexedDocument>> Documents(absl::string_view collection) = 0;
  // Puts a document's passages in the place of those it had.
  virtual absl::Status Replace(absl::string_view collection, const IndexedDocument& document, const std::vector<Passage>& passages) = 0;
  virtual absl::Status Remove(absl::string_view collection, absl::string_view document) = 0;
  // Passages that contain any of `words`, best first. Words are compared by their English stem, without case; anything may be in them.
  virtual absl::StatusOr<std::vector<SearchHit>> Search(absl::string_view collection, const std::vector<std::string>& words, int32_t limit) = 0;
  // For each word, how many passages contain it: how much it tells.
  virtual absl::StatusOr<std::vector<TermCount>> Count(absl::string_view collection, const std::vector<std::string>& words) = 0;
  // Passages in the collection.
  virtual absl::StatusOr<int64_t> PassageCount(absl::string_view collection) = 0;
};

}  // namespace agentruntime
