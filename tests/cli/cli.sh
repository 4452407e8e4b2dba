#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# cli.sh - what the commitlog command promises: exit codes, texts, JSON, pipes, signals.
#
# cli.sh [TEST...] prints each failure by name and "checks: N" at the end; exit 1 when one failed.
# COMMITLOG or BUILD say where the command is. damage.sh beside it tests bad directories, damage
# and full disks.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

test_usage() {
    section usage
    run 2 "$commitlog"
    says "no command" 'Usage: commitlog COMMAND'
    run 2 "$commitlog" conjure "$work/none"
    says "unknown command" '"conjure" is not a command'
    run 0 "$commitlog" --help
    prints "help" 'append'
    run 0 "$commitlog" --version
    prints "version" '^commitlog [0-9]'
    local command
    for command in create append read get query topics stat verify recover rebuild dump retain \
        bench; do
        run 0 "$commitlog" $command --help
        prints "$command --help" "^Usage: commitlog $command "
        quiet "$command --help"
        run 2 "$commitlog" $command --no-such-option "$work/none"
        says "$command" 'no-such-option: unknown option'
        [ $command = bench ] && continue
        run 2 "$commitlog" $command
        says "$command without DIR" 'DIR is missing'
        run 2 "$commitlog" $command "$work/none" more
        says "$command with two" 'unexpected operand "more"'
    done
    wrong append --jsonl --level firm
    wrong append
    wrong append --topic ''
    wrong append --topic "$(printf '%0256d' 0)"
    wrong append -t t --queues 0
    wrong append -t t --queues 9x
    wrong append -t t --queue -1
    wrong append -t t --queue 1 --by-key --key k
    wrong append -t t --by-key
    wrong append -t t --batch 0
    wrong append -t t --batch 65537
    wrong append -t t --tag "$(printf '%0256d' 0)"
    wrong append -t t --key ''
    wrong append -t t --segment-size 5
    wrong append -t t --option nonsense
    wrong append -t t --option nonsense=1
    wrong append -t t --option create=never
    wrong append -t t -o access=read-only
    wrong append -t t -o borrow=1
    wrong append -t t --engine steam
    wrong read
    wrong read -t t --from 3
    wrong read -t t --queue 0 --from x
    wrong read -t t --last 3 --since 1s
    wrong read -t t --since yesterday
    wrong read -t t --since 2026-02-29T00:00:00Z
    wrong read -t t --since 2026-01-01T00:00:00
    wrong read -t t --since 2026-01-01
    wrong read -t t --since 10y
    wrong read -t t --tag 'a ||'
    wrong read -t t --max -1
    wrong read -t t --where ''
    wrong read -t t --where 'a >'
    wrong get
    wrong get --at here
    wrong query -t t
    wrong query -k k
    wrong query -t t -k k --until never
    wrong recover --mode gently
    wrong dump --from 99999999999999999999
    wrong retain
    wrong retain --bytes 1X
    wrong retain --age old
    check "usage errors make nothing" [ ! -e "$work/none" ]
}

wrong() { # wrong COMMAND OPTION...: refused as usage, with a pointer to the help
    run 2 "$commitlog" "$1" "$work/none" "${@:2}" </dev/null
    says "$*" "^Try .commitlog $1 --help'"
}

test_create() {
    section create
    local store
    store=$(new)
    run 0 "$commitlog" create "$store" --segment-size 1M
    quiet create
    run 2 "$commitlog" create "$store"
    says "again" "$store"
    run 0 "$commitlog" topics "$store" --json
    same "no topics" '' "$(cat "$out")"
    seq -f '%0100000.0f' 30 | run 0 "$commitlog" append "$store" -t t
    find "$store/log" -name '*.log' -printf '%s\n' | sort -u >"$out"
    same "its segments keep the size" 1048576 "$(cat "$out")"
    run 2 "$commitlog" create "$(new)/below/nothing"
    says "no directory above" 'there is no directory'
    same "and no advice to create it" 1 "$(wc -l <"$err")"
    run 0 "$commitlog" create "$(new)" --engine staged -o segment_bytes=2M -o mlock=none
}

