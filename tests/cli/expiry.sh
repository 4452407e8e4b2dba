#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# expiry.sh - what the command promises of messages that expire: topic expire, what topics, read,
# query and dump make of it.
#
# expiry.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

put() { # put TEXT...: each into queue 0 of the topic t, with the key k
    printf '{"topic":"t","queue":0,"keys":["k"],"body":"%s"}\n' "$@" |
        run 0 "$commitlog" append "$store" --jsonl --queues 2
}

begin() { # $store, with three messages
    store=$(new)
    run 0 "$commitlog" create "$store" --segment-size 64K
    put first second third
}

expire() { # expire STATUS OPTION...
    run "$1" "$commitlog" topic expire "$store" t "${@:2}"
}

given() { # given TEXT EXPECTED: what a reader is given of the topic
    run 0 "$commitlog" read "$store" --topic t
    same "$1" "$2" "$(tr '\n' ' ' <"$out")"
}

test_usage() {
    section usage
    local none="$work/none"
    run 0 "$commitlog" topic --help
    prints "help" '^  expire '
    run 0 "$commitlog" topic expire --help
    prints "help" '^Usage: commitlog topic expire DIR TOPIC '
    run 2 "$commitlog" topic expire
    says "no operand" 'DIR is missing'
    run 2 "$commitlog" topic expire "$none"
    says "no topic" 'the operand TOPIC is missing'
    run 2 "$commitlog" topic expire "$none" t
    says "nothing asked for" '--after or --before is missing'
    run 2 "$commitlog" topic expire "$none" t 7d
    says "too many" 'unexpected operand "7d"'
    run 2 "$commitlog" topic expire "$none" t --after soon
    says "no age" '"soon" is not an age'
    run 2 "$commitlog" topic expire "$none" t --after 0s
    says "no age" '"0s" is not an age'
    run 2 "$commitlog" topic expire "$none" t --before soon
    says "no time" '"soon" is not a time'
    check "nothing was made" test ! -e "$none"
    run 2 "$commitlog" topic expire "$none" t --before now
    begin
    run 1 "$commitlog" topic expire "$store" other --before now
    says "no such topic" 'other'
}

test_now() {
    section now
    begin
    expire 0 --before 1h
    given "an hour old" 'first second third '
    sleep 0.1
    local time
    time=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
    put fourth
    expire 0 --before "$time" --json
    prints "what is so" '^{"topic":"t","keep_age_ms":0,"expired_below":[1-9][0-9]*}$'
    given "those before" 'fourth '
    run 0 "$commitlog" query "$store" --topic t --key k
    same "by key" 'fourth' "$(cat "$out")"
    run 0 "$commitlog" topics "$store" --json
    prints "first offset" '"queue":0,"first_offset":3,"next_offset":4'
    prints "below" '"keep_age_ms":0,"expired_below":[1-9]'
    expire 0 --before now
    given "all" ''
    run 1 "$commitlog" query "$store" --topic t --key k
    put fifth
    given "the next one" 'fifth '
    run 0 "$commitlog" topics "$store" --json
    prints "offsets go on" '"queue":0,"first_offset":4,"next_offset":5'
    run 0 "$commitlog" verify "$store"
}

test_age() {
    section age
    begin
    expire 0 --after 7d --json
    prints "what is so" '^{"topic":"t","keep_age_ms":604800000,"expired_below":0}$'
    run 0 "$commitlog" topics "$store"
    prints "topics" '^t keeps its messages for 7d$'
    expire 0 --after 1w26h3m4500ms
    run 0 "$commitlog" topics "$store"
    prints "all of it" '^t keeps its messages for 8d2h3m4s500ms$'
    run 0 "$commitlog" dump "$store"
    prints "all of it in a line" ' tombstone .*  #0 below [0-9]* age 8d2h3m4s500ms  body'
    expire 0 --after 1ms
    sleep 3 | run 0 "$commitlog" append "$store" --topic u # upkeep has the time
    given "by themselves" ''
    expire 0 --after none
    run 0 "$commitlog" topics "$store" --json
    prints "no age" '"keep_age_ms":0'
    run 0 "$commitlog" dump "$store"
    prints "a line" ' tombstone .*  #0 below [0-9]* age 7d'
    run 0 "$commitlog" dump "$store" --json
    prints "an object" '"kind":"tombstone".*"first_queue_number":0,"keep_age_ms":604800000'
}

# What the page of the format says of tombstones is what lies there, and what a second reader makes
# of them is what the command prints; also after retention, and without derived files.
test_format() {
    section format
    local walk round
    walk=$(dirname "$0")/../golden/walk.py
    begin
    expire 0 --after 7d
    for round in 1 2 3; do
        expire 0 --before now
        put $(seq 300)
        expire 0 --after "${round}d"
        [ "$round" = 1 ] || run 0 "$commitlog" retain "$store" --bytes 128K
        [ "$round" != 3 ] || rm -rf "$store"/CHECKPOINT "$store"/view/*
        run 0 "$commitlog" recover "$store"
        put $(seq 300)
        run 0 "$walk" "$store" t
        python3 -c 'import json, sys
for line in sys.stdin:
    record = json.loads(line)
    if "kind" not in record:
        print(record["body"])' <"$out" >"$work/walked"
        run 0 "$commitlog" read "$store" --topic t
        check "round $round: not the same messages" cmp "$out" "$work/walked"
        same "round $round: messages" 600 "$(wc -l <"$out")"
        run 0 "$commitlog" verify "$store"
    done
    run 0 "$commitlog" topics "$store" --json
    prints "age" '"keep_age_ms":259200000,'
}

all='usage now age format'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
