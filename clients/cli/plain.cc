#include "clients/cli/plain.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "clients/cli/display.h"
#include "clients/cli/format.h"
#include "clients/cli/run_view.h"
#include "clients/cli/text.h"

namespace agentruntime::cli {
namespace {

Tone ToneOf(v1::StopReason reason) {
  if (reason == v1::STOP_REASON_FINAL_ANSWER) return Tone::kGood;
  return reason == v1::STOP_REASON_ERROR ? Tone::kBad : Tone::kWarn;
}

class PlainDisplay final : public Display {
 public:
  explicit PlainDisplay(const Output& output) : output_(output) {}

  void OnRun(const v1::Run& run) override {
    if (!begun_) output_.out << FormatHeader(output_, run) << std::flush;
    begun_ = true;
  }
  void OnEvent(const v1::Event& event) override {
    lost_ = false;
    for (const Row& row : view_.Take(event, absl::Now())) output_.out << FormatRow(output_, row) << "\n";
    output_.out << std::flush;
  }
  void OnDelta(const v1::Delta&) override {}
  void OnChildWaits(const v1::Run& child) override {
    output_.out << "  " << Colored(output_, Tone::kWarn, ChildWaitsText(child, output_.program)) << std::endl;
  }
  void OnWaits(const v1::Run&) override {}
  void OnReconnect(const absl::Status& why, absl::Duration time_left) override {
    if (!lost_) output_.err << LostText(why, time_left) << "; Ctrl-C leaves the run alone" << std::endl;
    lost_ = true;
  }
  void OnStop(const v1::Run& run) override {
    const std::string answer = Printable(PartsText(run.answer()));
    output_.out << FormatStop(output_, run, answer.empty() ? view_.answer() : answer) << std::flush;
  }

 private:
  const Output output_;
  RunView view_;
  bool begun_ = false;
  bool lost_ = false;  // and said so; until the next event, so that a server which ends says it once
};

}  // namespace

std::string FormatHeader(const Output& output, const v1::Run& run) {
  const std::string title = PrintableLine(run.title().empty() ? PartsText(run.input()) : run.title());
  std::string text =
      title.empty() ? "" : absl::StrCat("  ", Colored(output, Tone::kStrong, output.width > 0 ? CutToWidth(title, output.width - 2) : title), "\n");
  return absl::StrCat(text, "  ", Colored(output, Tone::kQuiet, Printable(run.name())), "\n");
}

std::string LostText(const absl::Status& why, absl::Duration time_left) {
  return absl::StrCat("connection lost (", PrintableLine(std::string(why.message())), "); trying again for up to ",
                      FormatLimit(absl::Ceil(time_left, absl::Seconds(1))));
}

std::string FormatStop(const Output& output, const v1::Run& run, const std::string& answer) {
  std::string text = "\n";
  const std::string trimmed(absl::StripAsciiWhitespace(answer));
  if (!trimmed.empty()) {
    const int width = output.width > 0 ? output.width - 2 : 1 << 20;
    for (const std::string& line : WrapLines(trimmed, width)) absl::StrAppend(&text, line.empty() ? "" : "  ", line, "\n");
    absl::StrAppend(&text, "\n");
  }
  const v1::Stop& stop = run.stop();
  const std::string reason = ReasonName(stop.reason());
  const std::string indent(reason.size() + 4, ' ');
  absl::StrAppend(&text, "  ", Colored(output, ToneOf(stop.reason()), reason), "  ");
  const std::string why = stop.reason() == v1::STOP_REASON_FINAL_ANSWER ? "" : StopText(stop);
  if (!why.empty()) absl::StrAppend(&text, why, "\n", indent);
  absl::StrAppend(&text, UsageText(run), "\n");
  const std::string resume = HowToResume(run, output.program);
  if (!resume.empty()) absl::StrAppend(&text, indent, resume, "\n");
  return text;
}

std::unique_ptr<Display> MakePlainDisplay(const Output& output) { return std::make_unique<PlainDisplay>(output); }

}  // namespace agentruntime::cli
