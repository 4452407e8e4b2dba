#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# lines.sh - the bounds of what `commitlog append' takes from standard input.
#
# lines.sh [TEST...]
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# Each line is "NUMBER XXX...", 301 bytes.
numbered() { seq -f "%.0f $(printf '%0294d' 0)" "$1" "$2" | cut -c 1-300; }

test_batch() {
    section "a batch that no segment takes"
    store=$(new)
    { numbered 1 400 && seq 401 1000; } |
        run 1 "$commitlog" append "$store" -t t --queue 0 --segment-size 64K --batch 400 --acks
    says "its lines" 'batch of lines 1 to 400: .*: not stored$'
    same "the others" 600 "$(wc -l <"$out")"
    run 0 "$commitlog" read "$store" -t t
    check "and nothing of it" cmp -s <(seq 401 1000) "$out"
    { seq 100 && numbered 101 400; } |
        run 1 "$commitlog" append "$store" -t u --queue 0 --segment-size 64K --batch 65536
    says "one that the input ends" 'batch of lines 1 to 400: .*: not stored$'
    same "nothing of it either" '' "$("$commitlog" read "$store" -t u 2>/dev/null)"
    { echo bad && numbered 1 299 | sed 's/.*/{"body":"&"}/' && echo '{"body":"after"}'; } |
        run 1 "$commitlog" append "$store" -t v --queue 0 --segment-size 64K --batch 299 --jsonl
    says "a bad line is none of it" 'batch of lines 2 to 300: .*: not stored$'
    run 0 "$commitlog" read "$store" -t v
    same "what follows" after "$(cat "$out")"

    if ! (ulimit -v 600000 && "$commitlog" --version) >"$out" 2>"$err"; then
        skip "its memory: this build's own takes more"
    else
        section "what is refused is not gathered"
        line=$(head -c 1000000 /dev/zero | tr '\0' x)
        for ((i = 0; i < 1000; i++)); do printf '%s\n' "$line"; done |
            (
                ulimit -v 600000
                "$commitlog" append "$store" -t w --segment-size 64K --batch 65536 2>"$err"
            )
        same "1 GB in 600 MB" 1 $?
        says "refused" 'batch of lines 1 to 1000: .*: not stored$'
    fi
    rm -rf "$store"
}

test_null() {
    section "a field that is null"
    store=$(new)
    printf '%s\n' '{"body":"1","tag":null,"keys":null,"queue":null,"reason":null,"epoch":null}' \
        '{"body":"2","tga":null}' '{"body":"3","body_base64":null}' '{"body":"4","":null}' |
        run 1 "$commitlog" append "$store" -t t --queue 0 --jsonl
    says "it is misspelt" 'line 2: unknown field "tga": not stored'
    says "it has no name" 'line 4: unknown field "": not stored'
    run 0 "$commitlog" read "$store" -t t
    same "the others are as if it were not there" '1 3' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    rm -rf "$store"
}

blanks() { head -c "$1" /dev/zero | tr '\0' ' '; }

test_length() {
    section "the length of a line"
    local most=268435456
    store=$(new)
    {
        printf '{"body":"1"' && blanks $((most - 12)) && printf '}\n'
        printf '{"body":"2"' && blanks $((most - 11)) && printf '}\n'
        printf '{"body":"3"}\n{"body":"4"' && blanks $((most + 1000000)) && printf '}\n'
        printf '{"body":"5"}\n{"body":"6"' && blanks $((most - 12)) && printf '}'
    } | run 1 "$commitlog" append "$store" -t t --queue 0 --jsonl
    says "one byte more" 'line 2: longer than 256 MiB: not stored'
    says "and more" 'line 4: longer than 256 MiB: not stored'
    same "the others are not told of" 2 "$(wc -l <"$err")"
    run 0 "$commitlog" read "$store" -t t
    same "but stored" '1 3 5 6' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    blanks $((most + 1)) | run 1 "$commitlog" append "$store" -t t --queue 0 --jsonl
    says "one without an end" 'line 1: longer than 256 MiB: not stored'
    rm -rf "$store"
}

# Two lines come, then reading fails: the other end was closed with something in it.
reset='import os, socket, sys
a, b = socket.socketpair()
a.send(b"one\ntwo\n")
b.send(b"x")
a.close()
os.dup2(b.fileno(), 0)
os.execvp(sys.argv[1], sys.argv[1:])'

test_failing() {
    section "an input that fails"
    local options
    for options in '' '--batch 10' '--batch 2' '--level none --batch 10'; do
        store=$(new)
        # shellcheck disable=SC2086
        python3 -c "$reset" "$commitlog" append "$store" -t t --queue 0 --acks $options \
            >"$out" 2>"$err"
        same "[$options] its status" 2 $?
        says "[$options] where" 'standard input, line 3: Connection reset'
        same "[$options] what was read before is acknowledged" 2 "$(wc -l <"$out")"
        run 0 "$commitlog" read "$store" -t t
        same "[$options] and there" 'one two' "$(paste -s -d' ' "$out")"
        rm -rf "$store"
    done
    store=$(new)
    python3 -c "$reset" "$commitlog" tx append "$store" -t t -p p >"$out" 2>"$err"
    same "the status of a transaction" 2 $?
    same "nothing of it is there" '' "$("$commitlog" read "$store" -t t)"
    rm -rf "$store"
}

for each in "${@:-batch null length failing}"; do
    for test in $each; do
        "test_$test"
    done
done
summary
