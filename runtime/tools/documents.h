// A folder of documents, searchable: keeps its index as new as the folder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/base/clock.h"
#include "proto/base/mutex.h"
#include "runtime/tools/folder.h"
#include "storage/text_index.h"

namespace agentruntime {

inline constexpr absl::Duration kFolderCheckInterval = absl::Seconds(1);
inline constexpr size_t kSearchesKeptMax = 128;  // results of the last searches, until a document changes

// What a search found, and what it takes to judge it.
struct DocumentSearch {
  std::vector<SearchHit> hits;                  // best first
  std::vector<TermCount> words;                 // of the search, each with the passages that contain it
  int64_t passages = 0;                         // in the folder
  int64_t documents = 0;                        // in the folder
  std::vector<FolderListing::Skipped> skipped;  // documents that could not be indexed
};

// Thread-safe; every call blocks on the disk. Not kept: the text of the documents.
class Documents {
 public:
  // Borrows all. `folder.path()` names the collection in `index`.
  Documents(const Folder& folder, TextIndex& index, const Clock& clock) : folder_(folder), index_(index), clock_(clock) {}

  // Passages that contain any of `words` (1 to 32 of them). The index is first brought up to date, unless that was done within the last
  // kFolderCheckInterval: a document is read again when its size or time changed. While one thread does so the others search what is there; at the first
  // time they wait. The results of the last kSearchesKeptMax different searches are kept until a document changes. FAILED_PRECONDITION: the folder holds no
  // document. CANCELLED: `stop` was requested; documents that were indexed by then stay so. Else the errors of Folder::List and TextIndex.
  absl::StatusOr<DocumentSearch> Search(const std::vector<std::string>& words, int32_t limit, const std::stop_token& stop = {}) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Contents {
    int64_t documents = 0;
    std::vector<FolderListing::Skipped> skipped;
  };
  absl::StatusOr<Contents> Refresh(const std::stop_token& stop) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<Contents> Update(bool& changed, const std::stop_token& stop);
  absl::StatusOr<DocumentSearch> SearchIndex(const std::vector<std::string>& words, int32_t limit, const std::stop_token& stop);

  const Folder& folder_;
  TextIndex& index_;
  const Clock& clock_;
  Mutex mu_;
  CondVar updated_;
  std::string too_deep_;  // the branch that the log has named; only the thread that updates touches it
  bool updating_ ABSL_GUARDED_BY(mu_) = false;
  bool known_ ABSL_GUARDED_BY(mu_) = false;      // `contents_` is what the index holds
  absl::Duration checked_ ABSL_GUARDED_BY(mu_);  // monotonic time of the last update
  Contents contents_ ABSL_GUARDED_BY(mu_);
  int64_t generation_ ABSL_GUARDED_BY(mu_) = 0;                                             // rises when the index changed
  std::map<std::string, std::shared_ptr<const DocumentSearch>> kept_ ABSL_GUARDED_BY(mu_);  // by words and limit; shared with threads that copy from it
};

}  // namespace agentruntime
