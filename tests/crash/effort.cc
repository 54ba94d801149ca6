#include "tests/crash/effort.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace agentruntime::testing {
namespace {

constexpr char kBuild[] =
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
    "asan";
#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
    "tsan";
#elif defined(NDEBUG)
    "release";
#else
    "debug";
#endif

std::string Environment(const char* name) {
  const char* const text = getenv(name);
  return text == nullptr ? "" : text;
}

std::string TestName() {
  const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  return test == nullptr ? "" : absl::StrCat(test->test_suite_name(), ".", test->name());
}

}  // namespace

bool Release() { return absl::string_view(kBuild) == "release"; }

bool Sanitized() { return absl::string_view(kBuild) == "asan" || absl::string_view(kBuild) == "tsan"; }

Effort::Effort(absl::string_view what, int64_t suite, int64_t sanitized)
    : what_(what), count_(Sanitized() ? sanitized : suite), seed_(std::random_device()()), strict_(Environment("CRASH_STRICT") == "1"), start_(absl::Now()) {
  if (int64_t count = 0; absl::SimpleAtoi(Environment("CRASH_COUNT"), &count) && count > 0) {
    count_ = count;
  }
  if (const std::string seed = Environment("CRASH_SEED"); !seed.empty() && !absl::SimpleAtoi(seed, &seed_)) ADD_FAILURE() << "CRASH_SEED is no number";
  printf("%lld %s, CRASH_SEED=%llu\n", static_cast<long long>(count_), what_.c_str(), static_cast<unsigned long long>(seed_));
  fflush(stdout);
}

double Effort::leniency() const {
  if (strict_) return 1;
  return Sanitized() ? 25 : 5;
}

Effort::~Effort() {
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start_);
  const char* const result = ::testing::Test::HasFailure() ? "FAILED" : "passed";
  std::string text, json;
  for (const auto& [name, value] : figures_) {
    absl::StrAppend(&text, ", ", name, " ", value);
    absl::StrAppend(&json, ",\"", name, "\":", value);
  }
  printf("%s: %lld %s in %.1f s%s\n", result, static_cast<long long>(count_), what_.c_str(), seconds, text.c_str());
  fflush(stdout);
  const std::string file = Environment("CRASH_RESULTS");
  if (file.empty()) return;
  std::ofstream(file, std::ios::app) << absl::StrCat("{\"test\":\"", TestName(), "\",\"date\":\"",
                                                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", start_, absl::UTCTimeZone()), "\",\"build\":\"", kBuild,
                                                     "\",\"revision\":\"", Environment("CRASH_REVISION"), "\",\"seed\":", seed_, ",\"what\":\"", what_,
                                                     "\",\"count\":", count_, ",\"seconds\":", seconds, json, ",\"result\":\"", result, "\"}\n");
}

}  // namespace agentruntime::testing
