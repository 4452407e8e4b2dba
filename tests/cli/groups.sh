#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# groups.sh - what `commitlog group` promises: tables, JSON, refusals, and that what only looks runs
# beside a writer, and what changes a group does not.
#
# groups.sh [TEST...]; see cli.sh. The example program group is the writer that commits; it is left
# out, and said so, where it is not built.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

walk=$(dirname "$0")/../golden/walk.py
example=$(dirname "$commitlog")/examples/group

group() { # group STATUS ACTION OPTION...: on $store
    run "$1" "$commitlog" group "$2" "$store" "${@:3}"
}

fresh() { # a store with topic orders, 4 queues of 25 messages
    store=$(new)
    seq 100 | run 0 "$commitlog" append "$store" -t orders --queues 4 --level none
}

offsets() { # offsets GROUP: what it has committed, as QUEUE=OFFSET ...
    "$commitlog" group show "$store" -g "$1" --json | grep -o '"queue":[0-9]*,"offset":[0-9]*' |
        sed 's/"queue":\([0-9]*\),"offset":/\1=/' | tr '\n' ' ' | sed 's/ $//'
}

wrong() { # wrong ACTION OPTION...: refused as usage, with a pointer to the help
    run 2 "$commitlog" group "$1" "$work/none" "${@:2}"
    says "$*" "^Try .commitlog group $1 --help'"
}

test_usage() {
    section usage
    run 2 "$commitlog" group
    says "no action" 'Usage: commitlog group ACTION DIR'
    run 2 "$commitlog" group conjure "$work/none"
    says "unknown action" '"conjure" is not an action'
    run 0 "$commitlog" group --help
    prints "help" '^  reset '
    local action
    for action in list show lag create set commit reset epoch delete; do
        run 0 "$commitlog" group $action --help
        prints "$action --help" "^Usage: commitlog group $action "
        run 2 "$commitlog" group $action --no-such-option "$work/none"
        says "$action" 'no-such-option: unknown option'
        run 2 "$commitlog" group $action
        says "$action without DIR" 'DIR is missing'
        [ $action = list ] || [ $action = lag ] || wrong $action
    done
    wrong set -g g
    wrong set -g g --keep perhaps
    wrong commit -g g -o 0=1
    wrong commit -g g -t t
    wrong commit -g g -t t -o 1
    wrong commit -g g -t t -o x=1
    wrong commit -g g -t t -o 0=-1
    wrong commit -g g -t t -o 0=1 -e 0
    wrong reset -g g -t t
    wrong reset -g g -t t --to 7
    wrong reset -g g -t t --to middle
    wrong reset -g g -t t --to end --since 1s
    wrong reset -g g -t t --since never
    check "usage errors make nothing" [ ! -e "$work/none" ]
    run 2 "$commitlog" group create "$work/none" -g g
    says "no store" 'there is no directory'
    check "nor does a group without a store" [ ! -e "$work/none" ]
}

test_life() {
    section 'life of a group'
    local store
    fresh
    group 0 list --json
    same "no groups" '' "$(cat "$out")"
    group 0 create -g billing --keep
    quiet create
    group 2 create -g billing
    says "again" "$store: there is a group billing already"
    group 0 create -g audit
    group 0 list
    prints "list" '^billing  *0  yes  *0$'
    prints "list" '^audit  *0  no  *0$'
    group 0 set -g audit --keep yes
    group 0 set -g billing --keep no
    group 0 list --json
    prints "list --json" '^{"group":"billing","epoch":0,"keep":false,"queues":0}$'
    prints "list --json" '^{"group":"audit","epoch":0,"keep":true,"queues":0}$'
    group 0 epoch -g billing
    same "epoch" 1 "$(cat "$out")"
    group 0 epoch -g billing --json
    same "epoch" '{"group":"billing","epoch":2}' "$(cat "$out")"
    group 0 delete -g audit
    group 1 show -g audit
    says "deleted" "there is no group audit (commitlog group list $store lists them)"
    for action in 'set --keep no' epoch delete 'commit -t orders -o 0=1' \
        'reset -t orders --to end' lag; do
        # shellcheck disable=SC2086
        group 1 $action -g audit
        says "$action" 'there is no group audit'
    done
    group 2 create -g "$(printf '%0256d' 0)"
    says "too long" 'has 1 to 255 bytes'
    group 0 create -g "$(printf 'a\nb')"
    group 0 list
    prints "no control characters" '^a\\x0ab \{24\}0 '
    group 0 create -g 'größe'
    group 0 list
    prints "columns of characters" '^größe \{25\}0 '
    group 0 delete -g 'größe'
    run 0 "$commitlog" dump "$store"
    prints "dump" '^[0-9]*  *[0-9]*  group  '
    run 0 "$commitlog" verify "$store"
}

