// SPDX-License-Identifier: GPL-2.0
/*
 * Files that are mapped and executed. What can be stored to a shared mapping is
 * one operation, from the first mmap(2) or mprotect(2) that allows it to the
 * last close of the file; everything else is over when the system call is.
 */

#include <pthread.h>

#include "cgroup.h"
#include "exec.h"
#include "fs.h"
#include "group.h"
#include "hold.h"
#include "pages.h"
#include "stages.h"

FIXTURE(mapped)
{
	struct group *g;	/* asks about changes, and not about accesses */
};

FIXTURE_VARIANT(mapped)
{
	const char *type;
};

FIXTURE_VARIANT_ADD(mapped, tmpfs)
{
	.type = "tmpfs",
};

FIXTURE_VARIANT_ADD(mapped, ext4)
{
	.type = "ext4",
};

/* What is mapped is another file than the one that the user has open. */
FIXTURE_VARIANT_ADD(mapped, overlay)
{
	.type = "overlay",
};

FIXTURE_SETUP(mapped)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->type, FS_SIZE))
		SKIP(return, "no %s", variant->type);

	known_op_flags = FAN_OP_MAPPED;
	put_pages(_metadata, "file");
	put_pages(_metadata, "file2");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file2");
	stages_start(_metadata);
}

FIXTURE_TEARDOWN(mapped)
{
	test_end(_metadata);
}

static struct event expect_mapping(struct __test_metadata *const _metadata,
				   struct group *g, pid_t pid)
{
	const struct event pre = expect_pre_of(_metadata, g, FAN_MODIFY,
					       FAN_OP_MAPPED, pid);

	EXPECT_EQ(RECORD_OP | RECORD_FID, pre.records);
	return pre;
}

static struct event allow_mapping(struct __test_metadata *const _metadata,
				  struct group *g, pid_t pid)
{
	const struct event pre = expect_mapping(_metadata, g, pid);

	allow(_metadata, g, &pre);
	return pre;
}

static char *map_shared(int fd, int prot)
{
	return mmap(NULL, SIZE, prot, MAP_SHARED, fd, 0);
}

/*
 * Protection of the mapping of a file as its first page is in /proc/self/maps,
 * such as "rw-s", or "" if there is none. Not by errno or a fault: those could
 * be right for the wrong reason.
 */
static const char *mapped_as(const char *name)
{
	static char prot[5];
	char line[512], *path;
	FILE *maps = fopen("/proc/self/maps", "r");

	prot[0] = '\0';
	while (maps && !*prot && fgets(line, sizeof(line), maps)) {
		path = strrchr(line, '/');
		if (path && !strncmp(path + 1, name, strlen(name)) &&
		    path[1 + strlen(name)] == '\n')
			sscanf(line, "%*s %4s", prot);
	}
	if (maps)
		fclose(maps);
	return prot;
}

/* ------------------------------ from mmap(2) ---------------------------- */

/* Two mappings of one file; then neither; then the file is closed, too. */
static long map_twice(void *arg)
{
	char *map, *map2;
	int fd;

	(void)arg;
	fd = open("file", O_RDWR);
	map = map_shared(fd, RW);
	map2 = map_shared(fd, RW);
	if (map == MAP_FAILED || map2 == MAP_FAILED)
		return -1;
	*map = 'x';
	reach(1);
	munmap(map2, SIZE);
	munmap(map, SIZE);
	reach(2);
	return close(fd);
}

