# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# TAP as scripts/tap reads it. Sourced by what makes it: scripts/run-tests, check, models,
# bench and guest-tests.

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