test_offsets() {
    section 'offsets'
    local store
    fresh
    group 0 create -g g
    group 0 commit -g g -t orders -o 2=7 -o 0=25
    quiet commit
    same "committed" '0=25 2=7' "$(offsets g)"
    group 0 show -g g
    prints "show" '^group g, epoch 0, retention does not keep what it has not consumed$'
    prints "show" '^orders  *0  *25  *0  *25  *0$'
    prints "show" '^orders  *2  *7  *0  *25  *18$'
    group 0 show -g g --json
    prints "show --json" \
        '^{"group":"g","epoch":0,"keep":false,"queues":2,"offsets":\[{"topic":"orders",'
    group 0 lag -g g
    prints "lag" '^g  *orders  *4  *68  *0  20'
    group 0 lag --json
    prints "lag --json" '^{"group":"g","topic":"orders","queues":4,"messages":68,"dropped":0,'
    group 1 commit -g g -t orders -o 1=3 -o 0=26
    says "beyond" 'orders/0: offset 26 is beyond the end: 25 to 25 can be committed'
    group 1 commit -g g -t orders -o 1=26
    says "beyond" 'orders/1: offset 26 is beyond the end: 0 to 25 can be committed'
    group 1 commit -g g -t orders -o 1=3 -o 2=6
    says "back" 'orders/2: offset 6 lies before 7, which is committed already'
    group 1 commit -g g -t orders -o 4=0
    says "no queue" 'orders: there is no queue 4: the topic has 4 of them'
    group 2 commit -g g -t orders -o 1=3 -o 1=4
    says "twice" 'named twice'
    group 1 commit -g g -t nothing -o 0=0
    says "no topic" "there is no topic nothing (commitlog topics $store lists them)"
    same "refused: all" '0=25 2=7' "$(offsets g)"
    group 0 epoch -g g
    group 0 epoch -g g
    group 1 commit -g g -t orders -o 2=8 -e 1
    says "fenced" 'orders: group g is in epoch 2, the member in 1'
    same "fenced" '0=25 2=7' "$(offsets g)"
    group 0 commit -g g -t orders -o 2=8 -e 2
    same "a member" '0=25 2=8' "$(offsets g)"
    seq 3 | run 0 "$commitlog" append "$store" -t late
    group 0 lag -g g
    check "a topic it never consumed" [ "$(wc -l <"$out")" = 2 ]
    run 0 python3 "$walk" "$store"
    group 0 lag -g g -t late
    prints "unless named" '^g  *late  *8  *3 '
    group 0 lag -t late
    check "no group has consumed it" [ "$(wc -l <"$out")" = 1 ]
}

test_reset() {
    section 'reset'
    local store moment
    fresh
    group 0 create -g g
    group 0 commit -g g -t orders -o 0=25 -o 2=7
    group 0 reset -g g -t orders -q 0 --to 3
    prints "what was and is" '^orders  *0  *25  *3$'
    group 0 reset -g g -t orders -q 1 --to 4 --json
    same "what was not" \
        '{"group":"g","topic":"orders","queue":1,"offset_before":null,"offset":4}' "$(cat "$out")"
    same "offsets" '0=3 1=4 2=7' "$(offsets g)"
    group 0 reset -g g -t orders --to end
    same "end" '0=25 1=25 2=25 3=25' "$(offsets g)"
    group 0 reset -g g -t orders --to first
    same "first" '0=0 1=0 2=0 3=0' "$(offsets g)"
    group 1 reset -g g -t orders -q 1 --to 26
    says "beyond" 'orders: queue 1 has the offsets 0 to 25, not 26'
    group 1 reset -g g -t orders -q 7 --to first
    says "no queue" 'there is no queue 7'
    moment=$(($(date +%s%3N) + 1))
    sleep 0.05
    seq 8 | run 0 "$commitlog" append "$store" -t orders
    group 0 reset -g g -t orders --since "$moment"
    same "since" '0=25 1=25 2=25 3=25' "$(offsets g)"
    group 0 lag -g g
    prints "what came since" '^g  *orders  *4  *8 '
}

