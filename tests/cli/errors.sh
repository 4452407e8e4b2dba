#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# errors.sh - what the command says of what is wrong: behind a long path, where the end of a log is
# lost, of an age that is too long, where a file may not grow, of what popt would read as a macro,
# and when nobody gets its help.
#
# errors.sh [TEST...]
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# A store may lie deep: what is wrong is told all the same.
test_long_path() {
    section "a long path"
    local each pid
    store=$work/$(printf '%0200d/' 1 2 3 4 5 6)store
    mkdir -p "$(dirname "$store")"
    for each in topics stat verify dump recover rebuild 'retain --age 1d'; do
        # shellcheck disable=SC2086
        run 2 "$commitlog" $each "$store"
        says "$each" 'there is no directory store$'
    done
    mkfifo "$work/deep"
    "$commitlog" append "$store" -t t --acks <"$work/deep" >"$work/acks" 2>/dev/null &
    pid=$!
    started+=("$pid")
    exec 9>"$work/deep"
    echo held >&9
    check "the writer runs" wait_for lines_at_least "$work/acks" 1
    for each in recover rebuild 'retain --age 1d' 'append -t t'; do
        # shellcheck disable=SC2086
        run 2 "$commitlog" $each "$store" </dev/null
        says "$each names the holder" "$pid"
    done
    run 1 "$commitlog" read "$store" -t none
    says "the topic" 'there is no topic none'
    exec 9>&-
    ends "the writer" 0 "$pid"
    started=()
}

# A store that was closed has lost its end: nobody says that what was there never was.
test_lost_end() {
    section "the end of a log that is lost"
    local copy file each lost
    store=$(new)
    seq 200 | sed "s/$/$(printf '%0300d' 0)/" |
        run 0 "$commitlog" append "$store" -t t -q 0 --segment-size 64K
    seq 20 | run 0 "$commitlog" append "$store" -t late -q 0 --acks
    lost=$(tail -n 1 "$out" | cut -d' ' -f1)
    echo x | run 0 "$commitlog" append "$store" -t late --delay 1h
    run 0 "$commitlog" group create "$store" -g g
    read -r file _ < <(place_of "$store" "$lost")
    local lists=(topics 'topics --json' 'timer list' 'tx list' 'group list' 'group lag' dump)
    for each in "${lists[@]}"; do
        # shellcheck disable=SC2086
        run 0 "$commitlog" $each "$store"
        quiet "$each before"
    done
    for each in 12000 9000 4095 0; do
        current="the end of a log that is lost: $each bytes stay"
        copy=$(new)
        cp -r "$store" "$copy"
        truncate -s "$each" "$copy${file#"$store"}"
        lose "$copy" "$lost"
        rm -rf "$copy"
    done
}

lose() { # lose STORE POSITION: what is known to be lost is named by all who could miss it
    local each
    for each in "${lists[@]}" 'read -t late' 'read -t t' 'group show -g g' 'group work -g g' \
        "get --at $2"; do
        # shellcheck disable=SC2086
        run 1 "$commitlog" $each "$1"
        says "$each" 'damage at position [0-9]*: left out'
    done
    run 1 "$commitlog" read "$1" -t t
    same "and nothing else" 1 "$(wc -l <"$err")"
    run 0 "$commitlog" dump "$1" --max 3
    run 0 "$commitlog" recover "$1" --mode salvage
    run 0 "$commitlog" topics "$1"
    quiet "once it is on record"
}

# Who wants what was in a store is not told to make a new one.
test_no_store() {
    section "no store"
    local each words at
    store=$(new)
    for each in recover 'recover --plan' rebuild 'retain --age 1d' dump verify 'get --at 8336' \
        'query -t t -k k' 'tx commit 8336' 'timer list' 'group lag' 'group epoch -g g' \
        'topic grow t 4'; do
        read -r -a words <<<"$each"
        at=1
        case $each in tx* | timer* | group* | topic*) at=2 ;; esac
        run 2 "$commitlog" "${words[@]:0:$at}" "$store" "${words[@]:$at}"
        says "$each" 'there is no directory'
        same "$each: that alone" 1 "$(wc -l <"$err")"
    done
    for each in 'read -t t' topics stat 'group create -g g'; do
        # shellcheck disable=SC2086
        run 2 "$commitlog" $each "$store"
        says "$each" '`commitlog create .* makes a new store'
        # shellcheck disable=SC2086
        run 2 "$commitlog" $each "$store/below//"
        same "$each: create would not" 1 "$(wc -l <"$err")"
    done
    (
        cd "$work" || exit
        "$commitlog" topics new/ 2>"$err"
    )
    says "a path without a slash" '`commitlog create new/. makes a new store'
}

