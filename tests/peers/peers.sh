#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# peers.sh - what other embedded stores keep of what they have acknowledged, beside libcommitlog.
#
# Each engine writes one record at a time at its durable setting (tests/peers/peer_*.c), while
#   cut     the power goes, on a disk that loses its write cache (tests/powercut/machine.sh);
#   fail    a data write or a flush of the disk fails once, the program goes on as one that has not
#           understood, in every second round it is started again, then the power goes;
#   full    a small disk is full, and a while later no more;
#   flip    after a clean close one bit changes in one block of its files that is not empty.
# After each, every acknowledged record is read and compared.
#
# Needs root, FUSE and loop devices; without them it fails, with ALLOW_SKIP=1 it is 77.
# Environment: SEED, CUTS (20), FAILS (20), FLIPS (400), ENGINES, BUILD, V=1 (each round), WRITE=1
# (tests/PEERS.md, and the table in README.md). Exit status 1 if libcommitlog has lost, altered or
# hidden anything.
set -u
. "$(dirname "$0")/../powercut/machine.sh"

run=${BUILD:-build/release}/tests/peers/peer_run
[ -x "$run" ] || { echo "peers: no $run: make peers" && exit 1; }
engines=${ENGINES:-$("$run" list | cut -d'|' -f1)}
cuts=${CUTS:-20} fails=${FAILS:-20} flips=${FLIPS:-400}
flip_records=${FLIP_RECORDS:-1500}

machine_enter ext4 "$@"
acks=$work/acks

failed() { # failed WHAT: the experiment itself did not work
    echo "FAILED: $engine: $1"
    exit 1
}

verbose() {
    [ "${V:-0}" = 1 ] && echo "  $engine $*"
    return 0
}

