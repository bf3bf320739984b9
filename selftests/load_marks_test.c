// SPDX-License-Identifier: GPL-2.0
/*
 * Ignore masks that answers make, on as many inodes as there are: what each takes of
 * the memory that its inode is charged to, that each holds, that to drop all of them
 * takes as long as to drop a few, and that nothing is left when the group is closed.
 *
 *	VFS_FILTER_FILES	how many, FILES by default; each takes a KiB of memory
 */

#include "fs.h"
#include "load.h"

#define FEW		10
#define FILES		5000
#define DIR_FILES	1000
#define ROUNDS		8

/* For an ignore mask; docs/uapi.md has how much it was. */
#define BYTES_EACH	192
#define BYTES_KEPT	(256 << 10)

#define FLUSH		(FAN_MARK_FLUSH | FAN_MARK_IGNORE)

static int files;

FIXTURE(load_marks)
{
	struct group *g;
	long bytes;
};

FIXTURE_SETUP(load_marks)
{
	REQUIRE_CLASS();
	files = number_of("VFS_FILTER_FILES", FILES);
	ASSERT_LT(FEW, files);
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mount("tmpfs", ".", "tmpfs", MS_REMOUNT,
			   "size=90%,nr_inodes=0"));
	COUNTED_GROUP(self->g, FAN_UNLIMITED_MARKS);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ATTRIB, ".");
}

FIXTURE_TEARDOWN(load_marks)
{
	test_end(_metadata);
}

static const char *name_of(int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "%d/%d", i / DIR_FILES, i % DIR_FILES);
	return name;
}

struct range {
	int from, to;
};

/* Nothing that is stored takes memory. */
static long make(void *arg __maybe_unused)
{
	char dir[16];

	for (int i = 0; i < files; i++) {
		if (i % DIR_FILES == 0) {
			snprintf(dir, sizeof(dir), "%d", i / DIR_FILES);
			if (mkdir(dir, 0755))
				return -1;
		}
		if (mknod(name_of(i), S_IFREG | 0600, 0))
			return -1;
	}
	return 0;
}

/* In the cgroup whose memory is counted. */
static void make_all(struct __test_metadata *const _metadata)
{
	struct job *job = job_prepare(_metadata, make, NULL);

	ASSERT_EQ(0, enter(cgroup, job->pid));
	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
}

static long touch(void *arg)
{
	const struct range *range = arg;

	for (int i = range->from; i < range->to; i++)
		if (chmod(name_of(i), 0600))
			return -1;
	return 0;
}

/* How often the group is asked while someone touches them, each answer ignores. */
static int ignore(struct __test_metadata *const _metadata, struct group *g,
		  int from, int to)
{
	struct range range = { from, to };
	struct job *job = job_start(_metadata, touch, &range);
	struct pollfd pfds[] = {
		{ .fd = g->fd, .events = POLLIN },
		{ .fd = job->pidfd, .events = POLLIN },
	};
	int asked = 0;

	for (;;) {
		ASSERT_LT(0, poll(pfds, 2, TIMEOUT_MS));
		if (!pfds[0].revents)
			break;
		do {
			const struct event ev = event_next(_metadata, g);

			EXPECT_EQ(FAN_PRE(FAN_ATTRIB), ev.mask);
			answer(_metadata, g, &ev, FAN_ALLOW | FAN_RESPONSE_IGNORE);
			asked++;
		} while (g->pos < g->len);
	}
	EXPECT_EQ(0, job_join(_metadata, job));
	return asked;
}

static long long cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The least of a few rounds, for there is more in the machine than this. */
static long long flush_ns(struct __test_metadata *const _metadata,
			  struct group *g)
{
	long long best = LLONG_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		const long long start = cpu_ns();
		long long ns;

		mark(_metadata, g, FLUSH, 0, ".");
		ns = cpu_ns() - start;
		if (ns < best)
			best = ns;
	}
	return best;
}

TEST_F(load_marks, by_answers)
{
	long long few, many, start;
	long made, bytes, each;

	make_all(_metadata);
	made = counted_bytes(_metadata);
	EXPECT_EQ(FEW, ignore(_metadata, self->g, 0, FEW));
	few = flush_ns(_metadata, self->g);
	EXPECT_EQ(FEW, ignore(_metadata, self->g, 0, FEW));

	bytes = counted_bytes(_metadata);
	EXPECT_EQ(files - FEW, ignore(_metadata, self->g, FEW, files));
	each = (counted_bytes(_metadata) - bytes) / (files - FEW);
	EXPECT_EQ(0, ignore(_metadata, self->g, 0, files));
	TH_LOG("%d ignored: %ld bytes for each", files, each);
	EXPECT_GE(BYTES_EACH, each);
	EXPECT_LT(0, each);

	many = flush_ns(_metadata, self->g);
	TH_LOG("flush: %lld ns with %d ignored, %lld ns with %d", few, FEW, many,
	       files);
	EXPECT_GT(4 * few, many);
	mark(_metadata, self->g, FLUSH | FAN_MARK_SYNC, 0, ".");
	EXPECT_EQ(FEW, ignore(_metadata, self->g, files - FEW, files));

	start = cpu_ns();
	group_close(self->g);
	TH_LOG("close: %lld us", (cpu_ns() - start) / 1000);
	/* What is freed after a grace period, in the background. */
	EXPECT_TRUE(EVENTUALLY(counted_bytes(_metadata) <= made + BYTES_KEPT))
		TH_LOG("%ld bytes are left", counted_bytes(_metadata) - made);
}

TEST_HARNESS_MAIN
