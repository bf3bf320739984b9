// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_MARK_BARRIER: an event that comes when all that had passed its PRE point
 * has ended. What it waits for, and what it does not; it holds nobody back.
 */

#include <linux/aio_abi.h>
#include <linux/fs.h>

#include "fs.h"
#include "group.h"
#include "marks.h"
#include "ring.h"
#include "stages.h"
#include "underway.h"

#define OTHER_DIR	WORK_DIR "/other"
#define IGNORE		FAN_MARK_IGNORE_SURV

static void mount_other(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mkdir(OTHER_DIR, 0755));
	tmpfs_mount(_metadata, OTHER_DIR, FS_SIZE);
	put_file(_metadata, OTHER_DIR "/file", "as it was");
}

FIXTURE(barrier)
{
	struct group *g;
};

FIXTURE_SETUP(barrier)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(barrier)
{
	test_end(_metadata);
}

/* ------------------------------- the call ------------------------------- */

static const unsigned int bad_flags[] = {
	FAN_MARK_ADD, FAN_MARK_REMOVE, FAN_MARK_FLUSH, FAN_MARK_SYNC,
	FAN_MARK_IGNORE, FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY,
	FAN_MARK_IGNORE_SURV, FAN_MARK_EVICTABLE, 0x00001000, 0x40000000,
};

static const __u64 bad_masks[] = {
	1, FAN_MODIFY, FAN_PRE(FAN_MODIFY), FAN_POST(FAN_MODIFY), FAN_ONDIR,
	FAN_EVENT_ON_CHILD, FAN_Q_BARRIER, FAN_Q_OVERFLOW, 1ULL << 32, ~0ULL,
};

TEST_F(barrier, refused)
{
	struct group *g = self->g, none = { .fd = -1 }, pipe_end;
	int fds[2];

	for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++) {
		expect_refused(_metadata, g, FAN_MARK_BARRIER | bad_flags[i], 0,
			       ".", EINVAL);
		expect_refused(_metadata, g, FAN_MARK_BARRIER | bad_flags[i],
			       FAN_MODIFY, ".", EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_masks); i++)
		expect_refused(_metadata, g, FAN_MARK_BARRIER, bad_masks[i],
			       ".", EINVAL);

	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	pipe_end.fd = fds[0];
	expect_refused(_metadata, &none, FAN_MARK_BARRIER, 0, ".", EBADF);
	expect_refused(_metadata, &pipe_end, FAN_MARK_BARRIER, 0, ".", EINVAL);
	expect_refused(_metadata, g, FAN_MARK_BARRIER, 0, "none", ENOENT);
	expect_refused(_metadata, g, FAN_MARK_BARRIER, 0, (char *)-1UL, EFAULT);
	expect_nothing(_metadata, g);

	/* None of these has a number. */
	barrier(_metadata, g, ".");
	expect_barrier(_metadata, g, 1);
}

TEST_F(barrier, not_of_other_classes)
{
	static const unsigned int classes[] = {
		FAN_CLASS_NOTIF, FAN_CLASS_NOTIF | FAN_REPORT_FID,
		FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT,
	};

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		struct group *g = class_open(_metadata, classes[i]);

		expect_refused(_metadata, g, FAN_MARK_BARRIER, 0, ".", EINVAL);
		mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, ".");
		expect_refused(_metadata, g, FAN_MARK_BARRIER, 0, ".", EINVAL);
		group_close(g);
	}
}

/* By whatever name the file system has. */
TEST_F(barrier, named)
{
	static const char *const paths[] = { ".", "file", FS_DIR, "link" };
	const int fd = open("file", O_RDONLY | O_CLOEXEC);
	__u64 n = 0;

	ASSERT_EQ(0, symlink("file", "link"));
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		barrier(_metadata, self->g, paths[i]);
		expect_barrier(_metadata, self->g, ++n);
	}
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sys_fanotify_mark(self->g->fd, FAN_MARK_BARRIER, 0, fd,
				       NULL));
	expect_barrier(_metadata, self->g, ++n);
	close(fd);
}

