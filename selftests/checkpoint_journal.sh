#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The change journal of samples/: several processes change files while checkpoints
# are made and consumed. In the end the reader's copy, which was only ever brought
# up to date from what the journal says, must be what is there. Each of the two
# schemes with POST and with barriers, on tmpfs and ext4. Then what may come between: a
# kill, an umount, a full disk, a subvolume. Writes TAP; scripts/guest-tests runs it. The
# power cuts are in scripts/crash-test.
#
# VFS_FILTER_BUILD is the project's build folder.

bin=${VFS_FILTER_BUILD:-/nonexistent}/samples/release
if ! [ -x "$bin/journal" ] || ! [ -x "$bin/crash" ]; then
	echo "1..0 # SKIP $bin/journal is not built"
	exit 4
fi
dir=$(mktemp -d) && cd "$dir" || exit 1
cp "$bin/journal" "$bin/crash" . || exit 1
clean_up() {
	xargs -r kill -9 <journals 2>/dev/null
	wait
	cd /
	umount "$dir"/{tmpfs,ext4,full,btrfs} 2>/dev/null
	rm -r "$dir"
}
touch journals
trap clean_up EXIT
mkdir tmpfs ext4
truncate -s 64M image
mkfs.ext4 -q image
mount -t tmpfs checkpoint_journal tmpfs || exit 1
mount -o loop image ext4 || exit 1

tests=0
result() { # OUTCOME NAME
	tests=$((tests + 1))
	echo "${1}ok $tests $2"
}

