// Places: so many requests may be under way at once, and an answer that somebody keeps is one of them until it goes. So answers in memory are bounded as
// requests are, however long those who asked take over them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "proto/base/mutex.h"
#include "runtime/hold.h"

namespace agentruntime {

// Places on their way back to the network thread. Thread-safe. Shared with the answers that have them, which may outlive the thread.
class ReturnedPlaces {
 public:
  // Wakes this library handle (CURLM) until it is closed.
  explicit ReturnedPlaces(void* multi) : multi_(multi) {}

  void Add(std::string origin) ABSL_LOCKS_EXCLUDED(mu_);
  // By origin, as the network thread names them.
  std::vector<std::string> Take() ABSL_LOCKS_EXCLUDED(mu_);
  // Nobody takes any more.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Mutex mu_;
  void* multi_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> origins_ ABSL_GUARDED_BY(mu_);
};

class Place final : public Hold {
 public:
  Place(std::shared_ptr<ReturnedPlaces> returned, std::string origin) : returned_(std::move(returned)), origin_(std::move(origin)) {}
  ~Place() override { returned_->Add(std::move(origin_)); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  const std::shared_ptr<ReturnedPlaces> returned_;
  std::string origin_;
};

}  // namespace agentruntime
