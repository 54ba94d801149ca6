#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test through ctest:
#   ./deploy/test.sh            release, then address and undefined-behaviour sanitizers, then the thread sanitizer over the core
#   ./deploy/test.sh --quick    release only
# Stages go on after a failed one; the summaries of all stand at the end, and the exit code is 1 if any failed.
source "$(dirname "$0")/setup.sh"

presets=(release asan tsan)
case "${1:-}" in
  "") ;;
  --quick) presets=(release) ;;
  -h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *) fail 2 "unknown argument '$1'; usage: ./deploy/test.sh [--quick]" ;;
esac
logs="$root/build/logs"
total=$((2 + 2 * ${#presets[@]}))
stage=0
summary=()

# Programs of others that the tests run against. Their versions and hashes are those of the lock files.
install_peers() {
  local version
  npm_install "$root/tests/peers"
  version="$(node --version)"
  version="${version#v}"
  if ! printf '20.15.0\n%s\n' "$version" | sort -CV; then
    # Debian 12's node is 18, and the peers want 20.15.
    npm_install "$root/tests/peers/node22"
    node_folder="$(echo "$root"/tests/peers/node22/node_modules/node-linux-*/bin)"
    if [[ ! -x "$node_folder/node" ]]; then
      fail 1 "npm could not fetch a node of 20.15 or newer: check the network and start this again, or install one and put it on the PATH."
    fi
    PATH="$node_folder:$PATH"
    version="$(node --version)"
  fi
  finish "node ${version#v}, tests/peers as locked" timed
}

# npm_install FOLDER: unless what its lock file says is there already.
npm_install() {
  local log="$logs/npm.log"
  if cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock"; then return; fi
  mkdir -p "$logs"
  progress "npm ci in ${1#"$root"/}"
  if ! (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1; then
    tail -n 15 "$log" | show
    fail 1 "npm could not install the test peers: check the network and start this again. Full output: $log"
  fi
  cp "$1/package-lock.json" "$1/node_modules/.installed-lock"
}

# run_tests PRESET: what ctest says goes straight to the reader.
run_tests() {
  local log="$logs/ctest-$1.log"
  finish "$1, ctest, log: ${log#"$root"/}"
  # Fewer of a test's own threads are idle than there are cores: two tests at once keep both busy.
  if (cd "$root" && ctest --preset "$1" -j "$cores" 2>&1) | tee "$log"; then
    summary+=("$1: $(grep -E '^[0-9]+% tests passed' "$log"), $(duration $((SECONDS - stage_start)))")
  else
    failed=1
    summary+=("$1: $(grep -E '^[0-9]+% tests passed' "$log" || echo "ctest did not come to its end"), $(duration $((SECONDS - stage_start))); see $log"
      "$(sed -n '/^The following tests FAILED/,/^Errors while/p' "$log")")
  fi
}

printf 'Agent Runtime, the whole test suite, %s cores\n' "$cores"
failed=0
begin $((++stage)) $total packages
install_packages test "$logs/packages.log"
begin $((++stage)) $total peers
install_peers
for preset in "${presets[@]}"; do
  need_space 3000 "$root"
  begin $((++stage)) $total build
  build "$preset" "$logs/build-$preset.log" -DBUILD_TESTING=ON
  finish "$preset, $built_objects steps" timed
  begin $((++stage)) $total test
  run_tests "$preset"
done

printf '\n'
printf '%s\n' "${summary[@]}"
if ((failed)); then fail 1 "tests failed; see above. One alone: ctest --preset ${presets[0]} -R NAME --output-on-failure"; fi
printf 'All tests passed in %s.\n' "$(duration $SECONDS)"