test_lines() {
    section 'plain lines'
    local store
    store=$(new)
    printf 'one\n\n\001\377bin\r\nlast' | run 0 "$commitlog" append "$store" -t t --queue 3 --acks
    quiet append
    same "acknowledgements" '0 1 2 3' "$(cut -d' ' -f2 "$out" | tr '\n' ' ' | sed 's/ $//')"
    cut -d' ' -f1 "$out" >"$work/positions"
    check "positions rise" sort -n -c "$work/positions"
    run 0 "$commitlog" read "$store" -t t
    printf 'one\n\n\001\377bin\r\nlast\n' | cmp -s - "$out" || fail "bodies differ"
    run 0 "$commitlog" get "$store" --at "$(sed -n 3p "$work/positions")"
    printf '\001\377bin\r\n' | cmp -s - "$out" || fail "get differs"
    run 1 "$commitlog" get "$store" --at $(($(sed -n 3p "$work/positions") + 8))
    run 1 "$commitlog" get "$store" --at 999999999
    says "get beyond" "$store: position 999999999 is beyond the end: the log holds positions 8192"
    run 1 "$commitlog" get "$store" --at 0
    says "get before" "$store: position 0 is before the first record that is kept: "
    run 1 "$commitlog" dump "$store" --from 100
    says "dump before" "$store: there is no record before position 8192$"
    run 0 "$commitlog" dump "$store" --max 1
    same "get of a control record" "$(cat "$out")" "$("$commitlog" get "$store" --at 8192)"
    run 0 "$commitlog" append "$store" -t empty </dev/null
    run 1 "$commitlog" read "$store" -t empty
    says "no record, no topic" 'no topic empty'
    local level
    for level in none written durable; do
        printf 'x\ny\n' | run 0 "$commitlog" append "$store" -t $level --level $level --acks
        same "acks at $level" 2 "$(wc -l <"$out")"
    done
    # A megabyte in one line, and a body over the maximum.
    head -c 1000000 /dev/zero | tr '\0' 'z' >"$work/long"
    run 0 "$commitlog" append "$store" -t long <"$work/long"
    run 0 "$commitlog" read "$store" -t long
    same "long line" 1000001 "$(stat -c %s "$out")"
    {
        echo before
        head -c 5000000 /dev/zero | tr '\0' 'z'
        printf '\nafter\n'
    } | run 1 "$commitlog" append "$store" -t big
    says "too big" 'line 2: .*5000000 bytes'
    run 0 "$commitlog" read "$store" -t big
    same "the others are there" 'before after' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
}

test_queues() {
    section queues
    local store
    store=$(new)
    seq 16 | run 0 "$commitlog" append "$store" -t turn
    same "queues in turn" 8 "$("$commitlog" read "$store" -t turn --json |
        sed 's/.*"queue":\([0-9]*\).*/\1/' | sort -u | wc -l)"
    seq 16 | run 0 "$commitlog" append "$store" -t key --queues 5 --key same --by-key
    same "one key, one queue" 1 "$("$commitlog" read "$store" -t key --json |
        sed 's/.*"queue":\([0-9]*\).*/\1/' | sort -u | wc -l)"
    run 2 "$commitlog" append "$store" -t key --queues 8 </dev/null
    says "another number" 'topic key has 5 queues, not 8'
    echo x | run 0 "$commitlog" append "$store" -t key --queues 5
    echo x | run 0 "$commitlog" append "$store" -t key
    echo x | run 2 "$commitlog" append "$store" -t key --queue 5
    says "no such queue" 'no queue 5'
    echo '{"topic":"key","queue":5,"body":""}' | run 1 "$commitlog" append "$store" --jsonl
    says "no such queue" 'line 1: there is no queue 5'
    echo '{"body":"x"}' | run 1 "$commitlog" append "$store" -t key --jsonl --by-key
    says "no key" 'line 1: no key'
    run 0 "$commitlog" topics "$store"
    same "rows" $((8 + 5 + 1)) "$(wc -l <"$out")"
    run 0 "$commitlog" topics "$store" --json
    prints "object" '^{"topic":"turn","queues":8,"records":16,'
    prints "queue" '{"queue":0,"first_offset":0,"next_offset":2,"first_time_ns":[0-9]*,'
}

