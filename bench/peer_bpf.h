/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the BPF program tells peer_bpf of each read and write.
 */

#ifndef __BENCH_PEER_BPF_H
#define __BENCH_PEER_BPF_H

#define MAY_WRITE	2	/* of the kernel's <linux/fs.h> */
#define MAY_READ	4

struct record {
	__u64 inode;
	__u32 pid;
	__u32 mask;	/* MAY_* */
};

#endif /* __BENCH_PEER_BPF_H */