TEST_F(mapped, one_question_per_file)
{
	struct job *job = job_start(_metadata, map_twice, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	go_on(1);
	wait_reached(_metadata, 2);
	expect_silence(_metadata, self->g);
	go_on(2);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* The mapping outlives the descriptor. */
static long map_and_close(void *arg)
{
	const int fd = open("file", O_RDWR);
	char *map = map_shared(fd, RW);

	(void)arg;
	if (map == MAP_FAILED || close(fd))
		return -1;
	reach(1);
	*map = 'x';
	return munmap(map, SIZE);
}

TEST_F(mapped, closed_first)
{
	struct job *job = job_start(_metadata, map_and_close, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* It is not over before all who have it mapped are gone. */
static long map_and_fork(void *arg)
{
	const int fd = open("file", O_RDWR);
	char *map = map_shared(fd, RW);
	pid_t pid;

	(void)arg;
	if (map == MAP_FAILED)
		return -1;
	pid = fork();
	if (pid < 0)
		return -1;
	if (!pid) {
		close(fd);
		reach(1);
		*map = 'x';
		_exit(0);
	}
	return 0;
}

TEST_F(mapped, forked)
{
	struct job *job = job_start(_metadata, map_and_fork, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	go_on(1);
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* Two files, if of the same inode. */
static long open_twice(void *arg)
{
	const int fd = open("file", O_RDWR), fd2 = open("file", O_RDWR);

	(void)arg;
	return map_shared(fd, RW) == MAP_FAILED ||
	       map_shared(fd2, RW) == MAP_FAILED ? -1 : 0;
}

TEST_F(mapped, opened_twice)
{
	struct job *job = job_start(_metadata, open_twice, NULL);
	struct event pre[2], post;

	pre[0] = allow_mapping(_metadata, self->g, job->pid);
	pre[1] = allow_mapping(_metadata, self->g, job->pid);
	EXPECT_EQ(0, job_join(_metadata, job));
	for (int i = 0; i < 2; i++) {
		post = event_next(_metadata, self->g);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(FAN_OP_MAPPED, post.flags);
		ASSERT_TRUE(post.cookie == pre[0].cookie ||
			    post.cookie == pre[1].cookie);
		pre[post.cookie == pre[1].cookie].cookie = 0;
	}
}

static long map_once(void *arg)
{
	const int fd = open("file", O_RDWR);
	int err;

	(void)arg;

	if (map_shared(fd, RW) != MAP_FAILED)
		return 0;
	err = errno;
	if (*mapped_as("file"))
		return 1;
	errno = err;
	return -1;
}

TEST_F(mapped, denied)
{
	struct job *job = job_start(_metadata, map_once, NULL);
	const struct event pre = expect_mapping(_metadata, self->g, job->pid);

	expect_blocked(_metadata, job);
	answer(_metadata, self->g, &pre, FAN_DENY_ERRNO(EROFS));
	EXPECT_EQ(-EROFS, job_join(_metadata, job));
}

TEST_F(mapped, killed_while_asked)
{
	struct job *job = job_start(_metadata, map_once, NULL);
	const struct event pre = expect_mapping(_metadata, self->g, job->pid);

	job_kill(_metadata, job, SIGKILL);
	expect_post_of(_metadata, self->g, &pre, -EINTR);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* It ends with the process, however that ends. */
static long map_and_wait(void *arg)
{
	const long ret = map_once(arg);

	reach(1);
	return ret;
}

TEST_F(mapped, killed_while_mapped)
{
	struct job *job = job_start(_metadata, map_and_wait, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	job_kill(_metadata, job, SIGKILL);
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* Reported to whoever allowed it, with or without a mark. */
TEST_F(mapped, mark_removed)
{
	struct job *job = job_start(_metadata, map_and_wait, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_SYNC, FAN_MODIFY,
	     "file");
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

TEST_F(mapped, group_closed)
{
	struct job *job = job_start(_metadata, map_and_wait, NULL);

	allow_mapping(_metadata, self->g, job->pid);
	wait_reached(_metadata, 1);
	group_close(self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
}

/* Allowed, and then there is no room for it where it was to be. */
static long map_onto_another(void *arg)
{
	const int fd = open("file", O_RDWR);
	char *place = mmap(NULL, SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	return mmap(place, SIZE, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
		    0) == MAP_FAILED ? -1 : 0;
}

TEST_F(mapped, fails)
{
	struct job *job = job_start(_metadata, map_onto_another, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	EXPECT_EQ(-EEXIST, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -EEXIST);
}

/* One that fails does not end another one that did not. */
static long map_then_fail(void *arg)
{
	const int fd = open("file", O_RDWR);
	char *map = map_shared(fd, RW);

	(void)arg;
	if (map == MAP_FAILED ||
	    mmap(map, SIZE, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) !=
	    MAP_FAILED)
		return -1;
	reach(1);
	return 0;
}

TEST_F(mapped, fails_the_second_time)
{
	struct job *job = job_start(_metadata, map_then_fail, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* What nothing can be stored to through. */
static long map_harmlessly(void *arg)
{
	const int fd = open("file", O_RDWR), ro = open("file", O_RDONLY);

	(void)arg;
	if (map_shared(fd, PROT_READ) == MAP_FAILED ||
	    map_shared(fd, PROT_NONE) == MAP_FAILED ||
	    mmap(NULL, SIZE, RW, MAP_PRIVATE, ro, 0) == MAP_FAILED)
		return -1;
	if (map_shared(ro, RW) != MAP_FAILED || errno != EACCES)
		return 1;
	return 0;
}

TEST_F(mapped, not_of_others)
{
	struct job *job = job_start(_metadata, map_harmlessly, NULL);

	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

/* Two tasks at once may both ask, but all they ask about ends. */
static int raced_fd;

static void *map_in_thread(void *arg)
{
	(void)arg;
	return map_shared(raced_fd, RW);
}

static long map_in_threads(void *arg)
{
	pthread_t threads[2];
	long failed = 0;
	void *map;

	(void)arg;
	raced_fd = open("file", O_RDWR);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, map_in_thread, NULL))
			return -1;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &map);
		failed += map == MAP_FAILED;
	}
	return failed;
}

TEST_F(mapped, raced)
{
	struct job *job = job_start(_metadata, map_in_threads, NULL);
	struct event pre[2], post;

	wait_pending(_metadata, self->g, 2);
	for (int i = 0; i < 2; i++)
		pre[i] = expect_mapping(_metadata, self->g, job->pid);

	/* One verdict is not that on the other one. */
	answer(_metadata, self->g, &pre[0], FAN_DENY);
	allow(_metadata, self->g, &pre[1]);
	EXPECT_EQ(1, job_join(_metadata, job));
	post = expect_post_of(_metadata, self->g, &pre[1], 0);
	EXPECT_NE(pre[0].cookie, post.cookie);
}

/* ----------------------------- from mprotect(2) ------------------------- */

struct protection {
	int n;		/* of files that are mapped side by side */
	const char *as;		/* how they are mapped in the end */
	const char *as2;	/* the second one, if not as the first */
};

static long protect(void *arg)
{
	const struct protection *p = arg;
	static const char *const names[] = { "file", "file2" };
	char *map;
	int ret;

	map = mmap(NULL, p->n * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	for (int i = 0; i < p->n; i++) {
		const int fd = open(names[i], O_RDWR);

		if (mmap(map + i * SIZE, SIZE, PROT_READ,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return -1;
		close(fd);
	}
	errno = 0;
	ret = mprotect(map, p->n * SIZE, RW) ? -errno : 0;
	for (int i = 0; i < p->n; i++)
		if (strcmp(i && p->as2 ? p->as2 : p->as, mapped_as(names[i])))
			return 1;
	for (int i = 0; i < p->n && !ret; i++)
		map[i * SIZE] = 'x';

	/* Once more, which is no news. */
	if (!ret && (mprotect(map, SIZE, PROT_READ) || mprotect(map, SIZE, RW)))
		return 2;
	reach(1);
	errno = -ret;
	return ret ? -1 : 0;
}

TEST_F(mapped, made_writable)
{
	struct protection p = { .n = 1, .as = "rw-s" };
	struct job *job = job_start(_metadata, protect, &p);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);

	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

TEST_F(mapped, not_made_writable)
{
	struct protection p = { .n = 1, .as = "r--s" };
	struct job *job = job_start(_metadata, protect, &p);
	const struct event pre = expect_mapping(_metadata, self->g, job->pid);

	expect_blocked(_metadata, job);
	answer(_metadata, self->g, &pre, FAN_DENY);
	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_F(mapped, killed_in_mprotect)
{
	struct protection p = { .n = 1 };
	struct job *job = job_start(_metadata, protect, &p);
	const struct event pre = expect_mapping(_metadata, self->g, job->pid);

	job_kill(_metadata, job, SIGKILL);
	expect_post_of(_metadata, self->g, &pre, -EINTR);
}

/* A range over two files: each is asked about before it is changed. */
TEST_F(mapped, both_made_writable)
{
	struct protection p = { .n = 2, .as = "rw-s" };
	struct job *job = job_start(_metadata, protect, &p);
	struct event pre[2], post;

	for (int i = 0; i < 2; i++)
		pre[i] = allow_mapping(_metadata, self->g, job->pid);
	EXPECT_FALSE(same_fid(&pre[0].fid, &pre[1].fid));
	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	for (int i = 0; i < 2; i++) {
		post = event_next(_metadata, self->g);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(0, post.result);
		ASSERT_TRUE(post.cookie == pre[0].cookie ||
			    post.cookie == pre[1].cookie);
		pre[post.cookie == pre[1].cookie].cookie = 0;
	}
}

/* As with all that mprotect(2) fails with, what comes before is changed. */
TEST_F(mapped, second_not_made_writable)
{
	struct protection p = { .n = 2, .as = "rw-s", .as2 = "r--s" };
	struct job *job = job_start(_metadata, protect, &p);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);
	const struct event pre2 = expect_mapping(_metadata, self->g, job->pid);

	answer(_metadata, self->g, &pre2, FAN_DENY_ERRNO(EROFS));
	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(-EROFS, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* ----------------------------- ignore masks ----------------------------- */

/* No one was asked when it was mapped, and someone looks when it is closed. */
TEST_F(mapped, straddles)
{
	struct event post;
	struct job *job;
	pid_t pid;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	job = job_start(_metadata, map_and_wait, NULL);
	pid = job->pid;
	wait_reached(_metadata, 1);
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_MODIFY, "file");
	expect_silence(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pid, post.pid);
	EXPECT_EQ(FAN_OP_UNPAIRED | FAN_OP_MAPPED, post.flags);
	EXPECT_EQ(0, post.result);
}

/* Who was not asked the first time is asked the next time, and told once. */
static long map_again(void *arg)
{
	const int fd = open("file", O_RDWR);

	(void)arg;
	for (int stage = 1; stage <= 3; stage++) {
		if (map_shared(fd, RW) == MAP_FAILED)
			return -1;
		reach(stage);
	}
	return 0;
}

TEST_F(mapped, no_longer_ignored)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	job = job_start(_metadata, map_again, NULL);
	wait_reached(_metadata, 1);
	go_on(1);
	wait_reached(_metadata, 2);
	expect_silence(_metadata, self->g);
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_MODIFY, "file");
	go_on(2);
	pre = allow_mapping(_metadata, self->g, job->pid);
	wait_reached(_metadata, 3);
	go_on(3);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* Asked about, and reported, as if nothing were ignored. */
static void serve_mapping(struct __test_metadata *const _metadata,
			  struct group *g)
{
	struct job *job = job_start(_metadata, map_once, NULL);
	const struct event pre = allow_mapping(_metadata, g, job->pid);

	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, g, &pre, 0);
}

static void write_ignored(struct __test_metadata *const _metadata,
			  struct group *g)
{
	EXPECT_EQ(2, job_join(_metadata,
			      write_start(_metadata, "file", "ab")));
	expect_silence(_metadata, g);
}

/* Ask about the file as one of many. */
static void watch_all(struct __test_metadata *const _metadata, struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_MODIFY, "file");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
}

/*
 * What is ignored for a while is asked about again after that, but a mapping is
 * asked about once: that it is there has to be known for as long as it is.
 */
TEST_F(mapped, not_ignored_for_a_while)
{
	struct group *g = self->g;

	watch_all(_metadata, g);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_EVICTABLE, FAN_MODIFY, "file");
	write_ignored(_metadata, g);
	serve_mapping(_metadata, g);
	write_ignored(_metadata, g);
}

/* By an answer it is for a while, whatever the mark that has it. */
TEST_F(mapped, not_ignored_by_answer)
{
	struct group *g = self->g;

	for (int all = 0; all < 2; all++) {
		struct job *job;
		struct event pre;

		if (all)
			watch_all(_metadata, g);
		mark(_metadata, g, FAN_MARK_FLUSH | FAN_MARK_IGNORE, 0, ".");
		job = write_start(_metadata, "file", "ab");
		pre = expect_pre(_metadata, g, job->pid);
		answer(_metadata, g, &pre, FAN_ALLOW | FAN_RESPONSE_IGNORE);
		EXPECT_EQ(2, job_join(_metadata, job));
		write_ignored(_metadata, g);
		serve_mapping(_metadata, g);
		write_ignored(_metadata, g);
	}
}

/* Ignored for now, by an answer, whatever user space has said of the file. */
static void ignore_by_answer(struct __test_metadata *const _metadata,
			     struct group *g)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, g, job->pid);

	answer(_metadata, g, &pre, FAN_ALLOW | FAN_RESPONSE_IGNORE);
	EXPECT_EQ(2, job_join(_metadata, job));
	write_ignored(_metadata, g);
}

/* What user space ignored once, and does no more, is not ignored for longer. */
TEST_F(mapped, not_ignored_any_more)
{
	const unsigned int ignore = FAN_MARK_IGNORE_SURV;
	struct group *g = self->g;

	/* One of the events, and both, and with another so that the mark stays. */
	static const __u64 modify[] = { FAN_MODIFY, FAN_PRE(FAN_MODIFY) };

	for (size_t i = 0; i < ARRAY_SIZE(modify); i++) {
		for (int other = 0; other < 2; other++) {
			if (other)
				mark(_metadata, g, FAN_MARK_ADD | ignore,
				     FAN_ATTRIB, "file");
			mark(_metadata, g, FAN_MARK_ADD | ignore, modify[i],
			     "file");
			mark(_metadata, g, FAN_MARK_REMOVE | ignore, modify[i],
			     "file");
			ignore_by_answer(_metadata, g);
			serve_mapping(_metadata, g);
			write_ignored(_metadata, g);
			mark(_metadata, g, FAN_MARK_FLUSH | FAN_MARK_IGNORE, 0,
			     ".");
		}
	}
}

/* Nor is it by what it ignores besides. */
TEST_F(mapped, not_ignored_by_another_event)
{
	struct group *g = self->g;

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_ACCESS,
	     "file");
	ignore_by_answer(_metadata, g);
	serve_mapping(_metadata, g);

	/* It is when it is said so, before an answer or after it. */
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "file");
	EXPECT_EQ(0, job_join(_metadata, job_start(_metadata, map_once, NULL)));
	expect_silence(_metadata, g);
}

/* The end of a mapping alone, after an answer that is about both. */
TEST_F(mapped, half_ignored)
{
	struct group *g = self->g;
	struct event pre;
	struct job *job;

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_POST(FAN_MODIFY), "file");
	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, g, job->pid);
	answer(_metadata, g, &pre, FAN_ALLOW | FAN_RESPONSE_IGNORE);
	EXPECT_EQ(2, job_join(_metadata, job));
	write_ignored(_metadata, g);
	job = job_start(_metadata, map_once, NULL);
	allow_mapping(_metadata, g, job->pid);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, g);
}

/* Such an answer to a mapping is about all else that is done to the file. */
TEST_F(mapped, answered_with_ignore)
{
	struct job *job = job_start(_metadata, map_and_wait, NULL);
	const struct event pre = expect_mapping(_metadata, self->g, job->pid);

	answer(_metadata, self->g, &pre, FAN_ALLOW | FAN_RESPONSE_IGNORE);
	wait_reached(_metadata, 1);
	write_ignored(_metadata, self->g);
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* ----------------------------- newer marks ------------------------------ */

static struct event expect_unpaired_end(struct __test_metadata *const _metadata,
					struct group *g, pid_t pid)
{
	const struct event post = event_next(_metadata, g);
	const struct fid fid = fid_of(_metadata, "file");

	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(FAN_OP_UNPAIRED | FAN_OP_MAPPED, post.flags);
	EXPECT_TRUE(same_fid(&fid, &post.fid));
	EXPECT_EQ(pid, post.pid);
	EXPECT_EQ(0, post.result);
	return post;
}

/* Ways to watch a file, and more. */
static const struct {
	unsigned int flags;
	__u64 mask;
	const char *path;
} watches[] = {
	{ 0, FAN_MODIFY, "file" },
	{ 0, FAN_POST(FAN_MODIFY), "file" },
	{ 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, "." },
	{ FAN_MARK_MOUNT, FAN_MODIFY, "." },
	{ FAN_MARK_FILESYSTEM, FAN_MODIFY, "." },
};

static long map_only(void *arg)
{
	const int fd = open("file", O_RDWR);

	(void)arg;
	if (map_shared(fd, RW) == MAP_FAILED || close(fd))
		return -1;
	reach(1);
	return 0;
}

static long protect_only(void *arg)
{
	const int fd = open("file", O_RDWR);
	char *map = map_shared(fd, PROT_READ);

	(void)arg;
	if (map == MAP_FAILED || close(fd) || mprotect(map, PAGE, RW))
		return -1;
	reach(1);
	return 0;
}

/*
 * When it was mapped, no one watched anything of the file system. By whom is
 * not known when it ends.
 */
static void map_before_mark(struct __test_metadata *const _metadata,
			    struct group *g, job_fn fn)
{
	FOR_EACH_ROW(i, watches) {
		struct job *job;

		snprintf(row, sizeof(row), "%#x %#llx %s", watches[i].flags,
			 (unsigned long long)watches[i].mask, watches[i].path);
		stages_start(_metadata);
		mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
		mark(_metadata, g, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, ".");
		mark(_metadata, g, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0,
		     ".");
		job = job_start(_metadata, fn, NULL);
		wait_reached(_metadata, 1);
		mark(_metadata, g, FAN_MARK_ADD | watches[i].flags,
		     watches[i].mask, watches[i].path);
		expect_silence(_metadata, g);
		go_on(1);
		EXPECT_EQ(0, job_join(_metadata, job));
		expect_unpaired_end(_metadata, g, 0);
	}
}

TEST_F(mapped, before_the_mark)
{
	map_before_mark(_metadata, self->g, map_only);
}

TEST_F(mapped, made_writable_before_the_mark)
{
	map_before_mark(_metadata, self->g, protect_only);
}

/* Nor is there a descriptor of who it was. */
TEST_F(mapped, no_pidfd)
{
	struct group *g = group_open(_metadata, FAN_REPORT_PIDFD);
	struct event post;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	job = job_start(_metadata, map_only, NULL);
	wait_reached(_metadata, 1);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = expect_unpaired_end(_metadata, g, 0);
	EXPECT_TRUE(post.records & RECORD_PIDFD);
	EXPECT_EQ(FAN_NOPIDFD, post.pidfd);
}

static long map_harmlessly_and_wait(void *arg)
{
	const int fd = open("file", O_RDWR);

	(void)arg;
	if (map_shared(fd, PROT_READ) == MAP_FAILED ||
	    mmap(NULL, SIZE, RW, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		return -1;
	reach(1);
	return 0;
}

TEST_F(mapped, harmless_before_the_mark)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	job = job_start(_metadata, map_harmlessly_and_wait, NULL);
	wait_reached(_metadata, 1);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

/* A group that came later is asked the next time, and each has its end once. */
TEST_F(mapped, second_group_asked)
{
	struct group *newer = group_open(_metadata, 0);
	struct job *job = job_start(_metadata, map_again, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);
	struct event pre2;

	wait_reached(_metadata, 1);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_on(1);
	pre2 = allow_mapping(_metadata, newer, job->pid);
	EXPECT_NE(pre.cookie, pre2.cookie);
	wait_reached(_metadata, 2);
	go_on(2);
	wait_reached(_metadata, 3);
	expect_silence(_metadata, self->g);
	expect_silence(_metadata, newer);
	go_on(3);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_post_of(_metadata, newer, &pre2, 0);
}

/* So is one that has exempted the task, when it is not exempt any more. */
TEST_F(mapped, exempt_the_first_time)
{
	struct group *asked = group_open(_metadata, 0);
	struct job *job = job_prepare(_metadata, map_again, NULL);
	struct event pre, pre2;

	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	cgroup_exempt(_metadata, self->g->fd);
	mark(_metadata, asked, FAN_MARK_ADD, FAN_MODIFY, "file");
	ASSERT_EQ(0, enter(cgroup, job->pid));
	job_go(_metadata, job);
	pre = allow_mapping(_metadata, asked, job->pid);
	wait_reached(_metadata, 1);
	expect_silence(_metadata, self->g);
	ASSERT_EQ(0, enter(CGROUP_DIR, job->pid));
	go_on(1);
	pre2 = allow_mapping(_metadata, self->g, job->pid);
	wait_reached(_metadata, 2);
	go_on(2);
	wait_reached(_metadata, 3);
	expect_silence(_metadata, self->g);
	go_on(3);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, asked, &pre, 0);
	expect_post_of(_metadata, self->g, &pre2, 0);
}

/* It cannot undo what there is, which it is told the end of. */
TEST_F(mapped, second_group_denies)
{
	struct group *newer = group_open(_metadata, 0);
	struct job *job = job_start(_metadata, map_again, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);
	const pid_t pid = job->pid;
	struct event pre2;

	wait_reached(_metadata, 1);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_on(1);
	pre2 = expect_mapping(_metadata, newer, pid);
	expect_silence(_metadata, self->g);
	answer(_metadata, newer, &pre2, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_unpaired_end(_metadata, newer, pid);
}

TEST_F(mapped, second_group_not_asked)
{
	struct group *newer = group_open(_metadata, 0);
	struct job *job = job_start(_metadata, map_and_wait, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);
	const pid_t pid = job->pid;

	wait_reached(_metadata, 1);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_unpaired_end(_metadata, newer, pid);
}

/* Asked each by another mapping, so that neither knows the other's operation. */
TEST_F(mapped, told_once)
{
	struct group *newer = group_open(_metadata, 0);
	struct group *newest = group_open(_metadata, 0);
	struct job *job = job_start(_metadata, map_again, NULL);
	const struct event pre = allow_mapping(_metadata, self->g, job->pid);
	const pid_t pid = job->pid;
	struct event pre2;

	wait_reached(_metadata, 1);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_on(1);
	pre2 = allow_mapping(_metadata, newer, pid);
	wait_reached(_metadata, 2);
	mark(_metadata, newest, FAN_MARK_ADD, FAN_POST(FAN_MODIFY), "file");
	go_on(2);
	wait_reached(_metadata, 3);
	go_on(3);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_post_of(_metadata, newer, &pre2, 0);
	expect_unpaired_end(_metadata, newest, pid);
	expect_silence(_metadata, newest);
}

TEST_F(mapped, of_the_owner)
{
	const int fd = open("file", O_RDWR);
	char *map;

	ASSERT_LE(0, fd);
	map = map_shared(fd, RW);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, mprotect(map, SIZE, PROT_READ));
	ASSERT_EQ(0, mprotect(map, SIZE, RW));
	munmap(map, SIZE);
	close(fd);
	EXPECT_FALSE(group_readable(self->g, SETTLE_MS));
}

/* ------------------------------- accesses ------------------------------- */

/* Returns what is mapped. */
static long map_for_access(void *arg)
{
	const int fd = open("file", O_RDWR);
	void *map;

	map = mmap(NULL, 2 * PAGE, *(int *)arg, MAP_PRIVATE, fd, PAGE);
	if (map == MAP_FAILED)
		return -1;
	return *mapped_as("file") ? 0 : 1;
}

TEST_F(mapped, access)
{
	/* Even with no access: mprotect(2) and ptrace(2) are not asked about. */
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC,
	};

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	FOR_EACH_ROW(i, prots) {
		int prot = prots[i];
		struct event pre, post;
		struct job *job;

		job = job_start(_metadata, map_for_access, &prot);
		pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0,
				    job->pid);
		EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, pre.records);
		EXPECT_EQ(PAGE, pre.offset);
		EXPECT_EQ(2 * PAGE, pre.count);
		expect_blocked(_metadata, job);
		allow(_metadata, self->g, &pre);
		EXPECT_EQ(0, job_join(_metadata, job));
		post = expect_post_of(_metadata, self->g, &pre, 0);
		EXPECT_EQ(PAGE, post.offset);
		EXPECT_EQ(2 * PAGE, post.count);
	}
}

TEST_F(mapped, access_denied)
{
	int prot = PROT_READ;
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, map_for_access, &prot);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

/* A shared writable mapping is both; if one is denied, the other one fails. */
TEST_F(mapped, access_and_change)
{
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, map_once, NULL);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = allow_mapping(_metadata, self->g, job->pid);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_post_of(_metadata, self->g, &pre2, 0);

	job = job_start(_metadata, map_once, NULL);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = expect_mapping(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre2, FAN_DENY_ERRNO(EROFS));
	EXPECT_EQ(-EROFS, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -EROFS);
}

/* ------------------------------- execution ------------------------------ */

FIXTURE(executed)
{
	struct group *g;
};

FIXTURE_SETUP(executed)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_programs(_metadata);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "true");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "script");
}

