// SPDX-License-Identifier: GPL-2.0
/*
 * The freezer of cgroup v2, when it is the listener that is frozen: before those
 * who wait for it or after them, thawed first or last, or with them at once.
 */

#include "cgroup.h"
#include "fs.h"
#include "queue.h"

FIXTURE(freezer)
{
	struct group *g;
	struct job *listener, *writer;
};

static char listeners[96], writers[96];

static void cgroups_end(void)
{
	cgroup_write(listeners, "cgroup.freeze", "0");
	cgroup_write(writers, "cgroup.freeze", "0");
	cgroup_write(cgroup, "cgroup.freeze", "0");
	cgroup_write(cgroup, "cgroup.kill", "1");
	EVENTUALLY(!rmdir(listeners) || errno != EBUSY);
	EVENTUALLY(!rmdir(writers) || errno != EBUSY);
	cgroup_end();
}

/* Answers whatever it reads, until its group is closed. */
static long answer_all(void *arg)
{
	const struct group *g = arg;
	struct group q = { .fd = queue_fd(g, O_CLOEXEC) };
	struct __test_metadata metadata = {}, *_metadata = &metadata;
	ssize_t n = -1;

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	while (q.fd >= 0 && (n = read(q.fd, q.buf, sizeof(q.buf))) > 0) {
		const struct event ev = event_parse(_metadata, q.buf, n);

		if (ev.mask & ALL_PRE)
			try_answer(&q, ev.cookie, FAN_ALLOW);
	}
	return n;
}

static void move(struct __test_metadata *const _metadata, const char *dir,
		 const struct job *job)
{
	ASSERT_EQ(0, enter(dir, job->pid));
}

FIXTURE_SETUP(freezer)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	cgroup_mount(_metadata);
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	snprintf(listeners, sizeof(listeners), "%s/listeners", cgroup);
	snprintf(writers, sizeof(writers), "%s/writers", cgroup);
	ASSERT_EQ(0, mkdir(listeners, 0755));
	ASSERT_EQ(0, mkdir(writers, 0755));
	guard_start(_metadata, cgroups_end);

	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	self->listener = __job_prepare(_metadata, answer_all, self->g, true);
	move(_metadata, listeners, self->listener);
	self->writer = write_prepare(_metadata, "file", "ab");
	move(_metadata, writers, self->writer);
}

FIXTURE_TEARDOWN(freezer)
{
	cgroup_write(listeners, "cgroup.freeze", "0");
	cgroup_write(writers, "cgroup.freeze", "0");
	cgroup_write(cgroup, "cgroup.freeze", "0");
	test_end(_metadata);
}

static bool is_frozen(const char *dir)
{
	char path[128], buf[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	return read_file(path, buf, sizeof(buf)) > 0 &&
	       strstr(buf, "frozen 1\n");
}

static void freeze(struct __test_metadata *const _metadata, const char *dir)
{
	ASSERT_EQ(0, cgroup_write(dir, "cgroup.freeze", "1"));
	ASSERT_TRUE(EVENTUALLY(is_frozen(dir)))
		TH_LOG("%s is not frozen", dir);
}

static void thaw(struct __test_metadata *const _metadata, const char *dir)
{
	ASSERT_EQ(0, cgroup_write(dir, "cgroup.freeze", "0"));
}

/* The writer has its answer, and the listener waits for the next question. */
static void expect_served(struct __test_metadata *const _metadata,
			  FIXTURE_DATA(freezer) *self)
{
	EXPECT_EQ(2, job_join(_metadata, self->writer));
	self->writer = write_start(_metadata, "file", "ab");
	EXPECT_EQ(2, job_join(_metadata, self->writer));
	ASSERT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).queued));
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	group_close(self->g);
	EXPECT_EQ(0, job_join(_metadata, self->listener));
}

/* Who is asked about while the listener is frozen waits, and does so frozen. */
static void ask_frozen(struct __test_metadata *const _metadata,
		       FIXTURE_DATA(freezer) *self)
{
	job_go(_metadata, self->listener);
	freeze(_metadata, listeners);
	job_go(_metadata, self->writer);
	wait_pending(_metadata, self->g, 1);
	expect_blocked(_metadata, self->writer);
	freeze(_metadata, writers);
}

