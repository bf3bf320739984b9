// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings that change: what can be read or written through them in the end is
 * what was asked about, whatever others do to them meanwhile.
 */

#include <limits.h>
#include <pthread.h>

#include "fs.h"
#include "group.h"
#include "pages.h"

#define MAX_ASKED	16	/* MREMAP_MAX_ASK, MPROTECT_MAX_ASK */

FIXTURE(remap)
{
	struct group *g;
};

/* What a test and its job have in common. */
static struct {
	int change;	/* how often the mapping is to be changed by a thread */
	int changed;	/* how often it was */
} *common;

FIXTURE_SETUP(remap)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	known_op_flags = FAN_OP_MAPPED;
	put_pages(_metadata, "file");
	put_pages(_metadata, "file2");
	self->g = group_open(_metadata, 0);
	common = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, common);
}

FIXTURE_TEARDOWN(remap)
{
	test_end(_metadata);
}

static struct event expect_access(struct __test_metadata *const _metadata,
				  struct group *g, pid_t pid, __u64 offset,
				  __u64 count)
{
	const struct event pre = expect_pre_of(_metadata, g, FAN_ACCESS, 0, pid);

	EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, pre.records);
	EXPECT_EQ(offset, pre.offset);
	EXPECT_EQ(count, pre.count);
	return pre;
}

static void serve_access(struct __test_metadata *const _metadata,
			 struct group *g, pid_t pid, __u64 offset, __u64 count)
{
	const struct event pre = expect_access(_metadata, g, pid, offset, count);

	allow(_metadata, g, &pre);
	expect_post_of(_metadata, g, &pre, 0);
}

/*
 * The file is mapped, which is allowed, and then the mapping changes. That is
 * asked about when the first has ended, and is read before its end.
 */
static struct event serve_mapped(struct __test_metadata *const _metadata,
				 struct group *g, pid_t pid, __u64 offset,
				 __u64 count)
{
	const struct event first = expect_access(_metadata, g, pid, 0, PAGE);
	struct event pre;

	allow(_metadata, g, &first);
	wait_pending(_metadata, g, 1);
	pre = expect_access(_metadata, g, pid, offset, count);
	expect_post_of(_metadata, g, &first, 0);
	return pre;
}

/* Length of the mapping at @map as /proc/self/maps has it, 0 if none. */
static unsigned long mapped_len(const void *map)
{
	unsigned long start, end, len = 0;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && !len && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start == (unsigned long)map)
			len = end - start;
	if (maps)
		fclose(maps);
	return len;
}

/* -------------------------------- mremap(2) ----------------------------- */

/* Room for a mapping to grow in place, so that its address tells what it is. */
static char *reserve(void)
{
	return mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
}

static char *map_page(char *map, const char *path)
{
	const int fd = open(path, O_RDWR);

	munmap(map + PAGE, SIZE);
	map = mmap(map, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
	return map;
}

static long grow(void *arg)
{
	char *map = map_page(reserve(), "file");

	(void)arg;
	if (map == MAP_FAILED)
		return -1;
	if (mremap(map, PAGE, SIZE, 0) == map)
		return mapped_len(map) == SIZE ? 0 : 1;
	return mapped_len(map) == PAGE ? -1 : 2;
}

TEST_F(remap, grows)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, grow, NULL);
	pre = serve_mapped(_metadata, self->g, job->pid, PAGE, SIZE - PAGE);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

TEST_F(remap, must_not_grow)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, grow, NULL);
	pre = serve_mapped(_metadata, self->g, job->pid, PAGE, SIZE - PAGE);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

/* Without an old length it makes a second mapping, as long as one likes. */
static long duplicate(void *arg)
{
	char *map = map_page(reserve(), "file");

	(void)arg;
	if (map == MAP_FAILED)
		return -1;
	return mremap(map, 0, SIZE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0;
}

TEST_F(remap, duplicates)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, duplicate, NULL);
	pre = serve_mapped(_metadata, self->g, job->pid, 0, SIZE);
	allow(_metadata, self->g, &pre);
	expect_post_of(_metadata, self->g, &pre, 0);
	EXPECT_EQ(0, job_join(_metadata, job));
}

/* What shows no more of the file is not asked about. */
static long move_and_shrink(void *arg)
{
	const int fd = open("file", O_RDWR);
	char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	(void)arg;
	if (map == MAP_FAILED)
		return -1;
	map = mremap(map, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, reserve());
	if (map == MAP_FAILED)
		return -1;
	return mremap(map, SIZE, PAGE, 0) == map ? 0 : -1;
}

TEST_F(remap, moves)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, move_and_shrink, NULL);
	serve_access(_metadata, self->g, job->pid, 0, SIZE);
	EXPECT_EQ(0, job_join(_metadata, job));
}