number() { # number NAME FILE: of a line NAME=..., in $value
    value=$(sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" "$work/$2.out" | tail -n 1)
    value=${value:-0}
}

check() { # check [DIR]: reads everything that was acknowledged; adds to the totals
    { # the shell tells how a program died; we do too
        timeout -k 1 60 "$run" check "$engine" "${1:-$mnt/store}" "$acks" >"$work/check.out" 2>&1
        status=$?
    } 2>/dev/null
    number found check && got=$value
    number missing check && missing=$value
    number altered check && altered=$value
    number errors check && errors=$value
    number refused check && refused=$value
    verbose "$(tr '\n' ' ' <"$work/check.out")"
    if [ "$status" != 0 ] && [ "$status" != 1 ]; then
        died=1
        missing=$(stat -c %s "$acks")
    else
        died=0
    fi
}

writer_running() { # until it has opened and acknowledged something
    for _ in {1..300}; do
        [ -s "$acks" ] && grep -q '^open' "$work/writer.out" && return
        alive || break
        sleep 0.01
    done
}

# ---- power cuts ----------------------------------------------------------------------------------

power_cuts() {
    local i
    cut_lost=0 cut_altered=0
    disk_new ext4
    boot
    : >"$acks"
    for ((i = 0; i < cuts; i++)); do
        program_start writer "$run" write "$engine" "$mnt/store" "$acks" 1000000
        writer_running
        rnd 25
        sleep "0.$((10 + value))"
        draw_cut
        ctl "cut $cut"
        program_wait
        power_back
        check
        [ "$status" = 0 ] && continue
        cut_lost=$((cut_lost + missing + errors)) cut_altered=$((cut_altered + altered))
        cut_acknowledged=$((cut_acknowledged + $(stat -c %s "$acks")))
        # What is gone is counted once.
        rm -rf "$mnt/store"
        : >"$acks"
    done
    cut_acknowledged=$((cut_acknowledged + $(stat -c %s "$acks")))
    disk_end
}

# ---- a request fails once ------------------------------------------------------------------------

failing_requests() {
    local i request after
    fail_lost=0 fail_after=0
    for ((i = 0; i < fails; i++)); do
        disk_new ext4
        boot
        : >"$acks"
        program_start writer "$run" write "$engine" "$mnt/store" "$acks" 1000000
        writer_running
        sleep 0.1
        request=write
        [ $((i % 4)) = 3 ] && request=flush
        rnd 6
        ctl "fail $request $((value + 1)) 1"
        sleep 0.6
        alive && program_kill || program_wait
        if [ $((i % 2)) = 1 ]; then # the program is started again under the same kernel
            program_start writer "$run" write "$engine" "$mnt/store" "$acks" 1000000
            sleep 0.4
            alive && program_kill || program_wait
        fi
        after=$(tr -cd a <"$acks" | wc -c)
        fail_after=$((fail_after + after))
        ctl "cut drop"
        power_back
        check
        verbose "fail $request: $after acknowledged after the error"
        fail_lost=$((fail_lost + missing + errors + altered))
        fail_acknowledged=$((fail_acknowledged + $(stat -c %s "$acks")))
        disk_end
    done
}

# ---- a full disk ---------------------------------------------------------------------------------

full_disk() {
    local small=$work/small image=$work/image
    mkdir -p "$small"
    truncate -s 64M "$image"
    mkfs.ext4 -q -F "$image" && mount -o loop "$image" "$small" || failed "a small disk"
    fallocate -l 40M "$small/ballast" || failed "ballast"
    : >"$acks"
    TRIES=1000000 PAUSE_MS=20 program_start writer "$run" write "$engine" "$small/store" "$acks" \
        60000
    for _ in {1..600}; do
        grep -q '^error' "$work/writer.out" && break
        alive || break
        sleep 0.05
    done
    full_says=$(sed -n 's/^error at [0-9]*: //p' "$work/writer.out" | cut -c1-50)
    local then again
    then=$(stat -c %s "$acks")
    rm "$small/ballast"
    sleep 2
    if alive; then
        full_says="\"${full_says:-no error in 30 s}\""
        again="when there is room again"
        program_kill
    else
        program_wait
        full_says="dies of SIG$(kill -l $((status - 128)))"
        again="after a restart"
    fi
    if [ "$(stat -c %s "$acks")" -le "$then" ]; then
        again="after a restart"
        program_start writer "$run" write "$engine" "$small/store" "$acks" $((then + 10))
        program_wait
    fi
    [ "$(stat -c %s "$acks")" -gt "$then" ] && full_goes_on="goes on $again" ||
        full_goes_on="does not go on"
    check "$small/store"
    full_lost=$((missing + errors + altered))
    umount "$small"
    rm -f "$image"
}

# ---- one bit -------------------------------------------------------------------------------------

flipped_bits() {
    local i pristine=$work/pristine copy=$work/copy
    flip_harmless=0 flip_noticed=0 flip_wrong=0 flip_silent=0 flip_crash=0 flip_beyond=0
    rm -rf "$pristine"
    : >"$acks"
    "$run" write "$engine" "$pristine" "$acks" "$flip_records" >"$work/flip.out" 2>&1 ||
        failed "$(cat "$work/flip.out")"
    for ((i = 0; i < flips; i++)); do
        rm -rf "$copy"
        cp -r --sparse=always "$pristine" "$copy"
        "$run" flip "$copy" $((seed + i)) >"$work/where.out" 2>&1 || failed "$(<"$work/where.out")"
        check "$copy"
        verbose "flip $(<"$work/where.out")"
        if [ "$died" = 1 ]; then
            flip_crash=$((flip_crash + 1))
        elif [ "$altered" -gt 0 ]; then
            flip_wrong=$((flip_wrong + 1))
        elif [ "$missing" -gt 0 ] && [ "$errors" = 0 ] && [ "$refused" = 0 ]; then
            flip_silent=$((flip_silent + 1))
        elif [ "$errors" -gt 0 ] || [ "$refused" = 1 ]; then
            flip_noticed=$((flip_noticed + 1))
        else
            flip_harmless=$((flip_harmless + 1))
        fi
        # One bit lies in one record; every other one should still be had.
        local gone=$((missing + errors + altered))
        [ "$gone" -gt 1 ] && flip_beyond=$((flip_beyond + gone - 1))
    done
    rm -rf "$copy" "$pristine"
}

# ---- the table -----------------------------------------------------------------------------------

table=$work/table
bad=0 sum_cuts=0 sum_acknowledged=0 sum_engines=0
RANDOM=$((seed % 32768))
echo "peers: seed $seed, $cuts cuts, $fails failing requests, $flips flips each"
printf '%s' "| | power cuts: lost | a request of the disk fails: acknowledged after the " \
    "error; lost | full disk | one bit flipped: noticed / harmless / wrong data / missing " \
    "without a word / crash; others lost |" >"$table"
printf '\n|---|---|---|---|---|\n' >>"$table"

page() {
    cat <<PAGE
# Beside other embedded stores

Written by \`make proof-peers\` (root; \`tests/peers/peers.sh\`), seed $seed, on $(date -u +%F),
Linux $(uname -r | cut -d- -f1), tree of \`lib/\` $(git rev-parse --short=12 HEAD:lib). Each engine
as Debian 12 packages it, at its durable setting, one record at a time, one thread:

$("$run" list | awk -F'|' '{ printf "- %s %s: %s\n", $1, $2, $3 }')

Each had $cuts power cuts and $fails failing requests on ext4 over a disk that loses its write
cache, a full disk of 64 MiB (ext4), and $flips times one bit flipped in one of its blocks that hold
something, of $flip_records records after a clean close.

$(<"$table")

- *A request fails*: one write or flush of the disk fails once, with EIO, and never again. The
  program is one that goes on appending after an error, in every second round in a new process; then
  the power goes. What was acknowledged after the error is not wrong by itself; losing it is.
- *Full disk*: what the program was told; whether it can append once there is room.
- *Noticed*: an error, at open or read. *Harmless*: every record read back, no error. *Others
  lost*: records beyond one, summed over all flips, that could not be read although the bit was not
  in them; what does not open for writing is opened for reading only.
- SQLite and LMDB keep no checksums of pages. RocksDB ends its log at the first damage by default
  (kPointInTimeRecovery). Debian builds RocksDB with its assertions, and they end the process.
PAGE
}

for engine in $engines; do
    version=$("$run" list | awk -F'|' -v e="$engine" '$1 == e { print $2 }')
    cut_acknowledged=0 fail_acknowledged=0
    power_cuts
    failing_requests
    full_disk
    flipped_bits
    printf '| %s %s | %d of %d | %d; %d of %d | %s; %s; %d lost | %s |\n' \
        "$engine" "$version" $((cut_lost + cut_altered)) "$cut_acknowledged" \
        "$fail_after" "$fail_lost" "$fail_acknowledged" "$full_says" "$full_goes_on" "$full_lost" \
        "$flip_noticed / $flip_harmless / $flip_wrong / $flip_silent / $flip_crash; $flip_beyond" \
        >>"$table"
    tail -n 1 "$table"
    sum_engines=$((sum_engines + 1))
    sum_cuts=$((sum_cuts + cuts))
    sum_acknowledged=$((sum_acknowledged + cut_acknowledged + fail_acknowledged))
    if [ "$engine" = libcommitlog ]; then
        own_lost=$((cut_lost + cut_altered + fail_lost + full_lost))
        own_hidden=$((flip_wrong + flip_silent + flip_crash))
        bad=$((own_lost + own_hidden))
    fi
done
if [ "${WRITE:-0}" = 1 ]; then
    page >tests/PEERS.md
    awk -v table="$table" '
        /^<!-- end of peers -->/ { inside = 0 }
        !inside { print }
        /^<!-- peers -->/ { inside = 1; while ((getline line < table) > 0) print line }' \
        README.md >"$work/readme" && cat "$work/readme" >README.md
fi
echo "figures: engines=$sum_engines cuts=$sum_cuts acknowledged=$sum_acknowledged" \
    "commitlog_lost=${own_lost:-0} commitlog_hidden=${own_hidden:-0}"
[ "$bad" = 0 ]
