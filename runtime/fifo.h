// A queue that takes no memory while it is empty. A std::deque keeps 576 bytes from its first moment on, and a run that waits has several empty queues.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace agentruntime {

// Each element is moved a bounded number of times on the average. Not thread-safe.
template <typename T>
class Fifo {
 public:
  using value_type = T;
  using const_iterator = typename std::vector<T>::const_iterator;

  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  typename std::vector<T>::iterator begin() { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  typename std::vector<T>::iterator end() { return items_.end(); }
  const_iterator begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  const_iterator end() const { return items_.end(); }

  void push_back(T item) { items_.push_back(std::move(item)); }
  void pop_front() {
    items_[head_++] = T();
    if (empty()) {
      head_ = 0;
      // A short one is used again at once; what a burst needed is given back.
      if (items_.capacity() * sizeof(T) <= kKeptBytes) {
        items_.clear();
      } else {
        std::vector<T>().swap(items_);
      }
    } else if (head_ > items_.size() / 2) {
      items_.erase(items_.begin(), begin());
      head_ = 0;
    }
  }

 private:
  static constexpr size_t kKeptBytes = 128;
  std::vector<T> items_;
  size_t head_ = 0;
};

}  // namespace agentruntime