/* ------------------------------- the event ------------------------------ */

/* With no one there to be waited for, whether someone watches or not. */
TEST_F(barrier, at_once)
{
	struct group *watcher = group_open(_metadata, 0);

	mount_other(_metadata);
	for (__u64 n = 1; n <= 3; n++) {
		barrier(_metadata, self->g, ".");
		expect_barrier(_metadata, self->g, n);
	}
	barrier(_metadata, self->g, OTHER_DIR);
	expect_barrier(_metadata, self->g, 4);

	mark(_metadata, watcher, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 5);
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	serve_write(_metadata, watcher,
		    write_start(_metadata, "file", "AS"), 2);
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 6);
}

TEST_F(barrier, numbered_by_group)
{
	struct group *other = group_open(_metadata, 0);

	barrier(_metadata, self->g, ".");
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 1);
	expect_barrier(_metadata, self->g, 2);
	barrier(_metadata, other, ".");
	expect_barrier(_metadata, other, 1);
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 3);
	barrier(_metadata, other, ".");
	expect_barrier(_metadata, other, 2);
	expect_nothing(_metadata, self->g);
	expect_nothing(_metadata, other);
}

/* As many as this can be there that were not read. */
#define MAX_BARRIERS	128

TEST_F(barrier, limited)
{
	__u64 sum = 0;

	for (int i = 0; i < MAX_BARRIERS; i++)
		barrier(_metadata, self->g, ".");
	expect_refused(_metadata, self->g, FAN_MARK_BARRIER, 0, ".", EBUSY);
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, self->g).queued ==
			       MAX_BARRIERS));
	expect_refused(_metadata, self->g, FAN_MARK_BARRIER, 0, ".", EBUSY);

	/* They come in whatever order. What is read makes room. */
	for (int i = 0; i < MAX_BARRIERS; i++) {
		const struct event ev = event_next(_metadata, self->g);

		EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
		sum += ev.cookie;
	}
	EXPECT_EQ(MAX_BARRIERS * (MAX_BARRIERS + 1ULL) / 2, sum);
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, MAX_BARRIERS + 1);
}

static int bytes(struct __test_metadata *const _metadata, const struct group *g)
{
	int n = -1;

	EXPECT_EQ(0, ioctl(g->fd, FIONREAD, &n));
	return n;
}

TEST_F(barrier, counted)
{
	char small[32];

	EXPECT_EQ(0, bytes(_metadata, self->g));
	barrier(_metadata, self->g, ".");
	ASSERT_TRUE(group_readable(self->g, TIMEOUT_MS));
	EXPECT_EQ(48, bytes(_metadata, self->g));
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);

	/* It stays until there is room for it. */
	EXPECT_EQ(-1, read(self->g->fd, small, sizeof(small)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(48U, expect_barrier(_metadata, self->g, 1).len);
	EXPECT_EQ(0, bytes(_metadata, self->g));
	EXPECT_EQ(0, group_state(_metadata, self->g).queued);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* No process, file or name is part of it, whatever else a group reports. */
TEST_F(barrier, bare)
{
	struct group *g = group_open(_metadata, FAN_REPORT_PIDFD |
				     FAN_REPORT_DFID_NAME_TARGET);

	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	barrier(_metadata, g, "file");
	EXPECT_EQ(48U, expect_barrier(_metadata, g, 1).len);
}

static long do_barrier(void *arg)
{
	const struct group *g = arg;

	return sys_fanotify_mark(g->fd, FAN_MARK_BARRIER, 0, AT_FDCWD, ".");
}

/* Asked for by one process, and read by another. */
TEST_F(barrier, of_another_process)
{
	struct job *job = __job_prepare(_metadata, do_barrier, self->g, true);

	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_barrier(_metadata, self->g, 1);
}

/* ------------------------- who has no answer yet ------------------------ */

/* It is not known whether it will be allowed: there is nothing to wait for. */
TEST_F(barrier, not_for_an_answer)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "AS");
	wait_pending(_metadata, self->g, 1);

	/* What is to be answered comes first. */
	barrier(_metadata, self->g, ".");
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, self->g).queued == 2));
	pre = expect_pre(_metadata, self->g, job->pid);
	expect_barrier(_metadata, self->g, 1);
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 2);
	expect_blocked(_metadata, job);

	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* A group has allowed what another one is still asked about. */
