#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# install.sh - what `make install` makes of BUILD (build/release), as others see it: folders with
# spaces, pkg-config, shared and static, each example by itself, each page by its name, and nothing
# left by uninstall.
# Ends with "checks: N"; exit 1 if one fails.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checks=0
failed=0

expect() { # expect WHAT COMMAND...
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" >"$work/out" 2>&1 && return
    echo "FAIL  $what"
    cat "$work/out"
    failed=1
}

# As built: what is old, or was built with other flags, is of no concern here.
run_make() {
    make -o all B="$build" "$@"
}

fails() {
    ! "$@"
}

no_files_in() {
    [ -z "$(find "$1" ! -type d)" ] || { find "$1" ! -type d; false; }
}

all_can_read() {
    [ -z "$(find "$1" -not -perm -o=r)" ] || { find "$1" -not -perm -o=r | head; false; }
}

nothing_outside() { # of the folder that DESTDIR names
    [ "$(ls "$work")" = "$(printf 'a folder\nout')" ] || { ls "$work"; false; }
}

# Flags as pkg-config says them to a shell: a space within a word has a backslash.
compile() { # compile SOURCE PROGRAM [FLAG...]
    local source=$1 program=$2 flags
    shift 2
    flags=$(pkg-config "$@" commitlog) || return
    case $source in *demo.c) flags="$flags $(pkg-config --cflags --libs jansson)" ;; esac
    eval "${CC:-gcc} -std=c11 -Wall -Wextra -Wpedantic -Werror '$source' $flags -o '$program'"
}

expect 'DESTDIR with a space' run_make install DESTDIR="$work/a folder" PREFIX=/opt/log
expect 'nothing beside it' nothing_outside
expect 'the tool' test -x "$work/a folder/opt/log/bin/commitlog"
expect 'the soname' test "$(readlink "$work/a folder/opt/log/lib/libcommitlog.so")" = \
    libcommitlog.so.0
expect 'uninstall' run_make uninstall DESTDIR="$work/a folder" PREFIX=/opt/log
expect 'nothing is left' no_files_in "$work/a folder"
expect 'uninstall where nothing is' run_make uninstall DESTDIR="$work/nowhere" PREFIX=/opt/log
expect 'a relative PREFIX is refused' fails run_make install DESTDIR="$work/" PREFIX=relative
expect 'and nothing installed' test ! -e "$work/relative"

# In its place, and used.
prefix="$work/a prefix"
umask 077
expect 'PREFIX with a space' run_make install DESTDIR= PREFIX="$prefix"
expect 'for all, whatever the umask' all_can_read "$prefix"
umask 022
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib"
for source in examples/*/*.c; do
    case $source in examples/mini-broker/*) continue ;; esac
    expect "$source from what is installed" compile "$source" "$work/shared" --cflags --libs
done
cd "$work" || exit 1
sources=$OLDPWD
expect 'shared' compile "$sources/examples/hello/hello.c" "$work/hello" --cflags --libs
expect 'it runs' ./hello
rm "$prefix/lib/libcommitlog.so"
expect 'static' compile "$sources/examples/hello/hello.c" "$work/static" --static --cflags --libs
expect 'it needs no library of ours' env -u LD_LIBRARY_PATH ./static
cd "$sources" || exit 1

names_of() { # names_of PAGE: what its NAME section says it is about
    awk '/^\.Sh / { inside = $2 == "NAME" } inside && /^\.Nm / { print $2 }' "$1"
}
for page in man/*.[1-9]; do
    section=${page##*.}
    for name in $(names_of "$page"); do
        expect "man $section $name" test -f "$prefix/share/man/man$section/$name.$section"
    done
done
for page in "$prefix"/share/man/man3/*.3; do
    other=$(sed -n 's/^\.so //p' "$page")
    expect "what $page includes" test -f "$prefix/share/man/${other:-man3/${page##*/}}"
done

expect 'uninstall it' run_make uninstall DESTDIR= PREFIX="$prefix"
expect 'nothing is left of it' no_files_in "$prefix"
echo "checks: $checks"
exit $failed