TEST_F(freezer, listener_frozen_first_thawed_first)
{
	ask_frozen(_metadata, self);
	thaw(_metadata, listeners);
	ASSERT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).pending));
	expect_blocked(_metadata, self->writer);
	thaw(_metadata, writers);
	expect_served(_metadata, self);
}

TEST_F(freezer, listener_frozen_first_thawed_last)
{
	ask_frozen(_metadata, self);
	thaw(_metadata, writers);
	ASSERT_TRUE(EVENTUALLY(!is_frozen(writers)));
	expect_blocked(_metadata, self->writer);
	EXPECT_EQ(1, group_state(_metadata, self->g).pending);
	thaw(_metadata, listeners);
	expect_served(_metadata, self);
}

/* It waits in read(2) when it is frozen, and the writer has been so before. */
static void freeze_last(struct __test_metadata *const _metadata,
			FIXTURE_DATA(freezer) *self)
{
	job_go(_metadata, self->writer);
	wait_pending(_metadata, self->g, 1);
	freeze(_metadata, writers);
	ASSERT_EQ(0, cgroup_write(listeners, "cgroup.freeze", "1"));
	job_go(_metadata, self->listener);
	ASSERT_TRUE(EVENTUALLY(is_frozen(listeners)));
	EXPECT_EQ(1, group_state(_metadata, self->g).pending);
}

TEST_F(freezer, listener_frozen_last_thawed_first)
{
	freeze_last(_metadata, self);
	thaw(_metadata, listeners);
	ASSERT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).pending));
	expect_blocked(_metadata, self->writer);
	thaw(_metadata, writers);
	expect_served(_metadata, self);
}

TEST_F(freezer, listener_frozen_last_thawed_last)
{
	freeze_last(_metadata, self);
	thaw(_metadata, writers);
	expect_blocked(_metadata, self->writer);
	thaw(_metadata, listeners);
	expect_served(_metadata, self);
}

/* All of a service at once, as whoever freezes a container does it. */
TEST_F(freezer, all_at_once)
{
	job_go(_metadata, self->writer);
	wait_pending(_metadata, self->g, 1);
	ASSERT_EQ(0, cgroup_write(cgroup, "cgroup.freeze", "1"));
	ASSERT_TRUE(EVENTUALLY(is_frozen(cgroup)));
	job_go(_metadata, self->listener);
	expect_blocked(_metadata, self->writer);
	thaw(_metadata, cgroup);
	expect_served(_metadata, self);
}

/* A frozen listener keeps no one from being killed, */
TEST_F(freezer, writer_killed)
{
	ask_frozen(_metadata, self);
	job_kill(_metadata, self->writer, SIGKILL);
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	thaw(_metadata, writers);
	thaw(_metadata, listeners);
	self->writer = write_start(_metadata, "file", "ab");
	expect_served(_metadata, self);
}

/* and can be killed itself: what waits is anyone's then who reads the group. */
TEST_F(freezer, listener_killed)
{
	struct event pre;

	ask_frozen(_metadata, self);
	job_kill(_metadata, self->listener, SIGKILL);
	thaw(_metadata, writers);
	pre = expect_pre(_metadata, self->g, self->writer->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, self->writer));
	expect_post(_metadata, self->g, &pre, 2);
}

/* A deadline goes on for those who wait and are not frozen. */
TEST_F(freezer, deadline)
{
	const struct fanotify_deadline deadline = { 300, FAN_DENY };
	const struct fanotify_deadline none = {};

	ASSERT_EQ(0, ioctl(self->g->fd, FAN_IOC_DEADLINE, &deadline));
	job_go(_metadata, self->listener);
	freeze(_metadata, listeners);
	job_go(_metadata, self->writer);
	EXPECT_EQ(-EPERM, job_join(_metadata, self->writer));
	ASSERT_EQ(0, ioctl(self->g->fd, FAN_IOC_DEADLINE, &none));
	thaw(_metadata, listeners);
	self->writer = write_start(_metadata, "file", "ab");
	expect_served(_metadata, self);
}

TEST_HARNESS_MAIN