FIXTURE_TEARDOWN(executed)
{
	test_end(_metadata);
}

static struct event expect_execution(struct __test_metadata *const _metadata,
				     struct group *g, const char *path,
				     pid_t pid)
{
	const struct event pre = expect_pre_of(_metadata, g, FAN_ACCESS, 0,
					       pid);
	const struct fid fid = fid_of(_metadata, path);

	EXPECT_EQ(RECORD_OP | RECORD_FID, pre.records);
	EXPECT_TRUE(same_fid(&fid, &pre.fid));
	return pre;
}

/* The access to a script is over when its interpreter is asked about. */
static struct event
expect_interpreter(struct __test_metadata *const _metadata, struct group *g,
		   const struct event *script)
{
	struct event pre;

	allow(_metadata, g, script);
	wait_pending(_metadata, g, 1);
	pre = expect_execution(_metadata, g, "true", script->pid);
	expect_post_of(_metadata, g, script, 0);
	return pre;
}

TEST_F(executed, binary)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);

	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
}

TEST_F(executed, binary_denied)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);

	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_F(executed, killed_while_asked)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);

	job_kill(_metadata, job, SIGKILL);
	expect_post_of(_metadata, self->g, &pre, -EINTR);
}

/* The listener can put there what is to be executed. */
TEST_F(executed, filled_while_asked)
{
	struct job *job;
	struct event pre;

	put_file(_metadata, "true", "");
	job = job_start(_metadata, do_exec, "true");
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	put_file(_metadata, "true", "neither a program nor a script");
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(-ENOEXEC, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -ENOEXEC);
}

