#include "server/rpc/json_text.h"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace agentruntime::rpc {
namespace {

// Counts depth and keeps nothing.
class Checker : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Checker(int depth_max) : depth_max_(depth_max) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool key(std::string&) override { return true; }
  bool start_object(size_t) override { return Enter(); }
  bool start_array(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    why = absl::StrCat("is not JSON: error at byte ", position);
    return false;
  }

  std::string why;

 private:
  bool Enter() {
    if (++depth_ <= depth_max_) return true;
    why = absl::StrCat("is nested deeper than ", depth_max_);
    return false;
  }
  bool Leave() {
    --depth_;
    return true;
  }

  const int depth_max_;
  int depth_ = 0;
};

}  // namespace

std::string WhyNotJson(absl::string_view text, int depth_max) {
  Checker checker(depth_max);
  nlohmann::json::sax_parse(text.begin(), text.end(), &checker);
  return checker.why;
}

}  // namespace agentruntime::rpc
