#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# work.sh - what `commitlog group` promises of messages that are given out one by one: receive and
# work, and the way of a message to the dead letters.
#
# work.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/cli/work_lib.sh
. "$(dirname "$0")/work_lib.sh"

wrong() { # wrong ACTION OPTION...: refused as usage, with a pointer to the help
    run 2 "$commitlog" group "$1" "$work/none" "${@:2}" </dev/null
    says "$*" "^Try .commitlog group $1 --help'"
}

test_usage() {
    section usage
    local action bad
    run 0 "$commitlog" group --help
    for action in work receive ack extend nack; do
        prints "help" "^  $action "
    done
    for action in work receive ack extend nack; do
        run 0 "$commitlog" group $action --help
        prints "$action --help" "^Usage: commitlog group $action DIR "
        run 2 "$commitlog" group $action --no-such-option "$work/none"
        says "$action" 'no-such-option: unknown option'
        run 2 "$commitlog" group $action
        says "$action without DIR" 'DIR is missing'
        wrong $action
        says "$action" 'which group?'
        [ $action = work ] || wrong $action -g g
    done
    wrong work -g g more
    says "work" 'unexpected operand "more"'
    wrong receive -g g -t t 0:0:1
    says "receive" 'unexpected operand "0:0:1"'
    wrong receive -g g -t t --max few
    wrong receive -g g -t t --level none
    says "level" '^commitlog group receive: --level is that of --ack, which is missing$'
    wrong receive -g g -t t --ack --level firm
    for bad in '' 5 -5s 1.5s soon; do
        wrong receive -g g -t t --visibility "$bad"
        says "--visibility $bad" \
            "^commitlog group receive: --visibility: \"$bad\" is not a duration such as 500ms"
        wrong receive -g g -t t --wait "$bad"
        wrong extend -g g -t t --visibility "$bad" 0:0:1
        wrong nack -g g -t t --delay "$bad" 0:0:1
    done
    wrong receive -g g -t t --visibility 0s
    says "none" '--visibility: at least 1ms is needed'
    wrong receive -g g -t t --visibility 200000w
    says "too long" '200000w is longer than 106751d'
    wrong receive -g g -t t --wait 25d
    says "too long" '25d is longer than 24d20h'
    for bad in 0 65535 many; do
        wrong receive -g g -t t --max-attempts $bad
        wrong nack -g g -t t --max-attempts $bad 0:0:1
    done
    wrong receive -g g -t t --max-attempts none --dead-topic d
    wrong extend -g g -t t 0:0:1
    says "extend" 'for how long? --visibility is missing'
    for bad in x 0:0 0:0:1:1 0:0:0 0:0:65536 16777216:0:1 0:9223372036854775808:1 \
        0:18446744073709551616:1 -1:0:1 '0:0:1 ' :0:1 0::1 ''; do
        for action in ack nack; do
            wrong $action -g g -t t 0:0:1 -- "$bad"
            says "[$bad]" "^commitlog group $action: \"$bad\" is not QUEUE:OFFSET:ATTEMPT$"
        done
    done
    run 2 "$commitlog" group receive "$work/none" -g g -t t
    says "no store" 'there is no directory'
    run 2 "$commitlog" group ack "$work/none" -g g -t t 0:0:1
    check "nothing is made" [ ! -e "$work/none" ]
    local store
    fresh 1
    for action in receive 'ack 0:0:1' 'nack 0:0:1' 'extend 0:0:1 --visibility 1s'; do
        # shellcheck disable=SC2086
        group 1 $action -g none -t t
        says "$action" "there is no group none (commitlog group list $store lists them)"
        # shellcheck disable=SC2086
        group 1 $action -g g -t none
        says "$action" "there is no topic none (commitlog topics $store lists them)"
    done
    group 1 work -g none
    group 1 work -g g -t none
}

