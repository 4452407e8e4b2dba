#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# probes.sh - the probes in the library are those that commitlog(7) lists, and the scripts of
# examples/probes use no other.
#
#   tools/check/probes.sh [BUILD_DIR]       default: build/release
#
# A library that was built without <sys/sdt.h> has none; that is said, and is no failure.
set -eu
export LC_ALL=C

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk '/^\.S[hs] / { inside = $0 == ".Sh PROBES" } inside && /^\.It Fn / { print $3 }' \
    "$root/man/commitlog.7" | sort >"$work/page"
sed -n 's/^usdt:\*:commitlog:\([a-z_]*\)$/\1/p' "$root"/examples/probes/*.bt |
    sort -u >"$work/scripts"
if ! comm -13 "$work/page" "$work/scripts" | awk '{ print "probes: a script uses " $0; bad = 1 }
    END { exit bad }' >&2; then
    exit 1
fi
readelf -n "$build/libcommitlog.so" | sed -n '/Provider: commitlog/{n;s/.*Name: //p;}' |
    sort -u >"$work/library"
if [ ! -s "$work/library" ]; then
    echo "probes: built without <sys/sdt.h>: not compared"
    exit 0
fi
if ! diff -u "$work/page" "$work/library" >"$work/diff"; then
    echo "probes: man/commitlog.7 (-) differs from the library (+):" >&2
    sed 1,2d "$work/diff" >&2
    exit 1
fi
echo "probes: $(wc -l <"$work/page") as documented"
