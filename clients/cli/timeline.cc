#include "clients/cli/timeline.h"

#include <algorithm>
#include <array>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cli/display.h"
#include "clients/cli/format.h"
#include "clients/cli/plain.h"
#include "clients/cli/text.h"
#include "proto/base/mutex.h"

namespace agentruntime::cli {
namespace {

constexpr absl::Duration kFrameInterval = absl::Milliseconds(100);
constexpr std::array<absl::string_view, 8> kSpinner = {"⣷", "⣯", "⣟", "⡿", "⢿", "⣻", "⣽", "⣾"};

// One thread feeds it, its own draws the spinner.
class Timeline final : public Display {
 public:
  explicit Timeline(const Output& output) : output_(output), ticker_([this] { Tick(); }) {}

  ~Timeline() override {
    {
      MutexLock lock(mu_);
      done_ = true;
      wake_.NotifyAll();
    }
    ticker_.join();
    MutexLock lock(mu_);
    Erase();
    output_.out << std::flush;
  }

  void OnRun(const v1::Run& run) override {
    MutexLock lock(mu_);
    notice_.clear();
    activity_ = run.has_activity() && run.activity().has_next_try_time() ? PrintableLine(run.activity().detail()) : "";
    if (begun_) return;
    begun_ = true;
    output_.out << FormatHeader(output_, run) << std::flush;
  }

  void OnEvent(const v1::Event& event) override {
    MutexLock lock(mu_);
    const std::vector<Row> rows = view_.Take(event, absl::Now());
    const bool drawn = drawn_ > 0;
    Erase();
    for (const Row& row : rows) output_.out << FormatRow(output_, row) << "\n";
    if (drawn) Draw();  // else with the next frame: a run of a few milliseconds does not flicker
    output_.out << std::flush;
  }

  void OnDelta(const v1::Delta& delta) override {
    MutexLock lock(mu_);
    view_.Take(delta);  // drawn with the next frame
  }

  void OnChildWaits(const v1::Run& child) override {
    MutexLock lock(mu_);
    Erase();
    output_.out << "  " << Colored(output_, Tone::kWarn, ChildWaitsText(child, output_.program)) << "\n" << std::flush;
  }

  void OnWaits(const v1::Run& run) override {
    MutexLock lock(mu_);
    Erase();
    for (const std::string& line : HowToAnswer(run, output_.program)) output_.out << "  " << line << "\n";  // wider than the terminal, if need be
    output_.out << std::flush;
  }

  void OnReconnect(const absl::Status& why, absl::Duration time_left) override {
    MutexLock lock(mu_);
    notice_ = LostText(why, time_left);
  }

  void OnStop(const v1::Run& run) override {
    MutexLock lock(mu_);
    done_ = true;
    Erase();
    const std::string answer = Printable(PartsText(run.answer()));
    output_.out << FormatStop(output_, run, answer.empty() ? view_.answer() : answer) << std::flush;
  }

 private:
  void Tick() {
    MutexLock lock(mu_);
    while (!done_) {
      wake_.WaitFor(mu_, kFrameInterval);
      if (done_) return;
      ++frame_;
      output_.width = TerminalWidth();  // it may have been resized
      Erase();
      Draw();
    }
  }

  void Erase() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (drawn_ > 0) output_.out << "\x1b[" << drawn_ << "A\r\x1b[J";
    drawn_ = 0;
  }

  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (begun_) {
      const std::vector<std::string> lines = LiveLines(output_, view_, absl::Now(), frame_, notice_.empty() ? activity_ : notice_);
      for (const std::string& line : lines) output_.out << line << "\n";
      drawn_ = static_cast<int>(lines.size());
    }
    output_.out << std::flush;
  }

  Mutex mu_;
  CondVar wake_;
  Output output_ ABSL_GUARDED_BY(mu_);
  RunView view_ ABSL_GUARDED_BY(mu_);
  std::string notice_ ABSL_GUARDED_BY(mu_);    // about the connection
  std::string activity_ ABSL_GUARDED_BY(mu_);  // what the run waits for
  int drawn_ ABSL_GUARDED_BY(mu_) = 0;         // live lines on the screen
  int frame_ ABSL_GUARDED_BY(mu_) = 0;
  bool begun_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  std::thread ticker_;  // last: it uses all of the above
};

}  // namespace

std::vector<std::string> LiveLines(const Output& output, const RunView& view, absl::Time now, int frame, const std::string& notice) {
  const int width = std::max(output.width - 1, 20);
  std::vector<std::string> lines;
  const std::string text = Printable(view.streamed_text());
  if (!text.empty()) {
    const std::vector<std::string> wrapped = WrapLines(text, width - 2);
    const size_t first = wrapped.size() > kLiveTextLinesMax ? wrapped.size() - kLiveTextLinesMax : 0;
    for (size_t i = first; i < wrapped.size(); ++i) lines.push_back(absl::StrCat("  ", wrapped[i]));
  }
  const std::string spinner(kSpinner[frame % kSpinner.size()]);
  const std::vector<OpenWork> open = view.open();
  for (size_t i = 0; i < open.size(); ++i) {
    if (i == kLiveWorkLinesMax) {
      lines.push_back(absl::StrCat("      and ", open.size() - i, " more"));
      break;
    }
    const OpenWork& work = open[i];
    Output narrow{.out = output.out, .err = output.err, .width = width};
    const Row row{.step = work.verb == "decide" && work.step < 100 ? work.step : 0,
                  .verb = work.verb,
                  .what = work.what,
                  .duration = now - work.since,
                  .note = work.detail};
    std::string line = FormatRow(narrow, row);
    line.replace(0, 2, absl::StrCat(spinner, " "));
    lines.push_back(Colored(output, Tone::kQuiet, line));
  }
  if (!notice.empty() || open.empty()) {
    const std::string line = absl::StrCat(spinner, " ", notice.empty() ? "waiting" : notice);
    lines.push_back(Colored(output, notice.empty() ? Tone::kQuiet : Tone::kWarn, CutToWidth(line, width)));
  }
  return lines;
}

std::unique_ptr<Display> MakeTimeline(const Output& output) { return std::make_unique<Timeline>(output); }

}  // namespace agentruntime::cli