/* ------------------------ changed while asked about --------------------- */

/* Puts a new file of the same name at an address, whenever the test says so. */
static void *change_mapping(void *map)
{
	for (int i = 1; ; i++) {
		while (__atomic_load_n(&common->change, __ATOMIC_ACQUIRE) < i)
			usleep(1000);
		map_page(map, i % 2 ? "file2" : "file");
		__atomic_store_n(&common->changed, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void change(struct __test_metadata *const _metadata, int i)
{
	__atomic_store_n(&common->change, i, __ATOMIC_RELEASE);
	ASSERT_TRUE(EVENTUALLY(__atomic_load_n(&common->changed,
					       __ATOMIC_ACQUIRE) == i));
}

static char *map_and_change(void)
{
	char *map = map_page(reserve(), "file");
	pthread_t thread;

	if (map == MAP_FAILED ||
	    pthread_create(&thread, NULL, change_mapping, map))
		return NULL;
	return map;
}

static long grow_changing(void *arg)
{
	char *map = map_and_change();

	(void)arg;
	if (!map)
		return 1;
	errno = 0;
	return mremap(map, PAGE, SIZE, 0) == map ? 0 : -1;
}

/* Only growth is of interest here, which is what has an offset. */
static struct event next_growth(struct __test_metadata *const _metadata,
				struct group *g, pid_t pid)
{
	struct event ev = event_next(_metadata, g);

	while (ev.mask == FAN_PRE(FAN_ACCESS) && !ev.offset) {
		allow(_metadata, g, &ev);
		expect_post_of(_metadata, g, &ev, 0);
		ev = event_next(_metadata, g);
	}
	EXPECT_EQ(FAN_PRE(FAN_ACCESS), ev.mask);
	EXPECT_EQ(pid, ev.pid);
	return ev;
}

/* Who maps another file there is asked about that one. */
TEST_F(remap, grows_into_another)
{
	struct event pre, pre2;
	struct fid fid;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file2");
	job = job_start(_metadata, grow_changing, NULL);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	pre = next_growth(_metadata, self->g, job->pid);
	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_ACCESS, "file2");
	change(_metadata, 1);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file2");
	allow(_metadata, self->g, &pre);
	wait_pending(_metadata, self->g, 1);
	pre2 = next_growth(_metadata, self->g, job->pid);
	fid = fid_of(_metadata, "file2");
	EXPECT_TRUE(same_fid(&fid, &pre2.fid));
	expect_post_of(_metadata, self->g, &pre, -EAGAIN);
	answer(_metadata, self->g, &pre2, FAN_DENY_ERRNO(EROFS));
	EXPECT_EQ(-EROFS, job_join(_metadata, job));
}

static long protect_changing(void *arg)
{
	char *map = map_and_change();

	(void)arg;
	if (!map)
		return 1;
	errno = 0;
	return mprotect(map, PAGE, RW) ? -1 : 0;
}

/* Nor can one be asked for ever. */
TEST_F(remap, protected_and_changed)
{
	struct event ev;
	struct job *job;
	int asked = 0;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file2");
	job = job_start(_metadata, protect_changing, NULL);
	while (asked <= MAX_ASKED) {
		if (!group_readable(self->g, 0) && job_ended(job, 10))
			break;
		if (!group_readable(self->g, SETTLE_MS))
			continue;
		ev = event_next(_metadata, self->g);
		if (ev.mask != FAN_PRE(FAN_MODIFY))
			continue;
		change(_metadata, ++asked);
		allow(_metadata, self->g, &ev);
	}
	EXPECT_EQ(MAX_ASKED, asked);
	EXPECT_EQ(-ENOMEM, job_join(_metadata, job));
	self->g->unread_ok = true;
}

/* ------------------------------ bad arguments --------------------------- */

static const struct {
	unsigned long len;
	off_t offset;
	int err;
} bad_maps[] = {
	{ SIZE, LLONG_MIN, EOVERFLOW },
	{ SIZE, -PAGE, EOVERFLOW },
	{ SIZE, LLONG_MAX - PAGE + 1, EOVERFLOW },
	{ 1UL << 62, 0, ENOMEM },
	{ -1UL, 0, ENOMEM },
};

static long map_badly(void *arg)
{
	const int fd = open("file", O_RDWR);

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(bad_maps); i++) {
		errno = 0;
		if (syscall(SYS_mmap, NULL, bad_maps[i].len, PROT_READ,
			    MAP_SHARED, fd, bad_maps[i].offset) != -1 ||
		    errno != bad_maps[i].err)
			return 100 * (i + 1) + errno;
	}
	return 0;
}

TEST_F(remap, refused)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS | FAN_MODIFY, "file");
	job = job_start(_metadata, map_badly, NULL);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
