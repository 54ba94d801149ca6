#include "runtime/http/place.h"

#include <curl/curl.h>

namespace agentruntime {

void ReturnedPlaces::Add(std::string origin) {
  MutexLock lock(mu_);
  if (multi_ == nullptr) return;
  origins_.push_back(std::move(origin));
  // Within the lock, so that the handle is there still. It never waits.
  if (origins_.size() == 1) curl_multi_wakeup(static_cast<CURLM*>(multi_));
}

std::vector<std::string> ReturnedPlaces::Take() {
  MutexLock lock(mu_);
  return std::exchange(origins_, {});
}

void ReturnedPlaces::Close() {
  MutexLock lock(mu_);
  multi_ = nullptr;
}

}  // namespace agentruntime
