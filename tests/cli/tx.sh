#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tx.sh - what `commitlog tx` promises: lines that take effect all or not at all, also with the
# offsets of a group; transactions that wait for somebody's decision, listed and shown.
#
# tx.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/cli/tx_lib.sh
. "$(dirname "$0")/tx_lib.sh"

wrong() { # wrong ACTION OPERAND...: refused as usage, with a pointer to the help
    run 2 "$commitlog" tx "$@" </dev/null
    says "$*" "^Try .commitlog tx $1 --help'"
}

test_usage() {
    section usage
    local action bad none="$work/none"
    run 2 "$commitlog" tx
    says "no action" 'Usage: commitlog tx ACTION DIR'
    run 2 "$commitlog" tx conjure "$none"
    says "unknown action" '"conjure" is not an action'
    run 0 "$commitlog" tx --help
    prints "help" '^  rollback '
    run 0 "$commitlog" --help
    prints "help" '^  tx '
    for action in append list show commit rollback; do
        run 0 "$commitlog" tx $action --help
        prints "$action --help" "^Usage: commitlog tx $action DIR"
        run 2 "$commitlog" tx $action --no-such-option "$none"
        says "$action" 'no-such-option: unknown option'
        run 2 "$commitlog" tx $action
        says "$action without DIR" 'DIR is missing'
    done
    wrong list "$none" more
    wrong list "$none" --limit few
    for action in show commit rollback; do
        wrong $action "$none"
        says "no number" 'the operand TRANSACTION is missing'
        for bad in x 0 8336x 9223372036854775808; do
            wrong $action "$none" $bad
            says "$bad" "^commitlog tx $action: TRANSACTION: "
        done
    done
    wrong show "$none" 8336 8400
    says "one at a time" 'unexpected operand "8400"'
    wrong commit "$none" 8336 x
    wrong commit "$none" 8336 --level firm
    says "level" '"firm" is not none, written or durable'
    check "usage errors make nothing" [ ! -e "$none" ]
    for action in list 'show 8336' 'commit 8336' 'rollback 8336'; do
        # shellcheck disable=SC2086
        set -- $action
        run 2 "$commitlog" tx "$1" "$none" "${@:2}"
        says "no store" 'there is no directory'
    done
    check "nor does a transaction without a store" [ ! -e "$none" ]
}

test_append_usage() {
    section 'usage of append'
    local bad none="$work/none"
    wrong append "$none" -t t
    says "no producer group" '--producer-group is missing'
    wrong append "$none" -p p
    says "no topic" '--topic is missing'
    for bad in '' "$(printf '%0256d' 0)" $'\xff'; do
        wrong append "$none" -t t -p "$bad"
        says "[$bad]" '--producer-group: a name has 1 to 255 bytes of UTF-8'
    done
    wrong append "$none" -t t -p p --delay 1s
    says "delay" 'delay: unknown option'
    wrong append "$none" -t t -p p --level firm
    wrong append "$none" -t t -p p --expire 1h
    says "expire" '--expire is for --prepare'
    wrong append "$none" -t t -p p --prepare 8336
    says "prepare 8336" 'unexpected operand "8336"'
    for bad in '' 0s 5 -5s soon 31d 99999999999999999999s; do
        wrong append "$none" -t t -p p --timeout "$bad"
        says "--timeout $bad" "timeout: \"$bad\" is not a duration from 1ms to 30d"
        wrong append "$none" -t t -p p --prepare --expire "$bad"
        says "--expire $bad" "expire: \"$bad\" is not a duration from 1ms to 30d"
    done
    wrong append "$none" -t t -p p --offset t/0=1
    says "no group" '--group and --offset need each other'
    wrong append "$none" -t t -p p --group g
    wrong append "$none" -t t -p p --epoch 1
    for bad in '' 0=1 /0=1 t=1 t/=1 t/0= t/0=-1 t/x=1 t/0 0:t=1; do
        wrong append "$none" -t t -p p -g g --offset "$bad"
        says "[$bad]" '^commitlog tx append: --offset'
    done
    wrong append "$none" -t t -p p -g g --offset t/0=1 --epoch 0
    check "usage errors make nothing" [ ! -e "$none" ]
    run 2 "$commitlog" tx append "$none" -t t -p p -g g --offset t/0=1 </dev/null
    says "a new store has no group" 'there is no directory'
    check "and is not made for one" [ ! -e "$none" ]
}

