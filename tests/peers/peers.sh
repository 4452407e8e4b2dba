#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# peers.sh - the same faults for SQLite, LMDB, RocksDB and libcommitlog, each as its documents say
# it is safe; as root, with loop devices and FUSE. What is asked of them: engine.h.
#
#   cuts   four threads append until the power goes; mounted, opened, read back; a store lives
#          through eight cuts
#   fails  one request of the disk fails once under one thread; the same program goes on and reads,
#          every second time the store is opened again in the same boot, then the power goes
#   full   a disk without space; 20 appends later there is space again
#   flips  one bit of a store that was closed (flips.c)
#
# Environment: SEED; CUTS, FAILS, FULLS (for each file system), FLIPS: for each engine; SHORT=1 for
# less than a minute; ENGINES; BUILD (build/release); ALLOW_SKIP; V=1 for each round; WRITE=1 or 0:
# whether tests/PEERS.md and the table of README.md are written (a long run of all engines does).
set -u

here=$(dirname "$0")
. "$here/../powercut/machine.sh"

all="commitlog commitlog-mmap sqlite lmdb lmdb-writemap rocksdb rocksdb-absolute"
engines=${ENGINES:-$all}
if [ "${SHORT:-0}" = 1 ]; then
    engines=${ENGINES:-commitlog sqlite lmdb lmdb-writemap rocksdb}
    : "${CUTS:=1}" "${FAILS:=2}" "${FULLS:=1}" "${FLIPS:=10}" "${FULL_SYSTEMS:=ext4}"
else
    : "${CUTS:=32}" "${FAILS:=24}" "${FULLS:=3}" "${FLIPS:=500}" "${FULL_SYSTEMS:=ext4 btrfs}"
    [ "$engines" = "$all" ] && : "${WRITE:=1}"
fi
peer=${BUILD:-build/release}/tests/peers/peer
flip_records=800 # appended in four sessions

failed() { # what the test itself cannot go on with
    echo "FAILED: peers: $engine seed $seed ($what): $1"
    tail -n 3 "$work"/*.out "$work"/*.err 2>/dev/null
    exit 1
}

what=begin
engine=
machine_enter "ext4 $FULL_SYSTEMS" "$@"
peer=$(realpath "$peer") || exit 1
results=$work/results
dir=$mnt/store
acks=$work/acks
served=$work/acks.served
next=1
store_cuts=8 # what it has is read again after each

# ---- what a program said -----------------------------------------------------------------------

run() { # run OUT COMMAND ARGUMENT...: peer, its status in $status
    local out=$1
    shift
    program_start "$out" "$peer" "$engine" "$@"
    program_wait
    [ "$status" != 1 ] || failed "$(tail -n 2 "$work/$out.out")"
}

said() { # said OUT NAME: a number of its last line, in $value; 0 if there is none
    value=$(sed -n "s/.*\b$2=\([0-9]*\).*/\1/p" "$work/$1.out" | tail -n 1)
    value=${value:-0}
}

note() {
    [ "${V:-0}" = 1 ] && echo "  $engine $what: $*"
    return 0
}

store_new() { # on a fresh disk with ext4
    disk_new ext4
    boot
    mkdir "$dir" || failed "mkdir"
    sync
}

# Reads back; what is lost of the acknowledged goes to $lost, and out of the list.
check_store() {
    local acknowledged right
    run check check "$dir" "$acks" "$served" "$((next + 500000))"
    [ "$status" = 0 ] || note "the checker ended with $status"
    said check acknowledged && acknowledged=$value
    said check right && right=$value
    said check opened && opened=$value
    said check served_lost && served_lost=$value
    said check appends && appends=$value
    said check wrong && wrong=$value
    reader_died=0
    if [ "$status" != 0 ]; then # what can be read by readers that die of the rest
        reader_died=1
        tail -n 2 "$work/check.out" >"$work/check.died"
        run each each "$dir" "$acks"
        [ "$status" = 0 ] || failed "each ended with $status"
        said each acknowledged && acknowledged=$value
        said each right && right=$value
        opened=1 served_lost=0 appends=0 wrong=0
        note "$(tail -n 1 "$work/each.out")"
    fi
    lost=$((acknowledged - right))
    [ "$lost" = 0 ] || note "lost $lost of $acknowledged: $(tr '\n' ';' <"$work/check.out")"
}

count_acks() {
    value=$(($(stat -c %s "$acks" 2>/dev/null || echo 0) / 8))
}

# ---- power cuts --------------------------------------------------------------------------------

cut_under_writer() {
    local tick
    draw_cut
    rnd 2
    if [ "$value" = 0 ]; then
        rnd 300
        what="cut $cut at write $((value + 1))"
        ctl "arm write $((value + 1)) $cut"
        for ((tick = 0; tick < 60; tick++)); do
            counter off
            [ "$value" = 1 ] && break
            sleep 0.01
        done
    else
        what="cut $cut"
        rnd 45
        sleep "0.$((100 + value * 10))"
    fi
    counter off
    [ "$value" = 1 ] || ctl "cut $cut"
}

