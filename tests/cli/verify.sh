#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# verify.sh - commitlog: what verify, recover and the next writer say of files that are damaged or
# gone, and what they do not blame.
#
# verify.sh [TEST...]
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# make_store DIR COUNT: so many records of 300 bytes, in segments of 64 KiB.
make_store() {
    local i
    for ((i = 1; i <= $2; i++)); do
        printf '{"topic":"t","queue":0,"body":"%0300d"}\n' "$i"
    done | "$commitlog" append "$1" --jsonl --level none --segment-size 64K
}

# Blocks of the log are lost: what points there is not to blame, and the log is.
test_lost_blocks() {
    section 'lost blocks of the log'
    local store=$work/lost-blocks
    make_store "$store" 600
    dd if=/dev/zero of="$store/log/00000000000000065536.log" bs=4096 seek=5 count=4 conv=notrunc \
        status=none
    run 1 "$commitlog" verify "$store"
    prints "the place" '^damage: .*: no record verifies here$'
    same "no file of view/ is named" 0 "$(grep -c 'view/' "$out")"
    run 1 "$commitlog" recover "$store"
    says "what may be done" '--mode salvage. keeps all that is sound'
}

test_checkpoint() {
    section 'CHECKPOINT is gone'
    local store=$work/no-checkpoint
    make_store "$store" 5
    rm "$store/CHECKPOINT"
    run 1 "$commitlog" verify "$store"
    prints "verify tells" '^damage: .*: there is no CHECKPOINT$'
    echo '{"topic":"t","queue":0,"body":"x"}' | run 0 "$commitlog" append "$store" --jsonl
    says "and who puts it right" 'there is no CHECKPOINT: it is written anew'
    run 0 "$commitlog" verify "$store"
}

