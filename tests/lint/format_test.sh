#!/usr/bin/env bash
# C++ looks as clang-format 19 writes it. Mend with: clang-format-19 -i FILE
source "$(dirname "$0")/lib.sh"
cd "$1"
mapfile -t files < <(our_files .cc .h)
findings="$(printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 20 clang-format-19 --dry-run -Werror 2>&1)" || true
while IFS= read -r file; do
  if [[ -n "$file" ]]; then problem "clang-format-19 would change $file"; fi
done < <(sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: error: .*/\1/p' <<<"$findings" | sort -u)
if [[ -n "$findings" ]] && ((problems == 0)); then problem "$findings"; fi
done_with "${#files[@]}" "files" 40
