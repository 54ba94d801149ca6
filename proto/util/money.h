// Money as whole millionths of one currency: sums are exact, and nothing is ever rounded in the caller's favour.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "agentruntime/v1/agent.pb.h"

namespace agentruntime {

// What `input` tokens, `cached` of them read out of the provider's cache, and `output` tokens cost; rounded up. At most kMaxTokensMaximum tokens of each kind
// and kPriceMicrosMax a price: then it cannot overflow.
int64_t CostMicros(const v1::ModelPrice& price, int64_t input, int64_t cached, int64_t output);

// The most output tokens that fit into `left_micros` behind a prompt of `input` tokens; below 0 if not even the prompt does. At most `output_max`.
int64_t AffordableOutput(const v1::ModelPrice& price, int64_t input, int64_t left_micros, int64_t output_max);

// 1.25, 0.000001, 12.00: at least two decimals, and as many as it takes.
std::string FormatMicros(int64_t micros);
// The inverse: digits, and after a point up to six more. nullopt for anything else, and above kMaxCostMicrosMaximum.
std::optional<int64_t> ParseMicros(absl::string_view text);

}  // namespace agentruntime
