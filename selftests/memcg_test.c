// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that events take: it is the group's memory cgroup that pays, and at
 * its limit operations fail. For what answers ignore, it is that of the inode. No
 * one is killed for what others do.
 */

#include "cgroup.h"
#include "fs.h"
#include "group.h"

#define LIMIT		"1048576"
#define MAX_WRITES	50000	/* more than fit in that, by far */
#define WRITERS		16
#define ALLOW_IGNORE	(FAN_ALLOW | FAN_RESPONSE_IGNORE)

/* A count of memory.events. */
static long memory_events(struct __test_metadata *const _metadata,
			  const char *name)
{
	char path[96], buf[512], line[32];
	const char *at;

	snprintf(path, sizeof(path), "%s/memory.events", cgroup);
	ASSERT_LT(0, read_file(path, buf, sizeof(buf)));
	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(buf, line);
	ASSERT_NE(NULL, at);
	return atol(at + strlen(line));
}

static long sleep_on(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

FIXTURE(memcg)
{
	struct group *g;
	struct job *neighbour;	/* lives in the cgroup */
};

/* The listener is in a small cgroup when it makes its group. */
FIXTURE_SETUP(memcg)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	cgroup_mount(_metadata);
	if (cgroup_write(CGROUP_DIR, "cgroup.subtree_control", "+memory"))
		SKIP(return, "no memory controller: %s", strerror(errno));
	cgroup_begin(_metadata);

	ASSERT_EQ(0, enter(cgroup, getpid()));
	self->g = group_open(_metadata, FAN_UNLIMITED_QUEUE);
	ASSERT_EQ(0, enter(CGROUP_DIR, getpid()));
	self->neighbour = job_start(_metadata, sleep_on, NULL);
	ASSERT_EQ(0, enter(cgroup, self->neighbour->pid));
	ASSERT_EQ(0, cgroup_write(cgroup, "memory.max", LIMIT));
}

FIXTURE_TEARDOWN(memcg)
{
	test_end(_metadata);
}

static void write_until_overflow(struct __test_metadata *const _metadata,
				 struct group *g)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	int n = 0;

	ASSERT_LE(0, fd);
	while (n < MAX_WRITES && !(n % 64 == 0 &&
				   group_state(_metadata, g).overflows)) {
		ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
		n++;
	}
	close(fd);
	ASSERT_GT(MAX_WRITES, n);
}

/* Reads all there is, and allows what waits. Returns whether it overflowed. */
static bool drain(struct __test_metadata *const _metadata, struct group *g)
{
	char buf[65536] __attribute__((aligned(8)));
	bool overflow = false;
	struct event ev;
	ssize_t n;

	while ((n = read(g->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t pos = 0; pos < n; pos += ev.len) {
			ev = event_parse(_metadata, buf + pos, n - pos);
			if (ev.mask & ALL_PRE)
				allow(_metadata, g, &ev);
			overflow |= ev.mask == FAN_Q_OVERFLOW;
		}
	}
	EXPECT_EQ(EAGAIN, errno);
	return overflow;
}

/*
 * The test's own process is the owner, whose writes no group sees: so the
 * neighbour owns it.
 */
static long own_and_sleep(void *arg)
{
	const struct group *g = arg;

	if (ioctl(g->fd, FAN_IOC_OWN))
		return -1;
	return write_file("owned", O_CREAT, "") ? -1 : sleep_on(NULL);
}

TEST_F(memcg, limit)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct job *owner, *jobs[WRITERS];
	int waiting = 0;
	long failed = 0;

	owner = __job_prepare(_metadata, own_and_sleep, self->g, true);
	job_go(_metadata, owner);
	ASSERT_TRUE(EVENTUALLY(!access("owned", F_OK)));

	/* What is not reserved is lost, and said to be. */
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_POST(FAN_MODIFY), "file");
	write_until_overflow(_metadata, self->g);
	EXPECT_LT(0, memory_events(_metadata, "max"));

	/* Who has to be asked fails; there may be room for a few. */
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
	for (int i = 0; i < WRITERS; i++) {
		jobs[i] = job_start(_metadata, do_write, &args);
		ASSERT_TRUE(EVENTUALLY(job_ended(jobs[i], 0) ||
				       group_state(_metadata, self->g).pending >
				       waiting));
		if (!job_ended(jobs[i], 0)) {
			waiting++;
			continue;
		}
		EXPECT_EQ(-ENOMEM, job_join(_metadata, jobs[i]));
		jobs[i] = NULL;
		failed++;
	}
	EXPECT_LT(0, failed);

	/* No one pays with their life. */
	EXPECT_EQ(0, memory_events(_metadata, "oom_kill"));
	EXPECT_FALSE(job_ended(self->neighbour, 0));

	/* When it has been read, there is room again. */
	EXPECT_TRUE(drain(_metadata, self->g));
	for (int i = 0; i < WRITERS; i++)
		if (jobs[i]) {
			EXPECT_EQ(2, job_join(_metadata, jobs[i]));
		}
	drain(_metadata, self->g);
	serve_write(_metadata, self->g,
		    job_start(_metadata, do_write, &args), 2);

	/* Barriers are no exception, in either way. */
	mark(_metadata, self->g, FAN_MARK_BARRIER, 0, ".");
	EXPECT_EQ(FAN_Q_BARRIER, event_next(_metadata, self->g).mask);
	job_kill(_metadata, owner, SIGKILL);
}

