#!/usr/bin/env bash
# The seams: time, threads, executors and chance reach runtime/ through runtime/environment.h and nowhere else, or a simulated server would wait in real time
# and no seed would repeat itself. A line of the log leaves the process: what it says of a run passes the gate, or a crash could take back what somebody read. server/ and
# storage/ have no gate, so that their lines name a run only where what they say of it is on disk or was said by the caller. storage/ may have a thread, but no clock of its own: it waits by a monotonic one and stamps by the one it was given.
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
  "runtime/scheduler_loads.cc|Log(|of runs out of the store, or of none"
  "runtime/tools/documents.cc|Log(|of no run"
  "server/rpc/status.cc|a log line of a run|names what the caller named, and a fault that a call met: no event"
  "storage/sqlite/core.cc|a log line of a run|damage of rows that were read, which are committed ones"
  "storage/sqlite/store.cc|a log line of a run|the process ends with it, and nothing is said but what a caller asked for against the contract"
  "runtime/timers.h|std::thread|the system's timers are the seam itself"
  "runtime/timers.h|chrono::steady_clock|where rough waits end is a function, to be tested"
  "runtime/timers.cc|chrono::steady_clock|the system's timers are the seam itself"
  "runtime/http/network_thread.h|std::thread|libcurl waits for sockets on a thread of its own, and no simulation runs it"
  "runtime/http/network_thread.cc|std::thread|libcurl waits for sockets on a thread of its own, and no simulation runs it"
  "runtime/http/network_thread.cc|chrono::steady_clock|timeouts of that thread"
)

# named PATTERN FILE: the names of FILE that match, once each; not in comments.
named() {
  sed -E 's@//.*@@' "$2" | { grep -oE "$1" || true; } | sort -u
}
# of_runs FILE: says so if a line that FILE logs has a field or an argument that names a run. Token by token: a message may speak of runs, and hold any sign.
of_runs() {
  if ! grep -qE '\b(Log|Say)\(' "$1"; then return; fi
  { grep -oE '"([^"\\]|\\.)*"|//.*|[A-Za-z_]+|[^ ]' "$1" || true; } | awk '
    /^\/\// { next }
    depth == 0 { if ($0 == "(" && (before == "Log" || before == "Say")) depth = 1; before = $0; next }
    $0 == "(" { ++depth }
    $0 == ")" { --depth }
    /^"(run|run_id|runs|subject)"$|^(run|run_id|runs|subject|RunId|RunName)$/ { found = 1 }
    END { if (found) print "a log line of a run" }'
}
is_allowed() {
  local entry
  for entry in "${allowed[@]}"; do
    if [[ "$entry" == "$1|$2|"* ]]; then return 0; fi
  done
  return 1
}
# look FOLDER REMEDY FINDER...: no file there has what `FINDER... FILE` names.
look() {
  local folder="$1" remedy="$2" file name
  shift 2
  while IFS= read -r file; do
    count=$((count + 1))
    while IFS= read -r name; do
      if [[ -n "$name" ]] && ! is_allowed "$file" "$name"; then problem "$file names $name: $remedy"; fi
    done < <("$@" "$file")
  done < <(find "$folder" -name '*.h' -o -name '*.cc' | sort)
}

look runtime "take it from runtime/environment.h, or say in $0 why not" named "$clocks|$others"
look runtime "say it by Gate::Warn, or say in $0 why not" named "$lines"
look storage "wait by SystemClock().Monotonic(), stamp by the clock of StoreOptions" named "$clocks"
for folder in server storage; do look "$folder" "let the run say it by Gate::Warn, or say in $0 why not" of_runs; done
for entry in "${allowed[@]}"; do
  file="${entry%%|*}" rest="${entry#*|}"
  if [[ ! -e "$file" ]] || ! { named "$clocks|$others|$lines" "$file" && of_runs "$file"; } | grep -xF "${rest%%|*}" >/dev/null; then
    problem "$file does not name ${rest%%|*} any more: take it off the list"
  fi
done
# The control: a line that breaks the rule is seen, a comment and a message are not.
control="$(mktemp)"
trap 'rm -f "$control"' EXIT
printf 'const absl::Time now = absl::Now();\nstd::thread worker;  // std::async\nvoid LogStop() { Log(LogLevel::kInfo, ""); }\n' >"$control"
if [[ "$(named "$clocks|$others|$lines" "$control" | tr '\n' ' ')" != "Log( absl::Now std::thread " ]]; then problem "the patterns see nothing"; fi
printf 'Log(LogLevel::kInfo, "a run (or \\"run\\"; more",\n    {{"at", Text(path)}});  // run\nDelete(run);\n' >"$control"
if [[ -n "$(of_runs "$control")" ]]; then problem "a line of no run is taken for one"; fi
printf 'Log(LogLevel::kInfo, "done; (",\n    {{"at", Text(path)},\n     {"of", RunName(id)}});\n' >"$control"
if [[ -z "$(of_runs "$control")" ]]; then problem "a line of a run is not seen"; fi
done_with "$count" "files" 100