part_cuts() {
    local before lived=0 cuts=0 acknowledged=0 total=0 refused=0 sigbus=0 died=0 hung=0 altered=0
    store_new
    while [ "$cuts" -lt "$CUTS" ]; do
        next=$((next + 1000000))
        count_acks && before=$value
        program_start write "$peer" "$engine" write "$dir" "$acks" "$next" 4
        cut_under_writer
        program_wait
        cuts=$((cuts + 1))
        case $status in
        0 | 4) ;;
        1) failed "writer: $(tail -n 2 "$work/write.out")" ;;
        124 | 137) hung=$((hung + 1)) ;;
        135) sigbus=$((sigbus + 1)) ;;
        *) died=$((died + 1)) && note "the writer ended with $status" ;;
        esac
        count_acks && acknowledged=$((acknowledged + value - before))
        power_back
        mkdir -p "$dir" # the first cut may come before it is there
        check_store
        total=$((total + lost))
        altered=$((altered + wrong))
        note "$(tail -n 1 "$work/check.out")"
        if [ "$opened" = 0 ] || [ "$appends" = 0 ]; then
            refused=$((refused + 1))
            note "refused: $(grep open: "$work/check.out")"
            lived=store_cuts
        fi
        lived=$((lived + 1))
        if [ "$lived" -ge "$store_cuts" ]; then
            disk_end
            store_new
            lived=0
        fi
    done
    disk_end
    echo "part=cuts engine=$engine cuts=$cuts acknowledged=$acknowledged lost=$total" \
        "wrong=$altered refused=$refused sigbus=$sigbus died=$died hung=$hung" >>"$results"
}

# ---- a request fails ---------------------------------------------------------------------------

# ext4 may say in its log that it has lost what it had called durable; see powercut.sh.
kernel_confesses() {
    dmesg | awk -v since="$log_since" '{ sub(/^\[ */, ""); at = $1 + 0 }
        at > since && /failed to convert unwritten extents .* error -30/ { found = 1 }
        END { exit !found }'
}

fail_one() { # fail_one REQUEST N REOPEN
    what="fail $1 $2 reopen $3"
    store_new
    log_since=$(cut -d " " -f 1 /proc/uptime)
    # Where it is to be opened again, the program ends at the first error; else it goes on.
    run fail fail "$dir" "$acks" "$served" "$disk/ctl" "$1" "$2" $(((1 - $3) * 60))
    note "$status $(tr '\n' ';' <"$work/fail.out")"
    said fail saw && saw=$((saw + value))
    if [ "$status" = 0 ]; then
        said fail after
        [ "$value" = 0 ] || went_on=$((went_on + 1))
        after=$((after + value))
    else
        died=$((died + 1)) && note "it ended with $status"
    fi
    writable || gave_up=$((gave_up + 1))
    if [ "$3" = 1 ]; then
        run again again "$dir" "$acks" "$served"
        said again opened && reopened=$((reopened + value))
        note "$status $(tr '\n' ';' <"$work/again.out")"
    fi
    ctl "cut drop"
    power_back
    count_acks && acknowledged=$((acknowledged + value))
    check_store
    if [ "$((lost + served_lost))" -gt 0 ] && kernel_confesses; then
        kernel=$((kernel + 1)) && note "the kernel says that it lost it"
    else
        [ "$opened" = 1 ] || refused=$((refused + 1))
        reader_deaths=$((reader_deaths + reader_died))
        [ "$lost" = 0 ] || losing=$((losing + 1))
        if [ "$3" = 1 ]; then
            lost_reopened=$((lost_reopened + lost))
        else
            lost_running=$((lost_running + lost))
        fi
        phantoms=$((phantoms + served_lost))
        altered=$((altered + wrong))
    fi
    disk_end
}

part_fails() {
    local round request saw=0 after=0 went_on=0 died=0 gave_up=0 reopened=0 acknowledged=0
    local lost_running=0 lost_reopened=0 losing=0 phantoms=0 refused=0 kernel=0 altered=0
    local reader_deaths=0
    for ((round = 0; round < FAILS; round++)); do
        rnd 4
        request=write
        [ "$value" = 3 ] && request=flush
        rnd 6 # the first is data; behind it the file system's own
        fail_one "$request" "$((value < 4 ? 1 : value - 1))" "$((round % 2))"
    done
    echo "part=fails engine=$engine rounds=$round saw=$saw went_on=$went_on after=$after" \
        "died=$died gave_up=$gave_up reopened=$reopened acknowledged=$acknowledged" \
        "lost_running=$lost_running lost_reopened=$lost_reopened losing=$losing" \
        "phantoms=$phantoms wrong=$altered refused=$refused reader_deaths=$reader_deaths" \
        "kernel=$kernel" >>"$results"
}

# ---- a full disk -------------------------------------------------------------------------------

