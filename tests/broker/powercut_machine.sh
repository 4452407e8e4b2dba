#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# powercut_machine.sh FILE-SYSTEM - the machine of tests/powercut, told by lines what happens to it.
#
#   slow       a flush takes 20 ms from now on, until the power is back
#   cut        the power goes, at a moment and in a way that SEED draws; nothing may run afterwards
#   drop       the power goes at once, and with it the whole cache of the disk
#   back       the power is back, and the file system mounted again, when nothing runs any more
#   keep FILE  a copy of what the disk has
#
# It says "ready MNT", then "done WHAT" for each line; programs are to be run in its mount
# namespace, with their data in MNT. End of input ends it, and leaves nothing. What is missing here
# is said as the power cuts say it ("skip: powercut: WHY"). Environment: SEED, BUILD, ALLOW_SKIP.
set -u
. "$(dirname "$0")/../powercut/machine.sh"

failed() {
    echo "failed $1"
    exit 1
}

machine_enter "$1" "$@"
RANDOM=$((seed % 32768))
what=
total_cuts=0
disk_new "$1"
boot
echo "ready $mnt"
while read -r line; do
    case $line in
    slow) ctl "slow 20" || failed "the disk cannot be slow" ;;
    cut) cut_while_it_runs ;;
    drop) ctl "cut drop" && what="cut drop" ;;
    back) power_back ;;
    keep\ *) cp --sparse=always "$work/platter" "${line#keep }" ;;
    *) failed "no such line: $line" ;;
    esac
    echo "done $what"
done
