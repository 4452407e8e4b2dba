#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# beside.sh - readers beside a writer whose live area they cannot open: of another user, and with
# a /dev/shm of their own. As root, or it is skipped.
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store
fifo=$work/fifo

# begin OPTION...: a writer of five lines, all durable, behind a checkpoint of its own; it stays
begin() {
    rm -rf "$store"
    seq 3 | "$commitlog" append "$store" -t t --level durable -o file_mode=420 2>"$err"
    "$commitlog" append "$store" -t t --level durable --acks "$@" <"$fifo" >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$fifo"
    seq 4 5 >&7
    check "it has appended" wait_for lines_at_least "$work/acks" 2
}

finish_writer() {
    exec 7>&-
    ends "the writer" 0 "$pid"
}

if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
    skip "beside.sh: not root, or no mount namespaces here"
    summary
    exit
fi
mkfifo "$fifo"
chmod 755 "$work"
cp "$commitlog" "$work/commitlog" # where any user may run it
readable=$work/commitlog

section "another user"
if setpriv --reuid=65534 --clear-groups "$readable" --version >/dev/null 2>&1; then
    begin -o file_mode=420
    run 2 setpriv --reuid=65534 --clear-groups "$readable" read "$store" -t t
    says "whose it is" "the live area belongs to the writer's user"
    says "who can" "others run as that user or as root"
    same "nothing was read" '' "$(cat "$out")"
    finish_writer
    run 0 setpriv --reuid=65534 --clear-groups "$readable" read "$store" -t t
    same "without the writer" '1 2 3 4 5' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
else
    skip "another user: setpriv cannot do that here"
fi

section "root, in the store of another user"
if setpriv --reuid=65534 --clear-groups "$readable" --version >/dev/null 2>&1; then
    rm -rf "$store"
    mkdir "$store"
    chown 65534 "$store"
    "$commitlog" append "$store" -t t --level none --acks <"$fifo" >"$work/acks" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 7>"$fifo"
    seq 5 >&7
    check "it has appended" wait_for lines_at_least "$work/acks" 5
    run 0 "$commitlog" read "$store" -t t
    same "root follows" '1 2 3 4 5' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    exec 7>&-
    chown -R 65534 "$store"
    run 2 setpriv --reuid=65534 --clear-groups "$readable" recover "$store"
    says "what only root may read" "the live area belongs to the writer's user"
    run 0 "$commitlog" recover "$store"
    run 0 "$commitlog" read "$store" -t t
    same "all that was stored" '1 2 3 4 5' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
    chown -R 65534 "$store"
    run 0 setpriv --reuid=65534 --clear-groups "$readable" read "$store" -t t
    same "for its owner too" '1 2 3 4 5' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
else
    skip "root, in the store of another user: setpriv cannot do that here"
fi

section "another /dev/shm"
apart() { unshare -m sh -c 'mount -t tmpfs none /dev/shm && exec "$@"' sh "$@"; }
export -f apart
begin
run 0 bash -c 'apart "$@"' apart "$commitlog" read "$store" -t t --max 3
same "what is proven durable" '1 2 3' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
run 0 bash -c 'apart "$@"' apart "$commitlog" read "$store" -t t
says "that there may be more" "does not show what it appends"
finish_writer
run 0 bash -c 'apart "$@"' apart "$commitlog" read "$store" -t t
same "and all without the writer" '1 2 3 4 5' "$(tr '\n' ' ' <"$out" | sed 's/ $//')"
quiet "without the writer"
summary
