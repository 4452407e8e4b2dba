#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-headers.sh - compiles the public headers as C99, C11, C17, C++98, C++11 and C++20 with every
# compiler that is there, links against the shared library of BUILD (build/release) and runs it.
# Ends with "checks: N"; exit 1 if one fails.
set -u

here=$(dirname "$0")
root=$here/../..
build=${BUILD:-$root/build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strict='-Wall -Wextra -Wpedantic -pedantic-errors -Wconversion -Wsign-conversion -Wundef -Werror'
checks=0
failed=0

# Of each function that the header declares an entry for use.c, so that none can be forgotten there.
# A declaration may have its name on the second line.
tr '\n' ' ' <"$root/include/commitlog.h" | grep -o 'COMMITLOG_API [^;(]*(' |
    sed -n 's/.*[ *]\(commitlog_[a-z_]*\)($/ENTRY(\1),/p' >"$work/entries.h"
declared=$(grep -c '^COMMITLOG_API ' "$root/include/commitlog.h")
written=$(wc -l <"$work/entries.h")
if [ "$declared" -ne "$written" ] || [ "$written" -eq 0 ]; then
    echo "FAIL  the header declares $declared functions, $written were found"
    failed=1
fi

try() { # try COMPILER LANGUAGE STANDARD [FLAG...]
    compiler=$1 language=$2 standard=$3
    shift 3
    # Flags are meant to be split.
    # shellcheck disable=SC2086
    if "$compiler" -x "$language" -std="$standard" $strict "$@" -I"$root/include" -I"$work" \
        "$here/use.c" -x none -L"$build" -lcommitlog -o "$work/use" &&
        LD_LIBRARY_PATH=$build "$work/use" >"$work/out"; then
        echo "ok    $compiler $standard"
        checks=$((checks + $(sed -n 's/^checks: //p' "$work/out")))
    else
        echo "FAIL  $compiler $standard"
        cat "$work/out" 2>/dev/null
        checks=$((checks + 1))
        failed=1
    fi
}

for compiler in gcc clang; do
    if ! command -v $compiler >/dev/null 2>&1; then
        echo "skip: headers with $compiler: not installed"
        continue
    fi
    for standard in c99 c11 c17; do
        try $compiler c $standard -Wstrict-prototypes -Wshadow
    done
done
for compiler in g++ clang++; do
    if ! command -v $compiler >/dev/null 2>&1; then
        echo "skip: headers with $compiler: not installed"
        continue
    fi
    # C++98 has no long long, which <stdint.h> needs; everything else must do.
    try $compiler c++ c++98 -Wno-long-long
    try $compiler c++ c++11
    try $compiler c++ c++20
done

# Every header by itself, and twice.
for header in "$root"/include/*.h; do
    name=$(basename "$header")
    printf '#include "%s"\n#include "%s"\nint main(void)\n{\n    return 0;\n}\n' "$name" "$name" \
        >"$work/alone.c"
    # shellcheck disable=SC2086
    if ${CC:-gcc} -std=c99 $strict -I"$root/include" -c "$work/alone.c" -o "$work/alone.o"; then
        checks=$((checks + 1))
    else
        echo "FAIL  $name alone"
        failed=1
    fi
done
echo "checks: $checks"
exit $failed
