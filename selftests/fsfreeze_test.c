// SPDX-License-Identifier: GPL-2.0
/*
 * A file system that is frozen and thawed by its only listener, and what that
 * can do meanwhile: answer, begin barriers, change marks, close, take over. And
 * a snapshot of it, which has all that was told before, and nothing torn.
 *
 * freeze_test has the writers' part.
 */

#include <sys/sendfile.h>

#include "frozen.h"

FIXTURE(fsfreeze)
{
	struct group *g;
};

FIXTURE_SETUP(fsfreeze)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "source", "AS");
	self->g = watch_to_freeze(_metadata);
}

FIXTURE_TEARDOWN(fsfreeze)
{
	thaw();
	test_end(_metadata);
}

/* By the listener itself, in its only thread. */
static void fifreeze(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, ioctl(fs_fd, FIFREEZE, 0));
}

static void fithaw(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, ioctl(fs_fd, FITHAW, 0));
}

/* Read, answered, frozen and thawed: a write goes on when all of it is over. */
TEST_F(fsfreeze, in_every_order)
{
	static const char *const orders[] = { "FRAT", "RFAT", "RAFT", "FTRA",
					      "FRTA", "RFTA" };

	FOR_EACH_ROW(i, orders) {
		struct job *job = write_start(_metadata, "file", "AS");
		bool frozen = false, waits = true;
		struct event pre = {};

		snprintf(row, sizeof(row), "%s", orders[i]);
		wait_pending(_metadata, self->g, 1);
		for (const char *step = orders[i]; *step; step++) {
			switch (*step) {
			case 'F':
				fifreeze(_metadata);
				frozen = true;
				break;
			case 'R':
				pre = expect_pre(_metadata, self->g, job->pid);
				break;
			case 'A':
				allow(_metadata, self->g, &pre);
				waits = frozen;
				break;
			case 'T':
				waits &= group_state(_metadata, self->g).pending;
				fithaw(_metadata);
				frozen = false;
			}
			if (waits)
				expect_blocked(_metadata, job);
		}
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_post(_metadata, self->g, &pre, 2);
	}
}

/* A barrier waits for what was allowed and waits for the thaw: so thaw first. */
TEST_F(fsfreeze, barrier_after_the_answer)
{
	struct job *job = write_start(_metadata, "file", "AS");
	struct event pre = expect_pre(_metadata, self->g, job->pid);

	fifreeze(_metadata);
	allow(_metadata, self->g, &pre);
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	fithaw(_metadata);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
}

/* What was not answered by then has not begun, frozen or not. */
TEST_F(fsfreeze, barrier_before_the_answer)
{
	struct job *job = write_start(_metadata, "file", "AS");
	struct event pre = expect_pre(_metadata, self->g, job->pid);

	barrier(_metadata, self->g, ".");
	fifreeze(_metadata);
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 1);
	expect_barrier(_metadata, self->g, 2);
	allow(_metadata, self->g, &pre);
	expect_blocked(_metadata, job);
	fithaw(_metadata);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* Marks are not on the file system. */
TEST_F(fsfreeze, marks_change)
{
	struct job *job = write_start(_metadata, "file", "AS");
	struct event pre = expect_pre(_metadata, self->g, job->pid);

	fifreeze(_metadata);
	allow(_metadata, self->g, &pre);
	ASSERT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).pending));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_SYNC, FAN_ATTRIB,
	     "file");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_SYNC |
	     FAN_MARK_IGNORE_SURV, FAN_MODIFY, "source");
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_IGNORE |
	     FAN_MARK_SYNC, 0, ".");
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_SYNC, 0, ".");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM |
	     FAN_MARK_SYNC, FAN_MODIFY, ".");
	expect_blocked(_metadata, job);
	fithaw(_metadata);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* What is allowed by the end of its group begins when it is thawed. */
TEST_F(fsfreeze, group_closed)
{
	struct job *asked, *allowed;
	struct event pre;

	allowed = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, allowed->pid);
	fifreeze(_metadata);
	allow(_metadata, self->g, &pre);
	asked = write_start(_metadata, "file", "AS");
	wait_pending(_metadata, self->g, 1);
	group_close(self->g);
	expect_blocked(_metadata, asked);
	expect_blocked(_metadata, allowed);
	fithaw(_metadata);
	EXPECT_EQ(2, job_join(_metadata, asked));
	EXPECT_EQ(2, job_join(_metadata, allowed));
}

