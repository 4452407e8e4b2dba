#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# read.sh - `commitlog read`: where --last begins when what matches is spread unevenly over the
# queues; what --follow does while nobody recovers the store, and when retention overtakes it.
#
# read.sh [TEST...]
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# lasts N OPTION...: the last N of what there is, and nothing else
lasts() {
    "$commitlog" read "$store" -t t "${@:2}" | tail -n "$1" >"$work/expected"
    run 0 "$commitlog" read "$store" -t t --last "$1" "${@:2}"
    check "--last $*" cmp -s "$work/expected" "$out"
}

test_last() {
    section "the last ones of several queues"
    local n seed=${SEED:-$RANDOM}
    store=$(new)
    # The windows of queue 0, in which each matches, hold five while those of queue 1 hold none yet:
    # they lie later in the log.
    {
        seq -f '{"queue":0,"tag":"x","body":"a%.0f"}' 40
        seq -f '{"queue":1,"tag":"x","headers":{"n":"1"},"body":"b%.0f"}' 10
        seq -f '{"queue":1,"tag":"y","headers":{"n":"2"},"body":"c%.0f"}' 40
    } | "$commitlog" append "$store" -t t --queues 3 --jsonl --level none
    for n in 1 2 5 9 10 11 30 50 51 1000; do
        lasts $n --tag x
        lasts $n --where 'n = 1'
        lasts $n
        lasts $n --tag x --queue 1
    done
    run 0 "$commitlog" read "$store" -t t --tag x --last 5
    same "five of queue 1" 'b6 b7 b8 b9 b10' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"

    section "the last ones, drawn by SEED=$seed"
    rm -rf "$store"
    awk -v seed="$seed" 'BEGIN {
        srand(seed)
        for (i = 1; i <= 4000; i++) {
            if (i % 400 == 1) {
                for (q = 0; q < 4; q++) { often[q] = rand() ^ 4; weight[q] = rand() ^ 3 }
            }
            q = int(rand() * 4)
            if (rand() > weight[q]) { q = int(rand() * 4) }
            tag = rand() < often[q] ? "x" : "y"
            printf "{\"queue\":%d,\"tag\":\"%s\",\"body\":\"%d\"}\n", q, tag, i
        }
    }' | "$commitlog" append "$store" -t t --queues 5 --jsonl --level none
    for n in 1 2 3 7 20 61 200 777 3000; do
        lasts $n --tag x
        lasts $n --tag 'x || y'
        lasts $n --tag y --queue 2
    done
    rm -rf "$store"
}

test_unrecovered() {
    section "--follow while nobody recovers"
    local pid writer
    store=$(new)
    mkfifo "$work/input"
    seq 5 | "$commitlog" append "$store" -t t --queue 0
    "$commitlog" append "$store" -t t --queue 0 --acks --level none <"$work/input" >"$work/acks" &
    writer=$!
    started+=("$writer")
    exec 7>"$work/input"
    seq 6 9 >&7
    check "it appends" wait_for lines_at_least "$work/acks" 4
    kill -9 "$writer"
    wait "$writer" 2>/dev/null
    exec 7>&-
    "$commitlog" read "$store" -t t --follow >"$work/follow" 2>"$err" &
    pid=$!
    started+=("$pid")
    check "what can be read is printed" wait_for lines_at_least "$work/follow" 5
    says "the rest is told of" 'await recovery'
    kill -TERM "$pid"
    ends "--follow" 0 "$pid"
    rm -rf "$store"
}

# overtaken OPTION...: a follower to which nothing was printed yet, and which sleeps while retention
# drops what it would have read next
overtaken() {
    local pid
    store=$(new)
    seq -f '%0300.0f' 10 | "$commitlog" append "$store" -t t --queue 0 --segment-size 64K
    "$commitlog" read "$store" -t t --follow "$@" >"$work/follow" 2>"$err" &
    pid=$!
    started+=("$pid")
    sleep 0.5
    kill -STOP "$pid"
    seq -f '%0300.0f' 2000 | "$commitlog" append "$store" -t t --queue 0 --level none
    run 0 "$commitlog" retain "$store" --bytes 128K
    kill -CONT "$pid"
    echo last | "$commitlog" append "$store" -t t --queue 0 --tag last
    check "$*: it goes on" wait_for grep -q '^last$' "$work/follow"
    kill -TERM "$pid"
    ends "$*: what was dropped is not forgotten" 1 "$pid"
    says "$*: it is told" 'was dropped by retention'
    rm -rf "$store"
}

test_overtaken() {
    section "--follow, overtaken by retention"
    overtaken --last 0
    overtaken --tag last
    overtaken --tag last --queue 0
    overtaken --queue 0 --from 10
    store=$(new)
    seq -f '%0300.0f' 2000 |
        "$commitlog" append "$store" -t t --queue 0 --segment-size 64K --level none
    run 0 "$commitlog" retain "$store" --bytes 128K
    run 1 timeout 10 "$commitlog" read "$store" -t t --follow --queue 0 --from 3
    says "a place that never was one" 'was dropped by retention'
    rm -rf "$store"
}

for each in "${@:-last unrecovered overtaken}"; do
    for test in $each; do
        "test_$test"
    done
done
summary
