#!/bin/sh
# man-pages.sh - the pages of section 3 agree with the public header, and all pages are clean.
#
#   1. every public function is a NAME entry of exactly one page
#   2. the SYNOPSIS of that page declares it as the header does
#   3. the page has RETURN VALUES, ERRORS, THREADS, LIFETIME and EXAMPLES
#   4. every .Xr to one of our pages leads to a page or a function
#   5. mandoc -T lint has nothing to say, nor has groff (skipped, and said so, where there is none)
#
# The header is taken from bindings/ffi/commitlog_ffi.h, which tools/gen-ffi.sh keeps equal to it.
set -eu
export LC_ALL=C

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
    echo "man-pages: $1" >&2
    failed=1
}

grep '^[a-z].*commitlog_[a-z_]*(.*);$' bindings/ffi/commitlog_ffi.h | sort >"$work/header"
sed 's/.*[ *]\(commitlog_[a-z_]*\)(.*/\1/' "$work/header" | sort >"$work/functions"

# Names and prototypes of all pages; a name is that of a page too.
awk '
    FNR == 1 { section = "" }
    /^\.Sh / { section = substr($0, 5) }
    section == "NAME" && /^\.Nm / { print $2 > names; next }
    section != "SYNOPSIS" { next }
    /^\.Ft / { type = substr($0, 5); gsub(/"/, "", type); next }
    /^\.Fo / { function_name = $2; arguments = ""; next }
    /^\.Fa / {
        argument = substr($0, 5); gsub(/"/, "", argument)
        arguments = arguments (arguments == "" ? "" : ", ") argument; next
    }
    /^\.Fc/ {
        print type (type ~ /\*$/ ? "" : " ") function_name "(" arguments ");" > prototypes
    }' names="$work/names.raw" prototypes="$work/prototypes.raw" man/*.3
sort "$work/names.raw" >"$work/names"
sort "$work/prototypes.raw" >"$work/prototypes"

for name in $(uniq -d "$work/names"); do
    complain "$name is a NAME entry of more than one page"
done
sort -u "$work/names" | diff - "$work/functions" >"$work/diff" ||
    complain "NAME entries (<) and functions of the header (>) differ:
$(grep '^[<>]' "$work/diff")"
diff "$work/prototypes" "$work/header" >"$work/diff" ||
    complain "SYNOPSIS (<) and header (>) differ:
$(grep '^[<>]' "$work/diff")"

for page in man/*.3; do
    for section in 'RETURN VALUES' ERRORS THREADS LIFETIME EXAMPLES; do
        grep -q "^\.Sh $section\$" "$page" || complain "$page has no section $section"
    done
done

for page in man/*.[1-9]; do
    sed -n 's/^\.Xr \(commitlog[a-z_-]*\) \([0-9]\).*/\1.\2/p' "$page" | sort -u >"$work/targets"
    while read -r target; do
        [ -e "man/$target" ] || grep -qx "${target%.3}" "$work/functions" ||
            complain "$page refers to $target, which is nowhere"
    done <"$work/targets"
done

# What is not ours (fork(2), poll(2)) may not be installed here: no reason to complain.
if command -v mandoc >/dev/null 2>&1; then
    for page in man/*.[1-9]; do
        mandoc -T lint "$page" 2>/dev/null | grep -v 'referenced manual not found' >"$work/lint" ||
            continue
        complain "$page:
$(cat "$work/lint")"
    done
else
    echo "skip: man-pages: no mandoc, pages not linted"
fi

# It takes a word of the text for a macro where mandoc does not.
if command -v groff >/dev/null 2>&1; then
    for page in man/*.[1-9]; do
        groff -mdoc -Tascii "$page" 2>&1 >/dev/null | grep -v "can't break line" >"$work/lint" ||
            continue
        complain "$page:
$(cat "$work/lint")"
    done
else
    echo "skip: man-pages: no groff, pages not set by it"
fi

[ "$failed" = 0 ] || exit 1
echo "man-pages: $(wc -l <"$work/functions") functions, $(ls man/*.[1-9] | wc -l) pages"
