#!/usr/bin/env bash
# The store's format and the messages that it keeps go together: an older server must refuse a file whose events it would misread, and nothing but kFormat
# (storage/sqlite/schema.h) tells it so. Beside kFormat stands the sum of those messages, so whoever changes one decides about the format as well, by hand.
# Comments and spaces do not count, nor messages that only the API has.
source "$(dirname "$0")/lib.sh"
cd "$1"
schema=storage/sqlite/schema.h
# What is stored as it is; the messages and enums that these name belong to it.
roots="Event Agent Run"

# blocks FILE...: each top-level message and enum of the files on a line of its own, without comments, spaces between words only.
blocks() {
  sed -e 's,//.*,,' "$@" | tr -s '[:space:]' ' ' | sed -E 's/([{};])/\1\n/g' | awk '
    { sub(/^ +/, ""); if (depth == 0 && !/^(message|enum) /) next; text = text $0 }
    /\{$/ { depth++ }
    /^\}$/ { depth--; if (depth == 0) { print text; text = "" } }'
}
# stored: reads blocks, writes those that the roots need.
stored() {
  awk -v roots="$roots" '
    { block[$2] = $0 }
    END {
      count = split(roots, todo, " ")
      for (i = 1; i <= count; i++) seen[todo[i]] = 1
      for (i = 1; i <= count; i++) {
        if (!(todo[i] in block)) { print "missing " todo[i]; continue }
        print block[todo[i]]
        words = split(block[todo[i]], word, /[^A-Za-z0-9_]+/)
        for (w = 1; w <= words; w++) if ((word[w] in block) && !(word[w] in seen)) { seen[word[w]] = 1; todo[++count] = word[w] }
      }
    }' | sort
}
sum_of() { sha256sum | cut -c1-16; }

messages="$(blocks proto/agentruntime/v1/*.proto | stored)"
count="$(wc -l <<<"$messages")"
sum="$(sum_of <<<"$messages")"
if grep -q '^missing ' <<<"$messages"; then problem "not found: $(grep '^missing ' <<<"$messages" | cut -d' ' -f2 | tr '\n' ' ')"; fi
kept="$(sed -nE 's,^// Stored messages: ([0-9a-f]{16})$,\1,p' "$schema")"
format="$(sed -nE 's/^inline constexpr int32_t kFormat = ([0-9]+);$/\1/p' "$schema")"
if [[ -z "$kept" || -z "$format" ]]; then
  problem "$schema has no line \"// Stored messages: $sum\", or no kFormat"
elif [[ "$kept" != "$sum" ]]; then
  problem "a message that the store keeps has changed (proto/agentruntime/v1: $roots, and what these name), and kFormat is $format. Decide:"
  problem "- would an older server misread the new event or act otherwise than it says (a new kind or meaning, a field that it must not pass over)? Then raise kFormat"
  problem "  in $schema, with a step in schema.cc, a kind also in the view \`journal\`, and a dump of the old format in tests/support. Once for what is released together."
  problem "- may it pass over what is new without harm? Then kFormat stays."
  problem "Either way write down the new sum in $schema: // Stored messages: $sum"
fi

# The control: a comment is no change, another number is one, and so is a field of a message that an event names; a message of the API is none.
control() { blocks <(printf '%s\n' "$1") | roots="Event" stored | sum_of; }
before='message Event { // one
  int64 sequence = 1;
  Part part = 2;
}
message Part { string text = 1; }
message ListRequest { int32 page_size = 1; }'
same="$(control "$before")"
if [[ "$(control "${before/one/two}")" != "$same" ]]; then problem "the sum sees comments"; fi
if [[ "$(control "${before/page_size = 1/page_size = 2}")" != "$same" ]]; then problem "the sum sees messages that are not stored"; fi
if [[ "$(control "${before/sequence = 1/sequence = 3}")" == "$same" ]]; then problem "the sum sees no change of an event"; fi
if [[ "$(control "${before/text = 1/text = 2}")" == "$same" ]]; then problem "the sum sees no change of what an event names"; fi
done_with "$count" "messages" 40