test_append() {
    section append
    local store level
    store=$(new)
    seq 3 | tx 0 append -t t -q 1 --queues 2 -p p
    quiet append
    same "it prints nothing" '' "$(cat "$out")"
    same "all are there" '1 2 3' "$(bodies t)"
    tx 0 list
    same "it has ended" '0 transactions' "$(tail -n 1 "$out")"
    cat >"$work/lines" <<'END'
{"topic":"a","queue":0,"body":"one","keys":["k"],"tag":"g","headers":{"h":"1"},"time_ms":-5}
{"topic":"b","body_base64":"AP8="}
{"body":"three","deliver_at_ms":77,"position":8336,"transaction":8336}
{"topic":"a","queue":0,"body":""}
END
    tx 0 append -t c --jsonl -p p --json <"$work/lines"
    same "as JSON" "{'state': 'committed', 'messages': 4, 'offsets': 0}" \
        "$(json '{k: v[0][k] for k in ("state", "messages", "offsets")}')"
    run 0 "$commitlog" read "$store" -t a --json
    same "what they are" "[('one', ['k'], 'g', {'h': '1'}, -5), ('', [], '', {}, True)]" \
        "$(json '[(o["body"], o["keys"], o["tag"], o["headers"],
            o["time_ms"] < 0 and o["time_ms"] or o["time_ms"] > 1e12) for o in v]')"
    same "in their queue" '[(0, 0), (0, 1)]' \
        "$(json '[(o["queue"], o["queue_offset"]) for o in v]')"
    run 0 "$commitlog" read "$store" -t b --json
    prints "other topics" '"body_base64":"AP8="}$'
    run 0 "$commitlog" read "$store" -t c --json
    prints "the topic of the option" '"body":"three"}$'
    check "a time that has passed is left out" sh -c "! grep -q deliver_at_ms '$out'"
    run 0 "$commitlog" query "$store" -t a -k k
    same "by key" one "$(cat "$out")"
    run 0 "$commitlog" read "$store" -t a --tag g --where 'h = 1'
    same "by tag and header" one "$(cat "$out")"
    for level in none written durable; do
        echo $level | tx 0 append -t levels -q 0 -p p --level $level
    done
    same "levels" 'none written durable' "$(bodies levels)"
    printf 'last' | tx 0 append -t last -p p --by-key --key k --tag g
    same "a line without a line feed" last "$(bodies last)"
    run 0 "$commitlog" verify "$store"
    run 0 "$commitlog" rebuild "$store"
    same "they are in the log" '1 2 3' "$(bodies t)"
}

# nothing TEXT: neither a message nor a transaction is there.
nothing() {
    same "$1: nothing takes effect" '' "$(bodies t)"
    check "$1: it has ended" open_transactions 0
}

test_bad() {
    section 'bad input'
    local store long
    store=$(new)
    long=$(printf '%0256d' 0)
    tx 1 append -t t -p p </dev/null
    says "empty" '^commitlog tx append: standard input is empty'
    tx 1 append -t t -p p --prepare </dev/null
    same "empty: no number" '' "$(cat "$out")"
    while IFS='|' read -r line reason; do
        printf '{"body":"a"}\n{"body":"b"}\n%s\n{"body":"c"}\n' "$line" |
            tx 1 append -t t --queues 1 --jsonl -p p
        says "$line" "standard input, line 3: .*$reason.*: the transaction is rolled back$"
        same "$line: told once" 1 "$(wc -l <"$err")"
        nothing "$line"
    done <<END
nonsense|not JSON
{"body":"x","topik":"t"}|unknown field "topik"
{"topic":"t"}|neither "body" nor "body_base64"
{"body":"x","queue":1}|there is no queue 1: topic t has 1
{"body":"x","topic":""}|a topic's name has 1 to 255 bytes
{"body":"x","tag":"$long"}|a tag has at most 255 bytes
{"body":"x","keys":[""]}|a key has 1 to 4096 bytes
{"body":"x","deliver_at_ms":4102444800000}|cannot have "deliver_at_ms"
END
    printf 'a\n%s\n' "$long" | tx 1 append -t t -p p -o max_body_bytes=200
    says "a body" 'line 2: the body has 256 bytes, 200 at most .*: the transaction is rolled back'
    nothing "a body"
    printf '{"body":"a","keys":["k"]}\n{"body":"b"}\n' | tx 1 append -t t -p p --jsonl --by-key
    says "by key" 'line 2: no key, which --by-key needs'
    nothing "by key"
    printf 'a\nb\nx\n' | tx 2 append -t t -p p --queues 3
    says "queues" 'topic t has 1 queues, not 3'
    printf '{"body":"a"}\n{"body":"b"}\nx\n' | tx 1 append -t t -p p --jsonl --prepare
    same "prepare: no number" '' "$(cat "$out")"
    nothing "prepare"
    run 2 sh -c "seq 3 | '$commitlog' tx append '$store' -t t -p p <&-"
    nothing "no input"
    run 0 "$commitlog" dump "$store"
    prints "dump: it was rolled back" '  transaction [0-9]*  rollback asked  body 16$'
    run 0 "$commitlog" verify "$store"
}

