#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh - the main job of libcommitlog on data that this machine has; `make demo` runs it.
#
#   COMMITLOG   the command (default $BUILD/commitlog, BUILD default build/release)
#   DEMO_TIMES  how often the input is appended (default 60)
#
# Ends with 1 when anything that is compared differs.
set -u
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build/release}
commitlog=${COMMITLOG:-$build/commitlog}
helper=$build/examples/demo
times=${DEMO_TIMES:-60}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/commitlog-demo-XXXXXX") || exit 1
store=$work/store
children=()

clean_up() {
    local pid
    for pid in "${children[@]}"; do
        kill "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step=0
title() {
    step=$((step + 1))
    printf '\n%d. %s\n' "$step" "$*"
}
say() { printf '   %s\n' "$*"; }
die() {
    printf '\nFAILED: %s\n' "$*" >&2
    exit 1
}
# $ command as a person would type it
show() { printf '   $ %s\n' "$*"; }
# Output of a command, cut to the screen.
indent() { cut -c1-96 | sed 's/^/   | /'; }
# Microseconds on a clock.
now() { printf '%s' "${EPOCHREALTIME/./}"; }
# rate RECORDS BYTES MICROSECONDS
rate() {
    awk -v r="$1" -v b="$2" -v us="$3" 'BEGIN { s = us / 1e6;
        printf "%d records, %.1f MB in %.2f s: %d records a second, %.0f MB/s", r, b / 1e6, s,
               r / s, b / 1e6 / s }'
}
count() { wc -l <"$1" | tr -d ' '; }

for program in "$commitlog" "$helper"; do
    [ -x "$program" ] || die "$program is not there: run \`make demo'"
done

# ---------------------------------------------------------------------------------------------
title "The input: records that this machine has"
if [ -r /var/lib/dpkg/status ]; then
    "$helper" packages </var/lib/dpkg/status >"$work/once.json" || die "cannot read the packages"
    say "The package database, /var/lib/dpkg/status: one record per installed package."
    say "Its section becomes the topic, its name the key, its priority the tag, all of it the body."
else
    for file in /var/log/*.log "$here"/../../lib/*/*.c "$here"/../../include/*.h; do
        [ -r "$file" ] && "$helper" lines "$(basename "$file")" <"$file"
    done | head -n 5000 >"$work/once.json"
    say "Lines of logs and source files: the file becomes the topic, file:line the key."
fi
once=$(count "$work/once.json")
[ "$once" -gt 0 ] || die "no input found"
for ((i = 0; i < times; i++)); do
    cat "$work/once.json"
done >"$work/all.json"
all=$(count "$work/all.json")
bytes=$(stat -c %s "$work/all.json")
say "$once records, appended $times times over: $all."

# ---------------------------------------------------------------------------------------------
title "Append them, each record safe on the disk before it is acknowledged"
show "commitlog append store --jsonl --acks <all.json >acks"
begin=$(now)
"$commitlog" append "$store" --jsonl --acks <"$work/all.json" >"$work/acks" || die "append"
spent=$(($(now) - begin))
say "$(rate "$all" "$bytes" "$spent")"
[ "$(count "$work/acks")" = "$all" ] || die "$all records, $(count "$work/acks") acknowledgements"
say "An acknowledgement is the record's position in the log and its offset in its queue:"
tail -n 1 "$work/acks" | indent

title "The same without waiting for the disk (it would survive this program, not the machine)"
show "commitlog append fast --jsonl --level none <all.json"
begin=$(now)
"$commitlog" append "$work/fast" --jsonl --level none <"$work/all.json" || die "append"
spent=$(($(now) - begin))
say "$(rate "$all" "$bytes" "$spent") (most of it is reading JSON)"
sed 's/.*"body":"//; s/"}$//' "$work/all.json" >"$work/plain"
begin=$(now)
"$commitlog" append "$work/fast" --topic plain --level none <"$work/plain" || die "append"
spent=$(($(now) - begin))
say "As plain lines: $(rate "$all" "$(stat -c %s "$work/plain")" "$spent")"
rm -rf "$work/fast"

# ---------------------------------------------------------------------------------------------
title "Read everything back and compare it, byte for byte"
compared=$("$helper" compare "$store" "$work/all.json" "$work/acks") || die "records differ"
[ "$compared" = "$all" ] || die "compared $compared of $all records"
say "$compared records fetched by their positions: topic, key, tag, offset and body are the same."

# ---------------------------------------------------------------------------------------------
middle=$(sed -n "$((once / 2 + 1))p" "$work/once.json")
topic=$(printf '%s\n' "$middle" | sed 's/^{"topic":"\([^"]*\)".*/\1/')
key=$(printf '%s\n' "$middle" | sed 's/.*"keys":\["\([^"]*\)"\].*/\1/')
title "Look one up by its key: the newest of $times"
show "commitlog query store --topic $topic --key $key --max 1"
begin=$(now)
"$commitlog" query "$store" --topic "$topic" --key "$key" --max 1 >"$work/found" || die "query"
spent=$(($(now) - begin))
head -n 3 "$work/found" | indent
found=$("$commitlog" query "$store" --topic "$topic" --key "$key" --json | wc -l)
[ "$found" = "$times" ] || die "$found records with this key, $times were appended"
say "Found in $((spent / 1000)) ms, which includes opening the store; $found in all."

title "Read one queue from an offset"
queue=$("$commitlog" query "$store" --topic "$topic" --key "$key" --max 1 --json |
    sed 's/.*"queue":\([0-9]*\).*/\1/')
next=$("$commitlog" topics "$store" |
    awk -v t="$topic" -v q="$queue" '$1 == t && $2 == q { print $4 }')
