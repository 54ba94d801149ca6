#include "tests/bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/bench/plot.h"
#include "tests/bench/statistics.h"

namespace agentruntime::bench {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ReportTest, JsonHasARowForEachFigure) {
  Report report("abc1234");
  report.Add({.name = "a.runs", .value = 1500, .unit = "runs/s", .floor = 3000, .target = "at least \"half\"", .met = true});
  report.Add({.name = "a.memory", .value = 0.5, .unit = "MiB"});
  EXPECT_EQ(
      json::parse(report.Json()),
      json::parse(
          R"([{"name": "a.runs", "value": 1500, "unit": "runs/s", "floor": 3000, "ratio": 0.5, "revision": "abc1234", "target": "at least \"half\"", "met": true},
                            {"name": "a.memory", "value": 0.5, "unit": "MiB", "floor": null, "ratio": null, "revision": "abc1234"}])"));
}

TEST(ReportTest, AFigureThatIsNoNumberIsNull) {
  Report report;
  report.Add({.name = "a", .value = 1.0 / 0.0, .unit = "s", .floor = 0});
  EXPECT_EQ(json::parse(report.Json()), json::parse(R"([{"name": "a", "value": null, "unit": "s", "floor": 0, "ratio": null, "revision": "unknown"}])"));
}

TEST(StatisticsTest, PercentilesAreValuesOfTheSample) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Percentile({1, 2, 3, 4}, 0.99), 4);
  EXPECT_EQ(Percentile({}, 0.5), 0);
}

TEST(PlotTest, DrawsTheProductBesideItsFloor) {
  std::vector<Row> rows;
  for (const std::string callers : {"1", "64"}) {
    rows.push_back({.name = "example.watch." + callers + ".runs", .value = 3000, .unit = "runs/s", .floor = 8000});
    rows.push_back({.name = "example.watch." + callers + ".p50", .value = 20, .unit = "ms", .floor = 8});
  }
  const std::string svg = PlotExample(rows);
  EXPECT_THAT(svg, HasSubstr("<polyline"));
  EXPECT_THAT(svg, HasSubstr(">10,000<"));
  EXPECT_THAT(svg, HasSubstr("</svg>"));
  EXPECT_THAT(PlotExample({}), Not(HasSubstr("<polyline")));
}

}  // namespace
}  // namespace agentruntime::bench
