#include "runtime/tools/expression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/base/text.h"

namespace agentruntime {
namespace {

constexpr size_t kFunctionArgumentsMax = 100;
constexpr double kRoundDecimalsMax = 15;

struct UnaryFunction {
  absl::string_view name;
  double (*apply)(double);
};
constexpr std::array<UnaryFunction, 10> kUnaryFunctions = {{
    {"abs", [](double x) { return std::abs(x); }},
    {"ceil", [](double x) { return std::ceil(x); }},
    {"cos", [](double x) { return std::cos(x); }},
    {"exp", [](double x) { return std::exp(x); }},
    {"floor", [](double x) { return std::floor(x); }},
    {"ln", [](double x) { return std::log(x); }},
    {"log", [](double x) { return std::log10(x); }},
    {"sin", [](double x) { return std::sin(x); }},
    {"sqrt", [](double x) { return std::sqrt(x); }},
    {"tan", [](double x) { return std::tan(x); }},
}};

// One method for each level of precedence, the loosest first.
class Parser {
 public:
  explicit Parser(absl::string_view text) : text_(text) {}

  absl::StatusOr<double> Parse() {
    ASSIGN_OR_RETURN(const double value, Sum());
    SkipSpace();
    if (at_ < text_.size()) return Wrong(at_, absl::StrCat("unexpected ", Here()));
    return value;
  }

 private:
  absl::StatusOr<double> Sum() {
    ASSIGN_OR_RETURN(double value, Product());
    for (;;) {
      const size_t at = Next();
      if (Take('+')) {
        ASSIGN_OR_RETURN(const double right, Product());
        ASSIGN_OR_RETURN(value, Finite(at, value + right));
      } else if (Take('-')) {
        ASSIGN_OR_RETURN(const double right, Product());
        ASSIGN_OR_RETURN(value, Finite(at, value - right));
      } else {
        return value;
      }
    }
  }

  absl::StatusOr<double> Product() {
    ASSIGN_OR_RETURN(double value, Signed());
    for (;;) {
      const size_t at = Next();
      const char operation = at < text_.size() ? text_[at] : '\0';
      if (operation != '*' && operation != '/' && operation != '%') return value;
      ++at_;
      ASSIGN_OR_RETURN(const double right, Signed());
      if (operation != '*' && right == 0) return Wrong(at, "division by zero");
      const double result = operation == '*' ? value * right : operation == '/' ? value / right : std::fmod(value, right);
      ASSIGN_OR_RETURN(value, Finite(at, result));
    }
  }

  absl::StatusOr<double> Signed() {
    bool negative = false;
    for (;; ++at_) {
      Next();
      if (at_ < text_.size() && text_[at_] == '-') {
        negative = !negative;
      } else if (at_ == text_.size() || text_[at_] != '+') {
        break;
      }
    }
    ASSIGN_OR_RETURN(const double value, Power());
    return negative ? -value : value;
  }

  absl::StatusOr<double> Power() {
    ASSIGN_OR_RETURN(const double base, Operand());
    const size_t at = Next();
    if (!Take('^')) return base;
    RETURN_IF_ERROR(Enter());
    ASSIGN_OR_RETURN(const double exponent, Signed());
    --depth_;
    if (base == 0 && exponent < 0) return Wrong(at, "division by zero");
    return Finite(at, std::pow(base, exponent));
  }

  absl::StatusOr<double> Operand() {
    const size_t at = Next();
    if (Take('(')) {
      RETURN_IF_ERROR(Enter());
      ASSIGN_OR_RETURN(const double value, Sum());
      --depth_;
      RETURN_IF_ERROR(Expect(')'));
      return value;
    }
    if (at < text_.size() && (absl::ascii_isdigit(text_[at]) || text_[at] == '.')) return Number();
    if (at < text_.size() && absl::ascii_isalpha(text_[at])) return Named();
    return Wrong(at, absl::StrCat("expected a number, a function or \"(\", found ", Here()));
  }

