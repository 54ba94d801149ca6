// Cutting a page to its bound in bytes.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <utility>
#include <vector>

#include "proto/util/limits.h"

namespace agentruntime::rpc {

// Moves items into `page` until one more would exceed kPageBytesMax or `items_max` are there; the first always fits. Returns whether some are left over.
template <typename Item>
bool FillPage(std::vector<Item> items, size_t items_max, google::protobuf::RepeatedPtrField<Item>& page) {
  size_t bytes = 0;
  for (Item& item : items) {
    bytes += item.ByteSizeLong();
    if (!page.empty() && (bytes > kPageBytesMax || static_cast<size_t>(page.size()) == items_max)) return true;
    *page.Add() = std::move(item);
  }
  return false;
}

}  // namespace agentruntime::rpc
