#!/usr/bin/env bash
# The seams: time, threads, executors and chance reach runtime/ through runtime/environment.h and nowhere else, or a simulated server would wait in real time
# and no seed would repeat itself. A line of the log leaves the process: what it says of a run passes the gate, or a crash could take back what somebody read. storage/ may have a thread, but no clock of its own: it waits by a monotonic one and stamps by the one it was given.
source "$(dirname "$0")/lib.sh"
cd "$1"
count=0
clocks='absl::(Now|SleepFor|GetCurrentTimeNanos)\b|chrono::[a-z_]+_clock\b|\b(gettimeofday|clock_gettime|nanosleep|usleep)\b'
lines='\bLog\('
others='std::(this_thread|thread|jthread|async|random_device)\b|\bio_context\b|\bthread_pool\b|\b(steady|system|high_resolution)_timer\b'

# FILE|NAME|REASON: where a name may stand all the same. One that does not stand there any more is a problem.
allowed=(
  "runtime/gate.cc|Log(|the gate itself: once what it rests on is durable"
  "runtime/outlet.cc|Log(|is told what is durable, and nothing else"
  "runtime/scheduler.cc|Log(|of runs out of the store, or of none"
  "runtime/tools/documents.cc|Log(|of no run"
  "runtime/timers.h|std::thread|the system's timers are the seam itself"
  "runtime/timers.cc|chrono::steady_clock|the system's timers are the seam itself"
  "runtime/http/network_thread.h|std::thread|libcurl waits for sockets on a thread of its own, and no simulation runs it"
  "runtime/http/network_thread.cc|std::thread|libcurl waits for sockets on a thread of its own, and no simulation runs it"
  "runtime/http/network_thread.cc|chrono::steady_clock|timeouts of that thread"
)

# named FILE PATTERN: the names of FILE that match, once each; not in comments.
named() {
  sed -E 's@//.*@@' "$1" | { grep -oE "$2" || true; } | sort -u
}
is_allowed() {
  local entry
  for entry in "${allowed[@]}"; do
    if [[ "$entry" == "$1|$2|"* ]]; then return 0; fi
  done
  return 1
}
# never FOLDER PATTERN REMEDY
never() {
  local file name
  while IFS= read -r file; do
    count=$((count + 1))
    while IFS= read -r name; do
      if [[ -n "$name" ]] && ! is_allowed "$file" "$name"; then problem "$file names $name: $3"; fi
    done < <(named "$file" "$2")
  done < <(find "$1" -name '*.h' -o -name '*.cc' | sort)
}

never runtime "$clocks|$others" "take it from runtime/environment.h, or say in $0 why not"
never runtime "$lines" "say it by Gate::Warn, or say in $0 why not"
never storage "$clocks" "wait by SystemClock().Monotonic(), stamp by the clock of StoreOptions"
for entry in "${allowed[@]}"; do
  file="${entry%%|*}" rest="${entry#*|}"
  if [[ ! -e "$file" ]] || ! named "$file" "$clocks|$others|$lines" | grep -qxF "${rest%%|*}"; then problem "$file does not name ${rest%%|*} any more: take it off the list"; fi
done
# The control: a line that breaks the rule is seen, a comment is not.
control="$(mktemp)"
trap 'rm -f "$control"' EXIT
printf 'const absl::Time now = absl::Now();\nstd::thread worker;  // std::async\nvoid LogStop() { Log(LogLevel::kInfo, ""); }\n' >"$control"
if [[ "$(named "$control" "$clocks|$others|$lines" | tr '\n' ' ')" != "Log( absl::Now std::thread " ]]; then problem "the patterns see nothing"; fi
done_with "$count" "files" 100