small_disk() { # small_disk FILE-SYSTEM
    rm -f "$work"/acks* "$work/small"
    truncate -s 192M "$work/small"
    case $1 in
    ext4) mkfs.ext4 -q -F -m 0 "$work/small" ;;
    btrfs) mkfs.btrfs -q -f "$work/small" >/dev/null 2>&1 ;;
    xfs) mkfs.xfs -q -f "$work/small" ;;
    esac || failed "mkfs.$1"
    mount -o loop "$work/small" "$mnt" && mkdir "$dir" || failed "mount"
}

small_end() {
    umount "$mnt" || failed "umount"
    rm -f "$work/small"
}

full_one() { # full_one FILE-SYSTEM
    local left
    rnd 64
    left=$((1048576 + value * 65536))
    what="full $1 $left"
    small_disk "$1"
    run full full "$dir" "$acks" "$mnt/ballast" "$left"
    note "$status $(tr '\n' ';' <"$work/full.out")"
    case $status in
    0)
        errors=$((errors + 1))
        said full goes_on && goes_on=$((goes_on + value))
        said full unreadable && lost_full=$((lost_full + value))
        ;;
    4) # it does not open at all on this file system, before anything was full
        unsupported=$((unsupported + 1))
        small_end
        return
        ;;
    135) sigbus=$((sigbus + 1)) ;;
    124 | 137) hung=$((hung + 1)) ;;
    *) died=$((died + 1)) ;;
    esac
    rm -f "$mnt/ballast"
    umount "$mnt" && mount -o loop "$work/small" "$mnt" || failed "mount again"
    check_store
    count_acks && acknowledged=$((acknowledged + value))
    lost_full=$((lost_full + lost))
    [ "$opened" = 1 ] && [ "$appends" -gt 0 ] && after_reopen=$((after_reopen + 1))
    small_end
}

part_full() {
    local round system rounds=0 errors=0 sigbus=0 hung=0 died=0 goes_on=0 after_reopen=0
    local lost_full=0 acknowledged=0 unsupported=0
    for system in $FULL_SYSTEMS; do
        rounds=0 errors=0 sigbus=0 hung=0 died=0 goes_on=0 after_reopen=0 lost_full=0
        acknowledged=0 unsupported=0
        for ((round = 0; round < FULLS; round++)); do
            full_one "$system"
        done
        echo "part=full engine=$engine system=$system rounds=$round errors=$errors sigbus=$sigbus" \
            "died=$died hung=$hung unsupported=$unsupported goes_on=$goes_on" \
            "after_reopen=$after_reopen" \
            "acknowledged=$acknowledged lost=$lost_full" >>"$results"
    done
}

# ---- flipped bits ------------------------------------------------------------------------------

part_flips() {
    local closed=$work/closed
    what=flips
    rm -rf "$closed" "$acks" && mkdir "$closed" || exit 1
    run fill fill "$closed" "$acks" "$flip_records" 4
    [ "$status" = 0 ] || failed "fill ended with $status"
    # Longer than a program may run otherwise.
    "$peer" "$engine" flips "$closed" "$acks" "$seed" "$FLIPS" >"$work/flips.out" 2>&1 ||
        failed "flips"
    sed -n "s/^file=/part=flips engine=$engine records=$flip_records file=/p" \
        "$work/flips.out" >>"$results"
    [ "${V:-0}" = 1 ] && grep -v '^file=' "$work/flips.out"
    rm -rf "$closed" "$acks"
}

# ---- control -----------------------------------------------------------------------------------

# A disk that confirms flushes and does not do them: the loss must be found, or 0 says nothing.
control() {
    local round before
    for round in 1 2 3 4 5; do
        what="control $round"
        store_new
        run write write "$dir" "$acks" 1 0
        sync
        ctl "lie on"
        program_start write "$peer" "$engine" write "$dir" "$acks" 1 4
        sleep 0.5
        ctl "cut drop"
        program_wait
        count_acks && before=$value
        power_back
        mkdir -p "$dir"
        check_store
        disk_end
        if [ "$lost" -gt 0 ]; then
            echo "control: $engine on a disk that does not flush: $lost of $before lost"
            return
        fi
    done
    failed "control: a disk that does not flush, and nothing was lost"
}

# ---- all of it ---------------------------------------------------------------------------------

echo "peers: seed $seed"
begin=$SECONDS
echo "run seed=$seed cuts=$CUTS fails=$FAILS fulls=$FULLS flips=$FLIPS" >"$results"
for engine in $engines; do
    RANDOM=$((seed % 32768)) && control
    "$peer" "$engine" about | sed "s/^/about $engine /" >>"$results" || exit 1
    # The same draws for each engine.
    RANDOM=$((seed % 32768)) && part_cuts
    RANDOM=$(((seed + 1) % 32768)) && part_fails
    RANDOM=$(((seed + 2) % 32768)) && part_full
    part_flips
    [ "${V:-0}" = 1 ] && tail -n 12 "$results"
    echo "peers: $engine done after $((SECONDS - begin)) s"
done
options=
[ "${WRITE:-0}" = 1 ] && options=--write
python3 "$here/peers_table.py" $options "$results"
