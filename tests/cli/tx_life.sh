#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tx_life.sh - what becomes of transactions while others look on: beside their writer, when it ends
# early, when their time is over, when retention moves them; and how dump prints all that.
#
# tx_life.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/cli/tx_lib.sh
. "$(dirname "$0")/tx_lib.sh"

# What a process writes is seen by others, and is nobody else's.
test_beside() {
    section 'beside a writer'
    local store number
    store=$(new)
    prepare 1 -t t -q 0
    open_tx -t t -q 0
    printf 'a\nb\n' >&9
    check "open" wait_for open_transactions 2
    check "with both" wait_for sh -c \
        "'$commitlog' tx list '$store' --json | grep -q '\"state\":\"open\",.*\"messages\":2,'"
    tx 0 list
    prints "listed" '^[0-9]*  *open      w                           2  *[0-9]* *-  [0-9]*ms *-$'
    same "the one that is prepared too" "$number" "$(sed -n 's/  *prepared.*//p' "$out")"
    tx 0 show "$(sed -n 's/  *open.*//p' "$out")"
    same "its messages" 'a b' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    tx 0 list --json
    same "as JSON" "('open', 'w', None, None, None)" "$(json 'tuple(v[1][k] for k in
        ("state", "producer_group", "offset_groups", "expires_at_ms", "left_ms"))')"
    tx 2 commit "$number"
    says "another process writes" "$writer"
    tx 2 rollback "$number"
    echo x | tx 2 append -t t -p p
    says "another process writes" "$writer"
    same "none is in a queue" '' "$(bodies t)"
    "$commitlog" read "$store" -t t -q 0 --follow --max 2 >"$work/follow" 9>&- &
    started+=("$!")
    exec 9>&-
    ends "the writer" 0 "$writer"
    same "the writer's errors" '' "$(cat "$work/writer")"
    check "the reader that follows has both" wait_for lines_at_least "$work/follow" 2
    same "in their order" 'a b' "$(tr '\n' ' ' <"$work/follow" | sed 's/ $//')"
    check "the other one waits" open_transactions 1
}

# So that the end of its process does not take it away.
written() {
    "$commitlog" stat "$store" --json | python3 -c 'import json, sys
v = json.load(sys.stdin)
sys.exit(v["written"] < v["claimed"])'
}

test_ends() {
    section 'ends early'
    local store signal status
    # shellcheck disable=SC2317
    orphaned() {
        "$commitlog" dump "$store" | grep -q '  transaction [0-9]*  rollback orphaned  body 16$'
    }
    store=$(new)
    run 0 "$commitlog" create "$store"
    while read -r signal status; do
        open_tx -t t -q 0
        printf 'a\nb\n' >&9
        check "$signal: open" wait_for open_transactions 1
        check "$signal: written" wait_for written
        kill -"$signal" "$writer"
        ends "$signal" "$status" "$writer"
        exec 9>&-
        same "$signal: nothing takes effect" '' "$(bodies t)"
        [ "$signal" = KILL ] || check "$signal: it has ended" open_transactions 0
    done <<'END'
TERM 143
HUP 129
KILL 137
END
    upkeep orphaned
    check "it has ended" open_transactions 0
    same "nothing of it is there" '' "$(bodies t)"
    # A signal before the first line.
    open_tx -t t
    sleep 0.2
    kill -TERM "$writer"
    ends "before the first line" 143 "$writer"
    exec 9>&-
    run 0 "$commitlog" verify "$store"
}

