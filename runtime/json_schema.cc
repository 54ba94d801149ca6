#include "runtime/json_schema.h"

#include <algorithm>
#include <array>
#include <exception>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/base/status.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/schema_work.h"

namespace agentruntime {
namespace {

using nlohmann::json;

constexpr size_t kPatternBytesMax = 1024;
constexpr int64_t kPatternMemoryBytes = 1 << 20;  // what RE2 may take for one pattern
constexpr int kReferenceChainMax = 32;            // subschemas that apply to one value, one inside the other
constexpr int64_t kSubschemasMax = 10'000;        // and all of them
constexpr size_t kReferredMax = 200;              // places that references lead to: the library may enter all of them, one inside the other
constexpr size_t kFaultBytesMax = 400;
constexpr size_t kExpectedBytesMax = 200;

// Sees every token of a text once; stops at the first that is not allowed.
class Checker {
 public:
  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(json::number_integer_t) { return true; }
  bool number_unsigned(json::number_unsigned_t) { return true; }
  bool number_float(json::number_float_t, const std::string&) { return true; }
  bool string(const std::string&) { return true; }
  bool binary(json::binary_t&) { return true; }
  bool start_object(size_t) { return Enter(); }
  bool key(const std::string& key) {
    if (keys_.back().insert(key).second) return true;
    error_ = absl::StrCat("the key \"", OneLine(key, 60), "\" stands twice in one object");
    return false;
  }
  bool end_object() { return Leave(); }
  bool start_array(size_t) { return Enter(); }
  bool end_array() { return Leave(); }
  bool parse_error(size_t, const std::string&, const json::exception& exception) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ..." without what is the library's own.
    absl::string_view what = exception.what();
    if (const size_t end = what.find("] "); end != absl::string_view::npos) what.remove_prefix(end + 2);
    absl::ConsumePrefix(&what, "parse error ");
    error_ = OneLine(MakeValidUtf8(what), 300);
    return false;
  }

  const std::string& error() const { return error_; }

 private:
  bool Enter() {
    if (static_cast<int32_t>(keys_.size()) == kJsonDepthMax) {
      error_ = absl::StrCat("nested deeper than ", kJsonDepthMax);
      return false;
    }
    keys_.emplace_back();
    return true;
  }
  bool Leave() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;  // of the open objects
  std::string error_;
};

absl::Status CheckText(absl::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) return absl::InvalidArgumentError(absl::StrCat("JSON of ", text.size(), " bytes; at most ", bytes_max, " are allowed"));
  if (absl::StartsWith(text, "\xEF\xBB\xBF")) return absl::InvalidArgumentError("JSON begins with a byte order mark; leave it out");
  // The parser would take it for the end of the text.
  if (const size_t nul = text.find('\0'); nul != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("not valid JSON: a zero byte at byte ", nul + 1));
  }
  try {
    Checker checker;
    if (!json::sax_parse(text.begin(), text.end(), &checker)) return absl::InvalidArgumentError(absl::StrCat("not valid JSON: ", checker.error()));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("not valid JSON: ", e.what()));
  }
  return absl::OkStatus();
}

bool IsAnyOf(absl::string_view key, std::initializer_list<absl::string_view> keys) { return std::find(keys.begin(), keys.end(), key) != keys.end(); }

// What must hold of a schema before the library, which follows references without asking, may see it.
class SchemaGuard {
 public:
  explicit SchemaGuard(const json& root) : root_(root) {}

  absl::Status Check() {
    // What a reference leads to may stand where only data does: it is a schema all the same.
    for (pending_ = {&root_}; !pending_.empty();) {
      const json* const node = pending_.back();
      pending_.pop_back();
      if (!seen_.insert(node).second) continue;
      if (seen_.size() > kReferredMax) return absl::InvalidArgumentError(absl::StrCat("schema: $ref leads to ", kReferredMax, " places and more; use fewer"));
      RETURN_IF_ERROR(Visit(*node));
    }
    return absl::OkStatus();
  }
  // Of the schema that passed; moved out.
  SchemaPatterns TakePatterns() { return std::move(patterns_); }
  bool has_unique_items() const { return has_unique_items_; }
  // Values of an enum, or names of an object, at most: the library looks at each of them for each value.
  size_t widest() const { return widest_; }

