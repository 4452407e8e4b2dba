#!/bin/sh
# gen-ffi.sh - writes bindings/ffi/commitlog_ffi.h: the public header without directives,
# attributes and comments, one declaration at a time, for cffi, LuaJIT, bindgen and their like.
#
#   tools/gen-ffi.sh           rewrites the file
#   tools/gen-ffi.sh --check   compares it with the header, changes nothing; exit 1 if they differ
#
# The C preprocessor does the work with no predefined names (so that neither the attributes nor
# the C++ parts survive); the layout is made here, because compilers disagree about blank space.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
header=$root/include/commitlog.h
target=$root/bindings/ffi/commitlog_ffi.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

generate() {
    printf '%s\n' \
        '/* Generated from include/commitlog.h by tools/gen-ffi.sh: change that one, not this.' \
        ' * Needs the types of <stddef.h> and <stdint.h>: size_t, int32_t, uint32_t, int64_t,' \
        ' * uint64_t.' \
        ' * SPDX-License-Identifier: BSD-2-Clause */'
    sed '/^#[[:space:]]*include/d' "$header" | "${CC:-cc}" -E -P -undef -x c - |
        tr -s '[:space:]' ' ' | awk '
        # One declaration a line at the top, one member or constant a line inside braces.
        {
            depth = 0; line = ""; parens = 0
            n = length($0)
            for (i = 1; i <= n; i++) {
                c = substr($0, i, 1)
                if (c == " " && line == "") continue
                line = line c
                if (c == "(") parens++
                else if (c == ")") parens--
                else if (c == "{") { put(line); line = ""; depth++ }
                else if (c == "}" || (depth > 0 && (c == ";" ||
                         (c == "," && parens == 0 && !member)))) {
                    if (c == "}") {
                        rest = substr(line, 1, length(line) - 1)
                        if (rest !~ /^ *$/) put(rest)
                        depth--; line = "}"
                    } else { put(line); line = "" }
                } else if (depth == 0 && c == ";") { put(line); line = "" }
            }
        }
        function put(text,    k, indent) {
            sub(/ +$/, "", text)
            gsub(/[(] /, "(", text)
            if (text ~ /^struct .*[{]$/) member = 1
            else if (text ~ /^enum.*[{]$/) member = 0
            for (k = 0; k < depth; k++) indent = indent "    "
            print indent text
        }'
}

generate >"$work/ffi.h"
# What was written must still be C, and declare as many functions as the header does.
{ printf '#include <stddef.h>\n#include <stdint.h>\n'; cat "$work/ffi.h"; } >"$work/check.c"
"${CC:-cc}" -std=c99 -pedantic -Wall -Werror -fsyntax-only "$work/check.c"
declared=$(grep -c '^COMMITLOG_API ' "$header")
written=$(grep -c '^[a-z].*commitlog_[a-z_]*(.*);$' "$work/ffi.h")
if [ "$declared" -ne "$written" ]; then
    echo "gen-ffi: $header declares $declared functions, $written were written" >&2
    exit 1
fi

if [ "${1-}" = --check ]; then
    if ! diff -u "$target" "$work/ffi.h"; then
        echo "gen-ffi: bindings/ffi/commitlog_ffi.h is out of step: run tools/gen-ffi.sh" >&2
        exit 1
    fi
else
    mkdir -p "$(dirname "$target")"
    cp "$work/ffi.h" "$target"
    chmod 644 "$target"
fi
