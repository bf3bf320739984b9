# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# TAP as scripts/tap reads it, and whether a kernel under test is well. Sourced by what makes
# it: scripts/run-tests, check, models, bench, guest-tests, load-test and fuzz-guest.

tests=0

# program NAME COMMAND... - a program that writes TAP itself.
program() {
	local status=0

	echo "#@ begin $1"
	"${@:2}" 2>&1 || status=$?
	echo "#@ end $status"
}

# once NAME KEY COMMAND... - a program the result of which depends on nothing but what the
# word KEY stands for: if it has passed before, that is shown again.
once() {
	local passed=$cache/passed/$1-$2 tap

	if [ -e "$passed" ]; then
		cat "$passed"
		echo "# $1: passed before, from the same inputs ($passed)"
		return
	fi
	tap=$(mktemp)
	program "$1" "${@:3}" | tee "$tap"
	if ! grep -q '^not ok' "$tap" && grep -q '^#@ end 0$' "$tap"; then
		mkdir -p "$cache/passed"
		cp "$tap" "$passed.$$"
		mv "$passed.$$" "$passed"
	fi
	rm "$tap"
}

# item NAME COMMAND... - a command that is one test; its output is shown if it fails.
item() {
	local log

	tests=$((tests + 1))
	if log=$("${@:2}" 2>&1); then
		echo "ok $tests $1"
		return
	fi
	echo "not ok $tests $1"
	# shellcheck disable=SC2001 # Not a single substitution: one per line.
	sed 's/^/# /' <<<"$log"
}

skip() { # NAME WHY
	tests=$((tests + 1))
	echo "ok $tests $1 # SKIP $2"
}

plan() {
	echo "1..$tests"
}

# What the kernel says when something is wrong.
splat='WARNING:|BUG:|KASAN|KCSAN|UBSAN|INFO: (task|rcu|lockdep|trying)|detected stalls?|soft lockup'
splat+='|possible (circular|recursive|irq|deadlock)|deadlock detected|suspicious RCU|refcount_t:|ODEBUG:'
splat+='|Oops|general protection|panicked at|sleeping function|scheduling while atomic|list_(add|del).* corruption'
splat+='|kmemleak: [1-9][0-9]* new|Call Trace'

no_splat() {
	! dmesg | grep -E -A 40 "$splat"
}

no_module() {
	! grep '^vfs_filter ' /proc/modules || rmmod vfs_filter
}

# A pointer on its way from one place to another is not seen by one scan.
no_leak() {
	local leaks=/sys/kernel/debug/kmemleak

	for _ in 1 2; do
		sleep 6
		echo scan >$leaks
	done
	! grep . $leaks
}

# kernel_is_well - in a virtual machine, at its end, as items: the module goes, and the
# kernel has lost nothing and complains of nothing.
kernel_is_well() {
	item "the module can be removed" no_module
	if [ -e /sys/kernel/debug/kmemleak ]; then
		item "no memory is lost (kmemleak)" no_leak
	fi
	item "the kernel has no complaint (dmesg)" no_splat
}
