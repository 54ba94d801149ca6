#!/usr/bin/env bash
# While a store is open nothing of ours opens its files but SQLite: closing any descriptor of the database drops the locks by which others know that it is used.
# So few files of the store open anything at all, each for a reason, and the server none of it.
source "$(dirname "$0")/lib.sh"
cd "$1"
count=0

# What opens, copies or maps a file.
opens='(^|[^A-Za-z_:.>])(::)?(open|openat|fopen|freopen|creat|popen)\(|std::(i|o|)fstream|std::filesystem::(copy|copy_file|rename|resize_file)\('

# FILE of the tree and its reason; files that are not there or open nothing are to be taken off this list.
allowed='
storage/sqlite/database_file.cc  makes the database, and holds the lock of the server, which is a file of its own; before SQLite opens anything
storage/sqlite/log_check.cc      reads the log before SQLite opens it
storage/sqlite/file_system.cc    what is mounted where
storage/sqlite/text_index.cc     the header of an index, before SQLite opens it; an index can be made again
'
while IFS= read -r file; do
  count=$((count + 1))
  hits="$(sed 's,//.*,,' "$file" | grep -nE "$opens" || true)"
  if grep -q "^$file " <<<"$allowed"; then
    if [[ -z "$hits" ]]; then problem "$file opens nothing any more: take it off the list of $(basename "$0")"; fi
  elif [[ -n "$hits" ]]; then
    while IFS= read -r hit; do problem "$file:$hit: may be a file of an open store; if it cannot be, the list of $(basename "$0") says why"; done <<<"$hits"
  fi
done < <(find storage server/doctor.cc server/wiring.cc -name '*.cc' -o -name '*.h')
while read -r file _; do
  if [[ -n "$file" && ! -e "$file" ]]; then problem "$file is on the list of $(basename "$0") and not in the tree"; fi
done <<<"$allowed"
done_with "$count" "files" 40