bad_line() { # bad_line LINE PATTERN
    printf '{"body":"first"}\n%s\n{"body":"third"}\n' "$1" >"$work/lines"
    run 1 "$commitlog" append "$bad_store" -t "bad$checks" --jsonl --acks <"$work/lines"
    same "acks around [$1]" 2 "$(wc -l <"$out")"
    says "[$1]" "line 2: $2.*: not stored"
    same "stored around [$1]" 'first third' \
        "$("$commitlog" read "$bad_store" -t "bad$((checks - 3))" | tr '\n' ' ' | sed 's/ $//')"
}

test_bad_lines() {
    section 'bad lines'
    bad_store=$(new)
    bad_line '' 'not JSON'
    bad_line 'nonsense' 'not JSON'
    bad_line '{"body":"x"' 'not JSON'
    bad_line '{"body":"x"} trailing' 'not JSON'
    bad_line '["body"]' 'not a JSON object'
    bad_line '{}' 'neither "body" nor'
    bad_line '{"body":1}' '"body" is not a string'
    bad_line '{"body":"x","body_base64":"eA=="}' 'both'
    bad_line '{"body_base64":"eA="}' '"body_base64" is not base64'
    bad_line '{"body_base64":"eB=="}' '"body_base64" is not base64'
    bad_line '{"body_base64":" eA=="}' '"body_base64" is not base64'
    bad_line '{"body":"x","body":"y"}' 'not JSON: duplicate'
    bad_line '{"body":"x","tags":"a"}' 'unknown field "tags"'
    bad_line '{"body":"x","queue":1.5}' '"queue" is not a whole number'
    bad_line '{"body":"x","queue":-1}' '"queue" is not a whole number'
    bad_line '{"body":"x","queue":8}' 'there is no queue 8'
    bad_line '{"body":"x","time_ms":"now"}' '"time_ms" is not a whole number'
    bad_line '{"body":"x","keys":"k"}' '"keys" is not an array'
    bad_line '{"body":"x","keys":[1]}' '"keys": a value is neither'
    bad_line '{"body":"x","headers":[["a"]]}' '"headers" is neither'
    bad_line '{"body":"x","headers":{"a":1}}' '"headers": a value is neither'
    bad_line '{"body":"x","topic":""}' "a topic's name has 1 to 255"
    bad_line "{\"body\":\"x\",\"topic\":\"$(printf '%0256d' 0)\"}" "a topic's name has 1 to 255"
    bad_line '{"body":"x","topic":"a\u0000b"}' "a topic's name has 1 to 255"
    bad_line "{\"body\":\"x\",\"tag\":\"$(printf '%0256d' 0)\"}" 'a tag has at most 255 bytes'
    bad_line '{"body":"x","keys":[""]}' 'a key has 1 to 4096 bytes'
    bad_line "{\"body\":\"x\",\"keys\":[\"$(printf '%04097d' 0)\"]}" 'a key has 1 to 4096 bytes'
    bad_line '{"body":"x","headers":{"":"v"}}' 'the name of a header has 1 to 255 bytes'
    bad_line "{\"body\":\"x\",\"headers\":{\"h\":\"$(printf '%066000d' 0)\"}}" \
        'tag, keys and headers take'
    bad_line '{"body":"x","topic":{"base64":"/w=="}}' '"topic" is not a string'
    bad_line "$(printf '{"body":"\377"}')" 'not JSON'
    # What comes from the input makes no line of its own, and tells the terminal nothing.
    bad_line '{"body":"x","a\u001b[31m\ncommitlog append: done\u007f":1}' \
        'unknown field "a\\x1b\[31m\\x0acommitlog append: done\\x7f"'
    # A topic is created by a record that is stored, not by a bad line.
    echo '{"topic":"ghost","queue":99,"body":"x"}' |
        run 1 "$commitlog" append "$bad_store" --jsonl
    run 1 "$commitlog" read "$bad_store" -t ghost
    echo '{"body":"x"}' | run 1 "$commitlog" append "$bad_store" --jsonl
    says "no topic at all" 'line 1: neither "topic" nor --topic'
}

