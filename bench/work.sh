#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# work.sh [OPTION...] BIN_DIR DIR - what real work costs, with the change journal of
# samples/journal and without, in executed instructions. Called by scripts/bench-guest in
# the machine of scripts/vm --icount.
#
#	--states LIST	of journal_off and journal_on; both by default
#	--ops LIST	of untar, git_status, git_checkout, compile, stress_ng, sqlite
#	--samples N	for each figure, 3 by default
#
# BIN_DIR has timed and what bench/work-data makes; DIR is any folder, a file system is
# mounted over it meanwhile, for this script alone. The journal is the one of
# $VFS_FILTER_BUILD. A figure is of one run of a command and the sync of the file system after
# it, the work of the journal and of kernel threads included.
#
# The same each time: all samples begin with the same ext4 file system, to the byte, a copy of
# an image in memory, just mounted. The journal has just begun a period, so nothing is ignored
# yet: each object that is changed is asked about, and on disk in the journal before. That is
# the most that a journal costs; the rest of a period is less.
#
# No waiting is counted. In that machine the clock jumps to the next timer when nothing can
# run. Reasons to wait are kept away: what runs is in memory in a root of its own, for the
# machine's files are the host's, and to wait for the host is to wait; tables of inodes are
# not initialised later; what waits for the journal waits for work that is under way. What is
# left (a stressor that sleeps, a writer that is made to wait for writeback) is measured by
# bench/timed.c and subtracted; a remark says how much that was.
#
# fsstress, which issue 5 names, is not in Debian: these are stressors of stress-ng that
# are for file systems, each for a fixed number of operations.

set -euo pipefail
shopt -s inherit_errexit

die() {
	echo "work.sh: $*" >&2
	exit 1
}

arguments=("$@")
samples=3
states=journal_off,journal_on
ops=untar,git_status,git_checkout,compile,stress_ng,sqlite
while [[ ${1:-} = --* ]]; do
	case $1 in
	--samples) samples=$2 && shift ;;
	--states) states=$2 && shift ;;
	--ops) ops=$2 && shift ;;
	--help)
		sed -n '4,/^$/s/^# \?//p' "$0"
		exit
		;;
	*) die "no option $1; see --help" ;;
	esac
	shift