test_time() {
    section 'its time'
    local store number numbers=() i
    store=$(new)
    run 0 "$commitlog" create "$store"
    # shellcheck disable=SC2317
    expired() { # expired N: so many
        [ "$("$commitlog" dump "$store" | grep -c '  rollback expired  body 16$')" = "$1" ]
    }
    open_tx -t t --timeout 300ms
    echo a >&9
    check "over" wait_for expired 1
    echo b >&9
    exec 9>&-
    ends "the writer" 1 "$writer"
    same "told" 1 "$(grep -c 'line 2: the transaction is rolled back' "$work/writer")"
    same "and why" 1 "$(grep -c 'its time was over: --timeout gives it more than 300ms' \
        "$work/writer")"
    open_tx -t t --timeout 300ms --prepare
    echo a >&9
    check "over before the end of the input" wait_for expired 2
    exec 9>&-
    ends "the writer" 1 "$writer"
    same "told" 1 "$(grep -c 'transaction [0-9]* is not prepared' "$work/writer")"
    same "and why" 1 "$(grep -c 'its time was over' "$work/writer")"
    same "no number" '' "$(cat "$work/printed")"
    same "nothing takes effect" '' "$(bodies t)"
    check "none is left" open_transactions 0
    # The input may be slow to begin.
    open_tx -t t --timeout 1s
    sleep 1.2
    echo c >&9
    exec 9>&-
    ends "a late beginning" 0 "$writer"
    same "it is in time" c "$(bodies t)"
    prepare 2 -t t --expire 200ms
    sleep 0.3
    tx 0 list
    prints "overdue" '  [0-9a-z]* overdue$'
    tx 0 list --json
    same "overdue" True "$(json 'v[0]["left_ms"] < 0')"
    upkeep open_transactions 0
    run 0 "$commitlog" dump "$store"
    prints "dump says why" "  transaction $number  rollback expired  body 16\$"
    same "nothing of it is there" c "$(bodies t)"
    # Nobody has rolled it back yet.
    for ((i = 0; i < 20; i++)); do
        prepare 1 -t t -q 0 --level none -o thread=0 --expire 1ms
        numbers+=("$number")
    done
    tx 0 commit "${numbers[@]}"
    same "overdue, and decided" 21 "$(bodies t | wc -w)"
    run 0 "$commitlog" verify "$store"
}

test_dump() {
    section 'dump and get'
    local store number first second
    store=$(new)
    run 0 "$commitlog" append "$store" -t o -q 0 < <(seq 5)
    run 0 "$commitlog" group create "$store" -g g
    printf 'one\ntwo\n' | tx 0 append -t t -q 1 -k k --tag x -p p --prepare --expire 1h \
        -g g --offset o/0=3
    number=$(cat "$out")
    run 0 "$commitlog" dump "$store"
    prints "the first message" "^$number  *[0-9]*  transaction .* epoch [0-9]*  tag x  key k  \
transaction $number  producer p  body 3\$"
    prints "another" "  transaction .* tag x  key k  transaction $number  body 3\$"
    prints "offsets" "  transaction .*  transaction $number  group g  offsets  #[0-9]* @3  body "
    prints "prepare" "  transaction .*  transaction $number  prepare  messages 2  groups 1 \
until 20[0-9T:.-]*Z  body 32\$"
    second=$(sed -n "s/ .* key k  transaction $number  body 3\$//p" "$out")
    run 0 "$commitlog" dump "$store" --json
    same "half messages" "[(None, 'one', 'p', False), (None, 'two', None, None)]" \
        "$(json '[(o["topic"], o["body"], o.get("producer_group"), o.get("prepared"))
            for o in v if o["kind"] == "transaction" and o["keys"]]')"
    same "marks" "['offsets', 'prepare']" "$(json 'sorted(o["operation"] for o in v
        if "operation" in o and o["kind"] == "transaction")')"
    same "all of one transaction" "{$number}" \
        "$(json '{o["transaction"] for o in v if o["kind"] == "transaction"}')"
    same "offsets" "[('g', 3)]" "$(json '[(o["group"], o["entries"][0]["offset"]) for o in v
        if o.get("operation") == "offsets" and o["kind"] == "transaction"]')"
    same "prepare" "[(True, 2, 1)]" "$(json '[(o["expires_at_ms"] > 1e12, o["messages"],
        o["offset_groups"]) for o in v if o.get("operation") == "prepare"]')"
    run 0 "$commitlog" get "$store" --at "$second"
    same "get" two "$(cat "$out")"
    run 0 "$commitlog" get "$store" --at "$second" --json
    prints "get --json" "^{\"position\":$second,\"kind\":\"transaction\",.*\"transaction\":$number,"
    first=$("$commitlog" dump "$store" | sed -n 's/ .*  prepare  messages .*//p')
    run 0 "$commitlog" get "$store" --at "$first"
    prints "get of a mark" \
        "^$first  *[0-9]*  transaction .*  transaction $number  prepare  messages 2 "
    tx 0 commit "$number"
    run 0 "$commitlog" dump "$store"
    prints "a batch" '  batch  '
    prints "references" \
        "  reference  .*  t/1 @0  refers to $number  transaction $number  body 16\$"
    prints "references" \
        "  reference  .*  t/1 @1  refers to $second  transaction $number  body 24\$"
    prints "offsets of the group" '  group  .*  group g  offsets  #[0-9]* @3  body '
    run 0 "$commitlog" dump "$store" --json
    same "references" "[($number, $number), ($second, $number)]" \
        "$(json '[(o["origin_position"], o["transaction"]) for o in v
            if o["kind"] == "reference"]')"
    run 0 "$commitlog" read "$store" -t t --json
    same "read" "[('one', $number), ('two', $second)]" \
        "$(json '[(o["body"], o["origin_position"]) for o in v]')"
    check "read does not name it" sh -c "! grep -q '\"transaction\"' '$out'"
    run 0 "$commitlog" get "$store" --at "$number"
    same "get of what is referred to" one "$(cat "$out")"
    run 0 "$commitlog" stat "$store"
    prints "stat" '^transactions_open  *0$'
}

