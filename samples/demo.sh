#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The demonstration: `make demo` runs this as root in the virtual machine, with
# the module loaded. It says what it is about to do, does it, and checks that
# what it said is what happened, so it is a test too: it fails if anything did
# not.
#
# VFS_FILTER_BUILD is the absolute path of the project's build folder.
#
# Each line begins with who prints it: `demo` is this script, `shell` the
# workload with its output, `watch` the listener, samples/watch.
set -eu

watch=${VFS_FILTER_BUILD:?is not set}/samples/release/watch
scratch=$(mktemp -d /tmp/vfs-filter-demo.XXXXXX)
log=$scratch/log	# What the listener printed.
out=$scratch/out	# What the last command of the workload printed.
mnt=$scratch/mnt
watch_pid=
seen=0		# Lines of the log that belong to earlier steps.

clean_up() {
	trap - EXIT
	[ -z "$watch_pid" ] || kill "$watch_pid" 2>/dev/null || true
	wait
	cd /
	umount "$mnt" 2>/dev/null || true
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
	printf 'demo  | %s\n' "$@"
}

fail() {
	[ ! -s "$out" ] || show_output
	say "FAILED: $1"
	exit 1
}

title() {
	printf '\n'
	say "$@"
	seen=$(wc -l <"$log")
}

# print_and_log: the listener's lines as they come, to the terminal and the log.
print_and_log() {
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$log"
		printf 'watch | %s\n' "$line"
	done
}

# run COMMAND: shows a command as it would be typed, and runs it. Its status is
# then in $status, its process in $pid, what it printed in $out.
run() {
	printf 'shell | $ %s\n' "$1"
	(
		# A file that grows past its limit is an error to show, no death.
		trap '' XFSZ
		eval "exec $1"
	) >"$out" 2>&1 &
	pid=$!
	status=0
	wait "$pid" || status=$?
}

show_output() {
	sed 's/^/shell | /' "$out"
}

# log_line PATTERN: prints the first line of this step that matches, if any.
log_line() {
	tail -n "+$((seen + 1))" "$log" | grep -E -m 1 -e "$1"
}

# expect PATTERN: waits for the listener to print such a line in this step.
expect() {
	tries=0
	until log_line "$1" >"$scratch/line"; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || fail "the listener never printed: $1"
		! grep -q '^watch: ' "$log" || fail 'the listener has ended'
		sleep 0.1
	done
	read -r line <"$scratch/line"
}

