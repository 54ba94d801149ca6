// A folder of documents, and the only way to read one: nothing outside of it can be reached.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/text_index.h"

namespace agentruntime {

inline constexpr int64_t kDocumentBytesMax = 4 << 20;
inline constexpr int32_t kDocumentsMax = 10'000;
inline constexpr int32_t kFolderDepthMax = 16;  // folders within folders

// What a folder holds, and what of it is left out.
struct FolderListing {
  std::vector<IndexedDocument> documents;  // by name
  struct Skipped {
    std::string name;
    std::string why;
  };
  std::vector<Skipped> skipped;  // documents that are too large, links that lead out, folders that are nested too deep
  std::string too_deep;          // the first folder, by name, below kFolderDepthMax others; empty: there is none
};

// Documents are regular files named *.md or *.txt; names that begin with a dot are passed over. A link to a file is followed if it ends within the folder,
// a link to a folder never. Thread-safe, keeps nothing; every call blocks on the disk. Messages of errors are fit for a model or a person to read.
class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }

  // NOT_FOUND: there is no such folder. PERMISSION_DENIED: it cannot be read. OUT_OF_RANGE: more than kDocumentsMax documents.
  // RESOURCE_EXHAUSTED: the process has no descriptor left.
  // Folders deeper than kFolderDepthMax are skipped.
  absl::StatusOr<FolderListing> List() const;

  // The text of a document, its invalid UTF-8 replaced. `name` is as in List, relative, with `/` between parts.
  // INVALID_ARGUMENT: not such a name. NOT_FOUND: no such document in the folder; also where a link leads out of it. OUT_OF_RANGE: over kDocumentBytesMax.
  // RESOURCE_EXHAUSTED: the process has no descriptor left.
  absl::StatusOr<std::string> Read(absl::string_view name) const;

 private:
  const std::string path_;
};

}  // namespace agentruntime
