// SPDX-License-Identifier: GPL-2.0
/*
 * Freezing: of tasks that wait for an answer, and of the file system that they
 * want to write to.
 */

#include <linux/fs.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "ring.h"

#define CGROUP_DIR WORK_DIR "/cgroup"

FIXTURE(task)
{
	struct group *g;
};

FIXTURE_VARIANT(task)
{
	const char *type;	/* of file system, with its options */
	const char *options;
	const char *control;	/* file that freezes and thaws */
	const char *freeze;	/* by these */
	const char *thaw;
	const char *state;	/* file that has a line when all is frozen */
	const char *frozen;
	bool on_its_way;	/* stops what goes back to user space, only */
};

FIXTURE_VARIANT_ADD(task, cgroup2)
{
	.type = "cgroup2",
	.options = NULL,
	.control = "cgroup.freeze",
	.freeze = "1",
	.thaw = "0",
	.state = "cgroup.events",
	.frozen = "frozen 1\n",
	.on_its_way = true,
};

/* As suspend does. */
FIXTURE_VARIANT_ADD(task, cgroup1)
{
	.type = "cgroup",
	.options = "freezer",
	.control = "freezer.state",
	.freeze = "FROZEN",
	.thaw = "THAWED",
	.state = "freezer.state",
	.frozen = "FROZEN\n",
};

static char cgroup[64], control[96];
static const char *thaw_word;

static void remove_cgroup(void)
{
	write_file(control, 0, thaw_word);
	EVENTUALLY(!rmdir(cgroup) || errno != EBUSY);
}

FIXTURE_SETUP(task)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");

	ASSERT_EQ(0, mkdir(CGROUP_DIR, 0755));
	if (mount("vfs-filter", CGROUP_DIR, variant->type, 0, variant->options))
		SKIP(return, "mount %s: %s", variant->type, strerror(errno));
	snprintf(cgroup, sizeof(cgroup), CGROUP_DIR "/vfs-filter-%d", getpid());
	snprintf(control, sizeof(control), "%s/%s", cgroup, variant->control);
	thaw_word = variant->thaw;
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	if (access(control, F_OK)) {
		rmdir(cgroup);
		SKIP(return, "no %s", control);
	}
}

FIXTURE_TEARDOWN(task)
{
	write_file(control, 0, thaw_word);
	test_end(_metadata);
	remove_cgroup();
}

static void enter_cgroup(struct __test_metadata *const _metadata, pid_t pid)
{
	char path[96], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	ASSERT_EQ(0, write_file(path, 0, text));
}

static bool is_frozen(const char *state, const char *frozen)
{
	char path[96], buf[256];

	snprintf(path, sizeof(path), "%s/%s", cgroup, state);
	return read_file(path, buf, sizeof(buf)) > 0 && strstr(buf, frozen);
}

/* A job that is in the cgroup, and waits. */
static struct event start_in_cgroup(struct __test_metadata *const _metadata,
				    struct group *g, struct job *job)
{
	enter_cgroup(_metadata, job->pid);
	job_go(_metadata, job);
	return expect_pre(_metadata, g, job->pid);
}

static void freeze_tasks(struct __test_metadata *const _metadata,
			 const char *word, const char *state,
			 const char *frozen)
{
	ASSERT_EQ(0, write_file(control, 0, word));
	ASSERT_TRUE(EVENTUALLY(is_frozen(state, frozen)))
		TH_LOG("a task that waits for an answer is not freezable");
}

TEST_F(task, frozen_while_it_waits)
{
	struct job *job = write_prepare(_metadata, "file", "ab");
	struct event pre;

	pre = start_in_cgroup(_metadata, self->g, job);
	EXPECT_FALSE(is_frozen(variant->state, variant->frozen));
	freeze_tasks(_metadata, variant->freeze, variant->state, variant->frozen);

	/* The answer is taken, and acted upon when it is thawed, if not before. */
	allow(_metadata, self->g, &pre);
	if (variant->on_its_way)
		expect_post(_metadata, self->g, &pre, 2);
	expect_blocked(_metadata, job);
	expect_silence(_metadata, self->g);
	EXPECT_TRUE(EVENTUALLY(is_frozen(variant->state, variant->frozen)));
	ASSERT_EQ(0, write_file(control, 0, variant->thaw));
	EXPECT_EQ(2, job_join(_metadata, job));
	if (!variant->on_its_way)
		expect_post(_metadata, self->g, &pre, 2);
}

/* It can be killed all the same. */
TEST_F(task, killed_while_frozen)
{
	struct job *job = write_prepare(_metadata, "file", "ab");
	struct event pre;

	pre = start_in_cgroup(_metadata, self->g, job);
	freeze_tasks(_metadata, variant->freeze, variant->state, variant->frozen);
	kill(job->pid, SIGKILL);
	if (!variant->on_its_way)
		ASSERT_EQ(0, write_file(control, 0, variant->thaw));
	job_kill(_metadata, job, SIGKILL);
	expect_post(_metadata, self->g, &pre, -EINTR);
}

