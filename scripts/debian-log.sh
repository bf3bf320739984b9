# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the log of samples/guard must say after a test, and the kernel's trace. Sourced by
# scripts/debian-guest.

guard_log=/run/guard.log
tracing=/sys/kernel/tracing
# The notes of those who change files. As the log, where nobody is asked.
run=/run/load

# handle DIRECTORY - the number of its inode, as the log of the worker has it (ext4).
handle() {
	printf '%08x' "$(stat -c %i "$1")" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'
}

# Of each file that the package has: it was made by another name, opened, written and moved, each of
# which has one POST.
apt_was_asked() {
	local path

	dpkg -L hello | while read -r path; do
		[ ! -f "$path" ] || [ -L "$path" ] || [ ! -s "$path" ] || echo "$(handle "${path%/*}")" "${path##*/}"
	done >/run/files
	echo "files: $(wc -l </run/files)"
	[ "$(wc -l </run/files)" -gt 10 ] || return
	awk '
	FNR == NR { files[$1 "/" $2] = 1; next }
	# Only the number of the inode of a handle.
	function short(name) { return substr(name, 1, 8) substr(name, index(name, "/")) }
	$1 == "pre" { event[$2] = $3; name[$2] = short($6) ($7 == "" ? "" : " " short($7)) }
	$1 == "post" && $4 >= 0 { told[$2]++ }
	END {
		for (cookie in event)
			if (told[cookie] == 1)
				seen[event[cookie] " " name[cookie]]++
		for (file in files) {
			temporary = file ".dpkg-new"
			wanted["CREATE " temporary]
			wanted["OPEN " temporary]
			wanted["MODIFY " temporary]
			wanted["MOVED_FROM+MOVED_TO " temporary " " file]
		}
		for (one in wanted)
			if (!seen[one]) {
				print "missing: " one
				status = 1
			}
		exit status
	}' /run/files $guard_log
}

trace_starts() {
	mountpoint -q $tracing || mount -t tracefs tracefs $tracing
	echo 32768 >$tracing/buffer_size_kb
	echo >$tracing/trace
	echo 1 >$tracing/events/vfs_filter/enable
}

# traced LAST - the kernel's own account of all operations up to a cookie: each is asked about once,
# allowed by the listener, and told once; of a mapping the end is not waited for.
traced() {
	grep -a ' [A-Z+]*MAPPED' $guard_log | cut -d ' ' -f 2 >/run/mapped
	cat $tracing/trace >/run/trace
	awk -v last="$1" '
	function number(what) { return match($0, what "=-?[0-9]+") ? substr($0, RSTART + length(what) + 1, RLENGTH - length(what) - 1) + 0 : "" }
	FILENAME == ARGV[1] { mapped[$1] = 1; next }
	{ cookie = number("cookie") }
	cookie == "" || cookie > last { next }
	/ pre: / { pre[cookie]++ }
	/ answer: / {
		answer[cookie]++
		error[cookie] = number("error")
		if (error[cookie] != 0 && !/by=signal/ || !/by=(listener|signal)/)
			wrong[cookie] = $0
	}
	/ post: / { post[cookie]++ }
	END {
		for (cookie in pre) {
			asked++
			if (pre[cookie] != 1 || answer[cookie] != 1)
				wrong[cookie] = "asked " pre[cookie] ", answered " answer[cookie] + 0
			else if (error[cookie] == 0 && !(cookie in mapped) && post[cookie] != 1)
				wrong[cookie] = "allowed, POST: " post[cookie] + 0
			if (cookie in wrong) {
				if (bad++ < 10)
					print cookie ": " wrong[cookie]
			}
		}
		print "asked: " asked ", wrong: " bad + 0
		exit asked < 1000 || bad
	}' /run/mapped /run/trace
}

trace_is_right() {
	local last status=0

	last=$(tail -n 1 $tracing/trace | sed 's/.*cookie=\([0-9]*\).*/\1/')
	for _ in $(seq 10); do
		status=0
		traced "$last" >/run/traced || status=$?
		[ $status != 0 ] || break
		sleep 1
	done
	cat /run/traced
	grep -h overrun $tracing/per_cpu/cpu*/stats
	! grep -hq 'overrun: [1-9]' $tracing/per_cpu/cpu*/stats || return
	echo 0 >$tracing/events/vfs_filter/enable
	echo >$tracing/trace
	return $status
}

# load_was_asked NUMBER - of each file that the load has made, which are more than so many: each
# operation, by its name, was read before it was allowed.
load_was_asked() {
	[ ! -s $run/failed ] || { cat $run/failed $run/errors; return 1; }
	echo "files: $(cat $run/done-* | wc -l), services started: $(wc -l <$run/spawned)"
	[ "$(cat $run/done-* | wc -l)" -gt "$1" ] || return
	cat $run/done-* | awk '
	FNR == NR { files[$1] = 1; next }
	$1 == "pre" && !seen[$2]++ { name = $6; sub(".*/", "", name); asked[$3 " " name]++ }
	$1 == "post" && told[$2]++ { print "told twice: " $0; status = 1 }
	function expect(event, file, times) {
		if (asked[event " " file] != times) {
			print event " of " file ": " asked[event " " file] + 0 ", not " times
			status = 1
		}
	}
	END {
		for (file in files) {
			expect("CREATE", file, 1)
			expect("OPEN", file, 2)
			expect("MODIFY", file, 2)
		}
		exit status
	}' - $guard_log
}

# Those that passed.
probes_were_asked() {
	sed -n 's/^passed //p' $run/probed | awk '
	FNR == NR { passed[$1] = 1; next }
	$1 == "pre" && $3 == "CREATE" { sub(".*/", "", $6); asked[$6] = 1 }
	END {
		for (name in passed)
			if (!(name in asked)) {
				print "unasked: " name
				status = 1
			}
		exit status
	}' - $guard_log
}
