#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# damage.sh - the commitlog command on bad input: directories that are no stores, locks, damage,
# killed writers, full disks. Prints each failure by name and "checks: N"; exit 1 when one failed.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

readers=(read get query topics stat verify dump)
writers=(append recover rebuild retain)

# one COMMAND DIR: the command with the options it needs
one() {
    case $1 in
    read) "$commitlog" read "$2" -t t ;;
    get) "$commitlog" get "$2" --at 8192 ;;
    query) "$commitlog" query "$2" -t t -k k ;;
    append) echo x | "$commitlog" append "$2" -t t ;;
    retain) "$commitlog" retain "$2" --bytes 1G ;;
    *) "$commitlog" "$1" "$2" ;;
    esac
}
export -f one
export commitlog

# refuses STATUS COMMAND DIR PATTERN: names the directory, matches, and changes nothing in it
refuses() {
    local before after
    before=$(find "$3" -printf '%p %s %T@\n' 2>/dev/null | sort | cksum)
    run "$1" bash -c 'one "$1" "$2"' one "$2" "$3"
    says "$2 $3" "$3"
    says "$2 $3" "$4"
    after=$(find "$3" -printf '%p %s %T@\n' 2>/dev/null | sort | cksum)
    same "$2 on $3 changes nothing" "$before" "$after"
}

# make_store DIR [COUNT]: 200 records of 300 bytes, keys n1 ... n200, in segments of 64 KiB.
make_store() {
    local i
    for ((i = 1; i <= ${2:-200}; i++)); do
        printf '{"topic":"t","queue":0,"keys":["n%d"],"body":"%0300d"}\n' "$i" "$i"
    done | "$commitlog" append "$1" --jsonl --level none --acks --segment-size 64K >"$1.acks"
}

test_directories() {
    section directories
    local each bad
    for each in "${readers[@]}" recover rebuild retain; do
        refuses 2 "$each" "$work/missing" ''
        check "$each makes nothing" [ ! -e "$work/missing" ]
    done
    echo precious >"$work/file"
    mkdir "$work/real" "$work/empty" "$work/foreign"
    ln -s "$work/real" "$work/link"
    ln -s "$work/nowhere" "$work/dangling"
    echo notes >"$work/foreign/todo.txt"
    mkdir "$work/foreign/log"
    for each in "${readers[@]}" "${writers[@]}" create; do
        for bad in file link foreign dangling; do
            # Nothing is there behind it: not found for those that do not create.
            refuses 2 "$each" "$work/$bad" ''
        done
        [ "$each" = append ] || [ "$each" = create ] && continue
        run 2 bash -c 'one "$1" "$2"' one "$each" "$work/foreign"
        says "$each" 'holds "todo.txt" and no store$'
        refuses 2 "$each" "$work/empty" ''
    done
    same "the file" precious "$(cat "$work/file")"
    same "behind the link" '' "$(ls -A "$work/real")"
    check "no directory behind the dangling link" [ ! -e "$work/nowhere" ]
    run 0 bash -c 'one append "$1"' one "$work/empty"
    run 2 bash -c 'one append "$1"' one "$work/no/such/parent"
    says "no parent" "$work/no/such/parent"
}

test_lock() {
    section lock
    local store pid each before
    store=$(new)
    make_store "$store"
    mkfifo "$work/fifo"
    "$commitlog" append "$store" -t t --acks <"$work/fifo" >"$work/acks" 2>/dev/null &
    pid=$!
    started+=("$pid")
    exec 9>"$work/fifo"
    echo held >&9
    check "the writer runs" wait_for lines_at_least "$work/acks" 1
    for each in "${writers[@]}"; do
        run 2 bash -c 'one "$1" "$2"' one "$each" "$store"
        says "$each names the holder" "$pid"
    done
    for each in "${readers[@]}"; do
        [ "$each" = get ] || [ "$each" = query ] && continue
        run 0 bash -c 'one "$1" "$2"' one "$each" "$store"
    done
    # kill -9: what was acknowledged is there, the lock is free.
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    exec 9>&-
    started=()
    run 0 "$commitlog" verify "$store"
    run 0 "$commitlog" recover "$store" --plan
    prints "the plan" '^last writer:  died'
    run 0 "$commitlog" recover "$store" --json
    prints "report" '"result":"COMMITLOG_OK","tail":"'
    # It is closed now: nothing is left to do, and nothing is done.
    before=$(find "$store" -type f -exec cksum {} + | sort)
    for each in --plan --mode=tail --mode=strict --mode=salvage; do
        run 0 "$commitlog" recover "$store" "$each"
        prints "$each" '^last writer:  closed the store'
    done
    same "recovered once more" "$before" "$(find "$store" -type f -exec cksum {} + | sort)"
    run 0 "$commitlog" read "$store" -t t --last 1
    same "the acknowledged record" held "$(cat "$out")"
}

