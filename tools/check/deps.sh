#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# deps.sh - makes sure that Debian packages are installed: deps.sh PACKAGE...
#
# Nothing missing: nothing happens, quickly. As root, or with a sudo that asks nothing, installs;
# otherwise prints the line to run and fails. Where there is no dpkg, lists what is needed.
set -eu

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "needed (names as in Debian): $*"
    exit 0
fi

missing=
for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $state in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "missing packages; run:  apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi

# One at a time, where make runs several of these at once: apt would refuse.
exec 9<"$0"
flock 9
export DEBIAN_FRONTEND=noninteractive
install_missing() {
    # The lists of words are meant to be split.
    # shellcheck disable=SC2086
    $as_root apt-get install -y --no-install-recommends $missing
}
# An image without package lists, or with old ones, needs the update first.
install_missing >/dev/null 2>&1 || {
    $as_root apt-get update
    install_missing
}
