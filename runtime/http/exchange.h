// One hop of one request, shared by the coroutine that waits for it and the network thread that performs it.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "proto/base/mutex.h"
#include "runtime/http/http_client.h"
#include "runtime/http/url.h"

namespace agentruntime {

class Transfer;

struct Exchange {
  // Set before it is given to the network thread, constant afterwards.
  HttpRequest request;
  HttpUrl url;
  bool streaming = false;  // wake for the head and for each piece of the body, not only at the end

  // The network thread's alone.
  Transfer* transfer = nullptr;  // null: not begun, or over
  bool over = false;
  absl::Duration deadline;  // on its clock. Set before as well; where waiting does not count, anew at the start.

  Mutex mu;
  // From the network thread.
  HttpHead head ABSL_GUARDED_BY(mu);
  bool head_ready ABSL_GUARDED_BY(mu) = false;
  std::string bytes ABSL_GUARDED_BY(mu);
  bool paused ABSL_GUARDED_BY(mu) = false;  // too many bytes wait: say Resume after taking them
  bool finished ABSL_GUARDED_BY(mu) = false;
  HttpEnd end ABSL_GUARDED_BY(mu) = HttpEnd::kCancelled;
  bool sent ABSL_GUARDED_BY(mu) = false;
  std::string message ABSL_GUARDED_BY(mu);
  std::unique_ptr<Hold> place ABSL_GUARDED_BY(mu);  // of a body that is here
  // From the coroutine: called once by whoever has news.
  absl::AnyInvocable<void()> wake ABSL_GUARDED_BY(mu);
  bool left ABSL_GUARDED_BY(mu) = false;  // the coroutine has enough: what still comes is dropped
};

}  // namespace agentruntime
