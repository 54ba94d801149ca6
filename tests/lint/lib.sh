# Shared by the scripts of this folder. Use: source lib.sh; then `problem TEXT` for each finding and `done_with COUNT WHAT FLOOR` at the end.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C
problems=0

problem() {
  printf '%s\n' "$*"
  problems=$((problems + 1))
}

# done_with COUNT WHAT FLOOR: fails if anything was found, or if less than FLOOR was looked at: a rule that sees nothing proves nothing.
done_with() {
  if (($1 < $3)); then problem "looked at $1 $2 only, at least $3 are there"; fi
  printf '%s: %d %s, %d problems\n' "$(basename "$0")" "$1" "$2" "$problems"
  if ((problems > 0)); then exit 1; fi
}

# Our own files that end in one of the given suffixes, one a line, relative to the source folder; nothing generated or installed.
our_files() {
  local suffix tests=()
  for suffix in "$@"; do tests+=(-o -name "*$suffix"); done
  find .ci clients deploy proto runtime server storage tests -name node_modules -prune -o -type f \( -false "${tests[@]}" \) -print | sort
}