test_life() {
    section 'the life of messages'
    local store now
    fresh 4
    of 0 receive --max 3
    quiet receive
    same "given out" '0:0:1=1 0:1:1=2 0:2:1=3' "$(given)"
    same "pending" 't/0:pending@0+3*1' "$(runs)"
    of 0 ack 0:1:1
    quiet ack
    same "ack prints nothing" '' "$(cat "$out")"
    same "done ahead" 't/0:pending@0+1*1 t/0:done@1+1*0 t/0:pending@2+1*1' "$(runs)"
    of 0 receive
    same "what is left" '0:3:1=4' "$(given)"
    of 0 receive
    same "nothing is left" '' "$(given)"
    of 0 ack 0:0:1 0:3:1
    same "one" 't/0:pending@2+1*1 t/0:done@3+1*0' "$(runs)"
    group 0 show -g g --json
    prints "committed up to it" '"queue":0,"offset":2,'
    # Given back, it comes again.
    of 0 nack 0:2:1 --delay 0s
    of 0 receive --visibility 1ms --max 1
    same "again" '0:2:2=3' "$(given)"
    sleep 0.02
    # Its time is over, and it comes again; then it is given back once more than it may be.
    of 0 receive --max-attempts 3
    same "again" '0:2:3=3' "$(given)"
    of 0 nack 0:2:3
    group 0 work -g g --json
    now=$(now_ms)
    same "the schedule: 1 min" True \
        "$(json "50000 < v[0]['work'][0]['visible_at_ms'] - $now <= 60000")"
    of 0 receive
    same "not before" '' "$(given)"
    of 0 nack 0:2:3 --max-attempts 3
    same "all is done" '' "$(runs)"
    run 0 "$commitlog" read "$store" -t %DLQ%g
    same "it is a dead letter" 3 "$(cat "$out")"
    run 0 "$commitlog" read "$store" -t %DLQ%g --json
    same "of where, how often, why" "[('t', 0, 2, 3, 'refused')]" \
        "$(json '[tuple(o[k] for k in ("origin_topic", "origin_queue", "origin_offset", "attempts",
            "reason")) for o in v]')"
    run 0 "$commitlog" get "$store" --at "$(json 'v[0]["position"]')" --json
    same "get says the same" "('t', 2, 'refused', True)" \
        "$(json '(v[0]["origin_topic"], v[0]["origin_offset"], v[0]["reason"],
            v[0]["origin_position"] < v[0]["position"])')"
    run 0 "$commitlog" dump "$store"
    prints "dump: the reference" \
        '  reference .*  %DLQ%g/0 @0  refers to [0-9]*  refused #0 @2 attempts 3  body 32$'
    run 0 "$commitlog" dump "$store" --json
    same "dump --json: the reference" "[(0, 2, 3, 'refused')]" \
        "$(json '[(o["origin_queue_number"], o["origin_offset"], o["attempts"], o["reason"])
            for o in v if o["kind"] == "reference"]')"
    run 0 "$commitlog" read "$store" -t t --json
    same "no other has such fields" False "$(json 'any("reason" in o or "attempts" in o or
        "origin_topic" in o for o in v)')"
    # And one whose time runs out too often, to a topic of a name of its own.
    echo five | run 0 "$commitlog" append "$store" -t t
    of 0 receive --visibility 1ms --max 1
    sleep 0.02
    of 0 receive --max-attempts 1 --dead-topic gone
    same "not given out" '' "$(given)"
    run 0 "$commitlog" read "$store" -t gone --json
    same "expired" "[('five', 't', 4, 1, 'expired')]" \
        "$(json '[(o["body"], o["origin_topic"], o["origin_offset"], o["attempts"], o["reason"])
            for o in v]')"
    run 0 "$commitlog" topics "$store" --json
    same "topics of one queue" "[('%DLQ%g', 1), ('gone', 1)]" \
        "$(json '[(o["topic"], o["queues"]) for o in v[1:]]')"
    run 0 "$commitlog" verify "$store"
    run 0 "$commitlog" rebuild "$store"
    same "all is done" '' "$(runs)"
}

