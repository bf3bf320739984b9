// SPDX-License-Identifier: GPL-2.0
/*
 * What a checkpoint costs: to drop all ignore masks takes as long for many
 * inodes as for few.
 *
 *	VFS_FILTER_FILES	how many are many, MANY by default
 *
 * Time is what the task has had of a CPU. In a machine that counts executed
 * instructions (scripts/vm --icount) a nanosecond is an instruction.
 */

#include <time.h>

#include "fs.h"
#include "group.h"

#define FEW	10
#define MANY	20000
#define ROUNDS	8

#define IGNORE	(FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE)
#define FLUSH	(FAN_MARK_FLUSH | FAN_MARK_IGNORE)

FIXTURE(flush_cost)
{
	struct group *g;
	int many;
};

FIXTURE_SETUP(flush_cost)
{
	const char *files = getenv("VFS_FILTER_FILES");

	REQUIRE_CLASS();
	self->many = files ? atoi(files) : MANY;
	ASSERT_LT(FEW, self->many);
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mount("tmpfs", ".", "tmpfs", MS_REMOUNT,
			   "size=90%,nr_inodes=0"));
	self->g = group_open(_metadata, FAN_UNLIMITED_MARKS);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
}

FIXTURE_TEARDOWN(flush_cost)
{
	test_end(_metadata);
}

static const char *name_of(int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "%d/%d", i / 1000, i % 1000);
	return name;
}

/* Makes files up to number @to, from @from on, and ignores them. */
static void ignore_files(struct __test_metadata *const _metadata,
			 struct group *g, int from, int to)
{
	char dir[16];
	int fd;

	for (int i = from; i < to; i++) {
		if (i % 1000 == 0) {
			snprintf(dir, sizeof(dir), "%d", i / 1000);
			ASSERT_EQ(0, mkdir(dir, 0755));
		}
		fd = open(name_of(i), O_CREAT | O_RDONLY | O_CLOEXEC, 0644);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, sys_fanotify_mark(g->fd, FAN_MARK_ADD | IGNORE,
					       FAN_MODIFY, fd, NULL));
		close(fd);
	}
}

static void ignore_again(struct __test_metadata *const _metadata,
			 struct group *g, int n)
{
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, sys_fanotify_mark(g->fd, FAN_MARK_ADD | IGNORE,
					       FAN_MODIFY, AT_FDCWD,
					       name_of(i)));
}

static long long cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long once_ns(struct __test_metadata *const _metadata,
			 struct group *g, unsigned int flags)
{
	const long long start = cpu_ns();

	ASSERT_EQ(0, sys_fanotify_mark(g->fd, flags, 0, AT_FDCWD, "."));
	return cpu_ns() - start;
}

/* The least of a few rounds, for there is more in the machine than this. */
static long long flush_ns(struct __test_metadata *const _metadata,
			  struct group *g, unsigned int flags)
{
	long long best = once_ns(_metadata, g, FLUSH | flags);

	for (int i = 1; i < ROUNDS; i++) {
		const long long ns = once_ns(_metadata, g, FLUSH | flags);

		if (ns < best)
			best = ns;
	}
	return best;
}

TEST_F(flush_cost, constant)
{
	long long few[2], many[2], walk;

	for (int sync = 0; sync < 2; sync++) {
		const unsigned int flags = sync ? FAN_MARK_SYNC : 0;

		if (!sync)
			ignore_files(_metadata, self->g, 0, FEW);
		else
			ignore_again(_metadata, self->g, FEW);
		few[sync] = flush_ns(_metadata, self->g, flags);
	}
	ignore_files(_metadata, self->g, FEW, self->many);
	for (int sync = 0; sync < 2; sync++) {
		const unsigned int flags = sync ? FAN_MARK_SYNC : 0;

		ignore_again(_metadata, self->g, FEW);
		many[sync] = flush_ns(_metadata, self->g, flags);
	}

	/* What takes one mark after the other. */
	walk = once_ns(_metadata, self->g, FAN_MARK_FLUSH);

	TH_LOG("flush: %lld ns with %d ignored, %lld ns with %d", few[0], FEW,
	       many[0], self->many);
	TH_LOG("flush and sync: %lld ns with %d ignored, %lld ns with %d",
	       few[1], FEW, many[1], self->many);

	TH_LOG("a walk of all marks: %lld ns", walk);

	/*
	 * One mark after the other, it would be hundreds of times as much. What
	 * the task does while it waits for a grace period is the work of others,
	 * such as callbacks that are due; so that is compared with a walk.
	 */
	EXPECT_LT(many[0], 4 * few[0]);
	EXPECT_LT(many[1], walk / 8);
}

TEST_HARNESS_MAIN