test_json() {
    section JSON
    local store copy i
    store=$(new)
    copy=$(new)
    for ((i = 0; i < 256; i++)); do
        [ $i != 10 ] && printf "\\x$(printf %02x $i)"
    done >"$work/bytes"
    run 0 "$commitlog" append "$store" -t 'töpic "x"' --key 'k"1' --key 'schlüssel' --tag 'täg' \
        --queue 0 <"$work/bytes"
    cat >"$work/lines" <<'END'
{"topic":"a","queue":2,"keys":["k"," ",{"base64":"AP8="}],"tag":{"base64":"/w=="},"body":""}
{"topic":"a","queue":1,"headers":{"z":"","a":{"base64":"gA=="},"e":""},"time_ms":5,"body":"\t\"\\é"}
{"topic":"a","headers":[["h","1"],["h",""],[{"base64":"AA=="},""]],"body_base64":"AAECA/8="}
{"topic":"a","queue":0,"keys":null,"tag":null,"headers":null,"time_ms":null,"body":"nulls"}
{"position":1,"queue_offset":7,"store_time_ns":3,"epoch":9,"topic":"a","queue":0,"body":"ignored"}
END
    run 0 "$commitlog" append "$store" --jsonl --tag fallback --key fallback <"$work/lines"
    quiet "all kinds"
    run 0 "$commitlog" read "$store" -t a --json
    same "five records" 5 "$(wc -l <"$out")"
    local place='"position":N,"topic":"a","queue":2,"queue_offset":0,"store_time_ns":N,"time_ms":N,'
    local rest='"keys":\["k"," ",{"base64":"AP8="}\],"tag":{"base64":"/w=="},"headers":{},"body":""'
    prints "fields in order" "^{${place//N/[0-9]*}\"epoch\":[0-9]*,$rest}\$"
    prints "header order and time" '"time_ms":5,.*"headers":{"z":"","a":{"base64":"gA=="},"e":""},'
    prints "header pairs" '"headers":\[\["h","1"\],\["h",""\],\[{"base64":"AA=="},""\]\],'
    prints "a binary body" '\],"body_base64":"AAECA/8="}$'
    prints "null leaves the option" \
        '"keys":\["fallback"\],"tag":"fallback","headers":{},"body":"nulls"}'
    check "position is not taken over" grep -q '"queue":0,"queue_offset":1,.*"ignored"' "$out"
    # There and back: the same content, then also from a third store.
    cp "$out" "$work/a.json"
    "$commitlog" read "$store" -t 'töpic "x"' --json >>"$work/a.json"
    run 0 "$commitlog" append "$copy" --jsonl --tag other --key other <"$work/a.json"
    "$commitlog" read "$copy" -t a --json >"$work/b.json"
    "$commitlog" read "$copy" -t 'töpic "x"' --json >>"$work/b.json"
    content "$work/a.json" >"$work/a.content"
    content "$work/b.json" >"$work/b.content"
    check "read --json | append --jsonl changes nothing" cmp "$work/a.content" "$work/b.content"
    run 0 "$commitlog" read "$copy" -t 'töpic "x"'
    printf '\n' | cat "$work/bytes" - | cmp -s - "$out" || fail "the 255 bytes came back different"
    run 0 "$commitlog" query "$copy" -t 'töpic "x"' --key 'schlüssel' --json
    same "found by the second key" 1 "$(wc -l <"$out")"
    # Random bytes, many sizes.
    for ((i = 1; i < 60; i++)); do
        printf '{"topic":"r","queue":0,"body_base64":"%s"}\n' \
            "$(head -c $((i * i)) /dev/urandom | base64 -w 0)"
    done >"$work/random"
    run 0 "$commitlog" append "$copy" --jsonl --level none <"$work/random"
    run 0 "$commitlog" read "$copy" -t r --json
    sed 's/.*"body_base64":"\([^"]*\)".*/\1/' "$work/random" >"$work/expected"
    # A short one may happen to be text.
    while IFS= read -r line; do
        case $line in
        *'"body_base64":'*) printf '%s\n' "$line" | sed 's/.*"body_base64":"\([^"]*\)".*/\1/' ;;
        *) echo text ;;
        esac
    done <"$out" >"$work/actual"
    same "random bodies" "$(tail -n +7 "$work/expected" | cksum)" \
        "$(tail -n +7 "$work/actual" | cksum)"
}