test_kill() {
    section 'kill -9'
    local store pid round
    store=$(new)
    seq -f 'record %.0f of a writer that is going to be killed' 200000 >"$work/input"
    for round in none written durable; do
        : >"$work/acks" # the lines of the round before are none of this writer's
        "$commitlog" append "$store" -t "$round" --queues 1 --acks --level "$round" \
            <"$work/input" >"$work/acks" 2>"$err" &
        pid=$!
        started+=("$pid")
        wait_for lines_at_least "$work/acks" 3000
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        run 0 "$commitlog" recover "$store"
        grep -c . "$work/acks" >"$work/count"
        run 0 "$commitlog" read "$store" -t "$round" --max "$(cat "$work/count")"
        head -n "$(cat "$work/count")" "$work/input" | cmp -s - "$out" ||
            fail "level $round: acknowledged records differ"
        run 0 "$commitlog" verify "$store"
    done
    started=()
}

# Nothing of a store is proven durable, and all of it is there: the note tells, whatever is asked.
test_await() {
    section 'records that await recovery'
    local store pid each
    store=$(new)
    mkfifo "$work/await"
    # No thread: it would make what is idle durable, and a slow machine is idle for long.
    "$commitlog" append "$store" -t t --queue 0 --key k --level none --acks -o thread=0 \
        <"$work/await" >"$work/acks" 2>/dev/null &
    pid=$!
    started+=("$pid")
    exec 9>"$work/await"
    seq 100 >&9
    check "the writer runs" wait_for lines_at_least "$work/acks" 100
    run 0 "$commitlog" read "$store" -t t
    quiet "beside the writer"
    same "beside the writer" 100 "$(wc -l <"$out")"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    exec 9>&-
    started=()
    for each in "${readers[@]}"; do
        bash -c 'one "$1" "$2"' one "$each" "$store" >"$out" 2>"$err"
        [ "$each" = verify ] && cp "$out" "$err"
        says "$each" 'did not close the store: [0-9.]* [KMGiBbytes]* of records behind position'
        says "$each" "commitlog recover"
        same "$each says it once" 1 "$(grep -c 'did not close' "$err")"
    done
    run 1 "$commitlog" read "$store" -t t
    says "no topic yet" 'no topic t before position [0-9]*'
    run 1 "$commitlog" query "$store" -t t -k k
    says "no topic yet" 'no topic t before position [0-9]*'
    run 0 "$commitlog" recover "$store"
    run 0 "$commitlog" read "$store" -t t
    quiet "recovered"
    same "recovered" 100 "$(wc -l <"$out")"
}

# A writer that opens or closes a store that was closed leaves nothing behind the end.
test_opening() {
    section 'beside a writer that opens or closes'
    local store round pid
    store=$(new)
    seq 5 | run 0 "$commitlog" append "$store" -t t --queue 0
    exec 9>>"$store/LOCK"
    flock 9
    run 0 "$commitlog" read "$store" -t t
    quiet "a writer that has only the lock"
    same "a writer that has only the lock" 5 "$(wc -l <"$out")"
    exec 9>&-
    for ((round = 0; round < 30; round++)); do
        echo x | "$commitlog" append "$store" -t t --queue 0 &
        pid=$!
        [ $((round % 3)) = 0 ] && sleep "0.00$((round / 3))"
        run 0 "$commitlog" read "$store" -t t
        quiet "round $round"
        check "round $round" [ "$(wc -l <"$out")" -ge $((5 + round)) ]
        wait "$pid"
    done
}

# found TEXT POSITION: verify of $copy names the record at POSITION and changes nothing
found() {
    local before after
    before=$(find "$copy" -type f -exec cksum {} + | sort)
    run 1 "$commitlog" verify "$copy"
    prints "$1" "^damage: positions $2 to [0-9]*"
    prints "$1" '^verdict:  *DAMAGED'
    run 1 "$commitlog" verify "$copy" --json
    prints "$1" "\"result\":\"COMMITLOG_EDAMAGED\",.*\"damage\":\[{\"from_position\":$2,"
    after=$(find "$copy" -type f -exec cksum {} + | sort)
    same "$1: nothing changed" "$before" "$after"
}