#define FILES	20000	/* whose ignore masks do not fit in LIMIT */

static long make_many(void *arg __maybe_unused)
{
	char name[16];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (mknod(name, S_IFREG | 0600, 0))
			return -1;
	}
	return 0;
}

/* Nothing that is stored takes memory. */
static long touch_many(void *arg __maybe_unused)
{
	char name[16];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (chmod(name, 0600))
			return -1;
	}
	return 0;
}

/* For as long as someone has to be asked. Returns how many are ignored. */
static int ignore_all(struct __test_metadata *const _metadata, struct group *g,
		      const struct job *job)
{
	int ignored = 0, ret;
	struct event pre;

	while (group_readable(g, SETTLE_MS) || !job_ended(job, 0)) {
		if (!group_readable(g, 0))
			continue;
		pre = event_next(_metadata, g);
		ret = try_answer(g, pre.cookie, ALLOW_IGNORE);
		if (ret > 0) {
			ignored++;
			continue;
		}
		EXPECT_EQ(-ENOMEM, ret);
		allow(_metadata, g, &pre);
	}
	return ignored;
}

/* Of a group that the small cgroup pays for, or whose inodes it does. */
static int ignore_many(struct __test_metadata *const _metadata,
		       struct group *g, const struct job *neighbour)
{
	struct job *job;
	int ignored;

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_PRE(FAN_ATTRIB), ".");
	job = job_start(_metadata, touch_many, NULL);
	ignored = ignore_all(_metadata, g, job);
	EXPECT_EQ(0, job_join(_metadata, job));
	EXPECT_EQ(0, memory_events(_metadata, "oom"));
	EXPECT_FALSE(job_ended(neighbour, 0));
	return ignored;
}

/* Users cannot fill the memory of a listener by the files that they have. */
TEST_F(memcg, ignored)
{
	struct group *g;

	ASSERT_EQ(0, make_many(NULL));
	ASSERT_EQ(0, enter(cgroup, getpid()));
	g = group_open(_metadata, FAN_UNLIMITED_MARKS);
	ASSERT_EQ(0, enter(CGROUP_DIR, getpid()));
	EXPECT_EQ(FILES, ignore_many(_metadata, g, self->neighbour));
	EXPECT_EQ(0, memory_events(_metadata, "max"));
}

/* Room for some of their ignore masks, beside the inodes. */
static void leave_little_room(struct __test_metadata *const _metadata)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), "%s/memory.current", cgroup);
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	snprintf(text, sizeof(text), "%ld", atol(text) + atol(LIMIT));
	ASSERT_EQ(0, cgroup_write(cgroup, "memory.max", text));
}

/* What there is no memory for is not made, or fails, and that is all. */
TEST_F(memcg, inodes)
{
	struct group *g = group_open(_metadata, FAN_UNLIMITED_MARKS);
	struct job *job = job_prepare(_metadata, make_many, NULL);
	int ignored;

	ASSERT_EQ(0, cgroup_write(cgroup, "memory.max", "max"));
	ASSERT_EQ(0, enter(cgroup, job->pid));
	job_go(_metadata, job);
	ASSERT_EQ(0, job_join(_metadata, job));
	leave_little_room(_metadata);
	ignored = ignore_many(_metadata, g, self->neighbour);
	EXPECT_LT(0, ignored);
	EXPECT_GT(FILES, ignored);
	EXPECT_LT(0, memory_events(_metadata, "max"));
}

/* So many that what is kept of each would be more than the listener may have. */
#define MAPPINGS	4000

static long map_many(void *arg __maybe_unused)
{
	for (long i = 0; i < MAPPINGS; i++) {
		const int fd = open("file", O_RDWR | O_CLOEXEC);

		if (fd < 0 || mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_SHARED, fd, 0) == MAP_FAILED)
			return -1;
		close(fd);
	}
	return sleep_on(NULL);
}

/* How long a mapping lasts is up to who has made it, and so is what it takes. */
TEST_F(memcg, mappings)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct job *job;

	known_op_flags = FAN_OP_MAPPED;
	ASSERT_EQ(0, truncate("file", 4096));
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_start(_metadata, map_many, NULL);
	for (int i = 0; i < MAPPINGS; i++) {
		const struct event pre = event_next(_metadata, self->g);

		ASSERT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
		allow(_metadata, self->g, &pre);
	}
	serve_write(_metadata, self->g, job_start(_metadata, do_write, &args),
		    2);
	EXPECT_EQ((long)MAPPINGS, group_state(_metadata, self->g).inflight);
	EXPECT_EQ(0, memory_events(_metadata, "max"));
	job_kill(_metadata, job, SIGKILL);
	self->g->unread_ok = true;
}

TEST_HARNESS_MAIN