test_batches() {
    section batches
    local store
    store=$(new)
    seq 7 | run 0 "$commitlog" append "$store" -t b --batch 3 --acks
    same "acks" 7 "$(wc -l <"$out")"
    run 0 "$commitlog" dump "$store"
    # One record alone needs none.
    same "batch records" 2 "$(grep -c ' batch ' "$out")"
    run 0 "$commitlog" read "$store" -t b
    same "order" '1 2 3 4 5 6 7' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    printf '{"body":"1"}\nbad\n{"body":"3"}\n{"topic":"other","body":"4"}\n' |
        run 1 "$commitlog" append "$store" -t c --jsonl --batch 3 --acks
    same "a bad line leaves the batch" 3 "$(wc -l <"$out")"
    says "its number" 'line 2: '
    run 0 "$commitlog" read "$store" -t other
    same "another topic in the batch" 4 "$(cat "$out")"
    seq 1000 | run 0 "$commitlog" append "$store" -t d --batch 65536 --acks
    same "a batch larger than the input" 1000 "$(wc -l <"$out")"
}

test_read() {
    section read
    local store middle end even kind
    store=$(new)
    for i in $(seq 20); do
        tag=t$((i % 3))
        [ $((i % 5)) = 0 ] && tag=five
        kind=
        [ "$tag" = five ] && kind=',"kind":"five"'
        even=true
        [ $((i % 2)) = 0 ] || even=false
        printf '{"queue":%d,"tag":"%s","headers":{"n":"%d","even":"%s"%s},"body":"%d"}\n' \
            $((i % 2)) "$tag" "$i" "$even" "$kind" "$i"
    done | run 0 "$commitlog" append "$store" -t r --queues 2 --jsonl
    reads '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20'
    reads '1 3 5 7 9 11 13 15 17 19' --queue 1
    reads '15 17' --queue 1 --from 7 --max 2
    reads '' --queue 1 --from 10
    reads '' --max 0
    reads '18 19 20' --last 3
    reads '16 18 20' --last 3 --queue 0
    reads '18' --last 3 --max 1
    reads '' --last 0
    reads '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20' --last 999
    reads '5 10 15 20' --tag five
    reads '3 5 6 9 10 12 15 18 20' --tag ' five||t0 '
    reads '15 20' --tag five --last 2
    reads '10 15' --tag five --last 3 --max 2
    reads '5 15' --tag five --queue 1
    reads '' --tag fiv
    reads '5 10 15 20' --where "kind = 'five'"
    reads '18 20' --where "n BETWEEN 17 AND 1e6 AND NOT (n IN (17, 19))"
    reads '4 6 8' --queue 0 --where 'n > 2.5' --max 3
    reads '10 20' --tag five --where "even" --last 2
    reads '17 18 19' --where 'kind IS NULL' --last 3
    reads '' --where "kind = 'six'"
    reads '' --where "kind = 'six'" --last 5
    run 2 "$commitlog" read "$store" -t r --where "n > 5 AN kind = 'five'"
    says "the column" '^commitlog read: --where: column 7: expected AND, OR, .* found AN$'
    says "the text" "^commitlog read:   n > 5 AN kind = 'five'\$"
    says "the mark" '^commitlog read:         ^$'
    run 2 "$commitlog" read "$store" -t r \
        --where "$(printf '%0100d' 0) = n AND ä = 1 OR text CONTAINS 'something longer than that'"
    says "a column far out" 'column 110: nothing in a filter begins with this byte'
    says "the text around it" '^commitlog read:   0\{45\} = n AND ?? = 1 OR text CON$'
    same "and its mark" 74 "$(sed -n 3p "$err" | wc -c)"
    run 1 "$commitlog" read "$store" -t r --queue 1 --from 11
    says "beyond the end" 'beyond the end, which is offset 10'
    run 1 "$commitlog" read "$store" -t r --queue 2
    says "no such queue" 'no queue 2'
    run 1 "$commitlog" read "$store" -t nothing
    says "no such topic" 'no topic nothing'
    sleep 0.3
    middle=$(date +%s%3N)
    sleep 0.3
    seq 21 22 | run 0 "$commitlog" append "$store" -t r
    reads '21 22' --since "$middle"
    local ms utc east
    ms=$(printf %03d $((middle % 1000)))
    utc=$(date -u -d "@$((middle / 1000))" +%FT%T)
    east=$(TZ=UTC-2 date -d "@$((middle / 1000))" +%FT%T)
    reads '21 22' --since "$utc.${ms}Z"
    reads '' --since 9999-12-31T23:59:59Z
    reads "$(seq 22 | tr '\n' ' ' | sed 's/ $//')" --since 0001-01-01T00:00:00Z
    reads '21 22' --since "$(echo "$utc.${ms}Z" | tr TZ tz)"
    reads '21 22' --since "$east.$ms+02:00"
    reads '' --since 2199-01-01T00:00:00Z
    reads '1 2 3' --since 1h --max 3
    reads '1 2 3' --since 100w1d --max 3
    reads '' --since 0ms
    end=$("$commitlog" stat "$store" --json | sed 's/.*"visible":\([0-9]*\).*/\1/')
    check "stat has the positions" [ "$end" -gt 0 ]
    run 0 "$commitlog" stat "$store"
    prints "stat" "^visible  *$end\$"
    cp -r "$store" "$work/"$'a\nb\033'
    run 0 "$commitlog" stat "$work/"$'a\nb\033'
    prints "no control characters" '^store  *.*/a\\x0ab\\x1b$'
    rm -r "$work/"$'a\nb\033'
}

