// SPDX-License-Identifier: GPL-2.0
/*
 * A peer: what listening costs with BPF. A program on the LSM hook
 * file_permission writes a record of each read and write of a file on the
 * file system of DIR to a ring buffer, and this process reads the records as
 * they come while COMMAND runs. Nobody is asked, and nothing is said of other
 * operations or of the result.
 *
 *	peer_bpf --dir DIR -- COMMAND...
 *
 * Exits with COMMAND's status, or with 1 if a record was lost.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <bpf/libbpf.h>
#include <linux/types.h>

#include "peer.h"
#include "peer_bpf.h"
#include "peer_bpf.skel.h"

static const char usage[] = "usage: peer_bpf --dir DIR -- COMMAND...\n";

/* How many of them were read. */
struct seen {
	unsigned long reads;
	unsigned long writes;
};

static int on_record(void *arg, void *data, size_t size)
{
	const struct record *record = data;
	struct seen *seen = arg;

	(void)size;
	seen->reads += !!(record->mask & MAY_READ);
	seen->writes += !!(record->mask & MAY_WRITE);
	return 0;
}

/*
 * The kernel's own form of the device number, which stat() does not use. A
 * file system on a block device has the same for all its files.
 */
static __u32 device_of(const char *dir)
{
	struct stat st;

	if (stat(dir, &st))
		err(1, "%s", dir);
	return major(st.st_dev) << 20 | minor(st.st_dev);
}

static struct peer_bpf *bpf_start(const char *dir)
{
	struct peer_bpf *bpf = peer_bpf__open();

	if (!bpf)
		err(1, "opening the BPF program");
	bpf->rodata->device = device_of(dir);
	if (peer_bpf__load(bpf))
		err(1, "loading the BPF program");
	if (peer_bpf__attach(bpf))
		err(1, "attaching the BPF program");
	return bpf;
}

/*
 * Reads records until the command has ended, and all of them. The wait is the
 * one of ring_buffer__poll(), for one descriptor more.
 */
static void listen_while(struct ring_buffer *ring, pid_t pid)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = -1 };
	const int epfd = ring_buffer__epoll_fd(ring);
	const int pidfd = syscall(SYS_pidfd_open, pid, 0);
	bool ended = false;

	if (pidfd < 0)
		err(1, "pidfd_open");
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, pidfd, &event))
		err(1, "epoll_ctl");
	while (!ended) {
		struct epoll_event events[2];
		const int n = epoll_wait(epfd, events, 2, -1);

		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++)
			ended |= events[i].data.fd == -1;
		if (ring_buffer__consume(ring) < 0)
			err(1, "reading the ring buffer");
	}
	close(pidfd);
}

static const char *parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ },
	};
	const char *dir = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			dir = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(1);
		}
	}
	if (!dir || optind == argc) {
		fputs(usage, stderr);
		exit(1);
	}
	return dir;
}

int main(int argc, char **argv)
{
	const char *dir = parse(argc, argv);
	struct peer_bpf *bpf = bpf_start(dir);
	struct seen seen = { };
	struct ring_buffer *ring;
	int status;
	pid_t pid;

	ring = ring_buffer__new(bpf_map__fd(bpf->maps.records), on_record,
				&seen, NULL);
	if (!ring)
		err(1, "the ring buffer");
	pid = command_start(argv + optind);
	if (pid < 0)
		err(1, "%s", argv[optind]);
	listen_while(ring, pid);
	status = command_wait(pid);
	if (status < 0)
		err(1, "waitpid");

	printf("# peer_bpf: %lu reads and %lu writes were told, %llu lost\n",
	       seen.reads, seen.writes, bpf->bss->lost);
	if (bpf->bss->lost)
		errx(1, "records were lost, so the figures are of too little work");
	ring_buffer__free(ring);
	peer_bpf__destroy(bpf);
	return status;
}