/* Who fills it need not be done by the time of the answer. */
TEST_F(executed, written_to)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	struct event pre = expect_execution(_metadata, self->g, "true",
					    job->pid);
	const int fd = open("true", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
	close(fd);

	/* And it is not busy for ever, with what is written or executed. */
	put_file(_metadata, "true", "");
	job = job_start(_metadata, do_exec, "true");
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	put_file(_metadata, "true", "");
}

/*
 * Who is not exempt, and comes while it is asked about, is the later one: it is
 * busy for them, as if it was executed already.
 */
static long do_open_to_write(void *arg)
{
	return open(arg, O_WRONLY | O_CLOEXEC);
}

static long do_open_both(void *arg)
{
	return open(arg, O_RDWR | O_TRUNC | O_CLOEXEC);
}

static long do_truncate(void *arg)
{
	return truncate(arg, 0);
}

static long do_open_truncated(void *arg)
{
	return open(arg, O_RDONLY | O_TRUNC | O_CLOEXEC);
}

static long do_open_to_read(void *arg)
{
	const int fd = open(arg, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static long run(struct __test_metadata *const _metadata, job_fn fn, char *path)
{
	return job_join(_metadata, job_start(_metadata, fn, path));
}

static void expect_busy(struct __test_metadata *const _metadata, char *path)
{
	EXPECT_EQ(-ETXTBSY, run(_metadata, do_open_to_write, path));
	EXPECT_EQ(-ETXTBSY, run(_metadata, do_open_both, path));
	EXPECT_EQ(-ETXTBSY, run(_metadata, do_truncate, path));
	EXPECT_EQ(-ETXTBSY, run(_metadata, do_open_truncated, path));
	EXPECT_EQ(0, run(_metadata, do_open_to_read, path));
}

static void expect_not_busy(struct __test_metadata *const _metadata, char *path)
{
	EXPECT_LE(0, run(_metadata, do_open_to_write, path));
}

TEST_F(executed, busy_while_asked)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);

	expect_busy(_metadata, "true");
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_not_busy(_metadata, "true");
}