reads() { # reads EXPECTED OPTION...: from the store of test_read
    run 0 "$commitlog" read "$store" -t r "${@:2}"
    same "read ${*:2}" "$1" "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    quiet "read ${*:2}"
}

test_query() {
    section query
    local store
    store=$(new)
    for i in 1 2 3; do
        echo "v$i" | run 0 "$commitlog" append "$store" -t q --key a --key "n$i"
    done
    echo other | run 0 "$commitlog" append "$store" -t p --key a
    run 0 "$commitlog" query "$store" -t q -k a
    same "newest first, this topic only" 'v3 v2 v1' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    run 0 "$commitlog" query "$store" -t q -k a --max 1
    same "max" v3 "$(cat "$out")"
    run 0 "$commitlog" query "$store" -t q -k n2 --json
    prints "json" '"keys":\["a","n2"\],.*"body":"v2"}'
    run 0 "$commitlog" query "$store" -t q -k a --since 1m --until 0s
    same "a window" 3 "$(wc -l <"$out")"
    run 1 "$commitlog" query "$store" -t q -k a --until 1m
    says "outside" 'carries the key a in that time'
    run 1 "$commitlog" query "$store" -t q -k A
    says "none" 'no record of topic q carries the key A'
    run 1 "$commitlog" query "$store" -t nothing -k a
}

