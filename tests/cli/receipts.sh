#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# receipts.sh - what `commitlog group ack`, `extend` and `nack` promise of what was given out, alone
# and in a pipe; how it is dumped; what cannot be given out; and how append --jsonl takes it.
#
# receipts.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/cli/work_lib.sh
. "$(dirname "$0")/work_lib.sh"

test_pipe() {
    section 'receive | worker | ack'
    local store pid
    fresh 5000 4
    "$commitlog" group receive "$store" -g g -t t --json 2>"$err" |
        run 0 "$commitlog" group ack "$store" -g g -t t --json
    quiet "all"
    same "all" '{"group":"g","topic":"t","acknowledged":5000,"missing":[]}' "$(cat "$out")"
    same "all are done" '' "$(runs)"
    group 0 lag -g g --json
    prints "all are done" '"messages":0,'
    # A worker that does what is even.
    seq 10 | run 0 "$commitlog" append "$store" -t t -q 0
    "$commitlog" group receive "$store" -g g -t t --json | grep '"body":"[0-9]*[02468]"' |
        run 0 "$commitlog" group ack "$store" -g g -t t
    group 0 work -g g
    same "half" '5 pending, 0 of them overdue; 5 done ahead' "$(tail -n 1 "$out")"
    prints "half" '^t  *0  done  *1251 '
    # Of text, and a worker that has enough before receive ends.
    fresh 3000
    "$commitlog" group receive "$store" -g g -t t --wait 20s | head -n 10 | cut -f1 |
        run 0 "$commitlog" group ack "$store" -g g -t t --json
    quiet "ten"
    prints "ten" '"acknowledged":10,'
    group 0 show -g g --json
    prints "ten" '"queue":0,"offset":10,'
    # What still holds the store when the input ends is waited for.
    fresh 2
    "$commitlog" group receive "$store" -g g -t t --wait 1s >"$work/given" &
    pid=$!
    started+=("$pid")
    check "it runs" wait_for lines_at_least "$work/given" 2
    printf '0:%d:1\n' 0 1 | run 0 "$commitlog" group ack "$store" -g g -t t
    quiet "it was waited for"
    ends "it ran on" 0 $pid
    same "both are done" '' "$(runs)"
    # A signal before the input has ended changes nothing.
    echo 3 | run 0 "$commitlog" append "$store" -t t
    of 0 receive
    mkfifo "$work/feed"
    "$commitlog" group ack "$store" -g g -t t <"$work/feed" &
    pid=$!
    started+=("$pid")
    exec 9>"$work/feed"
    echo 0:2:1 >&9
    check "it runs" wait_for grep -q commitlog "/proc/$pid/comm"
    sleep 0.1
    kill -TERM $pid
    ends "a signal" 143 $pid
    exec 9>&-
    same "nothing is changed" 't/0:pending@2+1*1' "$(runs)"
    # Nothing to acknowledge needs no store.
    run 0 "$commitlog" group ack "$work/none" -g g -t t </dev/null
    quiet "nothing"
    run 0 "$commitlog" group ack "$work/none" -g g -t t --json </dev/null
    same "nothing" '{"group":"g","topic":"t","acknowledged":0,"missing":[]}' "$(cat "$out")"
    # The others take the same.
    fresh 3000
    "$commitlog" group receive "$store" -g g -t t --json |
        run 0 "$commitlog" group extend "$store" -g g -t t --visibility 1h --json
    same "extend" '{"group":"g","topic":"t","extended":3000,"missing":[]}' "$(cat "$out")"
    group 0 work -g g
    prints "extend" '^t  *0  pending  *0-.*  in 59m[0-9]*s$'
    prints "extend" '^t  *0  pending  *[0-9]*-2999  .*  in 59m[0-9]*s$'
    printf '0:%d:1\n' 2998 2999 | run 0 "$commitlog" group nack "$store" -g g -t t --json
    same "nack" '{"group":"g","topic":"t","given_back":2,"missing":[]}' "$(cat "$out")"
    run 0 "$commitlog" verify "$store"
}

