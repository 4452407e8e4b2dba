#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# timers.sh - what the command promises of delayed messages: append --delay and --deliver-at, timer
# list and cancel, delivery by a writer that runs, and how they are printed.
#
# timers.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

timer() { # timer STATUS ACTION OPTION...: on $store
    run "$1" "$commitlog" timer "$2" "$store" "${@:3}"
}

json() { # json EXPRESSION: of v, the objects of the output
    python3 -c 'import json, sys
v = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
print(eval(sys.argv[2]))' "$out" "$1"
}

now_ms() { date +%s%3N; }

# open_writer OPTION...: $writer, an append to $store that waits for lines on descriptor 9, and
# delivers meanwhile; its acknowledgements go to $work/acks.
open_writer() {
    rm -f "$work/feed" "$work/acks"
    mkfifo "$work/feed"
    "$commitlog" append "$store" --acks "$@" <"$work/feed" >"$work/acks" 2>"$work/writer" &
    writer=$!
    started+=("$writer")
    exec 9>"$work/feed"
}

close_writer() {
    exec 9>&-
    ends "the writer" 0 "$writer"
    same "the writer's errors" '' "$(cat "$work/writer")"
}

waits() { # waits N: so many timers are listed
    [ "$("$commitlog" timer list "$store" --json | wc -l)" = "$1" ]
}

wrong() { # wrong COMMAND OPERAND...: refused as usage, with a pointer to the help
    run 2 "$commitlog" "$@" </dev/null
    says "$*" "^Try .commitlog $1"
}

test_usage() {
    section usage
    local action bad none="$work/none"
    run 2 "$commitlog" timer
    says "no action" 'Usage: commitlog timer ACTION DIR'
    run 2 "$commitlog" timer conjure "$none"
    says "unknown action" '"conjure" is not an action'
    run 0 "$commitlog" timer --help
    prints "help" '^  cancel '
    run 0 "$commitlog" --help
    prints "help" '^  timer '
    for action in list cancel; do
        run 0 "$commitlog" timer $action --help
        prints "$action --help" "^Usage: commitlog timer $action DIR"
        run 2 "$commitlog" timer $action --no-such-option "$none"
        says "$action" 'no-such-option: unknown option'
        run 2 "$commitlog" timer $action
        says "$action without DIR" 'DIR is missing'
    done
    wrong timer list "$none" more
    says "two operands" 'unexpected operand "more"'
    wrong timer list "$none" --limit few
    wrong timer cancel "$none"
    says "no timer" 'operand TIMER is missing'
    wrong timer cancel "$none" 8336 8400
    for bad in x 0 8336x 9223372036854775808; do
        wrong timer cancel "$none" $bad
        says "$bad" '^commitlog timer cancel: TIMER: '
    done
    wrong timer cancel "$none" 8336 --level firm
    says "level" '"firm" is not none, written or durable'
    wrong append "$none" -t t --delay 1s --deliver-at 2030-01-01T00:00:00Z
    says "both" '^commitlog append: --delay and --deliver-at exclude each other$'
    for bad in '' 5 -5s 1.5s soon 1y '10 s' 99999999999999999999s; do
        wrong append "$none" -t t --delay "$bad"
        says "--delay $bad" "^commitlog append: --delay: \"$bad\" is not a duration such as 500ms"
    done
    wrong append "$none" -t t --delay 200000w
    says "too far" '^commitlog append: --delay: 200000w ends behind 2262-04-11T23:47:16.854Z$'
    for bad in '' tomorrow 2030-01-01 2030-01-01T00:00:00 2030-02-30T00:00:00Z -1 9223372036855; do
        wrong append "$none" -t t --deliver-at "$bad"
        says "--deliver-at $bad" "^commitlog append: --deliver-at: \"$bad\" is neither RFC 3339 nor"
    done
    wrong append "$none" -t t --deliver-at 10m
    says "an age" '"10m" is no time (--delay 10m waits so long)'
    wrong append "$none" -t t --deliver-at 2262-04-12T00:00:00Z
    says "too far" ': 2262-04-12T00:00:00Z lies behind 2262-04-11T23:47:16.854Z$'
    check "usage errors make nothing" [ ! -e "$none" ]
    run 2 "$commitlog" timer list "$none"
    says "no store" 'there is no directory'
    run 2 "$commitlog" timer cancel "$none" 8336
    says "no store" 'there is no directory'
    check "nor does a timer without a store" [ ! -e "$none" ]
}