test_limits() {
    section limits
    local store
    store=$(new)
    seq 65535 | tx 0 append -t t -q 0 -p p --level none
    same "as many as one may have" 65535 "$("$commitlog" read "$store" -t t | wc -l)"
    seq 65536 | tx 1 append -t t -q 0 -p p --level none
    says "one more" 'standard input, line 65536: .*: the transaction is rolled back$'
    same "of it nothing is there" 65535 "$("$commitlog" read "$store" -t t | wc -l)"
    store=$(new)
    seq 2000 | tx 1 append -t t -q 0 -p p --segment-size 64K
    says "the commit would not fit a segment" \
        'standard input, line [0-9]*: .*: the transaction is rolled back$'
    nothing "too large"
    run 0 "$commitlog" verify "$store"
}

test_prepare() {
    section prepare
    local store number other start
    store=$(new)
    start=$(now_ms)
    prepare 3 -t t -q 0
    quiet prepare
    check "it prints a number" grep -qxE '[0-9]+' "$out"
    same "they are in no queue" '' "$(bodies t)"
    tx 0 list
    prints "listed" \
        "^$number  *prepared  p                           3  *[0-9]* *0  [0-9a-z]*  *2[34]h"
    prints "counted" '^1 transaction$'
    tx 0 list --json
    same "its fields" "transaction state producer_group messages bytes offset_groups begin_ms \
age_ms expires_at_ms left_ms" "$(json '" ".join(v[0])')"
    same "what it is" "($number, 'prepared', 'p', 3, 0)" "$(json 'tuple(v[0][k] for k in
        ("transaction", "state", "producer_group", "messages", "offset_groups"))')"
    same "its times" True "$(json "($start - 1 <= v[0]['begin_ms'] <= $(now_ms) and
        86300000 < v[0]['left_ms'] <= 86400000 and v[0]['bytes'] > 3 * 48 and
        v[0]['expires_at_ms'] - v[0]['begin_ms'] >= 86400000)")"
    tx 1 show $((number - 8))
    says "there is one above" "no transaction $((number - 8)): none began there"
    tx 0 show "$number"
    same "its messages" '1 2 3' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    tx 0 commit "$number"
    quiet commit
    same "commit prints nothing" '' "$(cat "$out")"
    same "they are there" '1 2 3' "$(bodies t)"
    check "it has ended" open_transactions 0
    prepare 2 -t t -q 0 --expire 30d
    tx 0 list
    prints "its time" '  29d23h$'
    tx 0 rollback "$number" --level none
    same "they never come" '1 2 3' "$(bodies t)"
    check "it has ended" open_transactions 0
    for each in commit rollback show; do
        tx 1 $each "$number"
        says "$each: rolled back" "^commitlog tx $each: $store: there is no transaction $number: \
it was committed or rolled back (commitlog tx list $store lists them)$"
    done
    prepare 1 -t t -q 0 --json
    number=$(json 'v[0]["transaction"]')
    same "as JSON" "{\"transaction\":$number,\"state\":\"prepared\",\"messages\":1,\"offsets\":0}" \
        "$(cat "$out")"
    other=$number
    prepare 1 -t t -q 0
    tx 1 commit $((number + 8)) "$other" 999999992 "$number" "$number" --json
    same "several" "$(printf '{"transaction":%s,"committed":true}\n' "$other" "$number")" \
        "$(cat "$out")"
    says "none" "no transaction $((number + 8)): none began there"
    says "none" 'no transaction 999999992: none began there'
    says "twice" "no transaction $number: it was committed or rolled back"
    tx 1 commit 4096
    says "before the first" 'no transaction 4096: there is no record there'
    same "each took effect once" '1 2 3 1 1' "$(bodies t)"
    prepare 1 -t t
    tx 0 rollback "$number" --json
    same "as JSON" "{\"transaction\":$number,\"rolled_back\":true}" "$(cat "$out")"
    run 0 "$commitlog" verify "$store"
}

