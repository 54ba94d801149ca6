// One event in one line.
#pragma once

#include <string>

#include "agentruntime/v1/event.pb.h"

namespace agentruntime::cli {

// `search_docs OK in 3 ms`, `model gpt failed: HTTP 429`; printable.
std::string EventText(const v1::Event& event);

}  // namespace agentruntime::cli