from=$((next / 2))
show "commitlog read store --topic $topic --queue $queue --from $from --max 2 --json"
"$commitlog" read "$store" --topic "$topic" --queue "$queue" --from "$from" --max 2 --json \
    >"$work/two" || die "read"
indent <"$work/two"
got=$(sed 's/.*"queue_offset":\([0-9]*\).*/\1/' "$work/two" | tr '\n' ' ')
[ "$got" = "$from $((from + 1)) " ] || die "offsets $got instead of $from $((from + 1))"

title "Read from a moment on"
sleep 0.2
moment=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
head -n 3 "$work/once.json" | sed 's/^{"topic":"[^"]*"/{"topic":"late"/' |
    "$commitlog" append "$store" --jsonl || die "append"
show "commitlog read store --topic late --since $moment"
got=$("$commitlog" read "$store" --topic late --since "$moment" --json | wc -l)
[ "$got" = 3 ] || die "$got records since then instead of 3"
got=$("$commitlog" read "$store" --topic "$topic" --since "$moment" --json | wc -l)
[ "$got" = 0 ] || die "$got old records are said to be younger"
say "The 3 records stored after that moment, and none of the $all before."

# ---------------------------------------------------------------------------------------------
title "Follow the end of a topic from a second process"
show "commitlog read store --topic late --last 0 --follow --max 3 &"
"$commitlog" read "$store" --topic late --last 0 --follow --max 3 >"$work/followed" &
follower=$!
children+=("$follower")
sleep 0.5
for i in 1 2 3; do
    printf 'news %s\n' "$i"
    sleep 0.2
done | "$commitlog" append "$store" --topic late || die "append"
wait "$follower" || die "the follower ended with $?"
indent <"$work/followed"
[ "$(tr '\n' ' ' <"$work/followed")" = "news 1 news 2 news 3 " ] ||
    die "the follower saw something else"
say "Printed by the other process as they were appended; it slept in between."

# ---------------------------------------------------------------------------------------------
title "Kill the writer in the middle of a load"
show "commitlog append store --jsonl --acks <all.json >acks2 &   kill -9 \$!"
: >"$work/acks2"
# In a shell of its own, whose remark that somebody was killed nobody needs.
exec 3>&2
(
    "$commitlog" append "$store" --jsonl --acks <"$work/all.json" >"$work/acks2" 2>&3 &
    echo $! >"$work/pid"
    wait $!
    echo $? >"$work/ended"
) 2>/dev/null &
load=$!
for ((i = 0; i < 2000; i++)); do
    [ "$(count "$work/acks2")" -ge "$((all / 8))" ] && break
    sleep 0.005
done
kill -9 "$(cat "$work/pid")" 2>/dev/null
wait "$load"
ended=$(cat "$work/ended")
children=()
[ "$ended" = 137 ] || die "the writer ended with $ended before it could be killed"
acknowledged=$(count "$work/acks2")
say "It had acknowledged $acknowledged of $all records when it died."

title "Open the store again and see what recovery did"
show "commitlog verify store"
"$commitlog" verify "$store" >"$work/verified" || die "a store whose writer was killed is sound"
indent <"$work/verified"
show "commitlog recover store"
begin=$(now)
"$commitlog" recover "$store" >"$work/recovered" || die "recover"
spent=$(($(now) - begin))
indent <"$work/recovered"
say "Done in $((spent / 1000)) ms."

title "Compare every record that was acknowledged, byte for byte"
compared=$("$helper" compare "$store" "$work/all.json" "$work/acks2") || die "records differ"
[ "$compared" = "$acknowledged" ] || die "compared $compared of $acknowledged"
earlier=$("$helper" compare "$store" "$work/all.json" "$work/acks") || die "records differ"
say "$compared records of the killed writer and $earlier of the first: none missing, none altered."
printf 'again\n' | "$commitlog" append "$store" --topic late || die "append after recovery"
say "And it takes new ones."

# ---------------------------------------------------------------------------------------------
title "Flip one byte in a copy: it is found and named"
cp -r "$store" "$work/copy" || die "cp"
position=$(sed -n "$((all / 2))p" "$work/acks" | cut -d' ' -f1)
segment=$(for file in "$work"/copy/log/*.log; do
    base=$(basename "$file" .log | sed 's/^0*\([0-9]\)/\1/')
    [ "$base" -le "$position" ] && echo "$base $file"
done | sort -n | tail -n 1)
base=${segment%% *}
file=${segment#* }
place=$((position - base + 200))
byte=$(od -An -tu1 -j "$place" -N 1 "$file" | tr -d ' ')
# The format is the byte itself.
# shellcheck disable=SC2059
printf "\\x$(printf %02x $((byte ^ 1)))" |
    dd of="$file" bs=1 seek="$place" conv=notrunc status=none || die "dd"
say "The lowest bit of byte $place of log/$(basename "$file") is now the other one."
show "commitlog verify copy"
"$commitlog" verify "$work/copy" >"$work/damage" 2>/dev/null
ended=$?
grep -e '^damage' -e '^verdict' "$work/damage" | indent
[ "$ended" = 1 ] || die "verify ended with $ended instead of 1"
grep -q "^damage: positions $position to [0-9]*, topic .*, queue [0-9]*, offset [0-9]*" \
    "$work/damage" || die "the damage at position $position was not named"
"$commitlog" get "$work/copy" --at "$position" >/dev/null 2>&1
ended=$?
[ "$ended" = 1 ] || die "the damaged record was read without an error ($ended)"
"$commitlog" verify "$store" >/dev/null || die "the store itself is damaged"
say "Exactly the record at position $position; it cannot be read. The original is sound."

printf '\nAll of it held: %s comparisons of records, none different.\n' \
    "$((all + compared + earlier))"