FIXTURE(asked)
{
	struct group *g, *younger;
	struct event pre, pre2;
	struct job *job;
};

FIXTURE_SETUP(asked)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	self->younger = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, self->younger, FAN_MARK_ADD, FAN_MODIFY, "file");

	self->job = write_start(_metadata, "file", "AS");
	self->pre = expect_pre(_metadata, self->g, self->job->pid);
	allow(_metadata, self->g, &self->pre);
	self->pre2 = expect_pre(_metadata, self->younger, self->job->pid);
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
}

FIXTURE_TEARDOWN(asked)
{
	test_end(_metadata);
}

TEST_F(asked, allowed)
{
	allow(_metadata, self->younger, &self->pre2);
	EXPECT_EQ(2, job_join(_metadata, self->job));
	expect_post(_metadata, self->g, &self->pre, 2);
	expect_barrier(_metadata, self->g, 1);
	expect_post(_metadata, self->younger, &self->pre2, 2);
}

TEST_F(asked, denied)
{
	answer(_metadata, self->younger, &self->pre2, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, self->job));
	expect_post(_metadata, self->g, &self->pre, -EPERM);
	expect_barrier(_metadata, self->g, 1);
}

TEST_F(asked, killed)
{
	job_kill(_metadata, self->job, SIGKILL);
	expect_post(_metadata, self->g, &self->pre, -EINTR);
	expect_barrier(_metadata, self->g, 1);
	expect_post(_metadata, self->younger, &self->pre2, -EINTR);
}

TEST_F(asked, group_closed)
{
	group_close(self->younger);
	EXPECT_EQ(2, job_join(_metadata, self->job));
	expect_post(_metadata, self->g, &self->pre, 2);
	expect_barrier(_metadata, self->g, 1);
}

/* ---------------------------- who is under way -------------------------- */

FIXTURE(held)
{
	struct group *g;
	struct job *job;	/* about to write, and to be held then */
};

FIXTURE_VARIANT(held)
{
	const char *point, *other_point;
};

FIXTURE_VARIANT_ADD(held, begin)
{
	.point = "begin",
	.other_point = "end",
};

FIXTURE_VARIANT_ADD(held, end)
{
	.point = "end",
	.other_point = "begin",
};

FIXTURE_SETUP(held)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	mount_other(_metadata);
	put_file(_metadata, "file", "as it was");
	put_file(_metadata, "file2", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	self->job = write_prepare(_metadata, "file", "AS");
	hold(_metadata, variant->point, self->job->pid);
}

FIXTURE_TEARDOWN(held)
{
	test_end(_metadata);
}

TEST_F(held, waits)
{
	struct event pre = go_and_allow(_metadata, self->g, self->job,
					variant->point);

	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	EXPECT_EQ(1, held(_metadata, variant->point));
	EXPECT_EQ(0, group_state(_metadata, self->g).queued);

	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
}

/* For whom it is, it need not be asked about it, */
TEST_F(held, waits_for_ignored)
{
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");
	job_go(_metadata, self->job);
	wait_held(_metadata, variant->point);
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);

	release_and_join(_metadata, self->job, variant->point);
	expect_barrier(_metadata, self->g, 1);
}

TEST_F(held, waits_for_no_longer_ignored)
{
	const pid_t pid = self->job->pid;

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");
	job_go(_metadata, self->job);
	wait_held(_metadata, variant->point);
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_IGNORE |
	     FAN_MARK_SYNC, 0, ".");
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);

	release_and_join(_metadata, self->job, variant->point);
	expect_unpaired(_metadata, self->g, pid, 2);
	expect_barrier(_metadata, self->g, 1);
}