bad_line() { # bad_line VALUE: as deliver_at_ms, among good lines
    printf '{"body":"a"}\n{"body":"b","deliver_at_ms":%s}\n{"body":"c"}\n' "$1" |
        run 1 "$commitlog" append "$store" -t bad --queue 0 --jsonl --acks
    says "[$1]" \
        'line 2: "deliver_at_ms" is not a whole number between 0 and 9223372036854: not stored'
    same "acks around [$1]" 2 "$(wc -l <"$out")"
}

test_append() {
    section 'append'
    local store now due bad each handle
    store=$(new)
    now=$(now_ms)
    printf 'one\ntwo\n' |
        run 0 "$commitlog" append "$store" -t t -q 1 --queues 2 --delay 1h30m --acks --key k --tag g
    quiet "delayed"
    check "each is acknowledged with its handle" \
        grep -qzE $'^[0-9]+ -\n[0-9]+ -\n$' "$out"
    cp "$out" "$work/handles"
    run 0 "$commitlog" read "$store" -t t
    same "they are in no queue" '' "$(cat "$out")"
    run 1 "$commitlog" query "$store" -t t -k k
    timer 0 list
    same "in the order of their handles" "$(cut -d' ' -f1 "$work/handles")" \
        "$(sed -n '2,3s/ .*//p' "$out")"
    prints "a row" \
        '^[0-9]*  *20[0-9-]*T[0-9:.]*Z  in 1h29m  *t                         1  *[0-9]*$'
    prints "the count" '^2 timers$'
    due=$("$commitlog" timer list "$store" --json | head -n 1 |
        sed 's/.*"deliver_at_ms":\([0-9]*\).*/\1/')
    check "not early" [ "$due" -ge $((now + 5400000)) ]
    check "nor late" [ "$due" -le $(($(now_ms) + 5400001)) ]
    # A time: each of its forms.
    for each in 2100-01-01T00:00:00Z 2100-01-01T01:00:00+01:00 4102444800000 \
        2100-01-01T00:00:00.0000Z 2099-12-31T23:59:59.9990001Z; do
        echo x | run 0 "$commitlog" append "$store" -t t --deliver-at $each --acks
        handle=$(sed 's/ .*//' "$out")
        timer 0 list --json
        prints "$each" "^{\"timer\":$handle,\"deliver_at_ms\":4102444800000,"
        timer 0 cancel "$handle"
    done
    # The last time there is; what has passed delays nothing.
    echo x | run 0 "$commitlog" append "$store" -t t --deliver-at 9223372036854 --acks
    timer 0 list
    prints "the end of time" '  2262-04-11T23:47:16.854Z  in [0-9]*d'
    for each in 0 1 2020-01-01T00:00:00Z 1960-01-01T00:00:00Z; do
        echo "$each" | run 0 "$commitlog" append "$store" -t t -q 0 --deliver-at $each --acks
        prints "$each has passed" '^[0-9]* [0-9][0-9]*$'
    done
    echo 0s | run 0 "$commitlog" append "$store" -t t -q 0 --delay 0s --acks
    prints "no delay" '^[0-9]* 4$'
    run 0 "$commitlog" read "$store" -t t -q 0
    same "they are there at once" '0 1 2020-01-01T00:00:00Z 1960-01-01T00:00:00Z 0s' \
        "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    for bad in -1 1.5 '"soon"' 9223372036855 true; do
        bad_line "$bad"
    done
    run 0 "$commitlog" verify "$store"
}

