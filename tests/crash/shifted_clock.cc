// Loaded into a server before the C library (LD_PRELOAD): wall time is what the file SHIFTED_CLOCK_FILE makes of it. Monotonic time is left alone.
#include "tests/crash/shifted_clock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using agentruntime::testing::WallClock;

const WallClock& Wall() {
  static const WallClock* const wall = [] {
    const char* const path = getenv("SHIFTED_CLOCK_FILE");
    const int file = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) abort();
    void* const memory = mmap(nullptr, sizeof(WallClock), PROT_READ, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) abort();
    close(file);
    return static_cast<const WallClock*>(memory);
  }();
  return *wall;
}

void Shift(timespec* time) {
  constexpr int64_t kSecond = 1'000'000'000;
  if (const double rate = Wall().rate.load(); rate != 1) {
    const int64_t since = Wall().since_s.load();
    const auto passed = static_cast<double>((time->tv_sec - since) * kSecond + time->tv_nsec);
    const auto shown = static_cast<int64_t>(passed * rate);
    time->tv_sec = since + shown / kSecond;
    time->tv_nsec = shown % kSecond;
  }
  time->tv_sec += Wall().shift_s.load();
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  using Function = int (*)(clockid_t, timespec*);
  static const auto original = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = original(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) Shift(time);
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec now;
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
  return result;
}

time_t time(time_t* out) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