test_receive() {
    section receive
    local store i long
    store=$(new)
    cat >"$work/lines" <<'END'
{"topic":"t","queue":2,"body":"a\tb","keys":["k"],"tag":"g","headers":{"h":"1"}}
{"topic":"t","queue":0,"body_base64":"/w=="}
END
    run 0 "$commitlog" append "$store" --jsonl --queues 3 <"$work/lines"
    group 0 create -g g
    group 0 create -g h
    group 0 receive -g h -t t --json
    cp "$out" "$work/received"
    same "what acknowledges it" '[(0, 0, 1), (2, 0, 1)]' \
        "$(json '[(o["queue"], o["offset"], o["attempt"]) for o in v]')"
    same "whole" "('a\\tb', ['k'], 'g', {'h': '1'})" \
        "$(json '(v[1]["body"], v[1]["keys"], v[1]["tag"], v[1]["headers"])')"
    same "any bytes" /w== "$(json 'v[0]["body_base64"]')"
    sed -E 's/"(offset|attempt)":[0-9]+,//g' "$work/received" | sort >"$work/a"
    run 0 "$commitlog" read "$store" -t t --json
    sort "$out" >"$work/b"
    check "beside that, as read --json" cmp "$work/a" "$work/b"
    of 0 receive
    printf '0:0:1\t\377\n2:0:1\ta\tb\n' >"$work/a"
    check "groups share nothing; any bytes" cmp "$work/a" "$out"
    # One at a time of each queue.
    fresh 9 3
    of 0 receive --ordered
    same "ordered" '0:0:1=1 1:0:1=2 2:0:1=3' "$(given)"
    of 0 receive --ordered
    same "ordered: nothing before they are done" '' "$(given)"
    of 0 ack 1:0:1
    of 0 receive --ordered
    same "ordered: the next one" '1:1:1=5' "$(given)"
    of 0 receive --ordered --ack --level none
    same "ordered" '' "$(given)"
    of 0 ack 0:0:1 2:0:1 1:1:1
    of 0 receive --ordered --ack --level none
    same "ordered, acknowledged at once" '0:1:1=4 0:2:1=7 1:2:1=8 2:1:1=6 2:2:1=9' \
        "$(sort "$out" >"$work/a" && cp "$work/a" "$out" && given)"
    same "all is done" '' "$(runs)"
    # No limit of attempts, and none given.
    fresh 1
    for ((i = 1; i <= 18; i++)); do
        of 0 receive --max-attempts none
        same "attempt $i" "0:0:$i=1" "$(given)"
        of 0 nack 0:0:$i --max-attempts none --delay 0s
    done
    of 0 receive
    same "more than 16" '' "$(given)"
    run 0 "$commitlog" read "$store" -t %DLQ%g
    same "more than 16: dead" 1 "$(cat "$out")"
    # A topic of dead letters that is there keeps its queues.
    fresh 4
    run 0 "$commitlog" append "$store" -t dead --queues 2 <<<before
    of 0 receive --visibility 1ms --max 4
    sleep 0.02
    of 0 receive --max-attempts 1 --dead-topic dead
    run 0 "$commitlog" topics "$store" --json
    same "dead letters" "[('t', 1, 4), ('dead', 2, 5)]" \
        "$(json '[(o["topic"], o["queues"], o["records"]) for o in v]')"
    # Many, and so many.
    fresh 1000
    of 0 receive --max 100
    same "--max" "$(seq 100 | cksum)" "$(cut -f2 "$out" | cksum)"
    of 0 receive --max 0
    same "--max 0" '' "$(given)"
    of 0 receive --ack
    same "all others" "$(seq 101 1000 | cksum)" "$(cut -f2 "$out" | cksum)"
    group 0 work -g g
    same "acknowledged" '100 pending, 0 of them overdue; 900 done ahead' "$(tail -n 1 "$out")"
    # Its dead letters could not have a name.
    long=$(printf '%0254d' 0)
    group 0 create -g "$long"
    group 2 receive -g "$long" -t t
    says "a long name" 'open a receiver: give a topic for the dead letters, for %DLQ%000'
    group 0 receive -g "$long" -t t --max 1 --dead-topic dead
    group 0 ack -g "$long" -t t 0:0:1
    group 1 extend -g "$long" -t t 0:0:1 --visibility 1s
    group 0 receive -g "$long" -t t --max 1 --max-attempts none
    # Standard output fails: nothing of it is acknowledged.
    fresh 3
    run 2 sh -c "'$commitlog' group receive '$store' -g g -t t --ack >/dev/full"
    same "not written, not acknowledged" 't/0:pending@0+3*1' "$(runs)"
    says "they were given out" 'of 3 messages that were given out not all could be printed'
}

