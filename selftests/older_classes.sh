#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The older interfaces, by the programs people use them with: what fatrace,
# inotifywait and fsnotifywait see of a file's life must not depend on the series,
# on the module, or on a listener of its class. Writes TAP; scripts/guest-tests
# runs it with the programs beside it.
#
# VFS_FILTER_BUILD is the project's build folder; without samples/watch in it, the
# part with a listener is skipped.

watch=${VFS_FILTER_BUILD:-/nonexistent}/samples/release/watch
dir=$(mktemp -d) && mount -t tmpfs older_classes "$dir" && cd "$dir" || exit 1
log=$(mktemp)
trap 'cd /; umount "$dir"; rm -r "$dir" "$log"' EXIT

tests=0
result() { # OUTCOME NAME
	tests=$((tests + 1))
	echo "${1}ok $tests $2"
}

# until_true COMMAND... - waits for it, some seconds at most.
until_true() {
	for _ in $(seq 50); do
		"$@" && return
		sleep 0.1
	done
	return 1
}

is_watching() { # PROCESS
	grep -qsE '^(inotify wd|fanotify (ino|mnt|sdev))' "/proc/$1"/fdinfo/*
}

workload() {
	echo data >file
	cat file
	mv file other
	rm other
}

# sees NAME LINES COMMAND... - runs a watcher on the workload; it must write a line
# for each pattern in LINES.
sees() {
	local name=$1 lines=$2 line pid missing=

	shift 2
	if ! command -v "$1" >/dev/null; then
		result "" "$name # SKIP $1 is not installed"
		return
	fi
	"$@" >"$log" 2>&1 &
	pid=$!
	until_true is_watching $pid && workload >/dev/null
	while read -r line; do
		until_true grep -qE "$line" "$log" || missing="$missing '$line'"
	done <<<"$lines"
	kill $pid
	wait $pid 2>/dev/null
	if [ -z "$missing" ]; then
		result "" "$name"
	else
		result "not " "$name"
		echo "# not seen:$missing; but this:"
		sed 's/^/# /' "$log"
	fi
}

# Events that were merged are on one line.
of_directory='CREATE.* file$
OPEN.* file$
MODIFY.* file$
CLOSE_WRITE.* file$
ACCESS.* file$
MOVED_FROM.* file$
MOVED_TO.* other$
DELETE.* other$'
of_mount='\): +[A-Z]*W[A-Z]* +.*/file$
^cat\(.*\): +[A-Z]*R[A-Z]* +.*/file$'

all() { # WHEN
	sees "inotifywait $1" "$of_directory" inotifywait -m .
	sees "fsnotifywait $1" "$of_directory" fsnotifywait -m .
	sees "fatrace $1" "$of_mount" fatrace --current-mount
}

all "without a listener of the class"

"$watch" --mark filesystem . >/dev/null 2>&1 &
watcher=$!
if until_true is_watching $watcher; then
	all "beside a listener of the class"
else
	result "" "beside a listener of the class # SKIP $watch does not run"
fi
kill $watcher 2>/dev/null
wait $watcher 2>/dev/null
echo "1..$tests"