# unreadable TEXT NUMBER: record NUMBER of $copy is refused in every way, all others are read
unreadable() {
    local position next
    position=$(sed -n "$2p" "$store.acks" | cut -d' ' -f1)
    next=$(sed -n "$(($2 + 1))p" "$store.acks" | cut -d' ' -f1)
    run 1 "$commitlog" get "$copy" --at "$position"
    says "$1: get" "$copy"
    run 0 "$commitlog" get "$copy" --at "$next"
    run 1 "$commitlog" read "$copy" -t t
    says "$1: read" "damage at position $position"
    same "$1: all others are read" 199 "$(wc -l <"$out")"
    run 1 "$commitlog" read "$copy" -t t --queue 0
    says "$1: read a queue" "damage at offset $(($2 - 1))"
    same "$1: all others of the queue are read" 199 "$(wc -l <"$out")"
    run 1 "$commitlog" dump "$copy"
    says "$1: dump" "damage at position $position"
    # Found all the same. Exit 1 when the opening knew of the damage: then the query cannot promise
    # that nothing else had the key.
    "$commitlog" query "$copy" -t t -k "n$(($2 + 1))" >"$out" 2>"$err" || true
    same "$1: an intact record is found by its key" 1 "$(wc -l <"$out")"
    run 1 "$commitlog" query "$copy" -t t -k "n$2"
}

# salvaged TEXT: recover --mode salvage of $copy keeps the others and makes it sound
salvaged() {
    run 0 "$commitlog" recover "$copy" --mode salvage --plan
    prints "$1: the plan" '^plan: '
    run 1 "$commitlog" verify "$copy"
    run 0 "$commitlog" recover "$copy" --mode salvage
    run 0 "$commitlog" verify "$copy"
    run 0 "$commitlog" read "$copy" -t t
    same "$1: salvaged" 199 "$(wc -l <"$out")"
    echo more | run 0 "$commitlog" append "$copy" -t t --queue 0 --acks
    same "$1: offsets go on" 200 "$(cut -d' ' -f2 "$out")"
    # What salvage could not place is missing in the queue; that is no fault of its sealed view.
    run 0 "$commitlog" append "$copy" -t t --queue 0 --level none < <(seq -f '%0900.0f' 100)
    run 0 "$commitlog" verify "$copy"
    run 0 "$commitlog" rebuild "$copy"
    run 0 "$commitlog" verify "$copy"
}

test_damage() {
    section damage
    local store copy number place position each file offset before after
    store=$(new)
    make_store "$store"
    run 0 "$commitlog" verify "$store"
    # Record 100 lies in a sealed segment, 190 in the active one; a byte of body, then of header.
    for number in 100 190; do
        for place in 200 20; do
            current="damage: byte $place of record $number"
            copy=$(new)
            cp -r "$store" "$copy"
            position=$(sed -n "${number}p" "$store.acks" | cut -d' ' -f1)
            read -r file offset <<<"$(place_of "$copy" "$position")"
            flip_byte "$file" $((offset + place))
            found "$current" "$position"
            unreadable "$current" "$number"
            if [ "$number" = 190 ]; then
                # LOCK says who tried last; nothing else may change.
                before=$(find "$copy" -type f ! -name LOCK -exec cksum {} + | sort)
                for each in append recover rebuild retain; do
                    run 1 bash -c 'one "$1" "$2"' one "$each" "$copy"
                    says "$each" "$copy"
                done
                after=$(find "$copy" -type f ! -name LOCK -exec cksum {} + | sort)
                same "writers change nothing" "$before" "$after"
            fi
            salvaged "$current"
            rm -rf "$copy"
        done
    done
    run 0 "$commitlog" verify "$store"
}