done
[ $# = 2 ] || die "needs BIN_DIR and DIR; see --help"

# Mounts are for this script, and gone with it.
if [ -z "${WORK_MOUNTS:-}" ]; then
	export WORK_MOUNTS=1
	exec unshare --mount -- "$0" "${arguments[@]}"
fi

bin=$(cd "$1" && pwd)
dir=$(cd "$2" && pwd)
: "${VFS_FILTER_BUILD:=$(cd "$(dirname "$0")/.." && pwd)/build}"

memory=$dir
root=$memory/root
fs=$root/fs
environment=(env -i PATH=/usr/bin HOME=/ TMPDIR=/tmp LC_ALL=C.UTF-8)
in_root=("${environment[@]}" /usr/sbin/chroot "$root")

# ------------------------- what runs, and on what --------------------------

# bring FILE... - programs and what they are linked to, at the same paths in the new root.
bring() {
	local file libraries

	for file in "$@"; do
		libraries=$(ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true)
		# shellcheck disable=SC2086 # Paths of libraries, one a word.
		(cd / && cp -L --parents $libraries "$file" "$root")
	done
}

# What the compiler is besides its front: itself, the assembler, and headers.
bring_compiler() {
	local headers

	headers=$(cd "$root/src" && gcc -O1 -I. -M ./*.c | grep -o '/[^ ]*' | sort -u)
	bring /usr/bin/gcc "$(gcc -print-prog-name=cc1)" "$(command -v as)"
	# shellcheck disable=SC2086 # Paths of headers, one a word.
	cp -L --parents $headers "$root"
}

make_root() {
	mkdir -p "$root"/{etc,proc,sys,dev,tmp,fs,src,usr/bin,usr/lib,usr/lib64}
	for link in bin lib lib64; do
		ln -s "usr/$link" "$root/$link"
	done
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	cp "$bin/work.tar" "$root"
	tar -x --strip-components=3 -f "$bin/work-src.tar" -C "$root/src"
	bring /usr/bin/{dash,tar,git,stress-ng,sqlite3,mkdir,rm}
	bring_compiler
	ln -s dash "$root/usr/bin/sh"
	bring "$VFS_FILTER_BUILD/samples/release/journal" "$bin/timed"
	mv "$root$VFS_FILTER_BUILD/samples/release/journal" "$root$bin/timed" "$root/usr/bin"
	for mode in wal delete; do
		insert 2000 $mode >"$root/tmp/$mode.sql"
	done
}

# Each insert is a transaction of its own, and durable when it is done.
insert() { # NUMBER JOURNAL_MODE
	echo "PRAGMA journal_mode=$2; PRAGMA synchronous=FULL;"
	echo "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);"
	for ((i = 0; i < $1; i++)); do
		echo "INSERT INTO t VALUES($i, 'the name of row $i', $((i * 7919 % 10007)));"
	done
}

mount_image() {
	mount -t ext4 -o loop "$memory/$1" "$fs"
}

# Nothing in it depends on when it is made, nor is anything left to be done later.
make_image() {
	local uuid=5ca1ab1e-0000-4000-8000-0000000f1150

	truncate -s 1G "$memory/image"
	mkfs.ext4 -q -U $uuid -E lazy_itable_init=0,lazy_journal_init=0,hash_seed=$uuid "$memory/image"
	mount_image image
	mkdir "$fs/repo" "$fs/tree" "$fs/src" "$fs/stress" "$fs/sqlite"
	tar -x -f "$bin/work-repo.tar" -C "$fs/repo"
	"${in_root[@]}" git -C /fs/repo checkout -q before
	cp "$root"/src/* "$fs/src"
	umount "$fs"
}

# ------------------------------- the journal -------------------------------

journal=

start_journal() {
	local listed period

	"${in_root[@]}" journal run /fs /fs/.journal >"$memory/journal.log" 2>&1 &
	journal=$!
	for _ in $(seq 200); do
		[ ! -S "$fs/.journal/socket" ] || break
		kill -0 $journal 2>/dev/null || die "the journal does not start: $(cat "$memory/journal.log")"
		sleep 0.05
	done
	# The first period says that everything may have changed. What is measured is the next.
	listed=$("${in_root[@]}" journal checkpoint /fs/.journal)
	period=$(sed -n 's/^period \([0-9]*\) sealed.*/\1/p' <<<"$listed" | tail -n 1)
	[ -n "$period" ] || die "the journal seals no period: $listed"
	"${in_root[@]}" journal consume /fs/.journal "$period"
}

# It has to have run all the time, and to have seen what it is there to see.
stop_journal() { # OP
	local listed

	listed=$("${in_root[@]}" journal list /fs/.journal) || die "the journal has ended: $(cat "$memory/journal.log")"
	echo "# $1: the journal lists $(grep -c '^object' <<<"$listed" || true) objects," \
		"$(grep -c '^entry' <<<"$listed" || true) entries"
	kill $journal
	wait $journal || die "the journal: $(cat "$memory/journal.log")"
	journal=
}

# -------------------------------- the work ---------------------------------

# Which, and how many operations of each. All at once, for one after the other takes as many
# starts of stress-ng, which are no work of a file system.
stressors=(chmod:200 dentry:2000 dir:1000 filename:300 hdd:100 link:1 metamix:10 rename:2000
	symlink:1 touch:1000 utime:1000)

run_stressors() {
	work=(stress-ng --quiet --no-rand-seed --temp-path . --timeout 0)
	for stressor in "${stressors[@]}"; do
		work+=("--${stressor%:*}" 1 "--${stressor%:*}-ops" "${stressor#*:}")
	done
}

# prepare OP - what is not measured: files that are read come to the page cache.
prepare() {
	case $1 in
	git_*) "${in_root[@]}" git -C /fs/repo status --porcelain ;;
	esac
}

# work_of OP - sets work, a command that ends with status 0, and where it runs.
# shellcheck disable=SC2016 # Expanded by the inner shell.
work_of() {
	case $1 in
	untar)
		work_dir=/fs/tree
		work=(tar -xf /work.tar)
		;;
	git_status)
		work_dir=/fs/repo
		work=(sh -ec 'for i in 0 1 2 3 4 5 6 7 8 9; do git status --porcelain; done')
		;;
	git_checkout)
		work_dir=/fs/repo
		work=(git checkout -q after)
		;;
	compile)
		work_dir=/fs/src
		work=(sh -ec 'for file in *.c; do gcc -O1 -I. -pipe -c $file; done')
		;;
	stress_ng)
		work_dir=/fs/stress
		run_stressors
		;;
	sqlite)
		work_dir=/fs/sqlite
		work=(sh -ec 'for mode in wal delete; do sqlite3 $mode.db </tmp/$mode.sql >/dev/null; done')
		;;
	*) die "no op $1; see --help" ;;
	esac
}

declare -A figures waited

sample() { # STATE OP
	local result work work_dir

	cp --sparse=always "$memory/image" "$memory/sample"
	mount_image sample
	prepare "$2" >"$memory/output"
	[ "$1" = journal_off ] || start_journal
	work_of "$2"
	"${environment[@]}" "$root/usr/bin/timed" "$root" "$work_dir" "$memory/result" "${work[@]}" \
		>"$memory/output" 2>&1 ||
		die "$1 $2: $(tail -n 20 "$memory/output")"
	[ "$1" = journal_off ] || stop_journal "$2"
	umount "$fs"
	read -ra result <"$memory/result"
	figures[$1 $2]+=${figures[$1 $2]:+ }${result[0]}
	waited[$1 $2]+=" ${result[1]}"
}

for op in ${ops//,/ }; do
	work_of "$op"
done
for state in ${states//,/ }; do
	[[ $state = journal_o@(n|ff) ]] || die "no state $state; see --help"
done

mount -t tmpfs -o size=90% work "$memory"
make_root
make_image
for op in ${ops//,/ }; do
	for state in ${states//,/ }; do
		for _ in $(seq "$samples"); do
			sample "$state" "$op"
		done
		printf '%s\t%s\tinstructions\t%s\n' "$state" "$op" "${figures[$state $op]}"
		echo "# $state $op: waited, and not counted, ns:${waited[$state $op]}"
	done
done
