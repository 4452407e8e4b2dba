#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# golden.sh - the golden stores of format version 1: what was written once is read for ever.
#
# golden.sh [TEST...] prints each failure by name and "checks: N" at the end; exit 1 when one
# failed. make-golden.sh beside it tells what the stores are. Nothing is written in this folder.
set -u
LC_ALL=C
export LC_ALL
here=$(realpath "$(dirname "$0")")
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"
# shellcheck source=tests/golden/observe.sh
. "$here/observe.sh"

# unpack NAME: a golden store in $store, its files as they were
unpack() {
    store=$(new)
    check "$1: unpack" python3 "$here/sparse.py" unpack "$here/$1.store" "$store"
    untouched "$1 as unpacked" "$here/$1.sha256"
}

sums() { (cd "$1" && find . -type f | sort | xargs sha256sum); } # sums STORE

untouched() { # untouched TEXT SUMS: $store has these files, with these sums
    sums "$store" >"$work/sums"
    alike "$1: files" "$2" "$work/sums"
}

alike() { # alike TEXT EXPECTED ACTUAL: two files
    checks=$((checks + 1))
    diff "$2" "$3" >"$work/diff" || fail "$1 differ: $(head -n 10 "$work/diff" | cut -c1-200)"
}

# observed TEXT NAME EXPECTED [MAX]: everything the command tells about $store, as in EXPECTED
observed() {
    if [ -n "${4:-}" ]; then
        sed '/^# verify/,$d' "$here/$3.expected" >"$work/expected"
    else
        cp "$here/$3.expected" "$work/expected"
    fi
    observe "$2" "$store" "${4:-}" >"$work/found"
    alike "$1: what is read" "$work/expected" "$work/found"
}

records() { sed '/^# topics/,$d' "$here/$1.expected" | grep -c '^{'; } # records NAME: in its dump