test_files() {
    section 'missing and short files'
    local store copy each file before i
    store=$(new)
    make_store "$store"
    before=$("$commitlog" read "$store" -t t --json | cksum)
    # Derived files: damage there is healed, never served.
    for each in "$store"/view/* "$store"/CHECKPOINT; do
        copy=$(new)
        cp -r "$store" "$copy"
        file=$copy${each#"$store"}
        flip_byte "$file" $(($(stat -c %s "$file") / 2))
        # Without CHECKPOINT nothing proves the clean end until the store is recovered.
        [ "${each##*/}" = CHECKPOINT ] && run 0 "$commitlog" recover "$copy"
        same "${each##*/} with a byte flipped" "$before" \
            "$("$commitlog" read "$copy" -t t --json 2>/dev/null | cksum)"
        rm "$file"
        [ "${each##*/}" = CHECKPOINT ] && run 0 "$commitlog" recover "$copy"
        same "${each##*/} removed" "$before" "$("$commitlog" read "$copy" -t t --json | cksum)"
        run 0 bash -c 'one append "$1"' one "$copy"
        rm -rf "$copy"
    done
    # Segments: a gap, and one cut short in the middle of what is durable.
    copy=$(new)
    cp -r "$store" "$copy"
    file=$(find "$copy/log" -name '*.log' | sort | sed -n 2p)
    rm "$file"
    run 1 "$commitlog" verify "$copy"
    run 1 bash -c 'one append "$1"' one "$copy"
    run 1 "$commitlog" read "$copy" -t t
    check "the rest is read" [ "$(wc -l <"$out")" -gt 0 ]
    rm -rf "$copy"
    cp -r "$store" "$copy"
    truncate -s 30000 "$copy/log/00000000000000000000.log"
    run 1 "$commitlog" verify "$copy"
    run 1 bash -c 'one append "$1"' one "$copy"
    run 1 "$commitlog" read "$copy" -t t
    check "the rest is read" [ "$(wc -l <"$out")" -gt 50 ]
    rm -rf "$copy"
    cp -r "$store" "$copy"
    : >"$copy/log/00000000000000000000.log"
    run 1 "$commitlog" verify "$copy"
    run 1 bash -c 'one append "$1"' one "$copy"
    # The same gap with an empty segment behind it, prepared by the writer before it closed.
    rm -rf "$copy"
    copy=$(new)
    {
        for ((i = 0; i < 200; i++)); do printf '%0300d\n' "$i"; done
        sleep 1
    } | run 0 "$commitlog" append "$copy" -t t --level none --segment-size 64K
    rm "$(find "$copy/log" -name '*.log' | sort | sed -n 2p)"
    run 1 "$commitlog" verify "$copy"
    run 1 bash -c 'one append "$1"' one "$copy"
    rm -rf "$copy"
    cp -r "$store" "$copy"
    # A segment of another store in its place.
    make_store "$work/other"
    cp "$work/other/log/00000000000000000000.log" "$copy/log/"
    run 1 bash -c '"$1" verify "$2" || exit 1' verify "$commitlog" "$copy"
    checks=$((checks + 1))
    echo x | "$commitlog" append "$copy" -t t 2>"$err" && fail "appended to a mixed store"
    # A file in place of log/.
    rm -rf "$copy/log"
    echo >"$copy/log"
    checks=$((checks + 1))
    echo x | "$commitlog" append "$copy" -t t 2>"$err" && fail "appended without log/"
    checks=$((checks + 1))
    "$commitlog" read "$copy" -t t >"$out" 2>"$err" && fail "read without log/"
    says "where" "$copy"
}

# odd KIND FILE: something of another kind has the name of FILE
odd() {
    rm -rf "$2.aside"
    [ "$1" = missing ] || mv "$2" "$2.aside"
    rm -f "$2"
    case $1 in
    empty) : >"$2" ;;
    directory) mkdir "$2" ;;
    pipe) mkfifo "$2" ;;
    link) ln -s "$2.aside" "$2" ;;
    esac
}

