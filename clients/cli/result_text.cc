#include "clients/cli/result_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/row.h"
#include "clients/cli/text.h"

namespace agentruntime::cli {
namespace {

constexpr size_t kCharactersMax = 100;

// Keeps the string under the top level's key `summary` and passes over everything else: a result is up to 64 KiB of anything, of any depth.
class SummaryReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  const std::string& summary() const { return summary_; }

  bool key(string_t& name) override {
    is_summary_ = depth_ == 1 && name == "summary";
    return true;
  }
  bool string(string_t& value) override {
    if (!is_summary_) return true;
    summary_ = value;
    return false;  // found: the rest need not be read
  }
  bool start_object(std::size_t) override { return Enter(); }
  bool start_array(std::size_t) override { return depth_ > 0 && Enter(); }  // a list has no summary
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool null() override { return Skip(); }
  bool boolean(bool) override { return Skip(); }
  bool number_integer(number_integer_t) override { return Skip(); }
  bool number_unsigned(number_unsigned_t) override { return Skip(); }
  bool number_float(number_float_t, const string_t&) override { return Skip(); }
  bool binary(binary_t&) override { return Skip(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool Skip() {
    is_summary_ = false;
    return true;
  }
  bool Enter() {
    ++depth_;
    return Skip();
  }
  bool Leave() {
    --depth_;
    return Skip();
  }

  std::string summary_;
  int depth_ = 0;
  bool is_summary_ = false;
};

}  // namespace

std::string ResultText(const google::protobuf::RepeatedPtrField<v1::Part>& result) {
  std::string kept;
  for (const v1::Part& part : result) {
    if (part.has_artifact())
      absl::StrAppend(&kept, "[", FormatCount(part.artifact().bytes()), " bytes: agentctl artifact ", PrintableLine(part.artifact().name()), "] ");
  }
  for (const v1::Part& part : result) {
    if (!part.has_json()) continue;
    SummaryReader reader;
    nlohmann::json::sax_parse(part.json(), &reader);
    if (!reader.summary().empty()) return absl::StrCat(kept, PrintableLine(reader.summary(), kCharactersMax));
  }
  return absl::StrCat(kept, PrintableLine(PartsText(result), kCharactersMax));
}

}  // namespace agentruntime::cli