test_jsonl() {
    section 'JSON lines'
    local store copy
    store=$(new)
    copy=$(new)
    cat >"$work/lines" <<'END'
{"topic":"j","queue":0,"body":"given","deliver_at_ms":4102444800000}
{"topic":"j","queue":0,"body":"by the option"}
{"topic":"j","queue":0,"body":"null","deliver_at_ms":null}
{"topic":"j","queue":0,"body":"at once","deliver_at_ms":0}
{"topic":"j","queue":0,"body":"passed","deliver_at_ms":77,"origin_position":8336}
END
    run 0 "$commitlog" append "$store" --jsonl --acks --batch 5 \
        --deliver-at 2200-01-01T00:00:00Z <"$work/lines"
    same "acknowledged" '- - - 0 1' "$(cut -d' ' -f2 "$out" | tr '\n' ' ' | sed 's/ $//')"
    timer 0 list --json
    same "the field goes before the option" '[4102444800000, 7258118400000, 7258118400000]' \
        "$(json '[o["deliver_at_ms"] for o in v]')"
    same "its fields" 'timer deliver_at_ms wait_ms topic queue position' "$(json '" ".join(v[0])')"
    same "where to" "{('j', 0)}" "$(json '{(o["topic"], o["queue"]) for o in v}')"
    same "in how long" True "$(json '1e12 < v[0]["wait_ms"] < 4102444800000')"
    same "the handle is where it lies" True "$(json 'all(o["timer"] == o["position"] for o in v)')"
    run 0 "$commitlog" dump "$store" --json
    same "dump: three that wait" "[('given', True), ('by the option', True), ('null', True)]" \
        "$(json '[(o["body"], o["timer"] == o["position"]) for o in v if o["kind"] == "timer"]')"
    run 0 "$commitlog" read "$store" -t j --json
    same "of a time that had passed" "[('at once', None), ('passed', 77)]" \
        "$(json '[(o["body"], o.get("deliver_at_ms")) for o in v]')"
    same "none is a reference" False "$(json 'any("origin_position" in o for o in v)')"
    cp "$out" "$work/a.json"
    run 0 "$commitlog" append "$copy" --jsonl <"$work/a.json"
    content "$work/a.json" >"$work/a"
    "$commitlog" read "$copy" -t j --json | content >"$work/b"
    check "read --json | append --jsonl changes nothing" cmp "$work/a" "$work/b"
}

test_list() {
    section 'list'
    local store i
    store=$(new)
    run 0 "$commitlog" create "$store"
    timer 0 list
    same "none" '0 timers' "$(tail -n 1 "$out")"
    same "none" 2 "$(wc -l <"$out")"
    timer 0 list --json
    same "none" '' "$(cat "$out")"
    # Due in an order of its own: 0 7 4 1 8 5 2 9 6 3 and again.
    for ((i = 0; i < 20; i++)); do
        printf '{"topic":"n\\nl","queue":%d,"body":"%d","deliver_at_ms":%d}\n' \
            $((i % 2)) $i $((4102444800000 + i * 7 % 10 * 1000))
    done | run 0 "$commitlog" append "$store" --jsonl --queues 2 --level none
    timer 0 list
    sed '1d;$d' "$out" >"$work/rows"
    same "rows" 20 "$(wc -l <"$work/rows")"
    check "by due time, then handle" sort -c -k2,2 -k1,1n "$work/rows"
    same "the count" '20 timers' "$(tail -n 1 "$out")"
    prints "no control characters" '  n\\x0al  *[01]  *[0-9]*$'
    timer 0 list --limit 3
    same "the first ones" "$(head -n 3 "$work/rows" | cut -d' ' -f1)" \
        "$(sed '1d;$d' "$out" | cut -d' ' -f1)"
    same "of how many" '3 of 20 timers' "$(tail -n 1 "$out")"
    timer 0 list -n 0
    same "the count alone" '0 of 20 timers' "$(tail -n 1 "$out")"
    timer 0 list -n 20
    same "all" '20 timers' "$(tail -n 1 "$out")"
    timer 0 list --json --limit 2
    same "objects" 2 "$(wc -l <"$out")"
    run 0 "$commitlog" stat "$store"
    prints "stat" '^timers_waiting  *20$'
    "$commitlog" timer list "$store" 2>"$err" | head -n 1 >/dev/null
    same "list | head" 0 "${PIPESTATUS[0]}"
    quiet "list | head"
    run 2 sh -c "'$commitlog' timer list '$store' >/dev/full"
}

