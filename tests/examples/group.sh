#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# group.sh - the example program group on a topic that has grown: it reads no queue before the group
# has consumed the parent to the mark, so each key's messages come in order; also when it is killed.
# And it commits nothing that it could not print.
# What it promises of any topic is in tests/cli/groups.sh.
#
# group.sh [TEST...]
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

example=$(dirname "$commitlog")/examples/group

letters() { # letters FROM TO: with these numbers, one to each of twelve keys of the topic t
    local i number
    for number in $(seq "$1" "$2"); do
        for i in $(seq 12); do
            printf '{"topic":"t","keys":["k%d"],"body":"k%d %d"}\n' "$i" "$i" "$number"
        done
    done
}

grown() { # $store with a topic that grew from 2 queues to 4 and to 12, with messages of each time
    store=$(new)
    run 0 "$commitlog" create "$store" --segment-size 64K
    letters 1 8 | run 0 "$commitlog" append "$store" --jsonl --queues 2
    run 0 "$commitlog" topic grow "$store" t 4
    letters 9 16 | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$commitlog" topic grow "$store" t 12
    letters 17 24 | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$commitlog" group create "$store" -g g
    run 0 "$commitlog" group gates "$store" -g g -t t --json
    cp "$out" "$work/gates"
}

# in_order FILE: what was consumed, "QUEUE OFFSET KEY NUMBER" a line: of each key one number after
# the other, but for what a kill brings again; and of each queue nothing before its parents' marks.
in_order() {
    python3 - "$1" "$work/gates" 24 <<'END'
import json, sys
gates = {gate["queue"]: gate for gate in map(json.loads, open(sys.argv[2]))}
consumed, numbers = {}, {}
for line in open(sys.argv[1]):
    queue, offset, key, number = line.split()
    queue, offset, number = int(queue), int(offset), int(number)
    if number > numbers.get(key, 0) + 1:
        sys.exit(f"{key}: {number} after {numbers.get(key, 0)}")
    numbers[key] = max(numbers.get(key, 0), number)
    gate = gates.get(queue)
    if gate is not None and consumed.get(gate["parent"], 0) < gate["mark"]:
        sys.exit(f"queue {queue} before queue {gate['parent']} is consumed to {gate['mark']}")
    consumed[queue] = max(consumed.get(queue, 0), offset + 1)
if len(numbers) != 12 or set(numbers.values()) != {int(sys.argv[3])}:
    sys.exit(f"not all: {numbers}")
END
}

test_gates() {
    section gates
    grown
    check "each queue that it got waits" [ "$(grep -c '"open":false' "$work/gates")" = 10 ]
    run 0 "$example" "$store" t g
    check "in order" in_order "$out"
    same "all, once" 288 "$(sort -u "$out" | wc -l)"
    check "queue 2 waited" grep -q '^queue 2 waits for queue 0 to be consumed to [1-9]' "$err"
    same "what waited was opened" "$(sed -n 's/^\(queue [0-9]*\) waits .*/\1/p' "$err" | sort)" \
        "$(sed -n 's/^\(queue [0-9]*\) is open$/\1/p' "$err" | sort)"
    run 0 "$commitlog" group gates "$store" -g g -t t --json
    same "all is open" 0 "$(grep -c '"open":false' "$out")"
    run 0 "$example" "$store" t g
    quiet "nothing waits any more"
    same "nothing is left" '' "$(cat "$out")"
    # The group knows the topic; what comes later waits again.
    run 0 "$commitlog" topic grow "$store" t 24
    letters 25 25 | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$example" "$store" t g
    quiet "what is consumed to the mark is open at once"
    same "the rest" 12 "$(wc -l <"$out")"
}

test_killed() {
    section killed
    local round pid
    grown
    : >"$work/consumed"
    for round in 1 2 3 4; do
        "$example" "$store" t g 2 >"$work/round" 2>"$err" &
        pid=$!
        started+=("$pid")
        disown "$pid"
        wait_for lines_at_least "$work/round" $((round * 15))
        kill -9 "$pid"
        wait_for gone "$pid"
        cat "$work/round" >>"$work/consumed"
    done
    run 0 "$example" "$store" t g
    cat "$out" >>"$work/consumed"
    check "in order, over four kills" in_order "$work/consumed"
    run 0 "$commitlog" verify "$store"
}

# What nobody takes is not consumed: it comes again.
test_unprinted() {
    section 'standard output that is full'
    store=$(new)
    seq 40 | run 0 "$commitlog" append "$store" -t t --queue 0
    "$example" "$store" t g >/dev/full 2>"$err"
    same "it ends" 1 $?
    says "and tells" 'standard output: No space left'
    run 0 "$commitlog" group show "$store" -g g --json
    same "nothing is committed" 0 "$(grep -c '"offset":[1-9]' "$out")"
    run 0 "$example" "$store" t g
    same "all of it comes" 40 "$(wc -l <"$out")"
}

if [ ! -x "$example" ]; then
    skip "no $example: make examples"
    exit 77
fi
all='gates killed unprinted'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