  // The schema that a `$ref` within this one stands for; null if there is none.
  static const json* Resolve(const json& root, const json& reference) {
    if (!reference.is_string()) return nullptr;
    absl::string_view pointer = reference.get_ref<const std::string&>();
    if (!absl::ConsumePrefix(&pointer, "#")) return nullptr;
    try {
      const json::json_pointer at{std::string(pointer)};
      return root.contains(at) ? &root.at(at) : nullptr;
    } catch (const json::exception&) {
      return nullptr;
    }
  }

 private:
  // Every object is looked at as if it were a schema: stricter than needed for objects that are not, and none is missed. `has_names`: but for those whose keys
  // are names, which may be any word, and whose values are schemas.
  absl::Status Visit(const json& node, bool has_names = false) {
    if (node.is_array()) {
      for (const json& item : node) RETURN_IF_ERROR(Visit(item));
    }
    if (!node.is_object()) return absl::OkStatus();
    if (has_names) {
      widest_ = std::max(widest_, node.size());
      for (const json& value : node) RETURN_IF_ERROR(Visit(value));
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const Applied applied, Apply(node));
    if (applied.chain > kReferenceChainMax) {
      return absl::InvalidArgumentError(absl::StrCat("schema: more than ", kReferenceChainMax, " references or combinations stand one inside the other"));
    }
    if (applied.subschemas > kSubschemasMax) {
      return absl::InvalidArgumentError(absl::StrCat("schema: more than ", kSubschemasMax,
                                                     " subschemas apply to one value, because $ref, allOf, anyOf or oneOf multiply them; use fewer of them"));
    }
    for (const auto& [key, value] : node.items()) {
      if (key == "enum") widest_ = std::max(widest_, value.size());
      if (IsAnyOf(key, {"enum", "const", "default", "examples"})) continue;  // data
      if (key == "pattern" && value.is_string()) RETURN_IF_ERROR(Pattern(value.get_ref<const std::string&>()));
      if (key == "patternProperties" && value.is_object()) {
        for (const auto& property : value.items()) RETURN_IF_ERROR(Pattern(property.key()));
      }
      if (key == "multipleOf") RETURN_IF_ERROR(Divisor(value));
      if (key == "$ref" && value.is_string()) pending_.push_back(Resolve(root_, value));
      if (key == "uniqueItems" && value == json(true)) has_unique_items_ = true;
      RETURN_IF_ERROR(Visit(value, IsAnyOf(key, {"properties", "patternProperties", "definitions", "$defs", "dependencies"})));
    }
    return absl::OkStatus();
  }

  // What applies to the value that a schema applies to.
  struct Applied {
    int chain = 0;           // schemas in a row
    int64_t subschemas = 1;  // all of them, as often as they are visited; not counted on above kSubschemasMax
  };

  absl::StatusOr<Applied> Apply(const json& node) {
    if (!node.is_object()) return Applied();
    const auto [entry, is_new] = applied_.emplace(&node, Applied{.chain = kOpen});
    if (!is_new) {
      if (entry->second.chain == kOpen) return absl::InvalidArgumentError("schema: a $ref leads back to itself without a property or item between");
      return entry->second;
    }
    Applied all{.chain = 1};
    for (const auto& [key, value] : node.items()) {
      std::vector<const json*> nexts;
      if (key == "$ref" && value.is_string()) {
        const json* const target = Resolve(root_, value);
        if (target == nullptr) {
          return absl::InvalidArgumentError(absl::StrCat("schema: $ref \"", OneLine(value.get_ref<const std::string&>(), 100),
                                                         "\" leads nowhere; only references within the schema, such as #/definitions/name, are followed"));
        }
        nexts.push_back(target);
      } else if (IsAnyOf(key, {"allOf", "anyOf", "oneOf"}) && value.is_array()) {
        for (const json& item : value) nexts.push_back(&item);
      } else if (IsAnyOf(key, {"not", "if", "then", "else"})) {
        nexts.push_back(&value);
      } else if (key == "dependencies" && value.is_object()) {
        for (const json& item : value) nexts.push_back(&item);
      }
      for (const json* next : nexts) {
        ASSIGN_OR_RETURN(const Applied inner, Apply(*next));
        all.chain = std::max(all.chain, inner.chain + 1);
        all.subschemas = std::min(all.subschemas + inner.subschemas, kSubschemasMax + 1);
      }
    }
    applied_[&node] = all;
    return all;
  }