test_cancel() {
    section 'cancel'
    local store first second
    store=$(new)
    printf 'one\ntwo\n' | run 0 "$commitlog" append "$store" -t t -q 0 --delay 1h --acks
    first=$(sed -n '1s/ .*//p' "$out")
    second=$(sed -n '2s/ .*//p' "$out")
    timer 0 cancel "$first"
    quiet cancel
    same "cancel prints nothing" '' "$(cat "$out")"
    check "one is left" waits 1
    timer 1 cancel "$first"
    says "again" \
        "^commitlog timer cancel: $store: no timer $first waits: it was delivered or cancelled"
    timer 1 cancel $((first + 8))
    says "no handle" "no timer $((first + 8)) waits: there is no message that was delayed"
    timer 1 cancel 999999992
    says "beyond" 'no timer 999999992 waits: there is no message that was delayed'
    says "advice" "(commitlog timer list $store lists them)"
    timer 1 cancel 4096
    says "before the first" 'no timer 4096 waits: there is no record there'
    timer 0 cancel "$second" --level none --json
    same "as JSON" "{\"timer\":$second,\"cancelled\":true}" "$(cat "$out")"
    check "none is left" waits 0
    run 0 "$commitlog" dump "$store"
    prints "dump" "^[0-9]*  *[0-9]*  timer  .*  cancels $second  body 16\$"
    run 0 "$commitlog" dump "$store" --json
    prints "dump --json" "\"kind\":\"timer\",.*\"cancels\":$first,"
    # What is due and was not delivered yet can be cancelled still.
    echo three | run 0 "$commitlog" append "$store" -t t -q 0 --delay 300ms --acks -o thread=0
    first=$(sed 's/ .*//' "$out")
    sleep 0.4
    timer 0 list
    prints "overdue" '  [0-9a-z]* overdue  '
    timer 0 cancel "$first"
    open_writer -t t -q 0
    echo four >&9
    wait_for lines_at_least "$work/acks" 1
    timer 2 cancel "$first"
    says "beside a writer" "$writer"
    close_writer
    run 0 "$commitlog" read "$store" -t t
    same "none of them comes" four "$(cat "$out")"
}

