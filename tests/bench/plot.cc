#include "tests/bench/plot.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace agentruntime::bench {
namespace {

constexpr int kPanelWidth = 400;
constexpr int kPanelHeight = 300;
constexpr int kLeft = 64;
constexpr int kTop = 56;
constexpr int kRight = 24;
constexpr int kBottom = 92;

struct Series {
  std::string label;
  std::string style;             // stroke and dashes
  std::map<int, double> points;  // by callers
};

// example.{mode}.{callers}.{figure}
std::map<int, double> Points(const std::vector<Row>& rows, const std::string& mode, const std::string& figure, bool of_floor) {
  std::map<int, double> points;
  for (const Row& row : rows) {
    const std::vector<std::string> words = absl::StrSplit(row.name, '.');
    int callers = 0;
    if (words.size() != 4 || words[0] != "example" || words[1] != mode || words[3] != figure || !absl::SimpleAtoi(words[2], &callers)) continue;
    if (!of_floor || row.floor) points[callers] = of_floor ? *row.floor : row.value;
  }
  return points;
}

std::vector<Series> Both(const std::vector<Row>& rows, const std::string& figure) {
  return {{"RunAgent, every event streamed", "stroke=\"#1f6feb\"", Points(rows, "watch", figure, false)},
          {"its floor", "stroke=\"#1f6feb\" stroke-dasharray=\"5 4\" opacity=\"0.6\"", Points(rows, "watch", figure, true)},
          {"CreateRun, then GetRun", "stroke=\"#d29922\"", Points(rows, "wait", figure, false)},
          {"its floor", "stroke=\"#d29922\" stroke-dasharray=\"5 4\" opacity=\"0.6\"", Points(rows, "wait", figure, true)}};
}

std::string Text(double x, double y, const std::string& anchor, const std::string& text, int size = 12) {
  return absl::StrFormat("<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\" font-size=\"%d\">%s</text>\n", x, y, anchor, size, text);
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& style) {
  return absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style);
}

std::string Thousands(double value) {
  const auto whole = static_cast<int64_t>(std::llround(value));
  return value >= 1000 ? absl::StrFormat("%d,%03d", whole / 1000, whole % 1000) : absl::StrFormat("%g", value);
}

// Both axes are logarithmic: equal factors are equal distances.
class Panel {
 public:
  Panel(double left, std::string title, const std::vector<Series>& series) : left_(left), title_(std::move(title)), series_(series) {
    for (const Series& one : series) {
      for (const auto& [callers, value] : one.points) {
        x_min_ = std::min(x_min_, static_cast<double>(callers));
        x_max_ = std::max(x_max_, static_cast<double>(callers));
        y_min_ = std::min(y_min_, value);
        y_max_ = std::max(y_max_, value);
      }
    }
    y_min_ = std::pow(10, std::floor(std::log10(y_min_)));
    y_max_ = std::pow(10, std::ceil(std::log10(y_max_)));
  }

  std::string Draw() const {
    if (x_max_ <= x_min_) return "";
    std::string svg = Text(left_, kTop - 18, "start", title_, 14);
    for (double y = y_min_; y <= y_max_ * 1.001; y *= 10) {
      svg += Line(left_, Y(y), left_ + kPanelWidth, Y(y), "stroke=\"#8b949e\" opacity=\"0.35\"");
      svg += Text(left_ - 6, Y(y) + 4, "end", Thousands(y));
    }
    for (const auto& [callers, value] : series_.front().points) {
      svg += Line(X(callers), kTop, X(callers), kTop + kPanelHeight, "stroke=\"#8b949e\" opacity=\"0.2\"");
      svg += Text(X(callers), kTop + kPanelHeight + 18, "middle", absl::StrCat(callers));
    }
    for (const Series& one : series_) DrawSeries(one, svg);
    return svg;
  }

 private:
  double X(double value) const { return left_ + kPanelWidth * std::log(value / x_min_) / std::log(x_max_ / x_min_); }
  double Y(double value) const { return kTop + kPanelHeight * (1 - std::log(value / y_min_) / std::log(y_max_ / y_min_)); }

  void DrawSeries(const Series& series, std::string& svg) const {
    std::string path;
    for (const auto& [callers, value] : series.points) absl::StrAppendFormat(&path, "%.1f,%.1f ", X(callers), Y(value));
    absl::StrAppend(&svg, "<polyline fill=\"none\" stroke-width=\"2\" ", series.style, " points=\"", path, "\"/>\n");
    for (const auto& [callers, value] : series.points) {
      absl::StrAppendFormat(&svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" stroke-width=\"2\" fill=\"none\" %s/>\n", X(callers), Y(value), series.style);
    }
  }

  const double left_;
  const std::string title_;
  const std::vector<Series>& series_;
  double x_min_ = INFINITY, x_max_ = 0, y_min_ = INFINITY, y_max_ = 0;
};

}  // namespace

std::string PlotExample(const std::vector<Row>& rows) {
  const std::vector<Series> throughput = Both(rows, "runs");
  const std::vector<Series> latency = Both(rows, "p50");
  const int width = 2 * (kLeft + kPanelWidth + kRight);
  const int height = kTop + kPanelHeight + kBottom;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" fill=\"#6e7681\">\n"
      "<title>The example run: runs a second and median latency against concurrent callers, beside the floor of bare gRPC and group commit</title>\n",
      width, height);
  svg += Panel(kLeft, "runs a second, against concurrent callers", throughput).Draw();
  svg += Panel(kLeft + kPanelWidth + kRight + kLeft, "latency in ms (p50), against concurrent callers", latency).Draw();
  double x = kLeft;
  for (const Series& series : throughput) {
    svg += Line(x, height - 26, x + 28, height - 26, absl::StrCat("stroke-width=\"2\" ", series.style));
    svg += Text(x + 34, height - 22, "start", series.label);
    x += 52 + 7.0 * static_cast<double>(series.label.size());
  }
  svg += Text(width - kRight, height - 22, "end", "floor: bare gRPC with a group commit of the same bytes");
  return svg + "</svg>\n";
}

}  // namespace agentruntime::bench
