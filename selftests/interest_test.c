// SPDX-License-Identifier: GPL-2.0
/*
 * What users without privileges watch, by inotify, does not make operations that
 * nobody asks about look for those who would: neither once more at their end,
 * nor at each step of the way.
 *
 * Time is what the task has had of a CPU. In a machine that counts executed
 * instructions (scripts/vm --icount) a nanosecond is an instruction.
 */

#include <sys/inotify.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"

#define IGNORE	FAN_MARK_IGNORE_SURV

/* --------------------- a change while it is under way -------------------- */

FIXTURE(under_way)
{
	struct group *g;	/* watches the file system, ignores the file */
	struct job *writer;	/* of the file, that has not ended */
};

FIXTURE_SETUP(under_way)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");
	self->writer = write_prepare(_metadata, "file", "AS");
}

FIXTURE_TEARDOWN(under_way)
{
	test_end(_metadata);
}

/* It is allowed, and does not go on. */
static void start(struct __test_metadata *const _metadata, struct job *job)
{
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "begin");
}

/* Then it ends, and comes to where marks were looked at if it does so again. */
static void finish(struct __test_metadata *const _metadata, struct job *job,
		   bool looks)
{
	hold(_metadata, "marks", job->pid);
	release(_metadata, "begin");
	if (looks)
		wait_held(_metadata, "marks");
	else
		EXPECT_TRUE(job_ended(job, TIMEOUT_MS));
	release(_metadata, "marks");
	EXPECT_EQ(2, job_join(_metadata, job));
}

TEST_F(under_way, nothing)
{
	start(_metadata, self->writer);
	finish(_metadata, self->writer, false);
}

TEST_F(under_way, inotify)
{
	/* Not for what is done here, which would be looked for as well. */
	const __u32 mask = IN_DELETE_SELF | IN_ATTRIB;
	const int fd = inotify_init1(IN_NONBLOCK);
	int wd[2];

	ASSERT_LE(0, fd);
	put_file(_metadata, "other", "");
	wd[0] = inotify_add_watch(fd, "other", mask);
	ASSERT_LE(0, wd[0]);
	start(_metadata, self->writer);
	wd[1] = inotify_add_watch(fd, ".", mask);
	ASSERT_LE(0, wd[1]);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, inotify_rm_watch(fd, wd[i]));
	finish(_metadata, self->writer, false);

	/* With a watch of the directory all the time, and many of the file. */
	ASSERT_LE(0, inotify_add_watch(fd, ".", mask));
	ASSERT_LE(0, inotify_add_watch(fd, "file", mask));
	self->writer = write_prepare(_metadata, "file", "AS");
	start(_metadata, self->writer);
	finish(_metadata, self->writer, false);
	close(fd);
}

/* Marks of a group of another class, which user space has in any number. */
TEST_F(under_way, older_class)
{
	struct group *older = class_open(_metadata, FAN_CLASS_NOTIF);

	put_file(_metadata, "other", "");
	start(_metadata, self->writer);
	mark(_metadata, older, FAN_MARK_ADD, FAN_OPEN, "other");
	mark(_metadata, older, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN,
	     "other");
	mark(_metadata, older, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK,
	     FAN_OPEN, "other");
	mark(_metadata, older, FAN_MARK_FLUSH | FAN_MARK_IGNORE, 0, ".");
	mark(_metadata, older, FAN_MARK_FLUSH, 0, ".");
	finish(_metadata, self->writer, false);
	group_close(older);
}

/* Inodes that are ignored go, as memory is needed: no one is at work on them. */
TEST_F(under_way, evicted)
{
	mark_files(_metadata, self->g, IGNORE | FAN_MARK_EVICTABLE, FAN_MODIFY,
		   0, 10);
	ASSERT_EQ(11, count_marks(_metadata, self->g, "ino"));
	start(_metadata, self->writer);
	ASSERT_TRUE(EVENTUALLY(({
		evict_inodes(_metadata);
		count_marks(_metadata, self->g, "ino") == 1;
	})));
	finish(_metadata, self->writer, false);
}