test_delivery() {
    section 'delivery'
    local store due reference origin
    store=$(new)
    open_writer -t t -q 1 --jsonl
    echo '{"body":"soon"}' >&9
    due=$(($(now_ms) + 700))
    printf '{"body":"late","deliver_at_ms":%d,%s}\n' $due \
        '"tag":"g","keys":["k"],"headers":{"h":"1"}' >&9
    echo '{"body":"not today","deliver_at_ms":4102444800000}' >&9
    check "acknowledged" wait_for lines_at_least "$work/acks" 3
    origin=$(sed -n '2s/ -$//p' "$work/acks")
    check "with its handle" [ -n "$origin" ]
    "$commitlog" read "$store" -t t -q 1 --follow --max 2 >"$work/follow" &
    started+=("$!")
    timer 0 list --json
    prints "listed beside the writer" \
        "^{\"timer\":$(sed -n '3s/ -$//p' "$work/acks"),\"deliver_at_ms\":4102444800000,"
    # It comes when its time has come, with nothing else going on.
    check "the reader that follows has it" wait_for lines_at_least "$work/follow" 2
    check "not before its time" [ "$(now_ms)" -ge $due ]
    same "behind the other" 'soon late' "$(tr '\n' ' ' <"$work/follow" | sed 's/ $//')"
    check "it waits no more" waits 1
    close_writer
    timer 1 cancel "$origin"
    says "delivered" 'it was delivered or cancelled'
    run 0 "$commitlog" read "$store" -t t -q 1 --from 1 --json
    prints "what it is" '"queue":1,"queue_offset":1,'
    prints "when, and where the message lies" "\"deliver_at_ms\":$due,\"origin_position\":$origin,"
    prints "whole" '"keys":\["k"\],"tag":"g","headers":{"h":"1"},"body":"late"}$'
    cp "$out" "$work/read"
    check "stored when it was due" [ "$(sed 's/.*"store_time_ns":\([0-9]*\).*/\1/' "$out")" -ge \
        "${due}000000" ]
    reference=$(sed 's/{"position":\([0-9]*\).*/\1/' "$out")
    run 0 "$commitlog" get "$store" --at "$reference"
    same "get of the reference" late "$(cat "$out")"
    run 0 "$commitlog" get "$store" --at "$reference" --json
    check "the same as JSON" cmp "$work/read" "$out"
    run 0 "$commitlog" get "$store" --at "$origin"
    same "get of what it refers to" late "$(cat "$out")"
    run 0 "$commitlog" query "$store" -t t -k k
    same "by its key" late "$(cat "$out")"
    run 0 "$commitlog" read "$store" -t t --tag g --where 'h = 1'
    same "by tag and header" late "$(cat "$out")"
    run 0 "$commitlog" dump "$store"
    prints "dump: the timer" \
        "^$origin  *[0-9]*  timer  .* epoch 1  tag g  key k  due 20[0-9T:.-]*Z  body 4\$"
    prints "dump: the reference" \
        "^$reference  *[0-9]*  reference .* epoch 1  t/1 @1  refers to $origin  body 16\$"
    run 0 "$commitlog" dump "$store" --json
    prints "dump --json: the timer" "\"kind\":\"timer\",.*\"deliver_at_ms\":$due,\"timer\":$origin,"
    prints "dump --json: the reference" "\"kind\":\"reference\",.*\"origin_position\":$origin,"
    run 0 "$commitlog" stat "$store"
    prints "stat" '^timers_waiting  *1$'
    run 0 "$commitlog" verify "$store"
    run 0 "$commitlog" rebuild "$store"
    run 0 "$commitlog" read "$store" -t t -q 1
    same "it is in the log" 'soon late' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
}

# Each delivery moves others in the writer's table: what waits is listed all the same.
test_moving() {
    section 'list beside deliveries'
    local store due lists=0 missed=0
    store=$(new)
    due=$(($(now_ms) + 500))
    open_writer -t t -q 0 --jsonl --level none
    for ((i = 0; i < 6000; i++)); do
        if [ $((i % 3)) = 0 ]; then
            echo '{"body":"far","deliver_at_ms":4102444800000}'
        else
            echo "{\"body\":\"near\",\"deliver_at_ms\":$((due + i / 3))}"
        fi
    done >&9
    check "all are stored" wait_for lines_at_least "$work/acks" 6000
    while [ $lists -lt 500 ] && ! waits 2000; do
        "$commitlog" timer list "$store" --json >"$out"
        [ "$(grep -c '"deliver_at_ms":4102444800000,' "$out")" = 2000 ] || missed=$((missed + 1))
        lists=$((lists + 1))
    done
    same "of $lists lists miss some" 0 $missed
    close_writer
}

# A command without upkeep at the time leaves what is due to the next writer that stays.
test_next_writer() {
    section 'the next writer'
    local store
    store=$(new)
    seq 3 | run 0 "$commitlog" append "$store" -t t -q 0 --delay 300ms -o thread=0
    sleep 0.4
    check "nobody delivers" waits 3
    run 0 "$commitlog" read "$store" -t t
    same "nobody delivers" '' "$(cat "$out")"
    open_writer -t t -q 0
    check "a writer that waits for its input does" wait_for waits 0
    close_writer
    run 0 "$commitlog" read "$store" -t t
    same "in their order" '1 2 3' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    run 0 "$commitlog" verify "$store"
}

