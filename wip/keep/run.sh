#!/bin/bash
# in the machine: each mutant with the tests that are to fail
cd /run/t
m() { # MUTANT TEST TESTNAME...
	local ko=/vfs-filter/build/mut/$1.ko t=$2 args=; shift 2
	[ -e $ko ] || { echo "-- $ko missing"; return; }
	rmmod vfs_filter || { echo "-- rmmod failed before $ko"; dmesg | tail -3; return; }
	insmod $ko || { echo "-- insmod $ko failed"; return; }
	for n in "$@"; do args+=" -t $n"; done
	echo "== $(basename $ko .ko) $t $*"
	timeout -k 2 60 ./$t $args 2>&1 | grep -aE "^not ok|^# (PASSED|FAILED)|SKIP"
	for p in $(pgrep -x $t); do kill -9 $p; done
}
m clean unprivileged_test without_privileges user_is_exempt
m eperm unprivileged_test without_privileges
m eperm_late unprivileged_test without_privileges
m own descriptor_test received
m own unprivileged_test user_is_exempt
m queue_stays descriptor_test kept_by_a_child exempt_program
m queue_stays unprivileged_test user_is_exempt user_is_exempt_from_sentinel
m no_put_back descriptor_test duplicated queue_is_executed_with never_received
m no_put_back fail_open_test queue_closed
m queue_not_exempt descriptor_test kept_by_a_child exempt_program
m queue_not_exempt unprivileged_test user_is_exempt_from_sentinel
m close_allows fail_open_test closed
m ask_allows fail_open_test closed_meanwhile
m ask_allows unprivileged_test user_is_exempt_from_sentinel
m full fail_open_test queue_full
m onemark fail_open_test mark_removed_meanwhile
m nomarks_wait fail_open_test mark_removed_while_it_waits
m one_group fail_open_test mark_of_first_removed other_group_closed_meanwhile
m queue_close_answers fail_open_test queue_closed
m queue_close_answers descriptor_test duplicated
m pid_global namespace_test reader listener
m owner_global namespace_test owner listener
m owner_current namespace_test owner listener
m no_cgroups enforce_test exempt
m pre_passes reach_test names_beside
m pre_passes enforce_test hard_links other_mounts opened_before by_handle exempt kernel root
m pre_passes namespace_test asked mounts marked_elsewhere writer
m killed_allows interrupt_test killed killed_while_stopped answered_and_killed
m killed_read interrupt_test killed
m killed_unread interrupt_test killed
m killed_unread interrupt_freezer_test killed_while_frozen
m killed_unread interrupt_tracer_test killed_while_traced killed_with_its_tracer
m interruptible interrupt_test stopped handled continued_while_it_waits
m interruptible interrupt_freezer_test frozen
m interruptible interrupt_tracer_test attached interrupted_by_tracer single_stepped tracer_killed
m killable interrupt_freezer_test frozen thawed_while_it_waits
m wakes interrupt_test stopped handled
rmmod vfs_filter; insmod /vfs-filter/build/module-plain/vfs_filter.ko