test_pipes() {
    section pipes
    local store
    store=$(new)
    seq 100000 | run 0 "$commitlog" append "$store" -t p --level none
    local command
    for command in 'read -t p' 'read -t p --json' 'read -t p --last 90000' 'dump -n 90000' \
        'dump --json'; do
        # shellcheck disable=SC2086
        "$commitlog" ${command%% *} "$store" ${command#* } 2>"$err" | head -n 1 >/dev/null
        same "$command | head" 0 "${PIPESTATUS[0]}"
        quiet "$command | head"
    done 2>/dev/null
    seq 100000 | "$commitlog" append "$store" -t p --acks 2>"$err" | head -n 1 >/dev/null
    same "append --acks | head" 141 "${PIPESTATUS[1]}"
    # A line that lay half in the pipe is told.
    same "and no complaint" 0 "$(grep -c -v 'unfinished, not stored' "$err")"
    # A follower whose reader has left ends also when nothing new comes.
    timeout 20 "$commitlog" read "$store" -t p --last 1 --follow 2>"$err" | head -n 1 >/dev/null
    same "an idle follower" 0 "${PIPESTATUS[0]}"
    quiet "an idle follower"
    checks=$((checks + 1))
    timeout 20 "$commitlog" read "$store" -t p >/dev/full 2>"$err"
    same "a full output" 2 $?
    says "a full output" 'standard output: No space left'
    "$commitlog" read "$store" -t p --max 3 >&- 2>"$err"
    same "a closed output" 2 $?
    says "a closed output" 'standard output: '
    "$commitlog" append "$store" -t p <&- 2>"$err"
    same "a closed input" 2 $?
    says "a closed input" 'standard input'
    echo x | "$commitlog" append "$store" -t p --acks >/dev/full 2>"$err"
    same "acks to a full disk" 2 $?
    run 0 "$commitlog" verify "$store"
    # An acknowledgement comes although the next line does not.
    mkfifo "$work/fifo"
    "$commitlog" append "$store" -t slow --acks <"$work/fifo" >"$work/acks" 2>"$err" &
    local pid=$!
    started+=("$pid")
    exec 9>"$work/fifo"
    printf 'half' >&9
    sleep 0.2
    same "half a line is none" 0 "$(wc -l <"$work/acks")"
    printf ' done\nnext\n' >&9
    check "acknowledged while the input waits" wait_for lines_at_least "$work/acks" 2
    run 2 "$commitlog" append "$store" -t slow </dev/null
    says "locked" "$pid"
    run 0 "$commitlog" read "$store" -t slow
    same "read beside the writer" 'half done next' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    run 0 "$commitlog" verify "$store"
    run 0 "$commitlog" stat "$store" --json
    prints "beside the writer" '"counters":{"appends":'
    prints "its histograms" '"histograms":{"append":{"unit":"ns","one_in":64,"count":'
    run 0 "$commitlog" stat "$store"
    prints "as text" '^flush  *[1-9][0-9]* '
    run 0 "$commitlog" topics "$store"
    run 0 "$commitlog" dump "$store" --max 3
    exec 9>&-
    ends "end of input" 0 $pid
    started=()
}

test_signals() {
    section 'follow and signals'
    local store pid signal
    store=$(new)
    seq 3 | run 0 "$commitlog" append "$store" -t f --queue 0
    "$commitlog" read "$store" -t f --queue 0 --from 3 --follow --max 2 >"$work/follow" 2>"$err" &
    pid=$!
    started+=("$pid")
    sleep 0.3
    echo 4 | "$commitlog" append "$store" -t f --queue 0
    check "the first comes" wait_for lines_at_least "$work/follow" 1
    echo 5 | "$commitlog" append "$store" -t f --queue 0
    ends "ends after --max" 0 $pid
    same "what it saw" '4 5' "$(tr '\n' ' ' <"$work/follow" | sed 's/ $//')"
    quiet follow
    # Not SIGINT: a shell without job control starts what runs behind it with that ignored.
    for signal in HUP TERM; do
        "$commitlog" read "$store" -t f --follow >"$work/follow.$signal" 2>"$err" &
        pid=$!
        started+=("$pid")
        check "all is printed" wait_for lines_at_least "$work/follow.$signal" 5
        kill -"$signal" $pid
        ends "follow ended by $signal" 0 $pid
    done
    run 0 timeout --preserve-status -s INT 2 "$commitlog" read "$store" -t f --follow
    same "ended by INT, with all it had" 5 "$(wc -l <"$out")"
    mkfifo "$work/fifo2"
    "$commitlog" append "$store" -t sig --batch 10 --acks <"$work/fifo2" >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 8>"$work/fifo2"
    printf '1\n2\n3\n' >&8
    # It sleeps in poll (x86-64: poll, arm64: ppoll) once it has read them.
    wait_for grep -qE '^(7|73|271) ' "/proc/$pid/syscall" || sleep 1
    kill -TERM $pid
    ends "append ended by TERM" 143 $pid
    exec 8>&-
    same "what was read is acknowledged" 3 "$(wc -l <"$work/acks")"
    run 0 "$commitlog" read "$store" -t sig
    same "and stored" '1 2 3' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    started=()
}

test_dump() {
    section dump
    local store first
    store=$(new)
    printf 'a\nb\n' | run 0 "$commitlog" append "$store" -t d --key k --tag g --queue 1
    run 0 "$commitlog" dump "$store"
    prints "epoch" ' epoch  *[0-9T:.Z-]* epoch 1  body 16$'
    prints "topic" ' topic  '
    prints "message" ' message  *[0-9T:.Z-]* epoch 1  d/1 @1  tag g  key k  body 1$'
    first=$(head -n 1 "$out" | cut -d' ' -f1)
    run 0 "$commitlog" dump "$store" --json --max 1
    prints "json" "^{\"position\":$first,\"kind\":\"epoch\",\"size\":[0-9]*,\"topic\":null,"
    same "max" 1 "$(wc -l <"$out")"
    run 0 "$commitlog" dump "$store" --from "$("$commitlog" read "$store" -t d --json --last 1 |
        sed 's/{"position":\([0-9]*\).*/\1/')"
    same "from" 1 "$(wc -l <"$out")"
    # What a person reads is one line for each record, whatever bytes the names have.
    printf '{"topic":"n\\nl","tag":"\\u009b\\u001b[2J","keys":[%s,"k\\u00e9"],"body":"b"}\n' \
        '{"base64":"/w=="}' |
        run 0 "$commitlog" append "$store" --jsonl --queues 1
    run 0 "$commitlog" dump "$store"
    prints "no control characters" \
        '  n\\x0al/0 @0  tag \\xc2\\x9b\\x1b\[2J  key \\xff  key ké  body 1$'
    run 0 "$commitlog" topics "$store"
    prints "topics" '^n\\x0al  *0 '
}