/* nor watch anything at all. */
TEST_F(held, waits_for_what_others_watch)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre = go_and_allow(_metadata, self->g, self->job,
					variant->point);

	barrier(_metadata, other, ".");
	expect_nothing(_metadata, other);
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, other, 1);
}

TEST_F(held, killed)
{
	struct event pre = go_and_allow(_metadata, self->g, self->job,
					variant->point);
	struct event post;

	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	job_kill(_metadata, self->job, SIGKILL);
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pre.cookie, post.cookie);
	expect_barrier(_metadata, self->g, 1);
}

/* Whoever comes later goes on, and can be asked about, and marks changed. */
TEST_F(held, holds_nobody_back)
{
	struct event pre = go_and_allow(_metadata, self->g, self->job,
					variant->point);

	barrier(_metadata, self->g, ".");
	for (int i = 0; i < 3; i++) {
		serve_write(_metadata, self->g,
			    write_start(_metadata, "file2", "AS"), 2);
		serve_write(_metadata, self->g,
			    write_start(_metadata, "file", "AS"), 2);
		mark(_metadata, self->g, FAN_MARK_ADD | IGNORE | FAN_MARK_SYNC,
		     FAN_MODIFY, "file2");
		mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_IGNORE |
		     FAN_MARK_SYNC, 0, ".");
	}
	expect_nothing(_metadata, self->g);
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
}

TEST_F(held, not_for_who_comes_later)
{
	struct event pre, later;
	struct job *job;

	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	job = write_prepare(_metadata, "file2", "AS");
	hold(_metadata, variant->other_point, job->pid);
	later = go_and_allow(_metadata, self->g, job, variant->other_point);

	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
	EXPECT_EQ(1, held(_metadata, variant->other_point));

	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	release_and_join(_metadata, job, variant->other_point);
	expect_post(_metadata, self->g, &later, 2);
	expect_barrier(_metadata, self->g, 2);
}

/* Of several that wait at a time, each has operations of its own to wait for. */
TEST_F(held, several)
{
	struct event pre, later;
	struct job *job;
	__u64 sum = 0;

	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	job = write_prepare(_metadata, "file2", "AS");
	hold(_metadata, variant->other_point, job->pid);
	later = go_and_allow(_metadata, self->g, job, variant->other_point);
	barrier(_metadata, self->g, ".");
	barrier(_metadata, self->g, "file");
	expect_nothing(_metadata, self->g);

	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
	expect_nothing(_metadata, self->g);

	/* They have the same to wait for, and come in whatever order. */
	release_and_join(_metadata, job, variant->other_point);
	expect_post(_metadata, self->g, &later, 2);
	for (int i = 0; i < 2; i++) {
		const struct event ev = event_next(_metadata, self->g);

		EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
		sum += ev.cookie;
	}
	EXPECT_EQ(2ULL + 3ULL, sum);
}

/* Those that wait are as many as those that were not read. */
TEST_F(held, limited)
{
	struct group *other = group_open(_metadata, 0);
	__u64 sum = 0;
	struct event pre;

	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	for (int i = 0; i < MAX_BARRIERS; i++)
		barrier(_metadata, self->g, ".");
	expect_refused(_metadata, self->g, FAN_MARK_BARRIER, 0, ".", EBUSY);
	expect_refused(_metadata, self->g, FAN_MARK_BARRIER, 0, OTHER_DIR,
		       EBUSY);
	expect_nothing(_metadata, self->g);

	/* Each group has its own. */
	barrier(_metadata, other, OTHER_DIR);
	expect_barrier(_metadata, other, 1);

	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	for (int i = 0; i < MAX_BARRIERS; i++) {
		const struct event ev = event_next(_metadata, self->g);

		EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
		sum += ev.cookie;
	}
	EXPECT_EQ(MAX_BARRIERS * (MAX_BARRIERS + 1ULL) / 2, sum);
}

