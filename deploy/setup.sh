#!/usr/bin/env bash
# What run.sh and test.sh share: packages, the build, and how both speak. Sourced by them; as a command it installs packages only:
#   ./deploy/setup.sh [run|test|strict]
# Every failure ends in one sentence that says what to do.
# shellcheck source=/dev/null
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cores="$(nproc)"
stage_head=""    # "[2/4] build     " of the stage that is under way
stage_start=0
columns="$(tput cols 2>/dev/null || echo 100)"

# --- how it speaks -------------------------------------------------------------------------------

is_terminal() { [[ -t 1 && "${TERM:-dumb}" != dumb ]]; }

# show < TEXT: what a tool said, below the line of the stage.
show() {
  if is_terminal && [[ -n "$stage_head" ]]; then printf '\n'; fi
  stage_head=""
  cat >&2
}

# fail EXIT_CODE SENTENCE: the last line of every failure.
fail() {
  local code="$1"
  shift
  show </dev/null
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$code"
}

# begin NUMBER TOTAL NAME [TEXT]: opens a stage.
last_shown=0
begin() {
  printf -v stage_head '[%s/%s] %-9s ' "$1" "$2" "$3"
  stage_start=$SECONDS
  last_shown=$((SECONDS - 28))
  if [[ -n "${4:-}" ]]; then announce "$4"; fi
}

# announce TEXT: progress that is worth a line of its own when piped.
announce() {
  last_shown=-1000
  progress "$1"
}

# progress TEXT: on a terminal it replaces the stage's line; piped, a new line each 30 seconds at most, and none in a stage that ends at once.
progress() {
  if is_terminal; then
    printf '\r\033[K%s%.*s' "$stage_head" "$((columns - ${#stage_head} - 1))" "$1"
  elif [[ -n "$1" ]] && ((SECONDS - last_shown >= 30)); then
    printf '%s%s\n' "$stage_head" "$1"
    last_shown=$SECONDS
  fi
}

# finish TEXT [timed]: closes the stage with its final line, and its time if asked.
finish() {
  local text="$1" took=$((SECONDS - stage_start))
  if [[ "${2:-}" == timed ]]; then text+="  $(duration "$took")"; fi
  if is_terminal; then printf '\r\033[K'; fi
  printf '%s%s\n' "$stage_head" "$text"
  stage_head=""
}

duration() { if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi; }

# bar DONE TOTAL: [#####.....]
bar() {
  local width=22 filled
  filled=$(($2 > 0 ? $1 * width / $2 : 0))
  printf '[%s%s]' "$(printf '%*s' "$filled" '' | tr ' ' '#')" "$(printf '%*s' "$((width - filled))" '' | tr ' ' '.')"
}

# --- the machine ---------------------------------------------------------------------------------

check_machine() {
  local id="" version="" name="" arch
  if [[ -r /etc/os-release ]]; then
    id="$(. /etc/os-release && echo "${ID:-}")"
    version="$(. /etc/os-release && echo "${VERSION_ID:-}")"
    name="$(. /etc/os-release && echo "${PRETTY_NAME:-unknown}")"
  fi
  if [[ "$id $version" != "debian 12" && "${AGENTRUNTIME_SKIP_PACKAGES:-}" != 1 ]]; then
    fail 1 "this is ${name:-an unknown system}, and the package names here are Debian 12's. Install what deploy/packages.txt lists in your system's" \
      "names, then set AGENTRUNTIME_SKIP_PACKAGES=1; or use a Debian 12 machine or container."
  fi
  arch="$(uname -m)"
  case "$arch" in
    x86_64 | aarch64) ;;
    *) fail 1 "the processor is $arch; use an x86_64 or aarch64 machine." ;;
  esac
}

# need_space MEGABYTES FOLDER
need_space() {
  local free
  free="$(df -Pm "$2" | awk 'NR == 2 {print $4}')"
  if ((free < $1)); then fail 1 "$2 has $free MB free and the work needs about $1 MB: make room, or clone to a bigger disk."; fi
}

# --- packages ------------------------------------------------------------------------------------

# Prints the packages of the sections up to $1, leaving out those whose command is already there.
packages_of() {
  local line section="" name condition command
  while IFS= read -r line; do
    line="${line%%#*}"
    if [[ "$line" =~ ^\[(.*)\] ]]; then
      if [[ "$section" == "$1" ]]; then return; fi
      section="${BASH_REMATCH[1]}"
      continue
    fi
    read -r name condition command <<<"$line" || true
    if [[ -z "$name" ]]; then continue; fi
    if [[ "$condition" == unless ]] && command -v "$command" >/dev/null; then continue; fi
    echo "$name"
  done <"$root/deploy/packages.txt"
}

# Prints those of its arguments that are not installed.
missing_packages() {
  local installed
  installed="$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | awk '$2 == "installed" {print $1}')" || true
  printf '%s\n' "$@" | grep -vxF -f <(echo "$installed") || true
}

