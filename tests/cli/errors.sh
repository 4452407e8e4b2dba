#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# errors.sh - what the command's errors say, whatever the names are that they tell of.
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

for each in "${@:-long_path}"; do
    for test in $each; do
        "test_$test"
    done
done
summary