# walked TEXT NAME: the reader of the format's page finds what dump, read and tx find, and every
# byte in its place; NAME: the golden store, whose topics are known
walked() {
    local topics topic line
    topics=$(golden_topics "$2" | sed 's/ [0-9][0-9]*//g')
    checks=$((checks + 1))
    # Topics are words.
    # shellcheck disable=SC2086
    if ! "$here/walk.py" "$store" $topics >"$work/walk" 2>"$err"; then
        fail "$1: $(head -c 300 "$err")"
        return
    fi
    checks=$((checks + $(sed -n 's/^checks: //p' "$err")))
    run 0 "$commitlog" dump "$store" --json
    cp "$out" "$work/lines"
    for topic in $topics; do
        run 0 "$commitlog" read "$store" --json -t "$topic"
        cat "$out" >>"$work/lines"
    done
    run 0 "$commitlog" tx list "$store" --json
    cp "$out" "$work/open"
    while read -r line; do # each open transaction, then its messages
        echo "$line" >>"$work/lines"
        line=${line#*'"transaction":'}
        run 0 "$commitlog" tx show "$store" "${line%%[!0-9]*}" --json
        cat "$out" >>"$work/lines"
    done <"$work/open"
    python3 "$here/stable.py" <"$work/walk" >"$work/expected"
    python3 "$here/stable.py" <"$work/lines" >"$work/found"
    alike "$1: walk, dump, read and tx" "$work/expected" "$work/found"
}

# Every tool that only reads, on the files as they are.
test_read() {
    local name
    for name in clean retained delayed work transactions grown killed damaged salvaged; do
        section "read $name"
        unpack "$name"
        observed "$name" "$name" "$name"
        untouched "$name after reading" "$here/$name.sha256"
    done
}

test_walk() {
    local name
    for name in clean retained delayed work transactions grown salvaged; do
        section "walk $name"
        unpack "$name"
        walked "$name" "$name"
        dumped "$name" "$name"
        untouched "$name after the walk" "$here/$name.sha256"
    done
}

# A writer puts $store right and appends; all that was there is there, from the log alone too.
written() { # written NAME EXPECTED RECOVER...: the options of recover
    local name=$1 expected=$2 most
    most=$(records "$expected")
    run 0 "$commitlog" recover "$store" "${@:3}"
    run 0 "$commitlog" append "$store" -t later --queues 1 <<<new
    run 0 "$commitlog" verify "$store"
    observed "$name, appended" "$name" "$expected" "$most"
    walked "$name, appended" "$name"
    rm -f "$store"/CHECKPOINT "$store"/view/*
    run 0 "$commitlog" recover "$store"
    run 0 "$commitlog" verify "$store"
    observed "$name without derived files" "$name" "$expected" "$most"
    run 0 "$commitlog" append "$store" -t later <<<newer
    observed "$name, all derived files new" "$name" "$expected" "$most"
    walked "$name, all derived files new" "$name"
    run 0 "$commitlog" read "$store" -t later
    same "what was appended" 'new newer' "$(paste -sd ' ' "$out")"
}

test_write() {
    local name each made
    for name in clean retained delayed work transactions grown salvaged; do
        section "write $name"
        unpack "$name"
        cp -r "$store" "$work/before"
        written "$name" "$name"
        # Entries and links are determined by the log, but for links to what retention removed.
        made=0
        for each in "$store"/view/*.cq; do
            made=$((made + 1))
            [[ $name =~ ^(retained|delayed|transactions|grown)$ ]] ||
                alike "${each##*/}" "$work/before/view/${each##*/}" "$each"
        done
        same "consume queues made again" "$(find "$work/before/view" -name '*.cq' | wc -l)" "$made"
        rm -rf "$work/before"
    done
}

# Growth is a fold, too: what is open for whom is the same from the log alone.
test_gates() {
    section gates
    unpack grown
    gates "$store" >"$work/gates"
    alike "as it is" "$here/grown.gates" "$work/gates"
    rm -f "$store"/CHECKPOINT "$store"/view/*
    run 0 "$commitlog" recover "$store"
    gates "$store" >"$work/gates"
    alike "from the log alone" "$here/grown.gates" "$work/gates"
    run 0 "$commitlog" topic grow "$store" orders 48
    run 0 "$commitlog" verify "$store"
    walked "grown again" grown
    run 0 "$commitlog" group gates "$store" --json -g slow -t orders
    same "queues of the new step" 24 \
        "$(grep -c '"queue":\(2[4-9]\|3[0-9]\|4[0-7]\),"open":false' "$out")"
}

# The writer was killed: what is whole is kept, the rest goes to quarantine.
test_killed() {
    section 'write killed'
    local last
    unpack killed
    run 0 "$commitlog" recover "$store" --plan
    # LOCK says who came last; nothing else may change.
    sums "$store" | grep -v ' ./LOCK$' >"$work/sums"
    grep -v ' ./LOCK$' "$here/killed.sha256" >"$work/expected"
    alike "a plan changes nothing" "$work/expected" "$work/sums"
    cp "$store/log/00000000000000000000.log" "$work/segment"
    written killed killed-recovered
    last=$(sed -n 's/.*"end":\([0-9]*\).*/\1/p' "$here/killed-recovered.expected")
    same "files in quarantine" 1 "$(find "$store/quarantine" -type f | wc -l)"
    # What was cut is there byte for byte.
    tail -c +$((last + 1)) "$work/segment" | head -c 256 | od -An -v -tx1 | tr -d ' \n' >"$work/cut"
    find "$store/quarantine" -type f -exec od -An -v -tx1 {} + | tr -d ' \n' >"$work/kept"
    check "it holds what was cut" grep -q -F -f "$work/cut" "$work/kept"
}

# One byte of an acknowledged record is wrong: refused, named, and a hole after salvage.
test_damaged() {
    section 'write damaged'
    local each
    unpack damaged
    for each in 'append -t plain' recover rebuild 'retain --bytes 1G'; do
        # Words: a command and its options.
        # shellcheck disable=SC2086
        run 1 "$commitlog" ${each%% *} "$store" ${each#"${each%% *}"} </dev/null
        sums "$store" | grep -v ' ./LOCK$' >"$work/sums"
        grep -v ' ./LOCK$' "$here/damaged.sha256" >"$work/expected"
        alike "$each changes nothing" "$work/expected" "$work/sums"
    done
    written damaged damaged-salvaged --mode salvage
}

patched() { # patched NAME: clean, with some bytes changed, in $store
    unpack clean
    check "$1: patch" python3 "$here/sparse.py" patch "$here/patches" "$1" "$store"
}

# newer PATCH READ WRITE PATTERN: clean with a patched header: exit status of what reads it and of
# what writes it, and the error. Who is refused changes nothing; who is not finds every record.
newer() {
    patched "$1"
    judged "$1" "$2" "$3" "$4"
    rm -rf "$store"
}

judged() { # judged TEXT READ WRITE PATTERN: the same of $store as it is
    local each
    sums "$store" >"$work/before"
    for each in 'dump --json' 'topics --json' 'read -t orders --queue 0' \
        'query -t orders -k alpha' verify stat; do
        refusal "$1" "$2" "$4" "$each"
        untouched "$1: $each" "$work/before"
    done
    [ "$2" != 0 ] || dumped "$1" clean
    for each in 'append -t later --queues 1' recover 'recover --plan' 'recover --mode salvage' \
        rebuild 'retain --bytes 1G'; do
        refusal "$1" "$3" "$4" "$each"
        [ "$3" = 0 ] || untouched "$1: $each" "$work/before"
    done
    if [ "$3" = 0 ]; then
        dumped "$1, written" clean
        run 0 "$commitlog" verify "$store"
    fi
}

dumped() { # dumped TEXT EXPECTED: the records are those of EXPECTED, and perhaps more behind them
    run 0 "$commitlog" dump "$store" --json --max "$(records "$2")"
    python3 "$here/stable.py" <"$out" >"$work/found"
    sed '1d;/^# topics/,$d' "$here/$2.expected" >"$work/expected"
    alike "$1: dump" "$work/expected" "$work/found"
}

refusal() { # refusal TEXT STATUS PATTERN COMMAND: its exit status, and the error if it is one
    # Words: a command and its options.
    # shellcheck disable=SC2086
    run "$2" "$commitlog" ${4%% *} "$store" ${4#"${4%% *}"} <<<new
    [ "$2" = 0 ] || says "$1: $4" "$3"
}

test_newer() {
    section 'newer versions'
    local each
    # Anything that is not derived.
    for each in version-first version-last algorithm version-slot-0 version-slot-1 \
        incompatible-first incompatible-last incompatible-checkpoint; do
        newer "$each" 2 2 'newer version'
    done
    for each in read-only-first read-only-last read-only-checkpoint; do
        newer "$each" 0 2 'newer version'
    done
    # Who holds the lock is the kernel's matter, not the file's.
    for each in compatible-first compatible-last compatible-checkpoint version-lock; do
        newer "$each" 0 0 ''
    done
    # Without CHECKPOINT, and no segment that says whose they are.
    patched version-first
    rm -f "$store"/CHECKPOINT "$store"/view/* "$store"/log/*[1-9]*.log
    judged 'only newer segments' 2 2 'newer version'
}

# A derived file of a newer version is passed over: the log has everything.
test_newer_views() {
    section 'newer derived files'
    local each
    for each in version-queue version-key version-state version-footer compatible-queue \
        read-only-queue incompatible-queue; do
        patched "$each"
        observed "$each" clean clean "$(records clean)"
        run 0 "$commitlog" append "$store" -t later --queues 1 <<<new
        dumped "$each, appended" clean
        run 0 "$commitlog" rebuild "$store"
        dumped "$each, rebuilt" clean
        [ "$each" = version-footer ] || run 0 "$commitlog" verify "$store"
        rm -rf "$store"
    done
}

# Records as a later release of version 1 may write them.
test_unknown() {
    section 'unknown records'
    local position each
    # A control record of a kind that is not known is there, and means nothing: the batch's members
    # are records like others.
    patched kind
    rm -f "$store"/view/*
    position=$(sed -n 's/.*"kind":"batch","position":\([0-9]*\).*/\1/p' "$here/clean.expected" |
        head -n 1)
    run 0 "$commitlog" dump "$store" --json
    grep -v "\"position\":$position," "$out" | python3 "$here/stable.py" >"$work/found"
    sed '1d;/^# topics/,$d' "$here/clean.expected" | grep -v "\"position\":$position," \
        >"$work/expected"
    alike "the other records" "$work/expected" "$work/found"
    run 0 "$commitlog" dump "$store" --json --from "$position" --max 1
    prints "unknown kind" '"kind":"other"'
    run 0 "$commitlog" recover "$store" --plan
    # An attribute that is not known: only the tag that it was is missing.
    position=$(sed -n 's/.*"keys":\["alpha","beta","alpha"\],"kind".*"position":\([0-9]*\).*/\1/p' \
        "$here/clean.expected")
    patched attribute
    rm -f "$store"/view/*
    run 0 "$commitlog" verify "$store"
    run 0 "$commitlog" dump "$store" --json
    python3 "$here/stable.py" <"$out" >"$work/found"
    sed '1d;/^# topics/,$d' "$here/clean.expected" |
        sed "/\"position\":$position,/s/\"tag\":\"red\"/\"tag\":\"\"/" >"$work/expected"
    alike "an unknown attribute" "$work/expected" "$work/found"
    # A critical one: who does not know it must not read the record.
    patched critical
    rm -f "$store"/view/*
    sums "$store" >"$work/before"
    run 2 "$commitlog" get "$store" --at "$position"
    same "a critical attribute" '' "$(cat "$out")"
    run 0 "$commitlog" read "$store" -t once
    same "other records" 3 "$(wc -l <"$out")"
    untouched "a critical attribute" "$work/before"
}

# A version that no check vouches for is damage, not a newer version.
test_version_without_check() {
    section 'version without its check'
    local at
    for at in 8 4104; do
        unpack clean
        flip_byte "$store/log/00000000000000000000.log" "$at"
        sums "$store" >"$work/before"
        run 1 "$commitlog" verify "$store"
        prints "verify" '^damage: positions 0 to 8192'
        untouched "one header page" "$work/before"
        # The other one is good.
        observed "one header page" clean clean "$(records clean)"
    done
    flip_byte "$store/log/00000000000000000000.log" 8
    sums "$store" >"$work/before"
    run 1 "$commitlog" verify "$store"
    run 1 "$commitlog" append "$store" -t later --queues 1 <<<new
    says "both header pages" 'damaged'
    untouched "both header pages" "$work/before"
}

for each in "${@:-read walk write gates killed damaged newer newer_views unknown \
    version_without_check}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