/* A sentinel denies without it, and can be taken over before the thaw. */
TEST_F(fsfreeze, taken_over)
{
	struct job *asked, *allowed, *later;
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct event pre;
	pid_t pid;

	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	allowed = write_start(_metadata, "file", "AS");
	pid = allowed->pid;
	pre = expect_pre(_metadata, g, pid);
	fifreeze(_metadata);
	allow(_metadata, g, &pre);
	asked = write_start(_metadata, "file", "as");
	wait_pending(_metadata, g, 1);
	group_close(g);
	EXPECT_EQ(-EIO, job_join(_metadata, asked));
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-EIO, job_join(_metadata, write_start(_metadata, "file",
							"as")));

	g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	EXPECT_EQ(0, count_sentinels());
	later = write_start(_metadata, "file", "aS");
	pre = expect_pre(_metadata, g, later->pid);
	answer(_metadata, g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, later));
	expect_blocked(_metadata, allowed);
	fithaw(_metadata);
	EXPECT_EQ(2, job_join(_metadata, allowed));
	/* This group has come since it was allowed. */
	expect_unpaired(_metadata, g, pid, 2);
	expect_content(_metadata, "file", "AS it was");
	group_close(g);
}

/* ------------------------------- snapshots --------------------------------- */

#define COPY_IMAGE	WORK_DIR "/copy"
#define COPY_DIR	WORK_DIR "/copied"
#define CHUNK		512	/* of one letter, written at once */
#define WRITERS		4
#define SNAPSHOTS	5

/* How many records of each writer have ended, by what the group was told. */
struct writer {
	char letter;
	long *ended;
};

static long write_records(void *arg)
{
	const struct writer *w = arg;
	char name[2] = { w->letter }, record[CHUNK];
	const int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			    0644);

	memset(record, w->letter, sizeof(record));
	while (fd >= 0 && write(fd, record, sizeof(record)) == sizeof(record))
		;
	return -1;
}

static void copy_image(struct __test_metadata *const _metadata)
{
	const int in = open(FS_IMAGE, O_RDONLY | O_CLOEXEC);
	const int out = open(COPY_IMAGE, O_WRONLY | O_CREAT | O_TRUNC |
			     O_CLOEXEC, 0600);
	ssize_t n;

	ASSERT_LE(0, in);
	ASSERT_LE(0, out);
	while ((n = sendfile(out, in, NULL, FS_SIZE)) > 0)
		;
	ASSERT_EQ(0, n);
	close(in);
	close(out);
}

static void mount_copy(struct __test_metadata *const _metadata)
{
	char path[32];
	const int loop = loop_attach(_metadata, COPY_IMAGE, path, sizeof(path));

	ASSERT_LE(0, loop);
	ASSERT_EQ(0, mount(path, COPY_DIR, "ext4", MS_RDONLY, NULL))
		TH_LOG("mount the copy: %s", strerror(errno));
	close(loop);
}

/* Records that were whole, and told of, before the freeze are in the copy. */
static void expect_records(struct __test_metadata *const _metadata, char letter,
			   long ended)
{
	char path[64], record[CHUNK];
	long n = 0;
	int fd;

	snprintf(path, sizeof(path), COPY_DIR "/%c", letter);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_TRUE(fd >= 0 || !ended);
	while (fd >= 0 && read(fd, record, CHUNK) == CHUNK) {
		for (int i = 0; i < CHUNK; i++)
			ASSERT_EQ(letter, record[i]);
		n++;
	}
	EXPECT_LE(ended, n);
	if (fd >= 0) {
		/* No part of one. */
		EXPECT_EQ(0, lseek(fd, 0, SEEK_END) % CHUNK);
		close(fd);
	}
}

/* As a manager of volumes does it, while its listener goes on answering. */
TEST_F(fsfreeze, snapshot)
{
	long ended[WRITERS], total = 0;
	struct job *writers[WRITERS];
	struct writer w;
	struct event ev;

	ASSERT_EQ(0, mkdir(COPY_DIR, 0755));
	memset(ended, 0, sizeof(ended));
	for (int i = 0; i < WRITERS; i++) {
		w.letter = 'a' + i;
		writers[i] = job_start(_metadata, write_records, &w);
	}
	for (int round = 0; round < SNAPSHOTS; round++) {
		long in_time[WRITERS];

		for (int n = 0; n < 20 * WRITERS;) {
			ev = event_next(_metadata, self->g);
			if (ev.mask & ALL_PRE) {
				allow(_metadata, self->g, &ev);
				continue;
			}
			n++;
			for (int i = 0; i < WRITERS; i++)
				ended[i] += ev.pid == writers[i]->pid &&
					    ev.result == CHUNK;
		}
		memcpy(in_time, ended, sizeof(in_time));
		fifreeze(_metadata);
		copy_image(_metadata);
		fithaw(_metadata);
		mount_copy(_metadata);
		for (int i = 0; i < WRITERS; i++)
			expect_records(_metadata, 'a' + i, in_time[i]);
		ASSERT_EQ(0, umount(COPY_DIR));
	}
	for (int i = 0; i < WRITERS; i++) {
		total += ended[i];
		kill(writers[i]->pid, SIGKILL);
		job_reap(_metadata, writers[i]);
	}
	EXPECT_LT(SNAPSHOTS * WRITERS, total);
	self->g->unread_ok = true;
}

TEST_HARNESS_MAIN