test_offsets() {
    section offsets
    local store number
    store=$(new)
    seq 20 | run 0 "$commitlog" append "$store" -t orders --queues 2 -q 0
    run 0 "$commitlog" group create "$store" -g g
    # What was made of nine of them, and that they were consumed.
    "$commitlog" read "$store" -t orders -q 0 --from 0 --max 9 --json |
        sed 's/"topic":"orders","queue":0/"topic":"bills","queue":0/' |
        tx 0 append --jsonl --queues 1 -p p -g g --offset orders/0=9
    quiet "consume, transform, produce"
    same "made" '1 2 3 4 5 6 7 8 9' "$(bodies bills)"
    committed() { "$commitlog" group show "$store" -g g --json | sed 's/.*"offsets"://'; }
    check "consumed" grep -q '"topic":"orders","queue":0,"offset":9,' <<<"$(committed)"
    tx 0 append -t bills -p p -g g --offset orders/0=12 --json </dev/null
    same "nothing made" '(0, 0, 1)' \
        "$(json '(v[0]["transaction"], v[0]["messages"], v[0]["offsets"])')"
    "$commitlog" tx append "$store" -t bills -p p -g g --offset orders/0=12 --json \
        </dev/null >/dev/full 2>"$err"
    same "nobody could be told" 2 $?
    says "nobody could be told" '^commitlog tx append: the offsets are committed$'
    check "consumed all the same" grep -q '"offset":12,' <<<"$(committed)"
    # Refused, and with it all that was made.
    refused() { # refused TEXT PATTERN OPTION...
        echo x | tx 1 append -t bills "${@:3}" -p p
        says "$1" "$2"
        same "$1: nothing was made" '1 2 3 4 5 6 7 8 9' "$(bodies bills)"
        check "$1: it has ended" open_transactions 0
    }
    refused "beyond" 'orders/0: offset 21 is beyond the end: 12 to 20 can be committed' \
        -g g --offset orders/0=21
    refused "back" 'orders/0: offset 11 lies before 12, which is committed already' \
        -g g --offset orders/0=11
    refused "no queue" 'orders: there is no queue 2: the topic has 2 of them' \
        -g g --offset orders/2=1
    refused "no topic" "there is no topic nothing (commitlog topics $store lists them)" \
        -g g --offset nothing/0=1
    refused "no group" "there is no group h (commitlog group list $store lists them)" \
        -g h --offset orders/0=13
    run 0 "$commitlog" group epoch "$store" -g g
    run 0 "$commitlog" group epoch "$store" -g g
    refused "fenced" 'group g is in epoch 2, the member in 1' -g g --offset orders/0=13 -e 1
    check "offsets are as they were" grep -q '"offset":12,' <<<"$(committed)"
    echo ten | tx 0 append -t bills -q 0 -p p -g g --offset orders/0=13 --offset orders/1=0 -e 2
    same "in its epoch" '1 2 3 4 5 6 7 8 9 ten' "$(bodies bills)"
    # Prepared: they were looked at for the last time, and what others went beyond falls out.
    prepare 1 -t bills -q 0 -g g --offset orders/0=14
    tx 0 list --json
    same "listed" 1 "$(json 'v[0]["offset_groups"]')"
    check "not consumed yet" grep -q '"offset":13,' <<<"$(committed)"
    tx 0 commit "$number"
    check "consumed" grep -q '"offset":14,' <<<"$(committed)"
    prepare 1 -t bills -q 0 -g g --offset orders/0=15
    run 0 "$commitlog" group commit "$store" -g g -t orders -o 0=18
    tx 0 commit "$number"
    check "others went further" grep -q '"offset":18,' <<<"$(committed)"
    check "it has ended" open_transactions 0
    same "both took effect" '1 2 3 4 5 6 7 8 9 ten 1 1' "$(bodies bills)"
    # Names may have slashes and equal signs.
    echo y | run 0 "$commitlog" append "$store" -t 'a/b=c' -q 0
    tx 0 append -t bills -p p -g g --offset 'a/b=c/0=1' </dev/null
    check "a name with slashes" grep -q '"topic":"a/b=c","queue":0,"offset":1,' <<<"$(committed)"
    run 0 "$commitlog" verify "$store"
}

