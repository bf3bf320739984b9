# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What every script here needs: paths, messages, locks, the way into the build
# root, and the kernel that is built there. Sourced, never run.

set -euo pipefail
shopt -s inherit_errexit nullglob
unset "${!GIT_@}" CDPATH

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$top/build
cache=${XDG_CACHE_HOME:-~/.cache}/vfs-filter
[[ "$cache" = /* ]] || cache=$PWD/$cache
root=$cache/root-$(sha256sum <"$top/scripts/packages.txt" | cut -c 1-8)

# Where this project is in the build root and in the virtual machine, whatever the path of
# the clone is outside: kbuild, virtme-run and the kernel's command line each have
# characters of their own that no path may have, and both mount over /tmp and others.
inside=/vfs-filter

# The base of the series: this release, and the Debian package that carries it.
base_version=7.3
base_package=linux-source-7.3
base_suite=trixie-backports

say() {
	echo "$*" >&2
}

die() {
	echo "error: $*" >&2
	exit 1
}

# shown PATH - how it is called outside of the build root.
shown() {
	local path=$1

	path=${path/#"$top/"/"${VFS_FILTER_TOP:-$top}/"}
	path=${path/#"$cache"/"${VFS_FILTER_CACHE:-$cache}"}
	[ -z "${KDIR:-}" ] || path=${path/#"$KDIR"/"${VFS_FILTER_KDIR:-$KDIR}"}
	echo "$path"
}

# plain PATH - is it one that make, kbuild and virtme-run get along with?
plain() {
	[ ${#1} -le 100 ] && [[ "$1" != *[!A-Za-z0-9_./-]* ]]
}

# lock FILE WHAT [-s] - holds a lock until the script ends; -s shares it.
lock() {
	local fd

	mkdir -p "$(dirname "$1")"
	exec {fd}>>"$1"
	flock ${3:+"$3"} -n "$fd" && return
	say "$2: in use by another run, waiting for it ($(shown "$1"))"
	flock ${3:+"$3"} "$fd"
}

# need_space GIGABYTES DIRECTORY - a full disk is found before the work, not in it.
need_space() {
	local free

	mkdir -p "$2" || die "cannot create $(shown "$2"); set XDG_CACHE_HOME to a folder that can be written"
	free=$(df --output=avail -BG "$2" | tail -n 1 | tr -dc 0-9)
	[ "$free" -ge "$1" ] ||
		die "$(shown "$2") has $free GB free and $1 are needed; make room, or set XDG_CACHE_HOME to a folder on a larger disk"
}

# need_mmdebstrap - outside of the build root: installs what makes Debian systems, if this is one.
need_mmdebstrap() {
	local missing=()

	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	[ "$(id -u)" = 0 ] || command -v newuidmap >/dev/null || missing+=(uidmap)
	[ ${#missing[@]} -gt 0 ] || return 0
	{ [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
		die "not installed: ${missing[*]} (Debian: apt-get install ${missing[*]})." \
			"Or give KDIR= on a machine with the kernel's Rust tools and virtme-ng"
	say "host packages: installing ${missing[*]}"
	"$top/scripts/progress" "host packages" 0 '' \
		sh -c 'apt-get update && apt-get install -y --no-install-recommends "$@"' sh "${missing[@]}"
}

# KDIR may be relative; what runs in the build root has another folder to be in.
if [ -n "${KDIR:-}" ]; then
	[ -d "$KDIR" ] || die "KDIR=$KDIR is not a folder; give the top of a v$base_version kernel tree"
	KDIR=$(cd "$KDIR" && pwd -P)
	export KDIR
fi

check_kdir() {
	local version

	[ -n "${KDIR:-}" ] || return 0
	version=$(sed -n 's/^VERSION = //p; s/^PATCHLEVEL = /./p' "$KDIR/Makefile" 2>/dev/null | tr -d '\n') || true
	[ "$version" = "$base_version" ] ||
		die "KDIR=$(shown "$KDIR") is ${version:-no kernel tree}; the series is for v$base_version"
}

# enter "$@" - goes on with the calling script where the build tools are. An argument that
# is the path of something in this folder stays one.
enter() {
	[ -z "${VFS_FILTER_TOOLS:-}" ] || return 0
	check_kdir
	if "$top/scripts/host-tools"; then
		export VFS_FILTER_TOOLS=host
		return 0
	fi
	"$top/scripts/setup-root"
	exec "$top/scripts/in-root" "$inside/scripts/$(basename "$0")" "${@/#"$top/"/"$inside/"}"
}

# series - the patches in their order, without the cover letter.
series() {
	find "$top/patches" -maxdepth 1 -name '[0-9]*.patch' ! -name '0000-*' | sort
}

# git as the scripts use it: no settings of the user's, fixed names and dates, so
# that the same patches give the same commits everywhere.
quiet_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
		GIT_AUTHOR_NAME=vfs-filter GIT_AUTHOR_EMAIL=vfs-filter@localhost \
		GIT_COMMITTER_NAME="${GIT_COMMITTER_NAME:-vfs-filter}" \
		GIT_COMMITTER_EMAIL="${GIT_COMMITTER_EMAIL:-vfs-filter@localhost}" \
		GIT_AUTHOR_DATE="@0 +0000" GIT_COMMITTER_DATE="${GIT_COMMITTER_DATE:-@0 +0000}" \
		git -c safe.directory='*' -c advice.detachedHead=false -c init.defaultBranch=main "$@"
}

# tree_state DIRECTORY - one word that changes when a file in it does.
tree_state() {
	(cd "$1" && find . -name .git -prune -o -type f -printf '%P %s %T@\n') | sort | sha256sum | cut -c 1-40
}

# use_kernel PROFILE - builds the kernel of that profile where need be and keeps it
# from being replaced until the script ends. Sets $kernel, its folder: source in
# linux/, build in out/.
use_kernel() {
	local have=${VFS_FILTER_KERNEL:-} key

	if [ "${have%% *}" = "$1" ]; then
		kernel=${have#* }
		return
	fi
	while :; do
		have=$("$top/scripts/build-kernel" "$1")
		read -r key kernel <<<"$have"
		exec {kernel_fd}>>"$kernel.lock"
		flock -s "$kernel_fd"
		[ "$(cat "$kernel/stamp" 2>&1)" != "$key" ] || break
		exec {kernel_fd}>&-
	done
	export VFS_FILTER_KERNEL="$1 $kernel"
	mkdir -p "$build"
	ln -sfn "$kernel" "$build/kernel-$1"
}
