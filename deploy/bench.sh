#!/usr/bin/env bash
# Installs what is missing, builds a release, and measures a real server with full durability beside what the same machine does without it:
#   ./deploy/bench.sh            all workloads, about ten minutes
#   ./deploy/bench.sh --quick    under two minutes: shorter, and without the largest
# Other options go to the benchmark itself: --only WORKLOAD, --callers N; ./deploy/bench.sh --help names them.
# Prints a table; build/bench/ has the rows as JSON and a plot. What is measured and how to read it: tests/bench/README.md.
# Environment: AGENTRUNTIME_BIN   a folder with agentd, bench and floor_server: nothing is installed or built
source "$(dirname "$0")/setup.sh"

out="$root/build/bench"
bin="${AGENTRUNTIME_BIN:-}"
case " $* " in
  *" -h "* | *" --help "*)
    sed -n '2,/^source/s/^# \{0,1\}//p' "$0"
    if [[ -z "$bin" ]]; then bin="$root/build/release/bin"; fi
    if [[ -x "$bin/bench" ]]; then "$bin/bench" --help; fi
    exit 0
    ;;
esac

mkdir -p "$out" || fail 1 "cannot write to $root/build: use a folder of your own, or mend its permissions."
if [[ -z "$bin" ]]; then
  need_space 3000 "$root"
  begin 1 3 packages
  install_packages test "$out/packages.log"
  begin 2 3 build
  build release "$out/build.log" -DBUILD_TESTING=ON -- agentd bench floor_server
  finish "release, $built_objects steps" timed
  begin 3 3 measure
  finish "$cores cores, disk of ${out#"$root"/}"
  bin="$root/build/release/bin"
fi
need_space 2000 "$out"
revision="$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)"
printf '\n'
if ! "$bin/bench" --revision "$revision" --folder "$out/data" --json "$out/rows.json" --plot "$out/example.svg" "$@"; then
  fail 1 "a measurement could not be made; the reason is above."
fi
printf 'rows: %s\nplot: %s\n' "$out/rows.json" "$out/example.svg"