/* That someone was exempt does not let others in. */
TEST_F(executed, busy_while_filled)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);
	const int fd = open("true", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	expect_busy(_metadata, "true");
	close(fd);
	expect_busy(_metadata, "true");
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
}

/* A script, and then what interprets it. The script was read by then. */
TEST_F(executed, script_busy_while_asked)
{
	struct job *job = job_start(_metadata, do_exec, "script");
	struct event pre, pre2;

	pre = expect_execution(_metadata, self->g, "script", job->pid);
	expect_busy(_metadata, "script");
	expect_not_busy(_metadata, "true");
	pre2 = expect_interpreter(_metadata, self->g, &pre);
	expect_busy(_metadata, "true");
	allow(_metadata, self->g, &pre2);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre2, 0);
}

/* Two that execute it: it is busy until the last of them was answered. */
TEST_F(executed, busy_while_two_are_asked)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);
	struct job *job2 = job_start(_metadata, do_exec, "true");
	const struct event pre2 = expect_execution(_metadata, self->g, "true",
						   job2->pid);

	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_busy(_metadata, "true");
	job_kill(_metadata, job2, SIGKILL);
	expect_post_of(_metadata, self->g, &pre2, -EINTR);
	expect_not_busy(_metadata, "true");
}

/* Two that execute it, and the second comes while it is filled for the first. */
TEST_F(executed, executed_while_filled)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	const struct event pre = expect_execution(_metadata, self->g, "true",
						  job->pid);
	const int fd = open("true", O_WRONLY | O_CLOEXEC);
	struct job *job2;
	struct event pre2;

	ASSERT_LE(0, fd);
	job2 = job_start(_metadata, do_exec, "true");
	pre2 = expect_execution(_metadata, self->g, "true", job2->pid);
	allow(_metadata, self->g, &pre2);
	job_executed(_metadata, job2);
	expect_post_of(_metadata, self->g, &pre2, 0);
	expect_busy(_metadata, "true");
	close(fd);
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_not_busy(_metadata, "true");
}