test_receipts() {
    section 'what is not given out any more'
    local store
    fresh 6 2
    of 0 receive --max 2 --visibility 1ms
    sleep 0.02
    of 0 receive --max 1
    same "queue 1 was not asked yet" '0:0:2 0:1:1' "$(runs | grep -o '@[01]+1\*[12]' |
        sed 's/@\(.\)+1\*\(.\)/0:\1:\2/' | tr '\n' ' ' | sed 's/ $//')"
    of 1 ack 0:0:1 0:1:1 0:1:2 0:2:1 2:0:1 0:1:1 --json
    same "told, each" "$(
        cat <<'END'
commitlog group ack: 0:0:1 is not given out: it is given out again, as attempt 2
commitlog group ack: 0:1:2 is not given out: the last attempt was 1
commitlog group ack: 0:2:1 is not given out: nobody has received it
commitlog group ack: 2:0:1 is not given out: the topic has 2 queues only
END
    )" "$(head -n 4 "$err")"
    says "and how many" ": 4 of 6 are not, or not any more, given out for this attempt$"
    same "as JSON" '(1, [(0, 0, 1), (0, 1, 2), (0, 2, 1), (2, 0, 1)])' \
        "$(json '(v[0]["acknowledged"], [(o["queue"], o["offset"], o["attempt"])
            for o in v[0]["missing"]])')"
    same "the others are done" 't/0:pending@0+1*2 t/0:done@1+1*0' "$(runs)"
    of 1 ack 0:9223372036854775807:65535
    says "the last there is" ' 0:9223372036854775807:65535 is not given out: nobody has received it'
    of 1 ack 0:1:1
    says "done ahead" '0:1:1 is not given out: it is done already'
    of 0 ack 0:0:2
    of 1 extend 0:0:2 0:1:1 --visibility 1s
    says "committed" '^commitlog group extend: 0:0:2 is not given out: it is done already$'
    says "up to there" '^commitlog group extend: 0:1:1 is not given out: it is done already$'
    of 1 nack 0:0:2
    says "committed" '^commitlog group nack: 0:0:2 is not given out: it is done already$'
    # A name that none can have, also where there is nothing to do.
    for name in '' $'\377' "$(printf '%0256d' 0)"; do
        group 2 ack -g "$name" -t t --json </dev/null
        says "the name [$name]" '^commitlog group ack: --group: a name has 1 to 255 bytes of UTF-8$'
        group 2 ack -g g -t "$name" --json </dev/null
        says "the topic [$name]" \
            '^commitlog group ack: --topic: a name has 1 to 255 bytes of UTF-8$'
    done
    # Lines: those that are none are told and left out, the others count.
    of 0 receive
    cat >"$work/lines" <<'END'
0:2:1
0:2:1-
nothing

