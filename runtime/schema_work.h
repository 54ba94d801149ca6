// The library that checks a value against its schema (valijson), made safe for values that a model wrote. As it comes it matches patterns by std::regex, which
// backtracks for ever on `^(a+)+$` and takes stack for every character, and visits as many subschemas as a schema multiplies, however many those are. The
// members that do so are replaced here: RE2 matches, in linear time, and each check has a budget. Included by json_schema.cc only.
#pragma once

#define VALIJSON_USE_EXCEPTIONS 1  // else it ends the process where it would throw

#include <re2/re2.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/adapters/std_string_adapter.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validation_visitor.hpp>
#include <vector>

namespace agentruntime {

using SchemaPatterns = std::map<std::string, std::unique_ptr<const RE2>, std::less<>>;

inline constexpr int64_t kSchemaWorkMax = 1'000'000;  // visits of a subschema in one check, and what takes as long
inline constexpr int64_t kPatternStepsPerVisit = 128;
inline constexpr int64_t kNamesPerVisit = 32;  // values of an enum, or properties
inline constexpr size_t kFaultsToldMax = 5;
inline constexpr size_t kFaultsKeptMax = 100;  // of alternatives, of which some may fit

// Enough faults are known to tell them.
struct EnoughFaults {};

// One check. While it lives it serves the visitors of its thread, to which the library hands nothing of ours.
class SchemaWork {
 public:
  // Both outlive this object. `widest`: values of an enum, or names of an object, that a visit may have to look at. `results`: of the whole value.
  SchemaWork(const SchemaPatterns& patterns, size_t widest, const valijson::ValidationResults& results)
      : patterns_(patterns), visit_(1 + static_cast<int64_t>(widest) / kNamesPerVisit), results_(results) {
    current_ = this;
  }
  SchemaWork(const SchemaWork&) = delete;
  SchemaWork& operator=(const SchemaWork&) = delete;
  ~SchemaWork() { current_ = nullptr; }

  static SchemaWork& Current() { return *current_; }

  // Throws when the budget is spent, or enough is known. False: `results` has as many faults as are worth keeping.
  bool Visit(const valijson::ValidationResults* results) {
    Spend(visit_);
    if (results == nullptr) return true;
    if (results == &results_ && results->numErrors() >= kFaultsToldMax) throw EnoughFaults();
    return results->numErrors() < kFaultsKeptMax;
  }

  // Whether the pattern is found in `text`.
  bool Matches(const std::string& pattern, const std::string& text) {
    const auto found = patterns_.find(pattern);
    if (found == patterns_.end()) throw std::runtime_error("a pattern of the schema stands where none is read");
    const RE2& expression = *found->second;
    Spend(1 + static_cast<int64_t>(text.size()) * expression.ProgramSize() / kPatternStepsPerVisit);
    return RE2::PartialMatch(text, expression);
  }

 private:
  void Spend(int64_t visits) {
    work_ += visits;
    if (work_ > kSchemaWorkMax) throw std::runtime_error("it takes too much work; send fewer or smaller values");
  }

  static inline thread_local SchemaWork* current_ = nullptr;
  const SchemaPatterns& patterns_;
  const int64_t visit_;
  const valijson::ValidationResults& results_;
  int64_t work_ = 0;
};

// Whether `text` is what `format` says, for the three formats that are checked.
inline bool FitsFormat(const std::string& format, const std::string& text) {
  static const RE2& date = *new RE2("[0-9]+-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])");
  static const RE2& time = *new RE2("(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\\.[0-9]+)?(?:[Zz]|[+|-](?:[01][0-9]|2[0-3]):[0-5][0-9])");
  if (format == "time") return RE2::FullMatch(text, time);
  if (format != "date" && format != "date-time") return true;
  const size_t date_size = format == "date" ? text.size() : text.find_first_of("Tt");
  if (date_size == std::string::npos) return false;
  if (format == "date-time" && !RE2::FullMatch(text.substr(date_size + 1), time)) return false;
  int month = 0;
  int day = 0;
  if (!RE2::FullMatch(text.substr(0, date_size), date, &month, &day)) return false;
  if (month == 2) return day <= 29;
  const bool is_short = month == 4 || month == 6 || month == 9 || month == 11;
  return day <= (is_short ? 30 : 31);
}

}  // namespace agentruntime

namespace valijson {

using AgentJson = adapters::NlohmannJsonAdapter;
using AgentKey = adapters::StdStringAdapter;  // what `propertyNames` checks
using AgentPattern = std::basic_string<char, std::char_traits<char>, internal::CustomAllocator<char>>;

// The same for both kinds of values.
#define AGENTRUNTIME_SAFE_VISITOR(Adapter)                                                                                 \
  template <>                                                                                                              \
  inline bool ValidationVisitor<Adapter>::validateSchema(const Subschema& subschema) {                                     \
    if (!agentruntime::SchemaWork::Current().Visit(m_results)) m_results = nullptr;                                        \
    if (subschema.getAlwaysInvalid()) return false;                                                                        \
    Subschema::ApplyFunction visit_one = [this](const constraints::Constraint& one) { return one.accept(*this); };         \
    return m_results == nullptr ? subschema.applyStrict(visit_one) : subschema.apply(visit_one);                           \
  }                                                                                                                        \
  template <>                                                                                                              \
  inline bool ValidationVisitor<Adapter>::visit(const PatternConstraint& constraint) {                                     \
    if (!m_target.isString()) return true;                                                                                 \
    const std::string pattern(constraint.getPattern<std::string::allocator_type>());                                       \
    if (agentruntime::SchemaWork::Current().Matches(pattern, m_target.asString())) return true;                            \
    if (m_results != nullptr) m_results->pushError(m_context, "Failed to match regex specified by 'pattern' constraint."); \
    return false;                                                                                                          \
  }                                                                                                                        \
  template <>                                                                                                              \
  inline bool ValidationVisitor<Adapter>::visit(const FormatConstraint& constraint) {                                      \
    if (!m_target.isString()) return true;                                                                                 \
    const std::string format = constraint.getFormat();                                                                     \
    if (agentruntime::FitsFormat(format, m_target.asString())) return true;                                                \
    if (m_results != nullptr) m_results->pushError(m_context, "String should be a valid " + format);                       \
    return false;                                                                                                          \
  }

AGENTRUNTIME_SAFE_VISITOR(AgentJson)
AGENTRUNTIME_SAFE_VISITOR(AgentKey)
#undef AGENTRUNTIME_SAFE_VISITOR

template <>
template <>
inline bool ValidationVisitor<AgentJson>::ValidatePatternPropertySubschemas::operator()(const AgentPattern& pattern, const Subschema* subschema) const {
  const std::string expression(pattern.c_str());
  for (const AgentJson::ObjectMember member : m_object) {
    if (!agentruntime::SchemaWork::Current().Matches(expression, member.first)) continue;
    if (m_propertiesMatched != nullptr) m_propertiesMatched->insert(member.first);
    std::vector<std::string> context = m_context;
    context.push_back("[" + member.first + "]");
    ValidationVisitor validator(member.second, context, m_strictTypes, m_results, m_regexesCache);
    if (validator.validateSchema(*subschema)) continue;
    if (m_results != nullptr) m_results->pushError(m_context, "Failed to validate against schema associated with pattern '" + expression + "'.");
    if (m_validated != nullptr) *m_validated = false;
    if (!m_continueOnFailure) return false;
  }
  return m_continueOnSuccess;
}

}  // namespace valijson
