#!/bin/bash
cd /work/s3; log=$1
cmds='mkdir -p /run/t; cp -r /vfs-filter/build/s3/t/* /run/t; cd /run/t; dmesg -C; run() { echo "=== $*"; timeout -k 5 200 ./$*; echo "=== status $?"; }
run takeover_test
dmesg | grep -nE "WARNING:|BUG:|Oops|Call Trace|panicked" | head -20
rmmod vfs_filter && insmod ./mutant1.ko && echo MUTANT 1 && run takeover_test
if [ -e mutant2.ko ]; then rmmod vfs_filter; insmod ./mutant2.ko && echo MUTANT 2 && run "queue_test -t queue.served" && run "queue_test -t queue.closed"; fi'
/tmp/tools/slot timeout -k 10 560 scripts/vm --kernel plain --cpus 1 --console /work/s3/build/log/q.log "$cmds" </dev/null >$log 2>&1
echo status $? >>$log; date >>$log