# Retention keeps what waits, and takes what was delivered: a reference may outlive its message.
test_retain() {
    section 'retention'
    local store handle carried i
    local expired='the message that this refers to is no longer kept: left out'
    store=$(new)
    head -c 300 /dev/zero | tr '\0' 'r' >"$work/body"
    for ((i = 0; i < 1200; i++)); do cat "$work/body" && echo; done >"$work/bodies"
    echo 'kept' | run 0 "$commitlog" append "$store" -t late -q 0 --queues 1 --delay 1h --acks \
        --segment-size 64K
    handle=$(sed 's/ .*//' "$out")
    run 0 "$commitlog" append "$store" -t bulk --level none <"$work/bodies"
    run 0 "$commitlog" retain "$store" --bytes 1
    prints "dropped" '^dropped [1-9][0-9]* segments'
    timer 0 list
    prints "its handle stays" "^$handle  *20"
    carried=$(sed -n "s/^$handle .* \([0-9]*\)\$/\1/p" "$out")
    check "its message lies elsewhere" [ "$carried" -gt "$handle" ]
    run 0 "$commitlog" get "$store" --at "$carried"
    same "and is whole" kept "$(cat "$out")"
    timer 1 cancel "$carried"
    says "that is no handle" "no timer $carried waits: what lies there is of timer $handle ("
    run 0 "$commitlog" dump "$store"
    prints "dump" "  timer  .*  timer $handle  due 20[0-9T:.-]*Z  body 4\$"
    timer 0 cancel "$handle"
    timer 1 cancel "$handle"
    says "what lay there" "no timer $handle waits: what lay there is no longer kept"
    # In the newer half of the log, so that a reference delivers it, and not in its last segment.
    run 0 "$commitlog" append "$store" -t bulk --level none <"$work/bodies"
    printf 'before\n' | run 0 "$commitlog" append "$store" -t late -q 0
    printf 'gone\n' | run 0 "$commitlog" append "$store" -t late -q 0 --delay 300ms --key k \
        -o thread=0
    head -n 300 "$work/bodies" |
        run 0 "$commitlog" append "$store" -t bulk --level none -o thread=0
    open_writer -t late -q 0
    check "delivered" wait_for waits 0
    echo after >&9
    check "and another" wait_for lines_at_least "$work/acks" 1
    close_writer
    run 0 "$commitlog" read "$store" -t late -q 0
    same "all are there" 'before gone after' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    run 0 "$commitlog" retain "$store" --bytes 1
    run 1 "$commitlog" read "$store" -t late -q 0
    same "queue: what follows comes" after "$(cat "$out")"
    says "queue: told" "offset 1: $expired"
    run 1 "$commitlog" read "$store" -t late
    same "all queues: what follows comes" after "$(cat "$out")"
    says "all queues: told" "position [0-9]*: $expired"
    run 0 "$commitlog" read "$store" -t late --last 2
    same "it is none of the last ones" after "$(cat "$out")"
    run 1 "$commitlog" query "$store" -t late -k k
    says "by key: there is none" "no record of topic late carries the key k"
    handle=$("$commitlog" dump "$store" | sed -n 's/ .*  reference .*//p')
    run 1 "$commitlog" get "$store" --at "$handle"
    says "get" "position $handle: the message that this refers to is no longer kept"
    run 0 "$commitlog" dump "$store" --from "$handle" --max 1
    prints "dump still says where it was" '  reference .*  refers to [0-9]*  body 16$'
}

# What waits is more than half of what is kept: retention stops, and tells what went before that.
test_retain_stops() {
    section 'retention that stops'
    local how
    store=$(new)
    numbers() { seq -f "%0300.0f" "$1"; }
    for how in text --json; do
        numbers 1200 | run 0 "$commitlog" append "$store" -t bulk -q 0 --segment-size 64K
        numbers 1200 | run 0 "$commitlog" append "$store" -t late -q 0 --delay 1h
        # shellcheck disable=SC2046
        run 2 "$commitlog" retain "$store" --bytes 1 $([ "$how" = text ] || echo "$how")
        says "$how: why" 'retention stopped: '
        if [ "$how" = text ]; then
            prints "text" '^dropped [1-9][0-9]* segments'
        else
            prints "json" '"segments_dropped":[1-9]'
        fi
        rm -rf "$store"
    done
}

all='usage append jsonl list cancel delivery moving next_writer retain retain_stops'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