/* File systems have nothing to do with each other. */
TEST_F(held, not_for_another_file_system)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     OTHER_DIR);
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	barrier(_metadata, self->g, OTHER_DIR);
	expect_barrier(_metadata, self->g, 1);
	barrier(_metadata, self->g, ".");
	barrier(_metadata, self->g, OTHER_DIR);
	expect_barrier(_metadata, self->g, 3);
	expect_nothing(_metadata, self->g);
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 2);
}

TEST_F(held, group_closed)
{
	go_and_allow(_metadata, self->g, self->job, variant->point);
	barrier(_metadata, self->g, ".");
	barrier(_metadata, self->g, OTHER_DIR);
	group_close(self->g);
	release_and_join(_metadata, self->job, variant->point);
	expect_content(_metadata, "file", "AS it was");
}

/* Others that wait for the same get what they wait for. */
TEST_F(held, another_group_closed)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre = go_and_allow(_metadata, self->g, self->job,
					variant->point);

	barrier(_metadata, other, ".");
	barrier(_metadata, self->g, ".");
	barrier(_metadata, other, ".");
	group_close(other);
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
}

/* ------------------------------ unmounting ------------------------------ */

/* Of a file system that goes meanwhile: its end is told too, before or after. */
static void expect_barrier_and_gone(struct __test_metadata *const _metadata,
				    struct group *g, __u64 n)
{
	const struct event a = event_next(_metadata, g);
	const struct event b = event_next(_metadata, g);
	const struct event *barrier = a.mask == FAN_Q_GONE ? &b : &a;

	EXPECT_EQ(FAN_Q_BARRIER | FAN_Q_GONE, a.mask | b.mask);
	EXPECT_EQ(n, barrier->cookie);
}

/* A file system that no one sees any more, but for who still writes to it. */
TEST_F(held, detached)
{
	struct job *job = write_prepare(_metadata, OTHER_DIR "/file", "AS");
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     OTHER_DIR);
	hold(_metadata, variant->point, job->pid);
	pre = go_and_allow(_metadata, self->g, job, variant->point);
	barrier(_metadata, self->g, OTHER_DIR);
	ASSERT_EQ(0, umount2(OTHER_DIR, MNT_DETACH));
	expect_nothing(_metadata, self->g);
	release_and_join(_metadata, job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier_and_gone(_metadata, self->g, 1);
	job_kill(_metadata, self->job, SIGKILL);
}

/* It can be unmounted at once, and the event comes nevertheless. */
TEST_F(barrier, unmounted)
{
	ASSERT_EQ(0, mkdir(OTHER_DIR, 0755));
	for (__u64 n = 1; n <= 50; n++) {
		tmpfs_mount(_metadata, OTHER_DIR, FS_SIZE);
		if (n % 2)
			mark(_metadata, self->g,
			     FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
			     OTHER_DIR);
		barrier(_metadata, self->g, OTHER_DIR);
		ASSERT_EQ(0, umount(OTHER_DIR))
			TH_LOG("%s", strerror(errno));
		if (n % 2)
			expect_barrier_and_gone(_metadata, self->g, n);
		else
			expect_barrier(_metadata, self->g, n);
	}
}

/* ------------------------- what ends elsewhere -------------------------- */

static long map_and_wait(void *arg)
{
	const int fd = open("file", O_RDWR | O_CLOEXEC);
	char *map;

	(void)arg;
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	*map = 'A';
	reach(1);
	return 0;
}

/* It might stay for ever, and is not waited for. */
TEST_F(barrier, not_for_a_mapping)
{
	struct event pre;
	struct job *job;

	known_op_flags = FAN_OP_MAPPED;
	stages_start(_metadata);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_start(_metadata, map_and_wait, NULL);
	pre = expect_pre_of(_metadata, self->g, FAN_MODIFY, FAN_OP_MAPPED,
			    job->pid);
	allow(_metadata, self->g, &pre);
	wait_reached(_metadata, 1);
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 1);
	EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

