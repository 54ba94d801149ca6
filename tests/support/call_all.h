// Many calls of one method at once.
#pragma once

#include <grpcpp/client_context.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/blocking_counter.h"
#include "clients/cpp/error.h"

namespace agentruntime::testing {

inline constexpr size_t kCallsAtOnceMax = 1'000;

// `start(context, request, response, done)` begins a call, such as one of a stub's async(). The answers in the order of the requests.
template <typename Response, typename Request, typename Start>
std::vector<absl::StatusOr<Response>> CallAll(const std::vector<Request>& requests, Start start) {
  std::vector<absl::StatusOr<Response>> answers;
  for (size_t begin = 0; begin < requests.size(); begin += kCallsAtOnceMax) {
    const size_t count = std::min(kCallsAtOnceMax, requests.size() - begin);
    std::vector<grpc::ClientContext> contexts(count);
    std::vector<Response> responses(count);
    std::vector<grpc::Status> statuses(count);
    absl::BlockingCounter under_way(static_cast<int>(count));
    for (size_t i = 0; i < count; ++i) {
      start(&contexts[i], &requests[begin + i], &responses[i], std::function<void(grpc::Status)>([&, i](grpc::Status status) {
        statuses[i] = std::move(status);
        under_way.DecrementCount();
      }));
    }
    under_way.Wait();
    for (size_t i = 0; i < count; ++i) {
      if (statuses[i].ok()) {
        answers.emplace_back(std::move(responses[i]));
      } else {
        answers.emplace_back(client::FromGrpc(statuses[i]));
      }
    }
  }
  return answers;
}

}  // namespace agentruntime::testing
