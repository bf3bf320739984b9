#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The supervisor of samples/ with watch as its listener: a listener that is killed is
# started again, and who waited for it is asked about; one whose supervisor is killed
# goes on; and when both are, what they had marked is closed until others come. Writes
# TAP; scripts/guest-tests runs it. How it is under load is in supervisor_test.
#
# VFS_FILTER_BUILD is the project's build folder.

bin=${VFS_FILTER_BUILD:-/nonexistent}/samples/release
if ! [ -x "$bin/supervise" ] || ! [ -x "$bin/watch" ]; then
	echo "1..0 # SKIP $bin/supervise is not built"
	exit 4
fi
sentinels=/sys/fs/fanotify/vfs_filter
dir=$(mktemp -d) && cd "$dir" || exit 1
cp "$bin/supervise" "$bin/watch" . || exit 1
supervisor='' listener=''

lift_all() {
	while read -r id _; do
		echo "$id" >$sentinels/lift
	done 2>/dev/null <$sentinels/sentinels
}

clean_up() {
	kill -9 ${supervisor:+"$supervisor"} ${listener:+"$listener"} 2>/dev/null
	wait 2>/dev/null
	lift_all
	cd /
	umount "$dir/fs" 2>/dev/null
	rm -r "$dir"
}
trap clean_up EXIT
mkdir fs
mount -t tmpfs supervise fs || exit 1
touch fs/file

tests=0
result() { # COMMAND...
	tests=$((tests + 1))
	if "$@" >out 2>&1; then
		echo "ok $tests ${*//_/ }"
		return
	fi
	echo "not ok $tests ${*//_/ }"
	tail -n 12 out log | sed 's/^/# /'
}

# until_true COMMAND... - waits for it, at most as long as a machine may take that is busy.
until_true() {
	local until=$((SECONDS + 40))

	until "$@"; do
		[ $SECONDS -lt $until ] || return
		sleep 0.05
	done
}

# says COUNT PATTERN - has the listener, in all its lives, said this so often?
says() {
	[ "$(grep -c "$2" log)" = "$1" ]
}

new_listener() {
	local before=$listener

	# A line without an end, for which read fails.
	read -r listener _ <"/proc/$supervisor/task/$supervisor/children"
	[ -n "$listener" ] && [ "$listener" != "$before" ]
}

# start OPTION... - a supervisor with a listener that is ready.
start() {
	: >log
	./supervise "$@" --watch fs -- ./watch --queue {} fs >>log 2>&1 &
	supervisor=$!
	until_true says 1 'watching, by a queue' && until_true new_listener
}

waits() { # PROCESS
	[ "$(cat "/proc/$1/wchan" 2>/dev/null)" = fsnotify_op_wait ]
}

write=(dd if=/dev/zero of=fs/file bs=1 count=1 conv=notrunc status=none)
write() {
	"${write[@]}"
}

a_listener_that_is_killed_is_started_again() {
	local writer

	start && write && says 1 'POST.*1 bytes written' || return
	kill -STOP "$listener"
	"${write[@]}" &
	writer=$!
	until_true waits $writer && kill -9 "$listener" && until_true new_listener &&
		wait $writer && until_true says 2 'POST.*1 bytes written'
}

it_goes_on_without_its_supervisor() {
	kill -9 "$supervisor"
	wait "$supervisor"
	write && until_true says 3 'POST.*1 bytes written' && kill -9 "$listener" && write
}

is_sentinel() {
	grep -q . $sentinels/sentinels
}

closed() {
	is_sentinel && ! write
}

what_fails_closed_is_closed_until_another_comes() {
	start --fail-closed && write || return
	kill -9 "$supervisor" "$listener"
	until_true closed && write 2>&1 | grep 'Input/output error' &&
		start --fail-closed && ! is_sentinel && write &&
		until_true says 1 'POST.*1 bytes written'
}

a_listener_that_ends_ends_its_supervisor() {
	kill "$listener"
	wait "$supervisor" && says 1 '^ended: 1 PRE'
}

echo "TAP version 13"
result a_listener_that_is_killed_is_started_again
result it_goes_on_without_its_supervisor
result what_fails_closed_is_closed_until_another_comes
result a_listener_that_ends_ends_its_supervisor
echo "1..$tests"