/*
 * Whoever executes it can keep the kernel from asking, for ever. It can be filled
 * all the same, for others and then for them, and no one else gets in.
 */
TEST_F(executed, filled_while_withheld)
{
	struct job *job, *job2;
	struct event pre, pre2;
	int fd;

	REQUIRE_WITHHOLDING();
	put_file(_metadata, "true", "");
	job = withheld_start(_metadata, "true", 0);
	expect_silence(_metadata, self->g);
	expect_busy(_metadata, "true");
	job2 = job_start(_metadata, do_exec, "true");
	pre2 = expect_execution(_metadata, self->g, "true", job2->pid);
	fd = open("true", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	expect_busy(_metadata, "true");
	fill_program(_metadata, "/bin/true", fd);
	close(fd);
	allow(_metadata, self->g, &pre2);
	job_executed(_metadata, job2);
	expect_post_of(_metadata, self->g, &pre2, 0);

	expect_busy(_metadata, "true");
	go_on(1);
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	expect_busy(_metadata, "true");
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_not_busy(_metadata, "true");
}

/* It is still being filled when it is asked about, and when that is answered. */
TEST_F(executed, written_to_while_withheld)
{
	struct event pre;
	struct job *job;
	int fd;

	REQUIRE_WITHHOLDING();
	put_file(_metadata, "true", "");
	job = withheld_start(_metadata, "true", 0);
	fd = open("true", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	go_on(1);
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	expect_busy(_metadata, "true");
	fill_program(_metadata, "/bin/true", fd);
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre, 0);
	close(fd);
	expect_not_busy(_metadata, "true");
}

/* No one is asked about a mere check, which can be kept from its end, too. */
TEST_F(executed, filled_while_checked)
{
	struct job *job;
	int fd;

	REQUIRE_WITHHOLDING();
	job = withheld_start(_metadata, "true", AT_EXECVE_CHECK);
	fd = open("true", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	expect_busy(_metadata, "true");
	go_on(1);
	EXPECT_EQ(0, job_join(_metadata, job));
	close(fd);
	expect_not_busy(_metadata, "true");
}

TEST_F(executed, killed_while_withheld)
{
	struct job *job;

	REQUIRE_WITHHOLDING();
	job = withheld_start(_metadata, "true", 0);
	expect_busy(_metadata, "true");
	job_kill(_metadata, job, SIGKILL);
	expect_not_busy(_metadata, "true");
}

/* Who watches the file system after it was opened can fill it when asked. */
TEST_F(executed, watched_while_withheld)
{
	static char path[] = WORK_DIR "/true";
	struct event pre;
	struct job *job;

	REQUIRE_WITHHOLDING();
	copy_program(_metadata, "/bin/true", path);
	job = withheld_start(_metadata, path, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, path);
	EXPECT_EQ(-ETXTBSY, write_file(path, O_TRUNC, ""));
	go_on(1);
	pre = expect_execution(_metadata, self->g, path, job->pid);
	put_file(_metadata, path, "neither a program nor a script");
	expect_busy(_metadata, path);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(-ENOEXEC, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -ENOEXEC);
	expect_not_busy(_metadata, path);
}

/* And if no one does any more, it is busy for all, and no one is asked. */
TEST_F(executed, not_watched_while_withheld)
{
	struct job *job;

	REQUIRE_WITHHOLDING();
	job = withheld_start(_metadata, "true", 0);
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, "true");
	EXPECT_EQ(-ETXTBSY, write_file("true", O_TRUNC, ""));
	expect_busy(_metadata, "true");
	go_on(1);
	job_executed(_metadata, job);
	expect_not_busy(_metadata, "true");
}

/* Who had it open for writing before is not the later one. No one is asked. */
/* The program is opened to be filled, and is still open when it is executed. */
static void fill_and_go_on(struct __test_metadata *const _metadata,
			   struct group *g, struct job *job,
			   const struct event *pre)
{
	const int fd = open("true", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	allow(_metadata, g, pre);
	job_executed(_metadata, job);
	expect_post_of(_metadata, g, pre, 0);
	close(fd);
}

static long do_check(void *arg)
{
	return syscall(SYS_execveat, AT_FDCWD, arg, NULL, NULL,
		       AT_EXECVE_CHECK);
}

TEST_F(executed, written_to_before)
{
	/* They do not have it open themselves. */
	struct job *job = job_prepare(_metadata, do_exec, "true");
	struct job *job2 = job_prepare(_metadata, do_exec, "true");
	const int fd = open("true", O_WRONLY | O_CLOEXEC);
	struct event pre;

	ASSERT_LE(0, fd);
	job_go(_metadata, job);
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(-ETXTBSY, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -ETXTBSY);

	/* Who opens it again, after that, is who fills it. */
	job_go(_metadata, job2);
	pre = expect_execution(_metadata, self->g, "true", job2->pid);
	close(fd);
	fill_and_go_on(_metadata, self->g, job2, &pre);
}

/* Who only checks is not asked about, and is told at once. */
TEST_F(executed, checked_and_written_to_before)
{
	const int fd = open("true", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ETXTBSY, run(_metadata, do_check, "true"));
	close(fd);
	EXPECT_EQ(0, run(_metadata, do_check, "true"));
}

/* The one for whom it was filled is gone: the next has to wait, and can run. */
TEST_F(executed, filled_for_who_was_killed)
{
	struct job *job = job_start(_metadata, do_exec, "true");
	struct event pre = expect_execution(_metadata, self->g, "true",
					    job->pid);
	struct job *job2 = job_prepare(_metadata, do_exec, "true");
	const int fd = open("true", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	job_kill(_metadata, job, SIGKILL);
	expect_post_of(_metadata, self->g, &pre, -EINTR);
	job_go(_metadata, job2);
	pre = expect_execution(_metadata, self->g, "true", job2->pid);
	close(fd);
	allow(_metadata, self->g, &pre);
	job_executed(_metadata, job2);
	expect_post_of(_metadata, self->g, &pre, 0);
}

struct filler {
	int fd;			/* of the group that it owns */
	const char *path;
};

static long do_own_and_fill(void *arg)
{
	const struct filler *filler = arg;
	const struct fanotify_event_metadata *meta;
	char buf[4096] __attribute__((aligned(8)));
	struct pollfd pfd = { .fd = filler->fd, .events = POLLIN };
	struct answer answer;
	__u64 cookie;

	if (ioctl(filler->fd, FAN_IOC_OWN))
		return -1;
	/* It fills as soon as it is asked, and answers then. */
	if (poll(&pfd, 1, TIMEOUT_MS) != 1 ||
	    read(filler->fd, buf, sizeof(buf)) < (ssize_t)sizeof(*meta))
		return -1;
	if (write_file(filler->path, O_TRUNC, "neither a program nor a script"))
		return -1;
	memcpy(&cookie, buf + sizeof(*meta) + 8, sizeof(cookie));
	answer = make_answer(cookie, FAN_ALLOW);
	return write(filler->fd, &answer, sizeof(answer));
}

/* Each of several listeners can fill it, though others are asked about them. */
TEST_F(executed, filled_by_one_of_two)
{
	struct group *g2 = group_open(_metadata, 0);
	struct filler filler = { .fd = g2->fd, .path = "true" };
	struct job *listener, *job;
	struct event pre, post;

	mark(_metadata, g2, FAN_MARK_ADD, FAN_PRE(FAN_ACCESS), "true");
	listener = __job_prepare(_metadata, do_own_and_fill, &filler, true);
	job_go(_metadata, listener);
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, g2).owner ==
			       listener->pid));
	job = job_start(_metadata, do_exec, "true");
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ((long)sizeof(struct answer), job_join(_metadata, listener));
	EXPECT_EQ(-ENOEXEC, job_join(_metadata, job));
	post = expect_post_of(_metadata, self->g, &pre, -ENOEXEC);
	EXPECT_EQ(pre.cookie, post.cookie);
}