  // The library divides by it, also by what it reads out of a string; by 0, and the least int64 by -1, the processor ends the process.
  static absl::Status Divisor(const json& value) {
    if (value.is_object() || value.is_boolean()) return absl::OkStatus();  // the schema of a property of this name
    const bool fits = value.is_number_unsigned() ? value > 0U && value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
                                                 : value.is_number_float() && value.get<double>() > 0;
    if (fits) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("schema: multipleOf is ", OneLine(value.is_primitive() ? value.dump() : "no number", 60), "; give a number above 0 and below 2^63"));
  }

  absl::Status Pattern(const std::string& pattern) {
    if (pattern.size() > kPatternBytesMax) return absl::InvalidArgumentError(absl::StrCat("schema: a pattern has more than ", kPatternBytesMax, " bytes"));
    if (patterns_.contains(pattern)) return absl::OkStatus();
    RE2::Options options;
    options.set_max_mem(kPatternMemoryBytes);
    options.set_log_errors(false);
    auto expression = std::make_unique<const RE2>(pattern, options);
    if (!expression->ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "schema: the pattern \"", OneLine(pattern, 60), "\" is no regular expression in RE2's syntax (", OneLine(MakeValidUtf8(expression->error()), 100),
          "); back references, look-around and repeats above 1000 cannot be matched in bounded time: write it without"));
    }
    patterns_.try_emplace(pattern, std::move(expression));
    return absl::OkStatus();
  }

  static constexpr int kOpen = -1;
  const json& root_;
  std::vector<const json*> pending_;  // to be visited
  std::set<const json*> seen_;        // of those
  std::map<const json*, Applied> applied_;
  SchemaPatterns patterns_;
  bool has_unique_items_ = false;
  size_t widest_ = 0;
};

// valijson says where as {"<root>", "[key]", "[3]"}.
std::vector<std::string> PathOf(const std::vector<std::string>& context) {
  std::vector<std::string> path;
  for (size_t i = 1; i < context.size(); ++i) {
    absl::string_view part = context[i];
    if (absl::ConsumePrefix(&part, "[")) absl::ConsumeSuffix(&part, "]");
    path.emplace_back(part);
  }
  return path;
}

// What `schema` says of the value at `path`, where that is plain; null where it is not.
const json* SchemaAt(const json& root, const std::vector<std::string>& path) {
  const json* at = &root;
  const auto enter = [&at](const char* key) {
    if (!at->is_object() || !at->contains(key)) return false;
    at = &(*at)[key];
    return true;
  };
  const auto follow_references = [&] {
    for (int i = 0; i < kReferenceChainMax && at != nullptr && at->is_object() && at->contains("$ref"); ++i) at = SchemaGuard::Resolve(root, (*at)["$ref"]);
    return at != nullptr;
  };
  for (const std::string& part : path) {
    if (!follow_references() || !at->is_object()) return nullptr;
    const bool is_property = at->contains("properties") && (*at)["properties"].is_object() && (*at)["properties"].contains(part);
    if (is_property) {
      at = &(*at)["properties"][part];
    } else if (!enter("items") && !enter("additionalProperties")) {
      return nullptr;
    }
  }
  return follow_references() ? at : nullptr;
}

std::string Expected(const json& root, const std::vector<std::string>& path) {
  const json* const schema = path.empty() ? nullptr : SchemaAt(root, path);
  if (schema == nullptr || !schema->is_object()) return "";
  json shown = *schema;
  for (const char* key : {"description", "title", "examples", "default"}) shown.erase(key);
  const std::string text = shown.dump();
  return text.size() > kExpectedBytesMax || shown.empty() ? "" : absl::StrCat(" (expected ", text, ")");
}

std::string FaultText(const json& root, const valijson::ValidationResults::Error& error) {
  const std::vector<std::string> path = PathOf(error.context);
  json::json_pointer pointer;
  for (const std::string& part : path) pointer.push_back(part);
  absl::string_view what = error.description;
  const size_t unknown = what.find("could not be validated using 'properties'");
  const size_t quoted = what.rfind(": '");
  const std::string told = unknown != absl::string_view::npos && quoted != absl::string_view::npos
                               ? absl::StrCat("unknown property ", absl::StripSuffix(what.substr(quoted + 2), "."))
                               : std::string(absl::StripSuffix(what, "."));
  const std::string at = path.empty() ? "arguments" : pointer.to_string();
  return std::string(CutUtf8(absl::StrCat(at, ": ", told, Expected(root, path)), kFaultBytesMax));
}