# Retention keeps what waits for a decision, under the same number.
test_retain() {
    section retention
    local store number i
    store=$(new)
    head -c 300 /dev/zero | tr '\0' 'r' >"$work/body"
    for ((i = 0; i < 1200; i++)); do cat "$work/body" && echo; done >"$work/bodies"
    printf 'kept\ntoo\n' | run 0 "$commitlog" tx append "$store" -t late -q 0 --queues 1 -p p \
        --prepare --segment-size 64K
    number=$(cat "$out")
    run 0 "$commitlog" append "$store" -t bulk --level none <"$work/bodies"
    run 0 "$commitlog" retain "$store" --bytes 1
    prints "dropped" '^dropped [1-9][0-9]* segments'
    tx 0 list
    prints "its number stays" "^$number  *prepared  p "
    tx 0 show "$number"
    same "its messages" 'kept too' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    tx 0 show "$number" --json
    same "they lie elsewhere" True "$(json "all(o['position'] > $number for o in v)")"
    same "where to" "{('late', 0)}" "$(json '{(o["topic"], o["queue"]) for o in v}')"
    run 0 "$commitlog" dump "$store"
    prints "dump" "  transaction  *20.*  transaction $number  first at $number  body 4\$"
    prints "dump" \
        "  transaction $number  state  producer p  prepared  messages 2  groups 0 since 20.* \
until 20.*  body 49\$"
    tx 1 show $((number + 8))
    says "no number" "there is no transaction $((number + 8)): "
    tx 0 commit "$number"
    same "they are there" 'kept too' "$(bodies late)"
    tx 1 commit "$number"
    says "what lay there" "no transaction $number: what lay there is no longer kept"
    # In the older half of the log, so that it is delivered whole.
    prepare 1 -t late -q 0
    run 0 "$commitlog" append "$store" -t bulk --level none <"$work/bodies"
    tx 0 commit "$number"
    same "all are there" 'kept too 1' "$(bodies late)"
    run 0 "$commitlog" dump "$store"
    prints "dump" "  message  .*  late/0 @2  transaction $number  first at $number  body 1\$"
    run 0 "$commitlog" read "$store" -t late -q 0 --from 2 --json
    prints "read" '"queue_offset":2,.*,"body":"1"}$'
    check "read does not name it" sh -c "! grep -q '\"transaction\"' '$out'"
    run 0 "$commitlog" verify "$store"
}

all='beside ends time dump retain'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