/*
 * Whoever traces it can keep it from going on for as long as they like. So it
 * is not waited for, as is what else is mapped.
 */
TEST_F(executed, traced_and_not_waited_for)
{
	struct job *job = job_start(_metadata, do_traced_exec, "true");
	struct event pre, barrier;

	expect_stop(_metadata, job->pid, 0);
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, job->pid, NULL,
			    (void *)PTRACE_O_TRACEEXEC));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, job->pid, NULL, NULL));
	pre = expect_execution(_metadata, self->g, "true", job->pid);
	allow(_metadata, self->g, &pre);
	expect_stop(_metadata, job->pid, PTRACE_EVENT_EXEC);

	expect_post_of(_metadata, self->g, &pre, 0);
	mark(_metadata, self->g, FAN_MARK_BARRIER, 0, ".");
	barrier = event_next(_metadata, self->g);
	EXPECT_EQ((__u64)FAN_Q_BARRIER, barrier.mask);

	ASSERT_EQ(0, ptrace(PTRACE_DETACH, job->pid, NULL, NULL));
	job_executed(_metadata, job);
}

/* A script and what interprets it: two accesses, one after the other. */
TEST_F(executed, script)
{
	struct job *job = job_start(_metadata, do_exec, "script");
	struct event pre, pre2;

	pre = expect_execution(_metadata, self->g, "script", job->pid);
	pre2 = expect_interpreter(_metadata, self->g, &pre);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre2);
	job_executed(_metadata, job);
	expect_post_of(_metadata, self->g, &pre2, 0);
}