test_retain() {
    section 'retain and rebuild'
    local store before after
    store=$(new)
    head -c 300 /dev/zero | tr '\0' 'r' >"$work/body"
    for ((i = 0; i < 3000; i++)); do cat "$work/body" && echo; done |
        run 0 "$commitlog" append "$store" -t r --queues 2 --level none --segment-size 64K
    run 0 "$commitlog" verify "$store"
    before=$("$commitlog" read "$store" -t r --json | content | cksum)
    run 0 "$commitlog" rebuild "$store"
    quiet rebuild
    after=$("$commitlog" read "$store" -t r --json | content | cksum)
    same "rebuild changes nothing" "$before" "$after"
    rm -f "$store"/view/*
    after=$("$commitlog" read "$store" -t r --json | content | cksum)
    same "nor does the loss of all that is derived" "$before" "$after"
    run 0 "$commitlog" retain "$store" --bytes 256K --json
    prints "dropped" '"segments_dropped":[1-9]'
    run 1 "$commitlog" read "$store" -t r --queue 0 --from 0
    says "dropped" 'dropped by retention'
    run 1 "$commitlog" dump "$store" --from 100
    says "of the log" 'what lies before position [0-9]* was dropped by retention'
    run 0 "$commitlog" read "$store" -t r --queue 0 --json
    sed -i 's/.*"queue_offset":\([0-9]*\).*/\1/' "$out"
    check "offsets go on" [ "$(head -n 1 "$out")" -gt 0 ]
    same "up to the last" 1499 "$(tail -n 1 "$out")"
    run 0 "$commitlog" retain "$store" --age 0s
    prints "by age" '^dropped [0-9]* segments'
    run 0 "$commitlog" retain "$store" --free 1
    echo next | run 0 "$commitlog" append "$store" -t r --queue 0 --acks
    same "offsets never restart" 1500 "$(cut -d' ' -f2 "$out")"
    run 0 "$commitlog" verify "$store"
}

all='usage create lines queues bad_lines json batches read query pipes signals dump retain'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
