# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# TAP as scripts/tap reads it. Sourced by scripts/check and scripts/guest-tests.

tests=0

# program NAME COMMAND... - a program that writes TAP itself.
program() {
	local status=0

	echo "#@ begin $1"
	"${@:2}" 2>&1 || status=$?
	echo "#@ end $status"
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