TEST_F(executed, interpreter_denied)
{
	struct job *job = job_start(_metadata, do_exec, "script");
	struct event pre, pre2;

	pre = expect_execution(_metadata, self->g, "script", job->pid);
	pre2 = expect_interpreter(_metadata, self->g, &pre);
	answer(_metadata, self->g, &pre2, FAN_DENY_ERRNO(EROFS));
	EXPECT_EQ(-EROFS, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	put_file(_metadata, "true", "");
}

/* The process that waits for an answer can be looked at all the same. */
TEST_F(executed, looked_at_while_asked)
{
	struct job *job = job_start(_metadata, do_exec, "script");
	struct event pre, pre2;
	char path[64], buf[4096];

	pre = expect_execution(_metadata, self->g, "script", job->pid);
	pre2 = expect_interpreter(_metadata, self->g, &pre);
	snprintf(path, sizeof(path), "/proc/%d/stat", job->pid);
	EXPECT_LT(0, read_file(path, buf, sizeof(buf)));
	snprintf(path, sizeof(path), "/proc/%d/maps", job->pid);
	EXPECT_LT(0, read_file(path, buf, sizeof(buf)));
	snprintf(path, sizeof(path), "/proc/%d/environ", job->pid);
	EXPECT_LE(0, read_file(path, buf, sizeof(buf)));
	allow(_metadata, self->g, &pre2);
	job_executed(_metadata, job);
	self->g->unread_ok = true;
}

/* Ignored when it began to be executed, and when the kernel has read it not. */
TEST_F(executed, watched_late)
{
	const struct fid fid = fid_of(_metadata, "true");
	struct event post;
	struct job *job;
	pid_t pid;

	REQUIRE_HOLDS();
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_ACCESS, "true");
	job = job_prepare(_metadata, do_exec, "true");
	pid = job->pid;
	hold(_metadata, "begin", pid);
	job_go(_metadata, job);
	wait_held(_metadata, "begin");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV,
	     FAN_ACCESS, "true");
	release(_metadata, "begin");
	job_executed(_metadata, job);
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_ACCESS), post.mask);
	EXPECT_EQ(FAN_OP_UNPAIRED, post.flags);
	EXPECT_EQ(pid, post.pid);
	EXPECT_EQ(0, post.result);
	EXPECT_TRUE(same_fid(&fid, &post.fid));
}

TEST_HARNESS_MAIN
