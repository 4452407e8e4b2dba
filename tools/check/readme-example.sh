#!/bin/sh
# readme-example.sh - the C program in README.md is examples/hello/hello.c, letter by letter.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first block fenced as C.
awk '/^```c$/ { inside = 1; next } inside && /^```$/ { exit } inside' "$root/README.md" \
    >"$work/readme.c"
if ! diff -u "$work/readme.c" "$root/examples/hello/hello.c"; then
    echo "readme-example: the program in README.md (-) is not examples/hello/hello.c (+)" >&2
    exit 1
fi
echo "readme-example: as in examples/hello/hello.c"