// Whether a part of `value` is too large for a check that is dear.
absl::Status CheckDear(const json& value, bool has_pattern, bool has_unique_items) {
  if (has_pattern && value.is_string() && value.get_ref<const std::string&>().size() > kPatternStringBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("a string has more than ", kPatternStringBytesMax, " bytes, too many to be checked against a pattern"));
  }
  if (has_unique_items && value.is_array() && value.size() > kUniqueItemsMax) {
    return absl::InvalidArgumentError(absl::StrCat("an array has more than ", kUniqueItemsMax, " items, too many to be checked for equal ones"));
  }
  if (value.is_object() && has_pattern) {
    for (const auto& item : value.items()) {
      if (item.key().size() > kPatternStringBytesMax) return absl::InvalidArgumentError("a key is too long to be checked against a pattern");
    }
  }
  if (value.is_structured()) {
    for (const json& item : value) RETURN_IF_ERROR(CheckDear(item, has_pattern, has_unique_items));
  }
  return absl::OkStatus();
}

// The library measures a string up to its first U+0000: one behind which more stands would pass any length.
bool HasNul(const json& value) {
  if (value.is_string()) return absl::StrContains(value.get_ref<const std::string&>(), '\0');
  if (value.is_array()) return std::any_of(value.begin(), value.end(), HasNul);
  if (!value.is_object()) return false;
  const auto items = value.items();
  return std::any_of(items.begin(), items.end(), [](const auto& item) { return absl::StrContains(item.key(), '\0') || HasNul(item.value()); });
}

}  // namespace

absl::Status CheckJson(absl::string_view text) { return CheckText(text, kArgumentsBytesMax); }

struct JsonSchema::Compiled {
  json source;
  valijson::Schema schema;
  SchemaPatterns patterns;
  bool has_unique_items = false;
  size_t widest = 0;
};

JsonSchema::JsonSchema(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
JsonSchema::JsonSchema(JsonSchema&&) noexcept = default;
JsonSchema& JsonSchema::operator=(JsonSchema&&) noexcept = default;
JsonSchema::~JsonSchema() = default;

absl::StatusOr<JsonSchema> JsonSchema::Compile(absl::string_view schema) {
  if (absl::Status status = CheckText(schema, kSchemaBytesMax); !status.ok()) return absl::InvalidArgumentError(absl::StrCat("schema: ", status.message()));
  try {
    auto compiled = std::make_unique<Compiled>();
    compiled->source = json::parse(schema.begin(), schema.end());
    if (!compiled->source.is_object()) return absl::InvalidArgumentError("schema: give an object, such as {\"type\":\"object\"}");
    SchemaGuard guard(compiled->source);
    RETURN_IF_ERROR(guard.Check());
    compiled->patterns = guard.TakePatterns();
    compiled->has_unique_items = guard.has_unique_items();
    compiled->widest = guard.widest();
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(compiled->source), compiled->schema);
    return JsonSchema(std::move(compiled));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("schema: ", OneLine(MakeValidUtf8(e.what()), 300)));
  }
}

absl::Status JsonSchema::Check(absl::string_view text) const {
  RETURN_IF_ERROR(CheckJson(text));
  try {
    const json value = json::parse(text.begin(), text.end());
    if (HasNul(value)) return absl::InvalidArgumentError("a string has the character U+0000, which no check sees past; leave it out");
    const bool has_pattern = !compiled_->patterns.empty();
    if (has_pattern || compiled_->has_unique_items) RETURN_IF_ERROR(CheckDear(value, has_pattern, compiled_->has_unique_items));
    valijson::Validator validator;  // one for each check: it keeps a cache of its own
    valijson::ValidationResults results;
    try {
      const SchemaWork work(compiled_->patterns, compiled_->widest, results);
      if (validator.validate(compiled_->schema, valijson::adapters::NlohmannJsonAdapter(value), &results)) return absl::OkStatus();
    } catch (const EnoughFaults&) {
      // They are in `results`.
    }
    std::string faults;
    size_t told = 0;
    for (const valijson::ValidationResults::Error& error : results) {
      if (told++ == kFaultsToldMax) break;
      absl::StrAppend(&faults, faults.empty() ? "" : "; ", FaultText(compiled_->source, error));
    }
    return absl::InvalidArgumentError(faults.empty() ? "the value does not fit the schema" : faults);
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("cannot be checked against the schema: ", OneLine(MakeValidUtf8(e.what()), 300)));
  }
}

}  // namespace agentruntime