# until_true COMMAND... - waits for it, some seconds at most.
until_true() {
	for _ in $(seq 100); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

# The store is on the file system that is watched, unless $store says where.
store_of() { # FILE-SYSTEM
	echo "${store:-$1/store}"
}

is_ready() { # STORE PROCESS
	[ -S "$1/socket" ] || ! kill -0 "$2" 2>/dev/null
}

# start_journal FILE-SYSTEM OPTION... - its process is in $journal.
start_journal() {
	local fs=$1 place

	shift
	place=$(store_of "$fs")
	rm -f "$place/socket"
	./journal run "$@" "$fs" "$place" >"log-$fs" 2>&1 &
	journal=$!
	echo "$journal" >>journals
	until_true is_ready "$place" "$journal" && [ -S "$place/socket" ]
}

consume() { # FILE-SYSTEM
	./crash consume --checkpoint "$1" "$(store_of "$1")" "copy-$1"
}

check() { # FILE-SYSTEM OPTION...
	./crash check "${@:2}" "$1" "$(store_of "$1")" "copy-$1"
}

# all_there FILE-SYSTEM OPTION... - whether the copy is what is there in the end.
all_there() {
	local fs=$1 work status=0 journal

	shift
	rm -f "copy-$fs"
	start_journal "$fs" "$@" || return
	consume "$fs" || status=1
	# The seed may be any, but the order of events is not drawn by it alone.
	./crash work "$fs/work" --seed $RANDOM --processes 3 --pause 10 --seconds 1 &
	work=$!
	while kill -0 $work 2>/dev/null; do
		consume "$fs" || status=1
		# Without a barrier, what an operation has changed is not known before its POST.
		[[ "$*" = *--post* ]] || check "$fs" --precise || status=1
	done
	wait $work
	consume "$fs" && check "$fs" --exact --precise || status=1
	kill "$journal"
	wait "$journal" || status=1
	return $status
}

in_both() { # NAME COMMAND...
	on "tmpfs ext4" "$@"
}

# on FILE-SYSTEMS NAME COMMAND... - on these at once, each a test.
on() {
	local all=$1 name=$2 fs

	shift 2
	for fs in $all; do
		"$1" "$fs" "${@:2}" >"out-$fs" 2>&1 &
		eval "pid_$fs=$!"
	done
	for fs in $all; do
		pid=pid_$fs
		if wait "${!pid}"; then
			result "" "$name, $fs"
		elif grep -q 'no FAN_MARK_BARRIER' "log-$fs"; then
			result "" "$name, $fs # SKIP no FAN_MARK_BARRIER"
			continue
		else
			result "not " "$name, $fs"
		fi
		sed 's/^/# /' "log-$fs"
		tail -n 12 "out-$fs" | sed 's/^/# /'
	done
}

# Whoever was killed has missed something; who gives his word has not.
after_a_kill() {
	local fs=$1 journal

	rm -rf "copy-$fs" "$fs/store"
	start_journal "$fs" --post && consume "$fs" || return
	echo recorded >"$fs/file"
	kill -9 "$journal"
	wait "$journal"
	start_journal "$fs" --post --no-gap && check "$fs" --precise && consume "$fs" &&
		check "$fs" --exact || return
	kill -9 "$journal"
	wait "$journal"
	echo missed >"$fs/file"
	start_journal "$fs" --post && ./journal list "$fs/store" | grep -x everything &&
		consume "$fs" && check "$fs" --exact --precise || return
	kill "$journal"
	wait "$journal"
}

# Two writes straddle a checkpoint: they are past their PRE, and held by a frozen file
# system. One was asked about, the other ignored.
straddlers() { # FILE-SYSTEM OPTION...
	local fs=$1 status=0 journal store=$PWD/elsewhere writers=() process

	shift
	rm -rf "copy-$fs" "$store"
	echo 0 >"$fs/asked"
	echo 0 >"$fs/ignored"
	echo 1 >one
	start_journal "$fs" "$@" && consume "$fs" || return
	echo 2 >>"$fs/ignored"
	fsfreeze -f "$fs" || return
	dd if=one of="$fs/asked" conv=notrunc status=none &
	writers+=($!)
	dd if=one of="$fs/ignored" conv=notrunc status=none &
	writers+=($!)
	for process in "${writers[@]}"; do
		until_true grep -q '^State:.*D' "/proc/$process/status" || status=1
	done
	if [[ "$*" = *--post* ]]; then
		# What is read now is not what will be there.
		consume "$fs" && check "$fs" --exact || status=1
	else
		timeout 1 ./journal checkpoint "$store"
		[ $? = 124 ] || { echo "sealed before they have ended"; status=1; }
	fi
	fsfreeze -u "$fs"
	wait "${writers[@]}"
	# With POST, there is a moment in which it is still on its way.
	until_true check "$fs" --precise || status=1
	! check "$fs" --exact || status=1
	consume "$fs" && check "$fs" --exact --precise || status=1
	kill "$journal"
	wait "$journal" || status=1
	return $status
}

first_byte_is() { # FILE HEX
	[ "$(od -An -tx1 -N1 "$1" | tr -d ' ')" = "$2" ]
}

# What is stored through a mapping long after its PRE, with nobody asked any more, is
# in each period until it is unmapped, and in none after that.
a_mapping() {
	local fs=$1 status=0 journal mapper byte

	shift
	rm -rf "copy-$fs" "$fs/store"
	head -c 8192 /dev/zero >"$fs/mapped"
	start_journal "$fs" "$@" && consume "$fs" || return
	mkfifo "$fs-commands"
	xfs_io "$fs/mapped" <"$fs-commands" &
	mapper=$!
	exec 9>"$fs-commands"
	echo "mmap -rw 0 4096" >&9
	for byte in 11 22 33; do
		echo "mwrite -S 0x$byte 0 8" >&9
		until_true first_byte_is "$fs/mapped" $byte && check "$fs" --precise || status=1
		! check "$fs" --exact || status=1
		consume "$fs" && check "$fs" --exact || status=1
	done
	exec 9>&-
	wait $mapper
	rm "$fs-commands"
	# The last period in which it was mapped, and the first in which it was not.
	consume "$fs" && consume "$fs" && check "$fs" --exact || status=1
	! ./journal list "$fs/store" | grep '^object' || status=1
	kill "$journal"
	wait "$journal" || status=1
	return $status
}

has_ended() { # PROCESS
	! kill -0 "$1" 2>/dev/null
}

# The journal does not keep its file system from being unmounted. It ends then, and has all
# that was changed until then, and says nothing of another one that is mounted there.
unmounted() {
	local fs=$1 status=0 journal store=$PWD/elsewhere

	shift
	rm -rf "copy-$fs" "$store" other
	start_journal "$fs" "$@" && consume "$fs" || return
	echo "before umount" >"$fs/file"
	umount "$fs" || { umount -l "$fs"; status=1; }
	truncate -s 16M other
	mkfs.ext4 -q other
	mount -o loop other "$fs"
	! timeout 10 ./journal checkpoint "$store" || { echo "a checkpoint of another file system"; status=1; }
	until_true has_ended "$journal" || status=1
	kill "$journal" 2>/dev/null
	! wait "$journal" || { echo "it ends well, and must not"; status=1; }
	grep 'was unmounted' "log-$fs" || status=1
	umount "$fs"
	mount -o loop image "$fs"
	# What was sealed is there still, and all of it.
	./journal list "$store" | grep '^period .* sealed' || status=1
	start_journal "$fs" "$@" --no-gap && check "$fs" --precise && consume "$fs" && check "$fs" --exact || status=1
	! ./journal list "$store" | grep -x everything || status=1
	kill "$journal"
	wait "$journal"
	# Without anybody's word, nobody knows what was changed meanwhile.
	start_journal "$fs" "$@" && ./journal list "$store" | grep -x everything || status=1
	kill "$journal"
	wait "$journal"
	return $status
}

# On a full disk the journal refuses early, and says so; what makes room is allowed, and
# then it goes on.
full_disk() {
	local fs=$1 status=0 journal

	mkdir -p "$fs"
	truncate -s 24M image-full
	mkfs.ext4 -q -m 0 -N 4096 image-full
	mount -o loop image-full "$fs" || return
	rm -rf "copy-$fs" "$fs/store"
	mkdir "$fs/names" "$fs/tree"
	touch "$fs"/tree/{1..100}
	start_journal "$fs" --names 1000000 "${@:2}" && consume "$fs" || return
	cat /dev/zero >"$fs/filler" 2>/dev/null
	seq -f "$fs/names/%0200.0f" 1200 | xargs touch 2>refused
	grep -m 1 'No space left' refused || { tail -n 1 refused; status=1; }
	grep 'no room for' "log-$fs" || status=1
	rm -r "$fs/tree" || status=1
	rm "$fs/filler" || status=1
	until_true touch "$fs/after" || status=1
	grep 'recorded again' "log-$fs" || status=1
	check "$fs" --precise && consume "$fs" && check "$fs" --exact --precise || status=1
	kill "$journal"
	wait "$journal" || status=1
	umount "$fs" || status=1
	return $status
}

# Of a subvolume of btrfs only a mount can be watched, and the journal says so.
subvolume() {
	local fs=$1 status=0 journal store=$PWD/elsewhere-btrfs

	mkdir -p "$fs"
	truncate -s 200M image-btrfs
	mkfs.btrfs -q image-btrfs && mount -o loop image-btrfs "$fs" && btrfs -q subvolume create "$fs/@" || return
	umount "$fs"
	mount -o loop,subvol=@ image-btrfs "$fs" || return
	btrfs -q subvolume create "$fs/nested"
	rm -rf "copy-$fs" "$store"
	! start_journal "$fs" || status=1
	grep -e 'use --mount' "log-$fs" || status=1
	start_journal "$fs" --mount && consume "$fs" || return
	echo changed >"$fs/file"
	echo changed >"$fs/nested/file"
	check "$fs" --precise && ./journal checkpoint "$store" | grep -c '^entry' | grep -x 2 || status=1
	consume "$fs" && check "$fs" --exact --precise || status=1
	kill "$journal"
	wait "$journal" || status=1
	return $status
}

for scheme in alternating single; do
	for straddlers in post barrier; do
		in_both "$scheme, $straddlers" all_there --scheme $scheme --$straddlers --names 8
	done
done
for scheme in alternating single; do
	for straddlers in post barrier; do
		on "ext4" "straddlers, $scheme, $straddlers" straddlers --scheme $scheme --$straddlers
	done
done
for scheme in alternating single; do
	in_both "a mapping, $scheme" a_mapping --scheme $scheme
done
in_both "the journal is killed" after_a_kill
for scheme in alternating single; do
	on "ext4" "unmounted, $scheme" unmounted --scheme $scheme
done
on "full" "a full disk" full_disk
if grep -qw btrfs /proc/filesystems && command -v mkfs.btrfs >/dev/null; then
	on "btrfs" "a subvolume of btrfs" subvolume
else
	result "" "a subvolume of btrfs # SKIP no btrfs"
fi
echo "1..$tests"
