// SPDX-License-Identifier: GPL-2.0
/*
 * What a checkpoint costs: to drop all ignore masks takes as long for many
 * inodes as for few. And so does to find that there is no room for one more.
 *
 *	VFS_FILTER_FILES	how many are many, MANY by default
 *
 * Time is what the task has had of a CPU. In a machine that counts executed
 * instructions (scripts/vm --icount) a nanosecond is an instruction.
 */

#include <time.h>

#include "fs.h"
#include "group.h"
#include "marks.h"

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

/* To ignore one more, of which there is no file yet. */
static int try_ignore(struct group *g, const char *path)
{
	const int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0644);
	int ret = -errno;

	if (fd < 0)
		return ret;
	ret = sys_fanotify_mark(g->fd, FAN_MARK_ADD | IGNORE, FAN_MODIFY, fd,
				NULL) ? -errno : 0;
	close(fd);
	return ret;
}

static long long refused_ns(struct __test_metadata *const _metadata,
			    struct group *g)
{
	const int fd = open("one more", O_CREAT | O_RDONLY | O_CLOEXEC, 0644);
	long long best = LLONG_MAX;

	ASSERT_LE(0, fd);
	for (int i = 0; i < ROUNDS; i++) {
		const long long start = cpu_ns();
		long long ns;

		ASSERT_EQ(-1, sys_fanotify_mark(g->fd, FAN_MARK_ADD | IGNORE,
						FAN_MODIFY, fd, NULL));
		ASSERT_EQ(ENOSPC, errno);
		ns = cpu_ns() - start;
		if (ns < best)
			best = ns;
	}
	close(fd);
	return best;
}

/*
 * All that it may have is ignored by a group. Each answer that is to ignore more
 * fails, and whoever touches a file can have one given.
 */
TEST_F(flush_cost, at_the_limit)
{
	struct group *g = group_open(_metadata, 0);
	long long few, many;
	char name[16];

	limit_marks_start(_metadata);
	limit_marks(_metadata, FEW);
	ignore_files(_metadata, g, 0, FEW);
	few = refused_ns(_metadata, g);
	limit_marks(_metadata, self->many);
	ignore_files(_metadata, g, FEW, self->many);
	many = refused_ns(_metadata, g);
	TH_LOG("refused: %lld ns with %d ignored, %lld ns with %d", few, FEW,
	       many, self->many);
	EXPECT_LT(many, 4 * few);

	/* What is dropped makes room, for as many as there were. */
	mark(_metadata, g, FLUSH, 0, ".");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "new%d", i);
		ASSERT_EQ(0, try_ignore(g, name));
	}
	ignore_again(_metadata, g, FEW);

	/* And marks for events as well, which others than answers add. */
	mark(_metadata, g, FAN_MARK_ADD, FAN_OPEN, ".");
}

/* Those that were used again, or changed, are not taken for what they were. */
TEST_F(flush_cost, room_for_what_is_left)
{
	struct group *g = group_open(_metadata, 0);
	const char *const first = "0/0";
	int n = 0;

	limit_marks_start(_metadata);
	limit_marks(_metadata, FEW);
	ignore_files(_metadata, g, 0, FEW);
	mark(_metadata, g, FLUSH, 0, ".");
	/* One ignores again, one is asked about, and one is both. */
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, first);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "0/1");
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "0/2");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "0/2");
	/* What is left of this one is what it ignores. */
	mark(_metadata, g, FAN_MARK_ADD, FAN_OPEN, "0/3");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "0/3");
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_OPEN, "0/3");

	for (;; n++) {
		char name[16];
		int ret;

		snprintf(name, sizeof(name), "new%d", n);
		ret = try_ignore(g, name);
		if (ret) {
			EXPECT_EQ(-ENOSPC, ret);
			break;
		}
	}
	/* All but the four. */
	EXPECT_EQ(FEW - 4, n);
	EXPECT_EQ(FEW, count_marks(_metadata, g, "ino"));
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     first);
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_MODIFY, "0/1");
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_MODIFY, "0/2");
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "0/2");
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "0/3");
	EXPECT_EQ(FEW - 4, count_marks(_metadata, g, "ino"));

	/* And those that were dropped since, whatever they are of. */
	mark(_metadata, g, FLUSH, 0, ".");
	EXPECT_EQ(0, try_ignore(g, "another"));
	EXPECT_EQ(1, count_marks(_metadata, g, "ino"));
}

TEST_HARNESS_MAIN