{"queue":1,"offset":0}
{"queue":1,"offset":0,"attempt":"1"}
{"queue":1,"offset":0,"attempt":0}
{"topic":"other","queue":1,"offset":0,"attempt":1}
{"queue":1,"offset":0,"attempt":1,"attempt":1}
{"queue":1,"offset":
[1,0,1]
{"queue":1,"offset":1,"attempt":2}
{"topic":"t","queue":1,"offset":1,"attempt":1,"body":"any"}
END
    printf '1:2:1' >>"$work/lines"
    group 1 ack -g g -t t --json <"$work/lines"
    same "left out" '2 3 4 5 6 7 8 9 10 11' \
        "$(sed -n 's/^commitlog group ack: line \([0-9]*\): .*: left out$/\1/p' "$err" |
            tr '\n' ' ' | sed 's/ $//')"
    says "why" 'line 3: neither QUEUE:OFFSET:ATTEMPT nor a JSON object: left out'
    says "why" 'line 5: "attempt" is missing: left out'
    says "why" 'line 6: "attempt" is not a whole number: left out'
    says "why" 'line 7: a number is outside its range: left out'
    says "why" 'line 8: it is of another topic: left out'
    says "why" 'line 9: not JSON: duplicate object key'
    says "with its line" 'line 12: 1:1:2 is not given out: the last attempt was 1$'
    same "the others" 3 "$(json 'v[0]["acknowledged"]')"
    same "the others" 't/1:pending@0+1*1 t/1:done@1+2*0' "$(runs)"
    printf 'x\n' | run 1 "$commitlog" group ack "$store" -g g -t t
    # Not with a body behind it, whose next line could name any other.
    printf '1:2:1\tbody\n' | run 1 "$commitlog" group ack "$store" -g g -t t
    says "why" "line 1: a body follows: give what is before the tab, or the lines of --json"
    # More than go at once, some of them twice and none in order.
    fresh 5000
    of 0 receive
    { cut -f1 "$out" | sort -r; printf '0:%d:1\n' 0 4999 7000; } >"$work/lines"
    group 1 ack -g g -t t --json <"$work/lines"
    same "each once" '(5000, [7000])' \
        "$(json '(v[0]["acknowledged"], [o["offset"] for o in v[0]["missing"]])')"
    says "how many" '1 of 5003 are not'
    same "all are done" '' "$(runs)"
}

test_dump() {
    section dump
    local store
    fresh 12 2
    of 0 receive --max 3
    of 0 ack 0:1:1
    group 0 set -g g --keep yes
    group 0 reset -g g -t t --to end
    group 0 create -g "$(printf 'n\nl')"
    group 0 delete -g "$(printf 'n\nl')"
    of 0 receive
    run 0 "$commitlog" dump "$store"
    same "settings" '  no keep|  keep|' \
        "$(sed -n 's/.*  group g  settings\(.*\)  body 24$/ \1|/p' "$out" | tr -d '\n')"
    prints "offsets" '  group .*  group g  offsets  #0 @0  body 40$'
    prints "reset" '  group .*  group g  reset  #0 @6  #1 @6  body 56$'
    prints "delete" '  group .*  group n\\x0al  delete  body 24$'
    prints "given out" \
        '  work  .*  group g  work  #0 @0-2 pending attempts 1 until 20[^ ]*Z  body 48$'
    prints "done" '  work  .*  group g  work  #0 @1 done  body 48$'
    run 0 "$commitlog" dump "$store" --json
    same "operations" "['settings', 'offsets', 'settings', 'reset', 'settings', 'delete']" \
        "$(json '[o["operation"] for o in v if o["kind"] == "group"][:6]')"
    same "of work" "['work', 'work']" "$(json '[o["operation"] for o in v if o["kind"] == "work"]')"
    same "entries" '[{"queue_number": 0, "offset": 6}, {"queue_number": 1, "offset": 6}]' \
        "$(json '[json.dumps(o["entries"]) for o in v if o.get("operation") == "reset"][0]')"
    same "of work" "[(0, 0, 3, 'pending', 1), (0, 1, 1, 'done', 0)]" \
        "$(json '[tuple(e[k] for k in ("queue_number", "offset", "count", "state", "attempts"))
            for o in v if o["kind"] == "work" for e in o["entries"]]')"
    same "until when" True "$(json 'all(0 <= 60000 - (o["entries"][0]["visible_at_ms"] -
        o["store_time_ns"] // 1000000) < 5000 for o in v if o["kind"] == "work" and
        o["entries"][0]["state"] == "pending")')"
    same "settings" '[False, True]' "$(json '[o["keep"] for o in v if o.get("operation") ==
        "settings" and o["group"] == "g"]')"
    same "names" "['g', 'n\\nl']" "$(json 'sorted({o["group"] for o in v if "group" in o})')"
    run 0 "$commitlog" get "$store" --at "$(json '[o["position"] for o in v if o["kind"] ==
        "work"][0]')"
    prints "get" '  group g  work  #0 @0-2 pending'
    # A line shows eight, an object all.
    fresh 40
    of 0 receive
    seq 1 2 39 | sed 's/.*/0:&:1/' | run 0 "$commitlog" group ack "$store" -g g -t t
    run 0 "$commitlog" dump "$store"
    prints "so many more" '  #0 @15 done  and 12 more  body 656$'
    run 0 "$commitlog" dump "$store" --json
    same "all" "$(seq 1 2 39 | tr '\n' ' ')" \
        "$(json '"".join("%d " % e["offset"] for o in v if o["kind"] == "work"
            for e in o["entries"] if e["state"] == "done")')"
}

