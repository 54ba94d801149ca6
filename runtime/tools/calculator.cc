#include "runtime/tools/calculator.h"

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/tools/expression.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr double kExactMax = 9007199254740992;  // 2^53: every integer up to here is a double

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"expression":{"type":"string","minLength":1,"maxLength":1000,"description":"For example (1 + 2) * 3 ^ 2 or )json"
    R"json(round(sqrt(2), 4). Known: + - * / % ^ ( ) pi e abs ceil cos exp floor ln log max min round sin sqrt tan."}},)json"
    R"json("required":["expression"],"additionalProperties":false})json";

// The shortest text that reads back as `value`; whole numbers without an exponent as far as they are exact.
std::string FormatNumber(double value) {
  if (value == std::trunc(value) && std::abs(value) <= kExactMax) return absl::StrCat(static_cast<int64_t>(value));
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return std::string(buffer.data(), end);
}

ToolOutcome Calculate(const std::string& arguments_text) {
  const nlohmann::json arguments = nlohmann::json::parse(arguments_text, nullptr, false);
  if (!arguments.is_object() || !arguments.contains("expression") || !arguments["expression"].is_string()) {
    return ToolFailed{.message = "expression: give an expression, such as 2 + 3 * 4"};
  }
  const auto& expression = arguments["expression"].get_ref<const std::string&>();
  const absl::StatusOr<double> value = Evaluate(expression);
  if (!value.ok()) return ToolFailed{.message = absl::StrCat("expression: ", value.status().message())};
  ToolDone done;
  done.parts.emplace_back().set_json(absl::StrCat("{\"expression\":\"", EscapeJson(expression), "\",\"value\":", FormatNumber(*value), "}"));
  return done;
}

}  // namespace

Calculator::Calculator(std::string name) {
  spec_.name = std::move(name);
  spec_.description = "Evaluates an arithmetic expression in double precision.";
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.local = true;
}

asio::awaitable<ToolOutcome> Calculator::Call(ToolRequest request, ProgressSink&) { co_return Calculate(request.arguments); }

}  // namespace agentruntime