TEST_F(task, thawed_while_it_waits)
{
	struct job *job = write_prepare(_metadata, "file", "ab");
	struct event pre;

	pre = start_in_cgroup(_metadata, self->g, job);
	freeze_tasks(_metadata, variant->freeze, variant->state, variant->frozen);
	ASSERT_EQ(0, write_file(control, 0, variant->thaw));
	ASSERT_TRUE(EVENTUALLY(!is_frozen(variant->state, variant->frozen)));

	/* It goes on waiting, and gets the answer it waits for. */
	expect_blocked(_metadata, job);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

static long write_by_worker(void *arg)
{
	const int fd = open(arg, O_WRONLY);
	struct ring r;

	if (fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, "ab", 2, 0, 1);
	r.sqes[0].flags |= IOSQE_ASYNC;
	if (ring_submit(&r))
		return -1;
	return ring_wait(&r, NULL);
}

/* A worker of io_uring is one of the tasks, and waits for as long. */
TEST_F(task, worker_frozen_while_it_waits)
{
	struct job *job = job_prepare(_metadata, write_by_worker, "file");
	struct event pre;

	known_op_flags = FAN_OP_ASYNC;
	enter_cgroup(_metadata, job->pid);
	job_go(_metadata, job);
	pre = expect_pre_of(_metadata, self->g, FAN_MODIFY, FAN_OP_ASYNC,
			    job->pid);
	freeze_tasks(_metadata, variant->freeze, variant->state, variant->frozen);
	ASSERT_EQ(0, write_file(control, 0, variant->thaw));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 2);
}

/* Who has had a signal before is no other matter. */
TEST_F(task, frozen_after_a_signal)
{
	struct job *job = write_prepare(_metadata, "file", "ab");
	struct event pre;

	pre = start_in_cgroup(_metadata, self->g, job);
	/* Stopped and on it goes: there is no handler to be run. */
	kill(job->pid, SIGSTOP);
	usleep(SETTLE_MS * 1000);
	freeze_tasks(_metadata, variant->freeze, variant->state, variant->frozen);
	ASSERT_EQ(0, write_file(control, 0, variant->thaw));
	kill(job->pid, SIGCONT);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

FIXTURE(fsfreeze)
{
	struct group *g;
};

static int fs_fd;

static void thaw(void)
{
	ioctl(fs_fd, FITHAW, 0);
}

FIXTURE_SETUP(fsfreeze)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "as it was");
	fs_fd = open(".", O_RDONLY | O_DIRECTORY);
	ASSERT_LE(0, fs_fd);
	guard_start(_metadata, thaw);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(fsfreeze)
{
	test_end(_metadata);
	/* Of no consequence, unless it came to be frozen only now. */
	thaw();
}

static long freeze_fs(void *arg)
{
	(void)arg;
	return ioctl(fs_fd, FIFREEZE, 0);
}

/* In a job, for this would wait for whoever is writing already. */
static void freeze(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, job_join(_metadata,
			      job_start(_metadata, freeze_fs, NULL)));
}

TEST_F(fsfreeze, frozen_while_it_waits)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	freeze(_metadata);
	allow(_metadata, self->g, &pre);
	ASSERT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).pending));
	expect_blocked(_metadata, job);
	EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	expect_silence(_metadata, self->g);
	expect_content(_metadata, "file", "as it was");

	ASSERT_EQ(0, ioctl(fs_fd, FITHAW, 0));
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_content(_metadata, "file", "AS it was");
}

TEST_F(fsfreeze, thawed_while_it_waits)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	freeze(_metadata);
	ASSERT_EQ(0, ioctl(fs_fd, FITHAW, 0));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* Asked before there is anything to wait for, and denied without it. */
TEST_F(fsfreeze, asked_while_frozen)
{
	struct event pre;
	struct job *job;

	freeze(_metadata);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));

	/* Who waits for an answer can be killed, frozen or not. */
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	job_kill(_metadata, job, SIGKILL);
	expect_post(_metadata, self->g, &pre, -EINTR);
	ASSERT_EQ(0, ioctl(fs_fd, FITHAW, 0));
}

/* At both ends of the operation nothing is held that a freeze waits for. */
TEST_F(fsfreeze, frozen_in_flight)
{
	static const char *const points[] = { "begin", "end" };

	REQUIRE_HOLDS();
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		struct job *job = write_prepare(_metadata, "file", "AS");
		struct event pre;

		hold(_metadata, points[i], job->pid);
		job_go(_metadata, job);
		pre = expect_pre(_metadata, self->g, job->pid);
		allow(_metadata, self->g, &pre);
		wait_held(_metadata, points[i]);
		freeze(_metadata);
		ASSERT_EQ(0, ioctl(fs_fd, FITHAW, 0));
		release(_metadata, points[i]);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_post(_metadata, self->g, &pre, 2);
	}
}

/*
 * No one wants to know of it when it begins: that it was not described then is
 * made up for when someone does at its end.
 */
TEST_F(fsfreeze, marked_while_it_waits)
{
	struct event post;
	struct job *job;
	pid_t pid;

	put_file(_metadata, "other", "as it was");
	freeze(_metadata);
	job = write_start(_metadata, "other", "AS");
	pid = job->pid;
	expect_blocked(_metadata, job);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_SYNC, FAN_MODIFY,
	     "other");
	ASSERT_EQ(0, ioctl(fs_fd, FITHAW, 0));
	EXPECT_EQ(2, job_join(_metadata, job));
	post = expect_unpaired(_metadata, self->g, pid, 2);
	EXPECT_EQ(0ULL, post.offset);
	EXPECT_EQ(2ULL, post.count);
}

TEST_HARNESS_MAIN