test_list() {
    section list
    local store number numbers=() i
    store=$(new)
    run 0 "$commitlog" create "$store"
    tx 0 list
    same "none" '0 transactions' "$(tail -n 1 "$out")"
    same "none" 2 "$(wc -l <"$out")"
    tx 0 list --json
    same "none" '' "$(cat "$out")"
    for ((i = 1; i <= 5; i++)); do
        prepare $i -t t -q 0 --level none
        numbers+=("$number")
    done
    seq 2 | tx 0 append -t t -p $'a\nb' --prepare
    tx 0 list
    sed '1d;$d' "$out" >"$work/rows"
    same "the oldest first" "${numbers[*]}" "$(sed '$d;s/ .*//' "$work/rows" | tr '\n' ' ' |
        sed 's/ $//')"
    prints "no control characters" '  prepared  a\\x0ab  *2 '
    same "the count" '6 transactions' "$(tail -n 1 "$out")"
    tx 0 list --limit 3
    same "the first ones" "${numbers[*]:0:3}" "$(sed '1d;$d;s/ .*//' "$out" | tr '\n' ' ' |
        sed 's/ $//')"
    same "of how many" '3 of 6 transactions' "$(tail -n 1 "$out")"
    tx 0 list -n 0
    same "the count alone" '0 of 6 transactions' "$(tail -n 1 "$out")"
    tx 0 list --json -n 2
    same "objects" 2 "$(wc -l <"$out")"
    "$commitlog" tx list "$store" 2>"$err" | head -n 1 >/dev/null
    same "list | head" 0 "${PIPESTATUS[0]}"
    quiet "list | head"
    run 2 sh -c "'$commitlog' tx list '$store' >/dev/full"
}

test_show() {
    section show
    local store number copy
    store=$(new)
    copy=$(new)
    cat >"$work/lines" <<'END'
{"topic":"a","queue":3,"body":"one","keys":["k","l"],"tag":"g","headers":{"h":"1"},"time_ms":-5}
{"topic":"b","queue":0,"body_base64":"AP8="}
{"topic":"a","queue":2,"body":"two\nlines","headers":[["h","1"],["h","2"]]}
END
    run 0 "$commitlog" tx append "$store" -p p --jsonl --prepare <"$work/lines"
    number=$(cat "$out")
    tx 0 show "$number" --json
    cp "$out" "$work/shown"
    same "where they are to go" "[('a', 3, None), ('b', 0, None), ('a', 2, None)]" \
        "$(json '[(o["topic"], o["queue"], o["queue_offset"]) for o in v]')"
    same "of what transaction" "{$number}" "$(json '{o["transaction"] for o in v}')"
    check "the first has its number" grep -q "^{\"position\":$number," "$out"
    tx 0 show "$number"
    check "bodies" cmp "$out" <(printf 'one\n\0\xff\ntwo\nlines\n')
    run 0 "$commitlog" append "$copy" --jsonl <"$work/shown"
    tx 0 commit "$number"
    content() { # without what storing it again, or by a reference, changes
        sed -E 's/"(position|store_time_ns|time_ms|epoch|origin_position)":[0-9]+,?//g' "$@"
    }
    for each in a b; do
        "$commitlog" read "$store" -t $each --json | content >"$work/one"
        "$commitlog" read "$copy" -t $each --json | content >"$work/two"
        check "show --json | append --jsonl is as the commit: $each" cmp "$work/one" "$work/two"
    done
    "$commitlog" tx show "$store" "$number" 2>"$err" | head -n 1 >/dev/null
    prepare 3000 -t c
    "$commitlog" tx show "$store" "$number" 2>"$err" | head -n 1 >/dev/null
    same "show | head" 0 "${PIPESTATUS[0]}"
    quiet "show | head"
    run 2 sh -c "'$commitlog' tx show '$store' '$number' >/dev/full"
}

all='usage append_usage append bad limits prepare offsets list show'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
