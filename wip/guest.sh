# in the guest: the module as it is, then the mutants
mkdir -p /run/t; cp /vfs-filter/build/test/s8/* /run/t; cd /run/t
run() { for p in trace_test oldest_test $EXTRA; do echo "=== $1 $p"; timeout -k 5 250 ./$p; echo "=== status $?"; done; }
dmesg -C
if [ -z "$SKIP_GOOD" ]; then export VFS_FILTER_BUILD=/vfs-filter/build/wg; EXTRA=top_test run good; fi
export VFS_FILTER_BUILD=/vfs-filter/build/wm; echo '=== mutant watch'; timeout 250 ./top_test
for m in $MUTANTS; do rmmod vfs_filter || exit 1; insmod /vfs-filter/build/m$m/build/module-plain/vfs_filter.ko && run mutant$m; done
echo '=== dmesg'; dmesg | grep -nE 'WARNING:|BUG:|KASAN|UBSAN|INFO: |possible (circular|recursive|irq|deadlock)|suspicious RCU|refcount_t:|ODEBUG:|Oops|general protection|panicked|Call Trace' | head -20