test_wait() {
    section 'receive --wait'
    local store began pid action
    fresh 1
    began=$(now_ms)
    of 0 receive --wait 300ms --ack
    same "what is there" '0:0:1=1' "$(given)"
    check "then it waits" [ $(($(now_ms) - began)) -ge 300 ]
    run 0 "$commitlog" append "$store" -t t --delay 500ms <<<later
    began=$(now_ms)
    of 0 receive --wait 20s --max 1 --ack
    same "it delivers what is delayed, and gives it out" '0:1:1=later' "$(given)"
    check "as soon as it is there" [ $(($(now_ms) - began)) -lt 15000 ]
    run 0 "$commitlog" append "$store" -t t <<<again
    "$commitlog" group receive "$store" -g g -t t --wait 20s --visibility 100ms --max 3 \
        >"$work/given" &
    pid=$!
    started+=("$pid")
    check "what comes again wakes it" wait_for lines_at_least "$work/given" 2
    ends "after three" 0 $pid
    same "attempts" '0:2:1 0:2:2 0:2:3' "$(cut -f1 "$work/given" | tr '\n' ' ' | sed 's/ $//')"
    # A signal, and a reader that goes away.
    "$commitlog" group receive "$store" -g g -t t --wait 20s --ack >"$work/given" \
        2>"$work/errors" &
    pid=$!
    started+=("$pid")
    check "it runs" wait_for lines_at_least "$work/given" 1
    # What only looks runs beside it.
    group 0 work -g g
    group 0 lag -g g -t t
    prints "lag" '^g  *t  *1  *[01] '
    for action in 'ack 0:2:1' 'nack 0:2:1' 'extend 0:2:1 --visibility 1s' receive; do
        # shellcheck disable=SC2086
        group 2 $action -g g -t t
        says "$action" "$pid"
    done
    kill -TERM $pid
    ends "a signal" 143 $pid
    same "a signal: no error" '' "$(cat "$work/errors")"
    same "what it wrote is acknowledged" '' "$(runs)"
    seq 3 | run 0 "$commitlog" append "$store" -t t
    began=$(now_ms)
    "$commitlog" group receive "$store" -g g -t t --wait 20s 2>"$err" | head -n 1 >/dev/null
    same "its reader is gone" 0 "${PIPESTATUS[0]}"
    quiet "its reader is gone"
    check "it ends at once" [ $(($(now_ms) - began)) -lt 15000 ]
}

test_work() {
    section work
    local store
    fresh 8 2
    group 0 work -g g
    same "nothing yet" '0 pending, 0 of them overdue; 0 done ahead' "$(tail -n 1 "$out")"
    same "nothing yet" 2 "$(wc -l <"$out")"
    group 0 work -g g --json
    same "nothing yet" '{"group":"g","pending":0,"overdue":0,"done_ahead":0,"work":[]}' \
        "$(cat "$out")"
    of 0 receive --max 4 --visibility 1h
    of 0 receive --max 3 --visibility 1ms
    of 0 ack 0:1:1 0:2:1
    sleep 0.02
    group 0 work -g g
    prints "in how long" \
        '^t  *0  pending  *0  *1  20[0-9-]*T[0-9:]*\.[0-9]*Z  in 59m[0-9]*s$'
    prints "done ahead" '^t  *0  done  *1-2  *-  -  *-$'
    prints "since when" \
        '^t  *1  pending  *0-2  *1  20[0-9-]*T[0-9:]*\.[0-9]*Z  [0-9a-z]* overdue$'
    same "totals" '5 pending, 3 of them overdue; 2 done ahead' "$(tail -n 1 "$out")"
    same "rows" 6 "$(wc -l <"$out")"
    group 0 work -g g --json
    same "totals" '(5, 3, 2)' "$(json '(v[0]["pending"], v[0]["overdue"], v[0]["done_ahead"])')"
    same "fields" 'topic queue state offset count attempts visible_at_ms wait_ms' \
        "$(json '" ".join(v[0]["work"][0])')"
    same "its time" '(True, None, None, True)' \
        "$(json '(3500000 < v[0]["work"][0]["wait_ms"] <= 3600000,
            v[0]["work"][1]["visible_at_ms"], v[0]["work"][1]["wait_ms"],
            v[0]["work"][3]["wait_ms"] < 0)')"
    seq 3 | run 0 "$commitlog" append "$store" -t "$(printf 'n\nl')" -q 0
    group 0 receive -g g -t "$(printf 'n\nl')" --max 2
    group 0 work -g g
    prints "no control characters" '^n\\x0al  *0  pending  *0-1 '
    same "of all topics" '7 pending, 3 of them overdue; 2 done ahead' "$(tail -n 1 "$out")"
    group 0 work -g g -t t
    same "of one" '5 pending, 3 of them overdue; 2 done ahead' "$(tail -n 1 "$out")"
    "$commitlog" group work "$store" -g g 2>"$err" | head -n 1 >/dev/null
    same "work | head" 0 "${PIPESTATUS[0]}"
    quiet "work | head"
    group 0 reset -g g -t t -q 0 --to first
    same "a reset forgets it" '' "$(runs | grep -o 't/0[^ ]*')"
    of 0 receive --max 1
    group 0 delete -g g
    group 0 create -g g
    same "so does a deletion" '' "$(runs)"
}

all='usage life receive wait work'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
