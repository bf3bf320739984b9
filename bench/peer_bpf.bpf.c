// SPDX-License-Identifier: GPL-2.0
/*
 * The part of peer_bpf that runs in the kernel, on the LSM hook that each
 * read and write comes through: files of one super block are told, others
 * cost a comparison.
 */

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "peer_bpf.h"

/*
 * Of the kernel's types only what is read here; where in the whole type that
 * is, libbpf finds in the types of the kernel that runs.
 */
#define RELOCATED __attribute__((preserve_access_index))

struct super_block {
	__u32 s_dev;
} RELOCATED;

struct inode {
	struct super_block *i_sb;
	__u64 i_ino;
} RELOCATED;

struct file {
	struct inode *f_inode;
} RELOCATED;

/* 24 bytes a record, so there is room for more than 40000 not yet read. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} records SEC(".maps");

const volatile __u32 device;	/* of the super block, as the kernel has it */
__u64 lost;			/* records that found no room */

SEC("lsm/file_permission")
int BPF_PROG(file_permission, struct file *file, int mask, int ret)
{
	const struct inode *inode = file->f_inode;
	struct record *record;

	if (inode->i_sb->s_dev != device)
		return ret;

	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&lost, 1);
		return ret;
	}
	record->inode = inode->i_ino;
	record->pid = bpf_get_current_pid_tgid() >> 32;
	record->mask = mask;
	/* Wakes the listener if it has read all that came before. */
	bpf_ringbuf_submit(record, 0);
	return ret;
}

char LICENSE[] SEC("license") = "GPL";
