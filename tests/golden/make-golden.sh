#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# make-golden.sh - made the golden stores of format version 1. By hand, once; make never runs it.
#
#   tests/golden/make-golden.sh [FOLDER]     after `make`; FOLDER: where to (tests/golden)
#
# It writes nothing where a file is there already: golden files are what a released version wrote,
# so they are never made again. A new version of the format gets files of its own, beside these, and
# so does what is new in this one: make all into another FOLDER and take the new ones. That is also
# how to see what the present library writes.
#
# What it makes, with make_golden.c, make_work.c, make_transactions.c, make_growth.c (all on
# maker.h), make_patches.c, and a few bytes spoiled here and there:
#
#   clean      closed; segments of 64 KiB, seven of them full, with their views, and one prepared
#              ahead; three sessions, one that filled up its flushes, one with the mmap engine;
#              three topics; tags, keys, headers, times, empty bodies, batches, holes of all kinds
#   retained   clean, after retention has dropped five segments and carried a topic forward
#   killed     its writer was killed; a record torn, one claimed and one whole one behind it
#   damaged    closed; one byte of an acknowledged body is wrong
#   delayed    messages delivered later: by reference, as a copy, from where retention carried them;
#              cancelled, waiting until 2100, and some whose time had passed; two sessions
#   work       messages given out one by one: pending, given back, committed, done ahead; dead
#              letters by reference and as copies; a group that was reset, one deleted; two sessions
#   transactions   committed by reference, as copies and as carried forward, with offsets and of
#              them alone; rolled back for each reason but damage; prepared in each way and left so,
#              and one that is neither; three sessions
#   grown      topics that grow, with messages and without, that shrink and grow again; whose growth
#              retention has taken, and whose is kept, with its marks; what waited when they grew;
#              groups before a mark, behind it, and in a child alone (grown.gates: what is open for
#              them); three sessions
#   salvaged   one header was wrong: salvaged, and its segment filled up; a queue lacks an offset
#   patches    of clean: what version 1 does not write
#
# Of each store NAME.store is the files as text (sparse.py), NAME.sha256 their sums, and
# NAME.expected what the command says about them (observe.sh); -recovered and -salvaged is what it
# says once recovery has put them right.
set -eu
LC_ALL=C
export LC_ALL
here=$(realpath "$(dirname "$0")")
root=$here/../..
build=$(realpath "${BUILD:-$root/build/release}")
commitlog=$build/commitlog
target=$(realpath "${1:-$here}")
# shellcheck source=tests/golden/observe.sh
. "$here/observe.sh"

names=(clean retained delayed work transactions grown killed damaged salvaged)
for name in "${names[@]}" patches; do
    for each in "$target/$name" "$target/$name".*; do
        [ ! -e "$each" ] || {
            echo "make-golden.sh: $each is there: golden files are never made again" >&2
            exit 1
        }
    done
done

work=$(mktemp -d "${TMPDIR:-/var/tmp}/commitlog-golden-XXXXXX")
trap 'rm -rf "$work"' EXIT
for each in make_golden make_work make_transactions make_growth make_patches; do
    # Flags are lists of words.
    # shellcheck disable=SC2046
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -Wall -Wextra -I"$root/include" "$here/$each.c" \
        "$build/libcommitlog.a" -pthread $(pkg-config --libs libpmem 2>/dev/null) -o "$work/$each"
done
cd "$work"
mkdir made

zero() { dd if=/dev/zero of="$1" bs=1 seek="$2" count="$3" conv=notrunc status=none; }

./make_golden clean clean
./make_patches boot clean
cp -r clean retained
./make_golden retain retained
./make_patches boot retained
./make_patches patches clean >made/patches

./make_golden delayed delayed
./make_patches boot delayed

./make_work work
./make_patches boot work

./make_transactions transactions
./make_patches boot transactions

./make_growth grown
./make_patches boot grown

position=$(./make_golden killed killed || [ $? = 137 ])
zero killed/log/00000000000000000000.log $((position + 56)) 24
./make_patches boot killed

position=$(./make_golden plain damaged)
zero damaged/log/00000000000000000000.log $((position + 52)) 1
./make_patches boot damaged

position=$(./make_golden plain salvaged)
zero salvaged/log/00000000000000000000.log $((position + 24)) 8
"$commitlog" recover salvaged --mode salvage >/dev/null
./make_golden more salvaged
./make_patches boot salvaged

for name in "${names[@]}"; do
    python3 "$here/sparse.py" pack "$name" >"made/$name.store"
    (cd "$name" && find . -type f | sort | xargs sha256sum) >"made/$name.sha256"
    observe "$name" "$name" >"made/$name.expected"
done
gates grown >made/grown.gates

"$commitlog" recover killed >/dev/null
observe killed killed >made/killed-recovered.expected
"$commitlog" recover damaged --mode salvage >/dev/null
observe damaged damaged >made/damaged-salvaged.expected
cp made/* "$target"
