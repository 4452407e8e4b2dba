#!/bin/sh
# man-examples.sh - every EXAMPLES block of section 3, and that of commitlog-fault(7), is a program
# that compiles and runs.
#
#   tools/check/man-examples.sh [BUILD_DIR]       default: build/release
#
# Compiled with warnings as errors; linked and run, each in an empty directory, when BUILD_DIR
# holds the library, else only compiled, which is said.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/release}
case $build in
/*) ;;
*) build=$(pwd)/$build ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
count=0

complain() {
    echo "man-examples: $1" >&2
    failed=1
}

run=yes
if [ ! -e "$build/libcommitlog.so" ]; then
    run=no
    echo "skip: man-examples: no $build/libcommitlog.so, examples compiled but not run"
fi

for page in "$root"/man/*.3 "$root"/man/commitlog-fault.7; do
    name=$(basename "$page")
    # The literal block of the section, with roff escapes undone.
    awk '
        /^\.Sh / { inside = $2 == "EXAMPLES" || $2 == "EXAMPLE" }
        inside && /^\.Bd / { literal = 1; next }
        /^\.Ed/ { literal = 0 }
        inside && literal { sub(/^\\&/, ""); gsub(/\\e/, "\\"); gsub(/\\-/, "-"); print }
    ' "$page" >"$work/$name.c"
    if [ ! -s "$work/$name.c" ]; then
        complain "$page has no example"
        continue
    fi
    count=$((count + 1))
    if ! ${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$root/include" \
        -c -o "$work/$name.o" "$work/$name.c"; then
        complain "the example of $page does not compile"
        continue
    fi
    [ "$run" = yes ] || continue
    mkdir "$work/$name.dir"
    libraries="-lcommitlog -pthread"
    if [ "$name" = commitlog-fault.7 ]; then
        libraries="-lcommitlog-fault $libraries $(pkg-config --silence-errors --libs libpmem)"
    fi
    # shellcheck disable=SC2086 # a list
    ${CC:-cc} -o "$work/$name" "$work/$name.o" -L"$build" $libraries
    status=0
    (cd "$work/$name.dir" && LD_LIBRARY_PATH="$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
        timeout 60 "$work/$name") >"$work/out" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        complain "the example of $page ends with status $status:
$(tail -n 20 "$work/out")"
    fi
    rm -rf "$work/$name.dir"
done

[ "$failed" = 0 ] || exit 1
echo "man-examples: $count examples"
