// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_IOC_OWN by a process that has the memory, in the kernel, of one that has
 * read and is gone: what that one has read is not taken for its own.
 */

#include "fs.h"
#include "group.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

/* One in three or so gets the same memory. */
#define ROUNDS	40

FIXTURE(reused)
{
	struct group *g;
};

FIXTURE_SETUP(reused)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
}

FIXTURE_TEARDOWN(reused)
{
	test_end(_metadata);
}

static long read_one(void *arg)
{
	const struct group *g = arg;
	char buf[4096];

	return read(g->fd, buf, sizeof(buf));
}

static long own(void *arg)
{
	const struct group *g = arg;

	return ioctl(g->fd, FAN_IOC_OWN);
}

/* A process that has the group as well, from start to end. */
static long run(struct __test_metadata *const _metadata, struct group *g,
		job_fn fn)
{
	struct job *job = __job_prepare(_metadata, fn, g, true);

	job_go(_metadata, job);
	return job_join(_metadata, job);
}

TEST_F(reused, read_by_who_had_it)
{
	struct job *writer = write_start(_metadata, "file", "ab");
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	for (int i = 0; i < ROUNDS && !_metadata->exit_code; i++) {
		ASSERT_LT(0, run(_metadata, self->g, read_one));
		EXPECT_EQ(0, group_state(_metadata, self->g).queued);
		/* It is freed after a grace period, and what comes with that. */
		for (int k = 0; k < 2; k++)
			ASSERT_EQ(0, syscall(__NR_membarrier,
					     MEMBARRIER_CMD_GLOBAL, 0, 0));
		ASSERT_EQ(0, run(_metadata, self->g, own));
		EXPECT_EQ(1, group_state(_metadata, self->g).queued)
			TH_LOG("in round %d", i);
	}
	pre = expect_pre(_metadata, self->g, writer->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, writer));
}

TEST_HARNESS_MAIN
