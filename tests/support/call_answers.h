// What a person says to a call that waits.
#pragma once

#include <string>

#include "agentruntime/v1/run.pb.h"

namespace agentruntime::testing {

inline v1::CallAnswer Allow(const std::string& arguments = "") {
  v1::CallAnswer answer;
  answer.mutable_allow()->set_arguments(arguments);
  return answer;
}
inline v1::CallAnswer Deny(const std::string& reason = "") {
  v1::CallAnswer answer;
  answer.mutable_deny()->set_reason(reason);
  return answer;
}
inline v1::CallAnswer Result(const std::string& text) {
  v1::CallAnswer answer;
  answer.mutable_result()->add_parts()->set_text(text);
  return answer;
}
inline v1::CallAnswer GiveUp(const std::string& reason = "") {
  v1::CallAnswer answer;
  answer.mutable_give_up()->set_reason(reason);
  return answer;
}
inline v1::CallAnswer RunAgain() {
  v1::CallAnswer answer;
  answer.mutable_run_again();
  return answer;
}

}  // namespace agentruntime::testing