# install_packages SECTION LOG: installs what is missing of the section. Touches nothing when nothing is.
install_packages() {
  local section="$1" log="$2" all missing
  local as_root=()
  check_machine
  if [[ "${AGENTRUNTIME_SKIP_PACKAGES:-}" == 1 ]]; then
    finish "not looked at, because AGENTRUNTIME_SKIP_PACKAGES=1"
    return
  fi
  mapfile -t all < <(packages_of "$section")
  mapfile -t missing < <(missing_packages "${all[@]}")
  if ((${#missing[@]} == 0)); then
    finish "${#all[@]} needed, all installed"
    return
  fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      fail 1 "packages are missing and there is no sudo. As root run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    if ! sudo -n true 2>/dev/null; then
      if [[ ! -t 0 ]]; then
        fail 1 "packages are missing and sudo asks for a password. Start this on a terminal, or run: sudo apt-get install --no-install-recommends ${missing[*]}"
      fi
      printf '\n'
      sudo -v || fail 1 "sudo was refused. As root run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    as_root=(sudo)
  fi
  need_space 2500 /usr
  announce "${#all[@]} needed, ${#missing[@]} to install: ${missing[*]}"
  mkdir -p "$(dirname "$log")"
  if ! "${as_root[@]}" apt-get update >"$log" 2>&1; then explain_apt "$log"; fi
  apt_install "$log" "${as_root[@]}" -- "${missing[@]}" || explain_apt "$log"
  mapfile -t missing < <(missing_packages "${missing[@]}")
  if ((${#missing[@]} > 0)); then fail 1 "apt-get ended well, but ${missing[*]} did not arrive; see $log."; fi
  finish "${#all[@]} needed, all installed now" timed
}

# apt_install LOG [sudo] -- PACKAGES: with a line of progress for each package.
apt_install() {
  local log="$1" as_root=() line count=0
  shift
  while [[ "$1" != -- ]]; do as_root+=("$1") && shift; done
  shift
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" 2>&1 |
    tee -a "$log" | while IFS= read -r line; do
    case "$line" in
      Get:*) progress "fetching ${line#* * * * }" ;;
      Setting\ up\ *) count=$((count + 1)) && progress "$count: ${line%% (*}" ;;
    esac
  done
}

explain_apt() {
  local log="$1"
  tail -n 8 "$log" | show
  if grep -qiE 'No space left|enough free space' "$log"; then
    fail 1 "the disk is full: make room (df -h), then start this again."
  elif grep -qiE 'Could not get lock|Unable to acquire the dpkg' "$log"; then
    fail 1 "another package manager is running: wait for it to end, then start this again."
  elif grep -qi 'dpkg was interrupted' "$log"; then
    fail 1 "an earlier installation was interrupted: run dpkg --configure -a as root, then start this again."
  elif grep -qiE 'resolv|Unable to connect|Could not connect|timed out|Network is unreachable|Failed to fetch' "$log"; then
    fail 1 "apt-get cannot reach its package server: check the network or /etc/apt/sources.list, then start this again. Full output: $log"
  elif grep -qi 'Unable to locate package' "$log"; then
    fail 1 "apt-get does not know a package of Debian 12: make sure that /etc/apt/sources.list has 'bookworm main'. Full output: $log"
  fi
  fail 1 "apt-get failed; what it said is above and in $log: mend that, then start this again."
}

# --- build ---------------------------------------------------------------------------------------

# Compilers at once: one a core, fewer where memory is small (a file takes up to 1 GB).
build_jobs() {
  local memory_gb
  memory_gb="$(awk '/^MemAvailable/ {print int($2 / 1000000)}' /proc/meminfo)"
  echo $((memory_gb < 1 ? 1 : memory_gb < cores ? memory_gb : cores))
}

# build PRESET LOG [-DNAME=VALUE ...] [-- TARGET ...]: configures and builds into build/PRESET; built_objects says how many steps that took.
export built_objects=0
build() {
  local preset="$1" log="$2" options=() folder
  shift 2
  while (($# > 0)) && [[ "$1" != -- ]]; do options+=("$1") && shift; done
  if (($# > 0)); then shift; fi
  folder="$root/build/$preset"
  mkdir -p "$folder" "$(dirname "$log")" || fail 1 "cannot write to $root: use a folder of your own, or mend its permissions."
  : >"$log"
  # Ninja configures again by itself when a CMakeLists.txt changes.
  if [[ ! -e "$folder/build.ninja" ]] || ((${#options[@]} > 0)); then configure "$preset" "$log" "${options[@]}"; fi
  if ! run_ninja "$preset" "$folder" "$log" "$@"; then
    sed -n '/^FAILED:/,$p' "$log" | head -n 40 | show
    explain_build "$log" "the build of $preset failed; the first error is above, all of it in $log. Mend it, or report it if this is an unchanged clone."
  fi
  built_objects="$(grep -o '^@[0-9]*/[0-9]*' "$log" | tail -n 1 | sed 's/.*\///')" || built_objects=0
}

configure() {
  local preset="$1" log="$2"
  shift 2
  announce "$preset, configuring"
  if ! (cd "$root" && cmake --preset "$preset" "$@") >"$log" 2>&1; then
    tail -n 15 "$log" | show
    explain_build "$log" "cmake could not configure the build; the reason is above. If build/$preset is from another machine or compiler, remove that folder. Log: $log"
  fi
}

run_ninja() {
  local preset="$1" folder="$2" log="$3" line
  shift 3
  NINJA_STATUS='@%f/%t ' ninja -C "$folder" -j "$(build_jobs)" "$@" 2>&1 | tee -a "$log" | while IFS= read -r line; do
    if [[ "$line" =~ ^@([0-9]+)/([0-9]+) ]]; then
      progress "$preset, ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]} $(bar "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}") $(duration $((SECONDS - stage_start)))"
    fi
  done
}

explain_build() {
  if grep -qi 'No space left on device' "$1"; then fail 1 "the disk is full: make room (df -h), then start this again; what is built stays built."; fi
  if grep -qiE 'Killed|signal 9|Cannot allocate memory' "$1"; then
    fail 1 "the compiler ran out of memory: close other programs or add swap (1 GB for each of $(build_jobs) jobs), then start this again; what is built stays built."
  fi
  fail 1 "$2"
}

# --- as a command --------------------------------------------------------------------------------

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  case "${1:-run}" in
    run | test | strict) ;;
    *) fail 2 "usage: ./deploy/setup.sh [run|test|strict]" ;;
  esac
  begin 1 1 packages
  install_packages "${1:-run}" "$root/build/packages.log"
fi
