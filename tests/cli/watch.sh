#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# watch.sh - what a command does when a signal comes or the reader of its output goes away, and
# `commitlog stat --watch`: what it prints each second, beside writers that come and go.
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store
fifo=$work/fifo
mkfifo "$fifo"

writer() { # writer: begins to append what comes by descriptor 7; its process is $pid
    rm -f "$work/acks" # what another one left would count until it truncates the file
    "$commitlog" append "$store" -t w --acks <"$fifo" >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$fifo"
}

writer_killed() {
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    exec 7>&-
}

# What is left in descriptor 6 begins where what was stored ends, but for the bytes of an unfinished
# line that $err tells of. TEXT holds an N for the number of the line.
goes_on() { # goes_on LINES TEXT
    local next told rest
    next=${2/N/$(($1 + 1))}
    told=$(sed -n 's/.*unfinished, not stored; bytes of it that were read: //p' "$err")
    IFS= read -r rest <&6
    same "the input goes on behind line $1" "${next:${told:-0}}" "$rest"
    same "and nothing else is told" 0 "$(grep -c -v 'unfinished, not stored' "$err")"
}

append_ended() { # append_ended TEXT OPTION...: by TERM, while it appends what descriptor 6 gives
    local lines
    rm -f "$work/acks"
    "$commitlog" append "$store" -t "$topic" --queue 0 --acks "${@:2}" <&6 >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    check "it appends" wait_for lines_at_least "$work/acks" 3000
    kill -TERM "$pid"
    ends "ended by TERM" 143 "$pid"
    lines=$(wc -l <"$work/acks")
    goes_on "$lines" "$1"
    run 0 "$commitlog" read "$store" -t "$topic"
    check "what was acknowledged is stored" cmp -s <(seq "$lines") "$out"
}

