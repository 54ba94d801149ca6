// What a model reads, oldest first.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"

namespace agentruntime {

// Messages point into events, which own the memory; nothing is copied.
using Parts = google::protobuf::RepeatedPtrField<v1::Part>;
struct UserMessage {
  std::shared_ptr<const Parts> parts;
};
struct AssistantMessage {
  std::shared_ptr<const v1::Decision> decision;
};
// Follows the decision that asked; results of one decision come in the order of its calls, each call has exactly one.
struct ToolMessage {
  std::shared_ptr<const v1::Decision> decision;  // that asked
  int32_t call_index = 0;                        // from 0, into decision->tool_calls()
  std::shared_ptr<const v1::CallFinished> finished;
};
using ModelMessage = std::variant<UserMessage, AssistantMessage, ToolMessage>;

// A list whose copies share memory, so that a request of a long run costs no more than that of a short one. Adding to a list that nobody else holds takes
// constant time; adding to a shared one copies it first. Not thread-safe: all holders of one list live on one strand.
class Messages {
 public:
  Messages() = default;
  explicit Messages(std::vector<ModelMessage> list) : list_(std::make_shared<List>(std::move(list))) {}
  Messages(std::initializer_list<ModelMessage> list) : list_(std::make_shared<List>(list)) {}

  void push_back(ModelMessage message) {
    if (list_ == nullptr) {
      list_ = std::make_shared<List>();
    } else if (list_.use_count() > 1) {
      list_ = std::make_shared<List>(*list_);
    }
    list_->push_back(std::move(message));
  }
  template <typename Message>
  void emplace_back(Message message) {
    push_back(ModelMessage(std::move(message)));
  }

  size_t size() const { return list().size(); }
  bool empty() const { return list().empty(); }
  const ModelMessage& operator[](size_t i) const { return list()[i]; }
  const ModelMessage& front() const { return list().front(); }
  const ModelMessage& back() const { return list().back(); }
  std::vector<ModelMessage>::const_iterator begin() const { return list().begin(); }
  std::vector<ModelMessage>::const_iterator end() const { return list().end(); }

 private:
  using List = std::vector<ModelMessage>;
  const List& list() const {
    static const List& none = *new List;
    return list_ == nullptr ? none : *list_;
  }
  std::shared_ptr<List> list_;
};

}  // namespace agentruntime