# Ages are counted in nanoseconds, which is said before the store is looked at.
test_ages() {
    section "an age that is longer than time"
    store=$(new)
    run 2 "$commitlog" topic expire "$store" t --after 200000w
    says "topic expire" '^commitlog topic expire: --after: 200000w is longer than 106751d23h$'
    run 2 "$commitlog" retain "$store" --age 9223372036855ms
    says "retain" '^commitlog retain: --age: 9223372036855ms is longer than 106751d23h$'
    echo x | run 0 "$commitlog" append "$store" -t t
    run 0 "$commitlog" topic expire "$store" t --after 9223372036854ms
    run 0 "$commitlog" retain "$store" --age 9223372036854ms
}

# A file of standard output that may not grow (ulimit -f) fails as a full disk does: no signal.
test_limit() {
    section "standard output at the limit of a file"
    store=$(new)
    truncate -s 5100000 "$work/full"
    seq 3000 | (
        ulimit -f 5000
        "$commitlog" append "$store" -t t -q 0 --segment-size 64K --acks
    ) >>"$work/full" 2>"$err"
    same "append" 2 $?
    says "append" 'standard output: File too large'
    same "append: as much as fits" 5120000 "$(stat -c %s "$work/full")"
    (
        ulimit -f 5000
        "$commitlog" read "$store" -t t
    ) >>"$work/full" 2>"$err"
    same "read" 2 $?
    says "read" 'standard output: File too large'
    run 0 "$commitlog" recover "$store" --plan
    prints "it was closed" 'last writer:  closed the store'
    rm "$work/full"
}

# `help COMMAND' is `COMMAND --help'.
test_help_of() {
    section "help of a command"
    local each
    for each in read topics group 'group list' 'tx append' bench; do
        # shellcheck disable=SC2086
        run 0 "$commitlog" $each --help
        cp "$out" "$work/help"
        # shellcheck disable=SC2086
        run 0 "$commitlog" help $each
        check "$each" cmp -s "$work/help" "$out"
        quiet "$each"
    done
    for each in $("$commitlog" tx --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
        run 0 "$commitlog" tx "$each" --help
        same "no long line: tx $each" '' "$(awk 'length > 100' "$out")"
    done
    run 0 "$commitlog" help help
    prints "help" '^  append '
    run 2 "$commitlog" help nothing
    says "nothing" '"nothing" is not a command'
}

# Help is output like any other.
test_help() {
    section "help that nobody gets"
    local each
    for each in help --help --version 'help read' 'read --help' 'group --help' \
        'group list --help'; do
        checks=$((checks + 1))
        # shellcheck disable=SC2086
        "$commitlog" $each >/dev/full 2>"$err"
        same "$each" 2 $?
        says "$each" 'standard output: No space left'
        # shellcheck disable=SC2086
        { sleep 0.2 && "$commitlog" $each 2>"$err"; } | true
        same "$each into a pipe that is closed" 0 "${PIPESTATUS[0]}"
        quiet "$each into a pipe that is closed"
    done
}

# popt would put another word of the command line in place of them, or look for one for ever.
test_macro() {
    section "!#:+ in an argument"
    local odd='a!#:+b!#:+'
    store=$(new)
    echo x | run 0 "$commitlog" append "$store" -t t --key "$odd" --key '!#:+' --tag "$odd" --acks
    run 0 "$commitlog" read "$store" -t t --tag "$odd" --json
    prints "what is stored" '"keys":\["a!#:+b!#:+","!#:+"\],"tag":"a!#:+b!#:+"'
    run 0 timeout -k 5 10 "$commitlog" query "$store" -t t --key="$odd" --json
    same "what is found" 1 "$(wc -l <"$out")"
    run 2 "$commitlog" read "$store" -t t "$odd" --json
    says "an operand" 'unexpected operand "a!#:+b!#:+"'
    run 2 "$commitlog" read "$store.$odd" -t t --json
    says "a directory" "there is no directory .*a!#:+b!#:+"
    run 2 "$commitlog" read "$store" -t t "--$odd" --json
    says "an option" '^commitlog read: --a!#:+b!#:+: unknown option$'
    # shellcheck disable=SC2046
    run 2 "$commitlog" read "$store" -t "$odd" \
        --tag "$(printf '%b' $(printf '\\x%02x' $(seq 1 31) $(seq 127 255)))" --json
    says "beside every byte that could stand for it" '"!#:+" cannot be passed'
    rm -rf "$store"
}

for each in "${@:-long_path lost_end no_store ages limit macro help_of help}"; do
    for test in $each; do
        "test_$test"
    done
done
summary