/*
 * A file system on a loop device, whose image is on a file system that can be
 * frozen: what was submitted to it does not complete until that is thawed.
 */
#define INNER_DIR	WORK_DIR "/inner"
#define INNER_FILE	INNER_DIR "/file"
#define BLOCK		4096

static int outer_fd = -1;

static void thaw(void)
{
	/* Of no consequence if it is not frozen. */
	ioctl(outer_fd, FITHAW, 0);
}

FIXTURE(async)
{
	struct group *g;
};

FIXTURE_VARIANT(async)
{
	job_fn fn;
};

static char *block_buffer(void)
{
	char *buf = aligned_alloc(BLOCK, BLOCK);

	return buf ? memset(buf, 'b', BLOCK) : NULL;
}

/* Submits a write by aio, and then waits for it. */
static long write_by_aio(void *arg)
{
	char *const buf = block_buffer();
	const int fd = open(INNER_FILE, O_WRONLY | O_DIRECT | O_CLOEXEC);
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = fd,
		.aio_buf = (uintptr_t)buf,
		.aio_nbytes = BLOCK,
	}, *cbs[] = { &cb };
	struct io_event event;
	aio_context_t ctx = 0;

	(void)arg;
	if (!buf || fd < 0 || syscall(__NR_io_setup, 1, &ctx) ||
	    syscall(__NR_io_submit, ctx, 1, cbs) != 1)
		return -1;
	reach(1);
	if (syscall(__NR_io_getevents, ctx, 1, 1, &event, NULL) != 1)
		return -1;
	return event.res;
}

/* The same by io_uring. */
static long write_by_uring(void *arg)
{
	char *const buf = block_buffer();
	const int fd = open(INNER_FILE, O_WRONLY | O_DIRECT | O_CLOEXEC);
	struct ring r;
	long res;

	(void)arg;
	if (!buf || fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, buf, BLOCK, 0, 0);
	if (ring_submit(&r))
		return -1;
	reach(1);
	res = ring_wait(&r, NULL);
	errno = res < 0 ? -res : 0;
	return res < 0 ? -1 : res;
}

FIXTURE_VARIANT_ADD(async, aio)
{
	.fn = write_by_aio,
};

FIXTURE_VARIANT_ADD(async, uring)
{
	.fn = write_by_uring,
};

/* Mounts a file system whose image is here. Returns false if it cannot. */
static bool inner_mount(struct __test_metadata *const _metadata)
{
	char *const mkfs[] = {
		"mkfs.ext4", "-q", "-F", "-O", "^has_journal", "image", NULL,
	};
	char path[32];
	int loop;

	image_make(_metadata, "image", FS_SIZE);
	if (!run_mkfs(_metadata, mkfs))
		return false;
	loop = loop_attach(_metadata, "image", path, sizeof(path));
	if (loop < 0)
		return false;
	ASSERT_EQ(0, mkdir(INNER_DIR, 0755));
	ASSERT_EQ(0, mount(path, INNER_DIR, "ext4", 0, NULL));
	close(loop);
	return true;
}

FIXTURE_SETUP(async)
{
	char block[BLOCK];
	int fd;

	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", 2 * FS_SIZE) ||
	    !inner_mount(_metadata))
		SKIP(return, "no ext4 on a loop device");

	known_op_flags = FAN_OP_ASYNC;
	stages_start(_metadata);
	memset(block, 'a', sizeof(block));
	fd = open(INNER_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_LE(0, fd);
	ASSERT_EQ(BLOCK, write(fd, block, sizeof(block)));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	sync();

	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, INNER_FILE);
	outer_fd = open(".", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, outer_fd);
	guard_start(_metadata, thaw);
}

FIXTURE_TEARDOWN(async)
{
	test_end(_metadata);
	/* Held by its loop device, and no reason to stay. */
	close(outer_fd);
	umount2(INNER_DIR, MNT_DETACH);
}