  absl::StatusOr<double> Number() {
    const size_t begin = at_;
    std::string digits;
    const auto take_digits = [&] {
      for (; at_ < text_.size() && (absl::ascii_isdigit(text_[at_]) || text_[at_] == '_'); ++at_) {
        if (text_[at_] != '_') digits.push_back(text_[at_]);
      }
    };
    take_digits();
    if (at_ < text_.size() && text_[at_] == '.') {
      digits.push_back(text_[at_++]);
      take_digits();
    }
    // `2e` is no number, `2e3` and `2e-3` are.
    const size_t sign = at_ + 1 < text_.size() && (text_[at_ + 1] == '-' || text_[at_ + 1] == '+') ? 1 : 0;
    if (at_ + 1 + sign < text_.size() && absl::ascii_tolower(text_[at_]) == 'e' && absl::ascii_isdigit(text_[at_ + 1 + sign])) {
      absl::StrAppend(&digits, text_.substr(at_, 1 + sign));
      at_ += 1 + sign;
      take_digits();
    }
    double value = 0;
    if (!absl::SimpleAtod(digits, &value)) return Wrong(begin, "not a number");
    return Finite(begin, value);
  }

  absl::StatusOr<double> Named() {
    const size_t begin = at_;
    while (at_ < text_.size() && absl::ascii_isalnum(text_[at_])) ++at_;
    const std::string name = absl::AsciiStrToLower(text_.substr(begin, at_ - begin));
    if (name == "pi") return std::numbers::pi;
    if (name == "e") return std::numbers::e;
    Next();
    if (!Take('(')) {
      return Wrong(begin, absl::StrCat("unknown name \"", OneLine(name, 32),
                                       "\"; known are pi, e, abs, ceil, cos, exp, floor, ln, log, max, min, round, "
                                       "sin, sqrt, tan, each with its arguments in parentheses"));
    }
    RETURN_IF_ERROR(Enter());
    std::vector<double> arguments;
    do {
      if (arguments.size() == kFunctionArgumentsMax) return Wrong(at_, absl::StrCat("more than ", kFunctionArgumentsMax, " arguments"));
      ASSIGN_OR_RETURN(arguments.emplace_back(), Sum());
      Next();
    } while (Take(','));
    --depth_;
    RETURN_IF_ERROR(Expect(')'));
    const std::optional<double> value = Apply(name, arguments);
    if (!value)
      return Wrong(begin, absl::StrCat("no function \"", OneLine(name, 32), "\" of ", arguments.size(), " argument", arguments.size() == 1 ? "" : "s"));
    return Finite(begin, *value);
  }

  static std::optional<double> Apply(absl::string_view name, const std::vector<double>& arguments) {
    if (name == "min") return *std::min_element(arguments.begin(), arguments.end());
    if (name == "max") return *std::max_element(arguments.begin(), arguments.end());
    if (name == "round" && arguments.size() == 2) {
      const double scale = std::pow(10, std::clamp(std::round(arguments[1]), -kRoundDecimalsMax, kRoundDecimalsMax));
      return std::round(arguments[0] * scale) / scale;
    }
    if (arguments.size() != 1) return std::nullopt;
    if (name == "round") return std::round(arguments[0]);
    for (const UnaryFunction& function : kUnaryFunctions) {
      if (function.name == name) return function.apply(arguments[0]);
    }
    return std::nullopt;
  }

  absl::Status Enter() {
    if (++depth_ > kExpressionDepthMax) return Wrong(at_, absl::StrCat("nested deeper than ", kExpressionDepthMax));
    return absl::OkStatus();
  }

  absl::Status Expect(char c) {
    const size_t at = Next();
    if (!Take(c)) return Wrong(at, absl::StrCat("expected \"", absl::string_view(&c, 1), "\", found ", Here()));
    return absl::OkStatus();
  }

  absl::StatusOr<double> Finite(size_t at, double value) const {
    if (std::isnan(value)) return Wrong(at, "the result is not a real number");
    if (std::isinf(value)) return Wrong(at, "the result is too large");
    return value;
  }

  void SkipSpace() {
    while (at_ < text_.size() && absl::ascii_isspace(text_[at_])) ++at_;
  }
  size_t Next() {
    SkipSpace();
    return at_;
  }
  bool Take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string Here() const { return at_ == text_.size() ? "the end" : absl::StrCat("\"", OneLine(text_.substr(at_), 10), "\""); }
  static absl::Status Wrong(size_t at, absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("position ", at + 1, ": ", what)); }

  const absl::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

absl::StatusOr<double> Evaluate(absl::string_view expression) {
  if (expression.size() > kExpressionBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("the expression has ", expression.size(), " bytes; at most ", kExpressionBytesMax, " are allowed"));
  }
  return Parser(expression).Parse();
}

}  // namespace agentruntime