# Copies, which outlive what they were; what has outlived its message; damage.
test_passed() {
    section 'what cannot be read'
    local store position
    store=$(new)
    echo old | run 0 "$commitlog" append "$store" -t t --queues 1 --segment-size 64K
    group 0 create -g g
    bulk | run 0 "$commitlog" append "$store" -t bulk --level none
    of 0 receive --visibility 1ms --max 1
    sleep 0.02
    of 0 receive --max-attempts 1
    run 0 "$commitlog" dump "$store"
    prints "a copy" '  message .*  %DLQ%g/0 @0  expired t/0 @0 attempts 1  body 3$'
    run 0 "$commitlog" read "$store" -t %DLQ%g --json
    prints "a copy" '"origin_topic":"t","origin_queue":0,"origin_offset":0,"attempts":1,'
    same "it is here" False "$(json '"origin_position" in v[0]')"
    # One that refers, and outlives what it refers to.
    echo gone | run 0 "$commitlog" append "$store" -t t
    of 0 receive --visibility 1ms --max 1
    bulk 300 | run 0 "$commitlog" append "$store" -t bulk --level none
    of 0 receive --max-attempts 1
    echo after | run 0 "$commitlog" append "$store" -t %DLQ%g
    run 0 "$commitlog" read "$store" -t %DLQ%g
    same "all are there" 'old gone after' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    cp -r "$store" "$store-kept"
    run 0 "$commitlog" retain "$store" --bytes 1
    group 0 create -g late
    group 1 receive -g late -t %DLQ%g
    says "told" ': at position [0-9]*: the message that this refers to is no longer kept: passed$'
    same "what follows comes" after "$(cut -f2 "$out")"
    group 0 receive -g late -t %DLQ%g
    quiet "it was passed"
    # Damage.
    store=$store-kept
    position=$("$commitlog" dump "$store" | sed -n 's/^\([0-9]*\) .*  t\/0 @1  .*/\1/p')
    # shellcheck disable=SC2046
    set -- $(place_of "$store" "$position")
    flip_byte "$1" $(($2 + 52))
    group 0 create -g again
    group 1 receive -g again -t t --json
    says "told" "damage at position $position: passed (commitlog verify names all of it)"
    same "the other one comes" old "$(json 'v[0]["body"]')"
    group 0 receive -g again -t t
    same "it was passed" '' "$(given)$(cat "$err")"
}

test_jsonl() {
    section 'JSON lines'
    local store copy
    fresh 3
    copy=$(new)
    of 0 receive --json
    cp "$out" "$work/received"
    of 0 nack 0:0:1 --max-attempts 1
    run 0 "$commitlog" append "$copy" --jsonl <"$work/received"
    quiet "what receive printed can be appended"
    run 0 "$commitlog" read "$store" -t %DLQ%g --json
    cp "$out" "$work/dead"
    run 0 "$commitlog" append "$copy" --jsonl <"$work/dead"
    quiet "so can a dead letter"
    run 0 "$commitlog" read "$copy" -t t
    same "their bodies" '1 2 3' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    run 0 "$commitlog" read "$copy" -t %DLQ%g --json
    same "it is none there" "[('1', False)]" "$(json '[(o["body"], "reason" in o) for o in v]')"
}

all='pipe receipts dump passed jsonl'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
