#!/bin/sh
# man-links.sh - lets `man FUNCTION` find the page of its group.
#
#   tools/man-links.sh DIR      DIR is .../man/man3, where the pages of section 3 are installed
#   tools/man-links.sh --remove DIR
#
# Writes, for every NAME entry that is not the name of its page, a page that includes that one.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
remove=
if [ "${1:-}" = --remove ]; then
    remove=yes
    shift
fi
target=${1:?usage: tools/man-links.sh [--remove] DIR}

for page in "$root"/man/*.3; do
    file=$(basename "$page")
    names=$(awk '/^\.Sh / { inside = $2 == "NAME" } inside && /^\.Nm / { print $2 }' "$page")
    for name in $names; do
        [ "$name.3" = "$file" ] && continue
        if [ -n "$remove" ]; then
            rm -f "$target/$name.3"
        else
            printf '.so man3/%s\n' "$file" >"$target/$name.3"
            chmod 644 "$target/$name.3"
        fi
    done
done