# expect_pre FILE BYTES COMMAND: a PRE of the command just run; its cookie is
# then in $cookie.
expect_pre() {
	expect "^PRE +#[0-9]+ +$1 +$2 +by $3 \(pid $pid\)$"
	cookie=${line#*#}
	cookie=${cookie%% *}
}

expect_answer() {
	expect "^ANSWER #$cookie +$1$"
}

expect_post() {
	expect "^POST +#$cookie +$1 +$2, [0-9.]+ ms after PRE$"
}

expect_silence() {
	! log_line "$1" >/dev/null || fail "the listener printed: $1"
}

# start_watch OPTION...: a listener on the tree, ready.
start_watch() {
	seen=$(wc -l <"$log")
	printf 'shell | $ watch %s tree &\n' "$*"
	print_and_log <"$scratch/pipe" &
	"$watch" "$@" tree >"$scratch/pipe" 2>&1 &
	watch_pid=$!
	expect '^watching, marks: 3$'
}

stop_watch() {
	kill -TERM "$watch_pid"
	status=0
	wait "$watch_pid" || status=$?
	[ "$status" -eq 0 ] || fail "the listener ended with status $status"
	wait
	watch_pid=
	log_line '^ended: ' >/dev/null || fail 'the listener did not end as it should'
}

set_up() {
	[ -x "$watch" ] || fail "$watch is not built"
	: >"$log"
	: >"$out"
	title 'An ext4 of 16 MB on a loop device, with a directory tree to watch.'
	mkdir "$mnt"
	mkfifo "$scratch/pipe"
	truncate -s 16M "$scratch/disk"
	mkfs.ext4 -q -m 0 "$scratch/disk"
	mount -o loop "$scratch/disk" "$mnt"
	cd "$mnt"
	mkdir -p tree/docs tree/private
	echo 'signed and sealed' >tree/private/contract.locked
	start_watch --deny '*.locked'
}

show_a_write() {
	title 'A write. The task waits at PRE until the listener has answered; POST has' \
		'the result of the system call.'
	run 'dd status=none if=/dev/zero of=tree/docs/report bs=4096 count=1 seek=2'
	[ "$status" -eq 0 ] || fail 'dd failed'
	expect_pre tree/docs/report 'bytes 8192\.\.12288 \(4096\)' dd
	expect_answer allow
	expect_post tree/docs/report '4096 bytes written'

	title 'Where an appended write will land is not known before it is done.'
	run "sh -c 'echo more >>tree/docs/report'"
	[ "$status" -eq 0 ] || fail 'echo failed'
	expect_pre tree/docs/report 'at the end \(append\)' sh
	expect_answer allow
	expect_post tree/docs/report '5 bytes written'
}

# state FILE: all that a write would change, on one line.
state() {
	stat -c '%s bytes, modified %y' "$1" | tr '\n' ' '
	sha256sum <"$1"
}

show_a_denial() {
	title 'A write that the listener denies. The file before:'
	before=$(state tree/private/contract.locked)
	say "$before"
	run 'dd status=none if=/dev/zero of=tree/private/contract.locked bs=8 count=1 conv=notrunc'
	[ "$status" -ne 0 ] || fail 'dd succeeded'
	grep -q 'Operation not permitted' "$out" || fail 'dd failed for another reason'
	expect_pre tree/private/contract.locked 'bytes 0\.\.8 \(8\)' dd
	expect_answer 'deny with EPERM'
	show_output
	say 'And after:'
	after=$(state tree/private/contract.locked)
	say "$after"
	[ "$before" = "$after" ] || fail 'the file has changed'
	denied=$cookie
}

show_true_results() {
	title 'A write that is cut short: the file may not grow past 1024 bytes.' \
		'What dd then tries for the rest fails.'
	run 'prlimit --fsize=1024 dd status=none if=/dev/zero of=tree/docs/limited bs=4096 count=1'
	expect_pre tree/docs/limited 'bytes 0\.\.4096 \(4096\)' dd
	expect_answer allow
	expect_post tree/docs/limited '1024 bytes written'
	expect_pre tree/docs/limited 'bytes 1024\.\.4096 \(3072\)' dd
	expect_answer allow
	expect_post tree/docs/limited 'failed, EFBIG .*'
	show_output
	expect_silence "^POST +#$denied "

	title 'A write that the disk has no room for.'
	run 'fallocate -l 12M filler'
	[ "$status" -eq 0 ] || fail 'fallocate failed'
	run 'dd status=none if=/dev/zero of=tree/docs/huge bs=4M count=1'
	[ "$status" -ne 0 ] || fail 'dd succeeded'
	expect_pre tree/docs/huge 'bytes 0\.\.4194304 \(4194304\)' dd
	expect_answer allow
	expect '^POST +#[0-9]+ +tree/docs/huge +failed, ENOSPC '
	show_output
	rm filler tree/docs/huge
	sync
}

# write_once FILE: one write of 100 bytes.
write_once() {
	run "dd status=none if=/dev/zero of=$1 bs=100 count=1 conv=notrunc"
	[ "$status" -eq 0 ] || fail 'dd failed'
}

# expect_first_write FILE: one write, reported, after which the file is ignored.
expect_first_write() {
	write_once "$1"
	expect_pre "$1" 'bytes 0\.\.100 \(100\)' dd
	expect_answer 'allow, and ignore this file from now on'
	expect_post "$1" '100 bytes written'
}

show_a_checkpoint() {
	title 'Checkpoints. This listener asks about each file once, say to save what was' \
		'in it, and then ignores it with an evictable ignore mark.'
	stop_watch
	start_watch --ignore-after-first
	expect_first_write tree/docs/ledger

	title 'Later writes to that file neither wait nor show; those to another file do.'
	write_once tree/docs/ledger
	write_once tree/docs/ledger
	expect_first_write tree/docs/other
	expect_silence tree/docs/ledger

	title 'A checkpoint: the ignore marks are dropped, with FAN_MARK_SYNC. When that has' \
		'returned, the next write is reported again, whoever it is by.'
	printf 'shell | $ kill -USR1 %s\n' "$watch_pid"
	kill -USR1 "$watch_pid"
	expect '^CHECKPOINT ignore marks dropped: 2, in effect after [0-9.]+ ms$'
	expect_first_write tree/docs/ledger

	title 'The listener is told to end.'
	stop_watch
}

set_up
show_a_write
show_a_denial
show_true_results
show_a_checkpoint

printf '\n'
say 'Shown: writes asked about before they happen, with file, bytes and task; one' \
	'of them denied, and its file unchanged; the true result of each other, full,' \
	'short or failed; files ignored after their first change, and reported again' \
	'after a checkpoint with FAN_MARK_SYNC.' \
	'' \
	'For a root shell in this machine: make vm. There, to watch a folder of yours:' \
	"  $watch FOLDER &"