section "a signal: what was read is stored"
for options in '--level none' '--level written' '--level durable' '--level none --batch 1000'; do
    topic=${options//[ -]/}
    mkfifo "$work/$topic"
    exec 6<>"$work/$topic"
    seq 3000000 >"$work/$topic" 2>/dev/null 6>&- &
    feeder=$!
    started+=("$feeder")
    # shellcheck disable=SC2086
    append_ended N $options
    kill -9 "$feeder"
    wait "$feeder" 2>/dev/null
    exec 6>&-
done
seq -f '{"body":"%.0f"}' 500000 >"$work/lines"
exec 6<"$work/lines"
topic=jsonl
append_ended '{"body":"N"}' --jsonl --level none
exec 6>&-

section "a reader of the acknowledgements that goes: what was read is stored"
for level in none durable; do
    topic=gone$level
    exec 6< <(exec seq 3000000)
    "$commitlog" append "$store" -t "$topic" --queue 0 --level "$level" --acks <&6 2>"$err" |
        head -n 1 >/dev/null
    same "its end" 141 "${PIPESTATUS[0]}"
    goes_on "$("$commitlog" read "$store" -t "$topic" | wc -l)" N
    exec 6>&-
done
rm -rf "$store"

section "a reader that goes while the store opens"
seq 20000 | "$commitlog" append "$store" -t t --queue 0 --key k --level none
"$commitlog" group create "$store" -g g
exec 6> >(exec true)
wait $!
for command in 'append -t t --acks' 'read -t t' 'read -t t --follow' 'query -t t -k k' dump topics \
    stat 'stat --watch' 'timer list' 'tx list' 'group list' 'group show -g g' \
    'group receive -g g -t t'; do
    expected=0
    [ "${command%% *}" = append ] && expected=141
    for ((i = 0; i < 20; i++)); do
        rm -rf "$store"/view # so that there is something to do
        # shellcheck disable=SC2086
        case $command in
        group* | t[ix]*) set -- ${command%% -*} "$store" ${command#"${command%% -*}"} ;;
        *) set -- ${command%% *} "$store" ${command#"${command%% *}"} ;;
        esac
        "$commitlog" "$@" </dev/null >&6 2>"$err"
        same "$command" $expected $?
        quiet "$command"
    done
done
exec 6>&-

section "a signal while the store opens"
for command in 'read -t t --follow' 'stat --watch'; do
    for ((i = 0; i < 30; i++)); do
        rm -rf "$store"/view
        # shellcheck disable=SC2086
        timeout --preserve-status -s TERM "0.0$((i + 10))" \
            "$commitlog" ${command%% *} "$store" ${command#* } >/dev/null 2>"$err"
        got=$?
        # It may come before the command has said what is to be done about it.
        check "$command: $got" [ $got = 0 -o $got = 143 ]
        quiet "$command"
    done
done
rm -rf "$store"

section "what was found stays found"
seq -f "%0300.0f" 600 |
    "$commitlog" append "$store" -t t --queue 0 --segment-size 64K --acks >"$work/acks"
read -r file offset <<<"$(place_of "$store" "$(sed -n 100p "$work/acks" | cut -d' ' -f1)")"
flip_byte "$file" $((offset + 200))
exec 6> >(exec true)
wait $!
for command in verify 'verify --json' recover 'recover --json' 'recover --mode strict' \
    'recover --plan'; do
    # shellcheck disable=SC2086
    "$commitlog" ${command%% *} "$store" ${command#"${command%% *}"} >&6 2>"$err"
    same "$command" 1 $?
    says "$command" "$store: "
done
exec 6>&-
"$commitlog" read "$store" -t t --follow >"$work/follow" 2>"$err" &
pid=$!
started+=("$pid")
check "it follows" wait_for lines_at_least "$work/follow" 599
kill -TERM "$pid"
ends "read --follow, which left something out" 1 "$pid"
"$commitlog" read "$store" -t t --follow 2>"$err" | sed -n 599q
same "without a reader" 1 "${PIPESTATUS[0]}"
says "it tells" 'damage at position'
run 0 "$commitlog" recover "$store" --mode salvage
rm -rf "$store"

# A disk that fails once $work/fail.flush or fail.write is there, for what runs with $broken loaded.
broken=$work/broken.so
cat >"$work/broken.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static int fails(const char *what)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s.%s", getenv("FAIL"), what);
    if (access(path, F_OK) != 0) {
        return 0;
    }
    errno = EIO;
    return 1;
}
int fdatasync(int fd) { return fails("flush") ? -1 : (int)syscall(SYS_fdatasync, fd); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return fails("write") ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at)
{
    return fails("write") ? -1 : syscall(SYS_pwritev, fd, pieces, (long)count, (long)at, 0L);
}
END
export FAIL=$work/fail

# begin_broken OPTION...: an append of what descriptor 7 is given, on that disk; its process is $pid
begin_broken() {
    rm -rf "$store" "$work"/fail.*
    rm -f "$work/acks"
    LD_PRELOAD=$broken "$commitlog" append "$store" -t t --queue 0 --acks "$@" <"$fifo" \
        >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$fifo"
    seq 5 >&7
    check "it appends" wait_for lines_at_least "$work/acks" 5
}

disks() { # what needs that disk
    section "a close that fails after a signal"
    # No thread: what comes to the disk, comes by the close.
    begin_broken --level none -o thread=0
    touch "$work/fail.flush"
    kill -TERM "$pid"
    ends "cannot" 2 "$pid"
    exec 7>&-
    says "it tells" "$store: "

    section "a level that is not reached: the first line that is not sure is named"
    local rest='nobody knows whether'
    begin_broken --level durable -o thread=0
    touch "$work/fail.flush"
    seq 6 7 >&7
    ends "durable" 2 "$pid"
    says "durable" "input: the lines 6 to 7 are stored, and $rest they .* from 8 on are not stored"
    begin_broken --level written -o thread=0
    touch "$work/fail.write"
    seq 6 7 >&7
    ends "written" 2 "$pid"
    says "written" "input: line 6 is stored, and $rest it .* the lines from 7 on are not stored"
    begin_broken --level written -o thread=0 --batch 5
    touch "$work/fail.write"
    seq 6 10 >&7
    ends "a batch" 2 "$pid"
    says "a batch" "the lines 6 to 10 are stored, and $rest they .* from 11 on are not stored"
    exec 7>&-
}

if ldd "$commitlog" | grep -q 'lib[a-z]*san' ||
    ! ${CC:-cc} -shared -fPIC -o "$broken" "$work/broken.c" 2>"$err"; then
    skip "disks that fail: no library can be loaded before this build's"
else
    disks
fi
rm -rf "$store"

section "beside a writer"
writer
seq 5 >&7
check "it has appended" wait_for lines_at_least "$work/acks" 5
"$commitlog" stat "$store" --watch --json >"$work/watch" 2>"$work/watch.err" &
watch=$!
started+=("$watch")
check "the first line comes at once" wait_for lines_at_least "$work/watch" 1
same "and knows no interval" 0 "$(head -1 "$work/watch" | grep -c '"interval"')"
seq 7 >&7
check "the writer has appended more" wait_for lines_at_least "$work/acks" 12
check "the interval says what came" wait_for grep -q \
    '"counters":{"appends":12,.*"interval":{"seconds":[01].*"counters":{"appends":7,' "$work/watch"
check "and how long the flushes took" grep -q \
    '"interval":{.*"flush":{"unit":"ns","one_in":1,"count":[1-9]' "$work/watch"

section "the next writer"
writer_killed
writer
seq 3 >&7
check "it is followed when the first was killed" wait_for grep -q \
    '"epoch":2,.*"counters":{"appends":3,' "$work/watch"
same "its first line knows no interval" 0 \
    "$(grep '"epoch":2,' "$work/watch" | head -1 | grep -c '"interval"')"
kill -TERM "$watch"
ends "ended by TERM" 0 "$watch"
same "with no complaint" '' "$(cat "$work/watch.err")"
writer_killed

section "without a writer"
"$commitlog" stat "$store" --watch >"$work/watch" 2>"$err" &
watch=$!
started+=("$watch")
check "rates are printed" wait_for grep -q '^appends  *0 ' "$work/watch"
check "and the last second" grep -q '^last [0-9.]* s ' "$work/watch"
kill -TERM "$watch"
ends "ended by TERM" 0 "$watch"
same "plain where it is no terminal" 0 "$(grep -c $'\033' "$work/watch")"
summary