# Segment 2 of $store is no more: the rest is served, and the damage named, by every command.
test_lost() {
    section 'a segment that is lost'
    local store copy each how file base next lost number gone
    store=$(new)
    make_store "$store" 400
    file=$(find "$store/log" -name '*.log' | sort | sed -n 2p)
    base=$(basename "$file" .log | sed 's/^0*//')
    next=$((base + 65536))
    lost=$(awk -v a="$base" -v b="$next" '$1 >= a && $1 < b' "$store.acks" | wc -l)
    number=$(awk -v a="$base" '$1 >= a { print NR; exit }' "$store.acks")
    gone="$((number - 1)) to $((number + lost - 2))"
    for each in missing empty directory pipe link; do
        current="a segment that is lost: $each"
        copy=$(new)
        cp -r "$store" "$copy"
        odd "$each" "$copy${file#"$store"}"
        for how in '' '--since 2001-01-01T00:00:00Z' '--queue 0' '--last 400'; do
            # shellcheck disable=SC2086
            run 1 "$commitlog" read "$copy" -t t $how
            same "read $how" $((400 - lost)) "$(wc -l <"$out")"
            case $how in
            *queue*) says "read $how" "damage at offset $((number + lost - 2)):" ;;
            *) says "read $how" "damage at position $base:" ;;
            esac
            same "read $how says it once" 1 "$(wc -l <"$err")"
        done
        run 1 "$commitlog" query "$copy" -t t -k "n$number"
        says query "damage at position $base:"
        run 1 "$commitlog" dump "$copy"
        same "dump goes on behind it" 1 "$(grep -c 'key n400 ' "$out")"
        run 0 "$commitlog" stat "$copy"
        prints stat '^damage_found  *[1-9]'
        run 1 "$commitlog" verify "$copy"
        prints verify "^damage: positions $base to $next: "
        prints verify "^damage: topic t, queue 0, offsets $gone:"
        run 1 "$commitlog" verify "$copy" --json
        prints verify "\"from_position\":null,\"to_position\":null,\"topic\":\"t\",\"queue\":0"
        case $each in
        missing | empty) run 0 "$commitlog" recover "$copy" --mode salvage ;;
        *)
            run 1 "$commitlog" recover "$copy" --mode salvage
            says salvage 'move it out of log/'
            check "it is still there" [ -e "$copy${file#"$store"}" ]
            ;;
        esac
        rm -rf "$copy"
    done
    # The last one: to the end of what had been durable.
    for each in missing empty directory; do
        current="the last segment is lost: $each"
        copy=$(new)
        cp -r "$store" "$copy"
        next=$(tail -n 1 "$store.acks" | cut -d' ' -f1)
        # That which holds the last record: an empty one may have been prepared behind it.
        read -r file _ < <(place_of "$copy" "$next")
        base=$(basename "$file" .log | sed 's/^0*//')
        odd "$each" "$file"
        run 1 "$commitlog" read "$copy" -t t
        says read "damage at position"
        run 1 "$commitlog" verify "$copy"
        # Fields: damage: positions FROM to TO:
        same "verify names all of it" 1 "$(awk -v a="$((base + 8192))" -v b="$next" \
            '/^damage: positions/ && $3 <= a && $5 + 0 > b' "$out" | wc -l)"
        rm -rf "$copy"
    done
    # Beside a live writer, which does not read it: readers find it all the same.
    mkfifo "$work/lost-fifo"
    for each in missing empty; do
        current="a segment is lost beside its writer: $each"
        copy=$(new)
        cp -r "$store" "$copy"
        "$commitlog" append "$copy" -t t --acks <"$work/lost-fifo" >"$work/lost-acks" 2>/dev/null &
        started+=("$!")
        exec 9>"$work/lost-fifo"
        echo held >&9
        check "the writer runs" wait_for lines_at_least "$work/lost-acks" 1
        file=$(find "$copy/log" -name '*.log' | sort | sed -n 2p)
        base=$(basename "$file" .log | sed 's/^0*//')
        odd "$each" "$file"
        run 1 "$commitlog" read "$copy" -t t
        says read "damage at position $base:"
        same read $((401 - lost)) "$(wc -l <"$out")"
        run 1 "$commitlog" query "$copy" -t t -k "n$number"
        says query "damage at position $base:"
        exec 9>&-
        wait "${started[-1]}" 2>/dev/null
        started=()
        rm -rf "$copy"
    done
    current='a segment that is lost: words'
    file=$(find "$store/log" -name '*.log' | sort | sed -n 2p)
    copy=$(new)
    cp -r "$store" "$copy"
    cp "$file" "$copy/log/00000000000000458752.log"
    run 1 bash -c 'one append "$1"' one "$copy"
    run 1 "$commitlog" verify "$copy"
    prints "a segment far behind" '^damage: positions 458752 to 524288: its header belongs to'
    rm -rf "$copy"
    cp -r "$store" "$copy"
    rm -rf "$copy/log"
    run 1 "$commitlog" read "$copy" -t t
    says "no log" "$copy: its directory log/ is missing"
    rm -rf "$copy"
    run 2 "$commitlog" verify "$copy"
    same "the store is named once" 1 "$(grep -o "store $copy" "$err" | wc -l)"
    echo x | run 0 "$commitlog" append "$copy" -t t
    run 0 "$commitlog" verify "$copy"
    prints "one of a kind" 'verified: 1 segment, '
    for each in "$store"/view/*; do truncate -s 1T "$each"; done
    run 1 "$commitlog" verify "$store"
    prints "views of a TiB" "^damage: .*view/.*\.cq: is larger than"
    prints "views of a TiB" "^damage: .*view/.*\.state: is not as long as"
}

test_read_only() {
    section 'read-only directory'
    local store each
    store=$(new)
    make_store "$store"
    if [ "$(id -u)" = 0 ]; then
        if ! unshare -m true 2>/dev/null; then
            skip "read-only file system: no right to mount"
            return
        fi
        for each in read topics stat verify dump; do
            run 0 unshare -m bash -c 'mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" &&
                one "$1" "$2"' one "$each" "$store"
        done
        run 0 unshare -m bash -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
            "$commitlog" recover "$1" --plan' plan "$store"
        for each in "${writers[@]}"; do
            run 2 unshare -m bash -c 'mount --bind "$2" "$2" && mount -o remount,bind,ro "$2" &&
                one "$1" "$2"' one "$each" "$store"
            says "$each" "$store"
        done
        return
    fi
    chmod -R a-w "$store"
    for each in read topics stat verify dump; do
        run 0 bash -c 'one "$1" "$2"' one "$each" "$store"
    done
    run 0 "$commitlog" recover "$store" --plan
    for each in "${writers[@]}"; do
        run 2 bash -c 'one "$1" "$2"' one "$each" "$store"
        says "$each" "$store"
    done
    chmod -R u+w "$store"
}

# Runs in a mount namespace of its own: a disk of 6 MiB that fills up.
full_disk() {
    mount -t tmpfs -o size=6m none "$1" || exit 77
    seq -f "%0900.0f" 20000 |
        "$commitlog" append "$1/s" -t t --queues 1 --segment-size 1M --acks >"$2/acks" 2>"$2/err"
    echo $? >"$2/status"
    "$commitlog" read "$1/s" -t t >"$2/read" 2>&1
    echo $? >"$2/read-status"
    "$commitlog" verify "$1/s" >"$2/verify" 2>&1
    echo $? >"$2/verify-status"
    "$commitlog" retain "$1/s" --bytes 1M >"$2/retain" 2>&1
    echo $? >"$2/retain-status"
    echo again | "$commitlog" append "$1/s" -t t --queue 0 --segment-size 1M >"$2/again" 2>&1
    echo $? >"$2/again-status"
}
export -f full_disk

test_full_disk() {
    section 'full disk'
    if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
        skip "full disk: needs the right to mount a tmpfs"
        return
    fi
    mkdir "$work/disk"
    checks=$((checks + 1))
    timeout -k 5 60 unshare -m bash -c 'full_disk "$1" "$2"' full "$work/disk" "$work" ||
        fail "the test itself"
    same "append on a full disk" 2 "$(cat "$work/status")"
    check "says so" grep -q -i 'no space\|full' "$work/err"
    check "names the line" grep -q 'lines from [0-9]* on are not stored' "$work/err"
    check "acknowledged some" [ "$(wc -l <"$work/acks")" -gt 1000 ]
    same "read afterwards" 0 "$(cat "$work/read-status")"
    seq -f "%0900.0f" "$(wc -l <"$work/acks")" >"$work/expected"
    check "all that was acknowledged is there" cmp -s "$work/expected" \
        <(head -n "$(wc -l <"$work/acks")" "$work/read")
    same "nothing else is" "$(wc -l <"$work/acks")" "$(wc -l <"$work/read")"
    same "verify afterwards" 0 "$(cat "$work/verify-status")"
    same "retain makes room" 0 "$(cat "$work/retain-status")"
    check "it dropped segments" grep -q '^dropped [1-9]' "$work/retain"
    same "append goes on" 0 "$(cat "$work/again-status")"
}

test_cut_short() {
    section 'cut short under the mmap engine'
    local store pid
    store=$(new)
    mkfifo "$work/slow"
    "$commitlog" append "$store" -t t --queue 0 --engine mmap --segment-size 1M --acks \
        <"$work/slow" >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$work/slow"
    echo one >&7
    check "it runs" wait_for lines_at_least "$work/acks" 1
    truncate -s 8192 "$store"/log/*.log
    seq 100000 >&7 2>/dev/null
    exec 7>&-
    ends "no death by a signal" 2 $pid
    check "says why" grep -q 'cut short' "$err"
}

all='directories lock kill await opening damage files lost read_only full_disk cut_short'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
