#include "runtime/tools/documents.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/base/log.h"
#include "proto/base/status.h"
#include "runtime/tools/passages.h"

namespace agentruntime {
namespace {

DocumentFormat FormatOf(absl::string_view name) { return absl::EndsWithIgnoreCase(name, ".md") ? DocumentFormat::kMarkdown : DocumentFormat::kPlainText; }

absl::Status Stopped() { return absl::CancelledError("the search was stopped"); }

}  // namespace

absl::StatusOr<DocumentSearch> Documents::Search(const std::vector<std::string>& words, int32_t limit, const std::stop_token& stop) {
  absl::StatusOr<DocumentSearch> search = SearchIndex(words, limit, stop);
  // The index file was damaged and is empty now; it is filled again from the documents, once.
  if (absl::IsDataLoss(search.status())) {
    {
      MutexLock lock(mu_);
      known_ = false;
      ++generation_;
      kept_.clear();
    }
    search = SearchIndex(words, limit, stop);
  }
  return search;
}

absl::StatusOr<DocumentSearch> Documents::SearchIndex(const std::vector<std::string>& words, int32_t limit, const std::stop_token& stop) {
  DocumentSearch search;
  ASSIGN_OR_RETURN(Contents contents, Refresh(stop));
  const std::string key = absl::StrCat(limit, "\n", absl::StrJoin(words, "\n"));
  int64_t generation = 0;
  std::shared_ptr<const DocumentSearch> kept;
  {
    MutexLock lock(mu_);
    generation = generation_;
    if (const auto found = kept_.find(key); found != kept_.end()) kept = found->second;
  }
  if (kept != nullptr) {
    search = *kept;
    search.documents = contents.documents;
    search.skipped = std::move(contents.skipped);
    return search;
  }
  if (contents.documents == 0) {
    return absl::FailedPreconditionError(absl::StrCat("the folder of documents \"", folder_.path(), "\" holds no *.md or *.txt document"));
  }
  search.documents = contents.documents;
  search.skipped = std::move(contents.skipped);
  ASSIGN_OR_RETURN(search.hits, index_.Search(folder_.path(), words, limit));
  ASSIGN_OR_RETURN(search.words, index_.Count(folder_.path(), words));
  ASSIGN_OR_RETURN(search.passages, index_.PassageCount(folder_.path()));
  kept = std::make_shared<const DocumentSearch>(search);
  MutexLock lock(mu_);
  if (!updating_ && generation_ == generation) {
    if (kept_.size() >= kSearchesKeptMax) kept_.clear();
    kept_[key] = std::move(kept);
  }
  return search;
}

absl::StatusOr<Documents::Contents> Documents::Refresh(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mu_);
    updated_.NotifyAll();
  });
  {
    MutexLock lock(mu_);
    while (updating_ && !known_ && !stop.stop_requested()) updated_.Wait(mu_);
    if (stop.stop_requested()) return Stopped();
    if (known_ && (updating_ || clock_.Monotonic() - checked_ < kFolderCheckInterval)) return contents_;
    updating_ = true;
  }
  bool changed = false;
  absl::StatusOr<Contents> contents = Update(changed, stop);
  MutexLock lock(mu_);
  updating_ = false;
  known_ = contents.ok();
  if (changed || !known_) {
    ++generation_;
    kept_.clear();
  }
  if (known_) {
    contents_ = *contents;
    checked_ = clock_.Monotonic();
  }
  updated_.NotifyAll();
  return contents;
}

absl::StatusOr<Documents::Contents> Documents::Update(bool& changed, const std::stop_token& stop) {
  ASSIGN_OR_RETURN(FolderListing listing, folder_.List());
  ASSIGN_OR_RETURN(const std::vector<IndexedDocument> indexed, index_.Documents(folder_.path()));
  std::map<absl::string_view, const IndexedDocument*> gone;  // indexed and not seen in the folder yet
  for (const IndexedDocument& document : indexed) gone[document.name] = &document;
  Contents contents;
  contents.skipped = std::move(listing.skipped);
  if (listing.too_deep != too_deep_) {
    too_deep_ = listing.too_deep;
    if (!too_deep_.empty()) {
      Log(LogLevel::kWarn, "documents are nested too deep and left out; move them up",
          {{"folder", folder_.path()}, {"branch", too_deep_}, {"folders_max", kFolderDepthMax}});
    }
  }
  for (const IndexedDocument& document : listing.documents) {
    if (stop.stop_requested()) return Stopped();
    const auto known = gone.find(document.name);
    const bool same = known != gone.end() && known->second->size == document.size && known->second->modify_time == document.modify_time;
    if (!same) {
      absl::StatusOr<std::string> text = folder_.Read(document.name);
      if (absl::IsResourceExhausted(text.status())) return text.status();  // says nothing about the document
      if (!text.ok()) {                                                    // unreadable, or gone since: what was indexed of it goes too
        contents.skipped.push_back({document.name, std::string(text.status().message())});
        continue;
      }
      changed = true;
      RETURN_IF_ERROR(index_.Replace(folder_.path(), document, SplitPassages(*text, FormatOf(document.name))));
    }
    if (known != gone.end()) gone.erase(known);
    ++contents.documents;
  }
  for (const auto& [name, document] : gone) {
    changed = true;
    RETURN_IF_ERROR(index_.Remove(folder_.path(), name));
  }
  return contents;
}

}  // namespace agentruntime