test_retain() {
    section 'retention'
    local store
    store=$(new)
    head -c 300 /dev/zero | tr '\0' 'r' >"$work/body"
    for ((i = 0; i < 3000; i++)); do cat "$work/body" && echo; done |
        run 0 "$commitlog" append "$store" -t r --queues 1 --level none --segment-size 64K
    group 0 create -g slow --keep
    group 0 create -g quick
    group 0 commit -g slow -t r -o 0=1000
    group 0 commit -g quick -t r -o 0=500
    run 0 "$commitlog" retain "$store" --bytes 1
    prints "kept" '^more would go, but a group has yet to consume what lies from position [0-9]* on'
    group 0 lag -g slow
    prints "nothing is lost" '^slow  *r  *1  *2000  *0 '
    group 0 lag -g quick
    prints "without keep" '^quick  *r  *1  *2[0-9]*  *[1-9][0-9]* '
    run 0 "$commitlog" retain "$store" --bytes 1 --json
    prints "kept_from" '"segments_dropped":0,.*"kept_from":[1-9]'
    group 0 commit -g slow -t r -o 0=3000
    run 0 "$commitlog" retain "$store" --bytes 1 --json
    prints "consumed" '"segments_dropped":[1-9].*"kept_from":0}$'
    same "offsets stay" '0=3000' "$(offsets slow)"
    same "offsets stay" '0=500' "$(offsets quick)"
    group 1 reset -g quick -t r -q 0 --to 500
    says "dropped" 'queue 0 has the offsets [1-9][0-9]* to 3000, not 500'
    group 0 epoch -g slow
    run 0 python3 "$walk" "$store"
    prints "as the page of the format says" '"kind": "group"'
    run 0 "$commitlog" rebuild "$store"
    same "offsets are in the log" '0=3000 0=500' "$(offsets slow) $(offsets quick)"
}

test_live() {
    section 'beside a writer'
    local store pid
    fresh
    group 0 create -g g
    group 0 commit -g g -t orders -o 0=5
    mkfifo "$work/feed"
    "$commitlog" append "$store" -t orders -q 0 --level none --acks <"$work/feed" >"$work/acks" &
    pid=$!
    started+=("$pid")
    exec 9>"$work/feed"
    echo one >&9
    wait_for lines_at_least "$work/acks" 1
    group 0 lag -g g
    prints "with what the writer appends" '^g  *orders  *4  *96  *0 '
    group 0 list
    group 0 show -g g
    prints "show" '^orders  *0  *5  *0  *26  *21$'
    for action in 'create -g h' 'set -g g --keep no' 'epoch -g g' 'delete -g g' \
        'commit -g g -t orders -o 0=6' 'reset -g g -t orders --to end'; do
        # shellcheck disable=SC2086
        group 2 $action
        says "$action" "$pid"
    done
    exec 9>&-
    ends "the writer" 0 "$pid"
    same "nothing was changed" '0=5' "$(offsets g)"
    group 0 commit -g g -t orders -o 0=6
}

# A consumer that is killed goes on where its last commit says: it loses nothing, and prints again
# less than a batch (of 16) more than the kills cost.
test_example() {
    section 'the example program'
    local store round pid killed=0 twice
    if [ ! -x "$example" ]; then
        skip "no $example: make examples"
        return
    fi
    store=$(new)
    seq 1000 | run 0 "$commitlog" append "$store" -t orders --queues 3 --level none
    : >"$work/consumed"
    for round in 1 2 3; do
        "$example" "$store" orders billing 1 >"$work/round" 2>"$err" &
        pid=$!
        started+=("$pid")
        disown "$pid"
        wait_for lines_at_least "$work/round" $((round * 50))
        group 0 lag -g billing
        prints "seen while it runs" '^billing  *orders  *3  *[1-9]'
        group 2 reset -g billing -t orders --to first
        says "beside it" "$pid"
        kill -9 "$pid" && killed=$((killed + 1))
        wait_for gone "$pid"
        cat "$work/round" >>"$work/consumed"
    done
    same "killed before the end" 3 $killed
    run 0 "$example" "$store" orders billing
    cat "$out" >>"$work/consumed"
    same "each message at least once" "$(seq 1000 | cksum)" \
        "$(cut -d' ' -f3 "$work/consumed" | sort -n -u | cksum)"
    twice=$(($(wc -l <"$work/consumed") - 1000))
    check "$twice twice" [ $twice -le $((killed * 16)) ]
    group 0 lag -g billing
    prints "all is committed" '^billing  *orders  *3  *0  *0  -$'
    run 0 "$example" "$store" orders billing
    same "nothing is left" '' "$(cat "$out")"
    group 0 list --json
    prints "each of them began an epoch" '"group":"billing","epoch":5,"keep":true'
    run 0 "$commitlog" verify "$store"
}

all='usage life offsets reset retain live example'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