# What cannot be told apart is not called sound, and nobody is sent where nothing is to be had.
test_unknown() {
    section 'neither CHECKPOINT nor a segment is there'
    local store=$work/unknown
    make_store "$store" 600
    rm "$store"/log/* "$store/CHECKPOINT"
    run 1 "$commitlog" verify "$store"
    prints "verify tells" '^damage: positions 0 to 0: files are there, but no log$'
    prints "the verdict" '^verdict: *DAMAGED$'
    prints "the end" '^end of log: *damaged$'
    run 1 "$commitlog" recover "$store" --mode salvage
    prints "recover tells" '^damage: positions 0 to 0: files are there, but no log$'
    prints "the end" '^end of log: *damaged$'
    same "salvage does not advise salvage" 0 "$(grep -c 'keeps all that is sound' "$err")"
    echo x | run 1 "$commitlog" append "$store" -t t -o recovery=salvage
    same "nor does append" 0 "$(grep -c 'keeps all that is sound' "$err")"
}

# Two files of one store whose headers hold, and one goes beyond where the other begins.
test_overlap() {
    section 'segments overlap'
    local store=$work/overlap other=$work/overlap-larger
    make_store "$store" 5
    cp -a "$store" "$other"
    make_store "$store" 600
    seq 600 | "$commitlog" append "$other" -t t --queue 0 --level none --segment-size 1M
    seq 9000 | "$commitlog" append "$other" -t t --queue 0 --level none --segment-size 1M
    cp "$other/log/00000000000000065536.log" "$store/log/00000000000000065536.log"
    run 1 "$commitlog" verify "$store"
    prints "the whole advice" '^damage: .* overlap: move the wrong one out of log/$'
    prints "the verdict" '^verdict: *DAMAGED$'
    rm "$store/log/00000000000000065536.log"
    run 0 "$commitlog" recover "$store" --mode salvage
    run 0 "$commitlog" verify "$store"
}

test_no_file() {
    section 'what is no file in view/'
    local store=$work/no-file name
    make_store "$store" 600
    for name in 00000000000000065536.cq 00000000000000065536.state; do
        rm -f "$store/view/$name"
        mkdir "$store/view/$name"
        run 1 "$commitlog" verify "$store"
        prints "what to do" "^damage: .*: view/$name: is not a file: move it away$"
        same "a rebuild leaves it" 0 "$(grep -c 'rebuild' "$out")"
        run 0 "$commitlog" rebuild "$store"
        run 1 "$commitlog" verify "$store"
        rmdir "$store/view/$name"
        run 0 "$commitlog" verify "$store"
    done
}

# killed_store DIR: its writer died, and nothing is proven durable.
killed_store() {
    local pid
    rm -f "$work/lines" "$work/acks"
    mkfifo "$work/lines"
    "$commitlog" append "$1" -t t --queue 0 --level none --acks --segment-size 1M -o thread=0 \
        <"$work/lines" >"$work/acks" 2>/dev/null &
    pid=$!
    started+=("$pid")
    exec 9>"$work/lines"
    seq 1500 >&9
    check "the writer runs" wait_for lines_at_least "$work/acks" 1500
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    exec 9>&-
    started=()
}

# What awaits recovery, and recovery is refused.
test_await_damaged() {
    section 'recovery is refused'
    local store=$work/await
    killed_store "$store"
    echo abc >"$store/log/00000000000000069632.log"
    run 1 "$commitlog" recover "$store"
    run 1 "$commitlog" verify "$store"
    prints "verify tells" 'await recovery, which the damage keeps from being done$'
    run 1 "$commitlog" read "$store" -t t
    says "read tells" 'await recovery, which damage keeps from being done: see .commitlog verify'
    cp -a "$store" "$store-slot"
    printf XXXX | dd of="$store-slot/CHECKPOINT" bs=1 seek=100 conv=notrunc status=none
    run 1 "$commitlog" recover "$store-slot"
    run 1 "$commitlog" verify "$store-slot"
    prints "of a slot" 'the next one to open it writes it anew$'
    rm "$store/log/00000000000000069632.log"
    run 0 "$commitlog" verify "$store"
    prints "verify tells" 'await recovery; .commitlog recover. or the next writer makes them'
}

# A copy has no live area: what was acknowledged is not known, and strict refuses what is no damage.
test_strict() {
    section 'strict refuses what is sound'
    local store=$work/strict
    killed_store "$work/killed"
    cp -a "$work/killed" "$store"
    run 0 "$commitlog" verify "$store"
    run 1 "$commitlog" recover "$store" --mode strict
    same "verify names nothing" 0 "$(grep -c 'names the damage' "$err")"
    says "what may be done" 'strict refuses more than damage, .commitlog recover'
    echo x | run 1 "$commitlog" append "$store" -t t -o recovery=strict
    says "the same" 'strict refuses more than damage, .commitlog recover'
    run 0 "$commitlog" recover "$store"
}

test_mode() {
    section 'others may write into the directory'
    local store=$work/mode
    make_store "$store" 5
    chmod 777 "$store"
    echo x | run 2 "$commitlog" append "$store" -t t
    says "what to do" 'chmod go-w$'
    same "nobody is to be asked" 0 "$(grep -c 'ask the owner' "$err")"
    chmod go-w "$store"
    echo x | run 0 "$commitlog" append "$store" -t t
}

# Runs in a mount namespace of its own: what is to be cut has no room in quarantine/.
no_room() {
    mount -t tmpfs -o size=512k none "$2" || exit 77
    cp -a "$1" "$2/s"
    dd if=/dev/zero of="$2/fill" bs=4096 status=none 2>/dev/null
    "$commitlog" recover "$2/s" 2>"$3/no-room" >/dev/null
    "$commitlog" retain "$2/s" --bytes 1M 2>"$3/no-room-retain" >/dev/null
    rm "$2/fill"
    "$commitlog" recover "$2/s" >/dev/null 2>&1
    echo $? >"$3/no-room-status"
}
export -f no_room
export commitlog

# Retention opens the store, too: it cannot make the room that opening needs.
test_quarantine() {
    section 'no room for what is cut'
    local store=$work/quarantine log
    if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
        skip "quarantine: needs the right to mount a tmpfs"
        return
    fi
    make_store "$store" 5
    log=$store/log/00000000000000000000.log
    head -c 4096 /dev/urandom | dd of="$log" bs=1 seek=40000 conv=notrunc status=none
    rm "$store/CHECKPOINT" # else opening need not look behind the end
    mkdir "$work/disk"
    check "the test itself" timeout -k 5 60 unshare -m bash -c 'no_room "$@"' no_room "$store" \
        "$work/disk" "$work"
    check "recover" grep -q 'nothing was cut, open read-only or make room' "$work/no-room"
    same "retain is not advised" 0 "$(grep -c 'commitlog retain. drops' "$work/no-room")"
    check "retain" grep -q 'nothing was cut, open read-only or make room' "$work/no-room-retain"
    same "nothing is stored again" 0 "$(grep -c 'stored again' "$work/no-room-retain")"
    same "when there is room" 0 "$(cat "$work/no-room-status")"
}

all='lost_blocks checkpoint unknown overlap no_file await_damaged strict mode quarantine'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