/* What does count: some group could be told more. */
TEST_F(under_way, more)
{
	struct group *other = group_open(_metadata, 0);

	put_file(_metadata, "other", "");
	start(_metadata, self->writer);
	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "other");
	finish(_metadata, self->writer, true);

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "other");
	self->writer = write_prepare(_metadata, "file", "AS");
	start(_metadata, self->writer);
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_MODIFY, "other");
	finish(_metadata, self->writer, true);
}

/* ------------------------------ all the way ------------------------------ */

#define ROUNDS	8
#define CALLS	2000
#define WATCHERS	64

FIXTURE(cost)
{
	struct group *g;
	int fd;		/* of the file */
};

FIXTURE_VARIANT(cost)
{
	__u64 mask;
	__u64 ignored;
};

FIXTURE_VARIANT_ADD(cost, nobody_asks)
{
	.mask = FAN_ATTRIB,
};

FIXTURE_VARIANT_ADD(cost, ignored)
{
	.mask = FAN_ACCESS,
	.ignored = FAN_ACCESS,
};

FIXTURE_SETUP(cost)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir("dir", 0755));
	put_file(_metadata, "dir/file", "content");
	self->fd = open("dir/file", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(cost)
{
	close(self->fd);
	test_end(_metadata);
}

static long long cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Per call, the least of a few rounds. By a job: the owner is not asked. */
static long read_cost(void *arg)
{
	const int fd = *(int *)arg;
	long long best = LLONG_MAX;
	char c;

	for (int i = 0; i < ROUNDS; i++) {
		const long long start = cpu_ns();
		long long ns;

		for (int k = 0; k < CALLS; k++)
			if (pread(fd, &c, 1, 0) != 1)
				return -1;
		ns = (cpu_ns() - start) / CALLS;
		if (ns < best)
			best = ns;
	}
	return best;
}

static long cost(struct __test_metadata *const _metadata, int *fd)
{
	const long ns = job_join(_metadata, job_start(_metadata, read_cost, fd));

	EXPECT_LT(0, ns);
	return ns;
}

/* What is watched: nothing, the directory, and the file as well. */
#define STATES	3

static void costs(struct __test_metadata *const _metadata, int *fd, long *ns)
{
	/* For something else than what is done here. */
	const __u32 mask = IN_DELETE_SELF | IN_ATTRIB;
	int inotify[WATCHERS];

	for (size_t i = 0; i < WATCHERS; i++) {
		inotify[i] = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		ASSERT_LE(0, inotify[i]);
	}
	ns[0] = cost(_metadata, fd);
	for (size_t i = 0; i < WATCHERS; i++)
		ASSERT_LE(0, inotify_add_watch(inotify[i], "dir", mask));
	ns[1] = cost(_metadata, fd);
	for (size_t i = 0; i < WATCHERS; i++)
		ASSERT_LE(0, inotify_add_watch(inotify[i], "dir/file", mask));
	ns[2] = cost(_metadata, fd);
	for (size_t i = 0; i < WATCHERS; i++)
		close(inotify[i]);
}

/* What a filter adds to a read is not much more because of who else watches. */
TEST_F(cost, of_others)
{
	long without[STATES], with[STATES], more;

	/* The clock says little where others use the same CPU. */
	if (!getenv("INTEREST_COST"))
		SKIP(return, "by the clock: set INTEREST_COST on a quiet machine");
	costs(_metadata, &self->fd, without);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     variant->mask, ".");
	if (variant->ignored)
		mark(_metadata, self->g, FAN_MARK_ADD | IGNORE,
		     variant->ignored, "dir/file");
	costs(_metadata, &self->fd, with);

	for (int i = 0; i < STATES; i++)
		TH_LOG("a read: %ld ns, %ld ns with a filter", without[i],
		       with[i]);
	more = with[0] - without[0];
	for (int i = 1; i < STATES; i++)
		EXPECT_LT(with[i] - without[i], 2 * more + without[0] / 10);
}

TEST_HARNESS_MAIN