TEST_F(async, waits)
{
	struct job *job = job_start(_metadata, variant->fn, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	ASSERT_EQ(0, ioctl(outer_fd, FIFREEZE, 0));
	allow(_metadata, self->g, &pre);
	wait_reached(_metadata, 1);
	go_on(1);
	expect_blocked(_metadata, job);
	EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	barrier(_metadata, self->g, INNER_DIR);
	expect_nothing(_metadata, self->g);

	/* The frozen one is another file system. */
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 2);

	thaw();
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	expect_barrier(_metadata, self->g, 1);
}

/* Not asked about, and waited for nevertheless. */
TEST_F(async, ignored)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, INNER_FILE);
	ASSERT_EQ(0, ioctl(outer_fd, FIFREEZE, 0));
	job = job_start(_metadata, variant->fn, NULL);
	wait_reached(_metadata, 1);
	go_on(1);
	barrier(_metadata, self->g, INNER_DIR);
	expect_nothing(_metadata, self->g);
	thaw();
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_barrier(_metadata, self->g, 1);
}

/* --------------------------------- load --------------------------------- */

static bool *stop_writing;	/* shared with the writers */

static long write_until_stopped(void *arg)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	long n = 0;

	(void)arg;
	if (fd < 0)
		return -1;
	while (!__atomic_load_n(stop_writing, __ATOMIC_RELAXED) && ++n)
		if (pwrite(fd, "ab", 2, 0) != 2)
			return -1;
	return n;
}

#define WRITERS		3
#define BARRIERS	30

/* Has one of the writers not ended? */
static bool any_runs(struct job *const *writers)
{
	for (int i = 0; i < WRITERS; i++)
		if (!job_ended(writers[i], 0))
			return true;
	return false;
}

/* Has each of them been allowed something? */
static bool all_write(const __u64 *allowed)
{
	for (int i = 0; i < WRITERS; i++)
		if (!allowed[i])
			return false;
	return true;
}

/* What was allowed before the call is reported before the event. */
TEST_F(barrier, under_load)
{
	/* Numbers of operations, which grow, of each of the writers. */
	__u64 allowed[WRITERS] = {}, ended[WRITERS] = {}, before[WRITERS];
	struct job *writers[WRITERS];
	struct group *g = self->g;
	bool outstanding = false, running = true;
	__u64 n = 0;

	stop_writing = mmap(NULL, sizeof(*stop_writing), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, stop_writing);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (int i = 0; i < WRITERS; i++)
		writers[i] = job_start(_metadata, write_until_stopped, NULL);

	while (running || g->pos < g->len || group_readable(g, 0)) {
		struct event ev;
		int i = 0;

		running = any_runs(writers);
		if (!outstanding && n < BARRIERS && all_write(allowed)) {
			barrier(_metadata, g, ".");
			memcpy(before, allowed, sizeof(before));
			outstanding = true;
		}
		if (g->pos == g->len && !group_readable(g, 10))
			continue;

		ev = event_next(_metadata, g);
		if (ev.mask == FAN_Q_BARRIER) {
			EXPECT_EQ(++n, ev.cookie);
			for (i = 0; i < WRITERS; i++)
				EXPECT_LE(before[i], ended[i]);
			outstanding = false;
			__atomic_store_n(stop_writing, n == BARRIERS,
					 __ATOMIC_RELAXED);
			continue;
		}
		while (i < WRITERS && writers[i]->pid != ev.pid)
			i++;
		ASSERT_LT(i, WRITERS);
		if (ev.mask & ALL_PRE) {
			allow(_metadata, g, &ev);
			allowed[i] = ev.cookie;
		} else {
			EXPECT_LT(ended[i], ev.cookie);
			ended[i] = ev.cookie;
		}
	}
	EXPECT_EQ(BARRIERS, n);
	for (int i = 0; i < WRITERS; i++) {
		EXPECT_EQ(allowed[i], ended[i]);
		EXPECT_LT(0, job_join(_metadata, writers[i]));
	}
}

TEST_HARNESS_MAIN
