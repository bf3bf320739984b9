// SPDX-License-Identifier: GPL-2.0
/*
 * Whose operations: not those of the owner, which is the process that made the
 * group, or the last one to ask for it.
 */

#include <pthread.h>
#include <spawn.h>

#include "exec.h"
#include "fs.h"
#include "group.h"

FIXTURE(owner)
{
	struct group *g;
};

FIXTURE_SETUP(owner)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(owner)
{
	test_end(_metadata);
}

/* A thread of the test that writes, while the test serves the group. */
struct writer {
	pthread_t thread;
	long ret;
};

static void *write_in_thread(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct writer *writer = arg;

	writer->ret = do_write(&args);
	return NULL;
}

static void thread_start(struct __test_metadata *const _metadata,
			 struct writer *writer)
{
	ASSERT_EQ(0, pthread_create(&writer->thread, NULL, write_in_thread,
				    writer));
}

static void thread_join(struct __test_metadata *const _metadata,
			struct writer *writer)
{
	ASSERT_EQ(0, pthread_join(writer->thread, NULL));
	EXPECT_EQ(2, writer->ret);
}

/* The test itself is about to write, and is asked for. */
static void serve_thread(struct __test_metadata *const _metadata,
			 struct group *g)
{
	struct writer writer;
	struct event pre;

	thread_start(_metadata, &writer);
	pre = expect_pre(_metadata, g, getpid());
	allow(_metadata, g, &pre);
	thread_join(_metadata, &writer);
	expect_post(_metadata, g, &pre, 2);
}

TEST_F(owner, unseen)
{
	struct writer writer;

	EXPECT_EQ(getpid(), group_state(_metadata, self->g).owner);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	thread_start(_metadata, &writer);
	thread_join(_metadata, &writer);
	expect_silence(_metadata, self->g);
}

static void *open_group_in_thread(void *arg)
{
	*(int *)arg = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_NONBLOCK, 0);
	return NULL;
}

/* A group made by a thread belongs to the process. */
TEST_F(owner, unseen_by_group_of_thread)
{
	struct group g = {};
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, open_group_in_thread,
				    &g.fd));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LE(0, g.fd);
	mark(_metadata, &g, FAN_MARK_ADD, FAN_MODIFY, "file");
	EXPECT_EQ(getpid(), group_state(_metadata, &g).owner);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	expect_silence(_metadata, &g);
	close(g.fd);
}

/* A child is not its parent, even if it has the group. */
TEST_F(owner, child_is_seen)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct job *job = __job_prepare(_metadata, do_write, &args, true);

	job_go(_metadata, job);
	serve_write(_metadata, self->g, job, 2);
}

static long own(void *arg)
{
	const struct group *g = arg;

	return ioctl(g->fd, FAN_IOC_OWN);
}

static long own_and_write(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };

	return own(arg) ? -1 : do_write(&args);
}

TEST_F(owner, own_after_fork)
{
	struct job *job = __job_prepare(_metadata, own_and_write, self->g,
					true);
	const pid_t pid = job->pid;

	/* Looked at while there is such a process, be it as a zombie. */
	job_go(_metadata, job);
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	EXPECT_EQ(pid, group_state(_metadata, self->g).owner);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, self->g);

	/* Now it is this process that is not the owner, until it asks. */
	serve_thread(_metadata, self->g);
	EXPECT_EQ(0, own(self->g));
	EXPECT_EQ(getpid(), group_state(_metadata, self->g).owner);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	expect_silence(_metadata, self->g);
}

/* What has been asked already remains to be answered. */
TEST_F(owner, own_while_it_waits)
{
	struct writer writer;
	struct event pre;
	struct job *job;

	job = __job_prepare(_metadata, own, self->g, true);
	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));

	thread_start(_metadata, &writer);
	pre = expect_pre(_metadata, self->g, getpid());
	EXPECT_EQ(0, own(self->g));
	allow(_metadata, self->g, &pre);
	thread_join(_metadata, &writer);
	expect_post(_metadata, self->g, &pre, 2);
}

/* An owner is one of its own group, and like all others to the rest. */
TEST_F(owner, seen_by_others)
{
	struct group *other = group_open(_metadata, 0);
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = __job_prepare(_metadata, own_and_write, other, true);
	job_go(_metadata, job);
	serve_write(_metadata, self->g, job, 2);
	expect_silence(_metadata, other);

	serve_thread(_metadata, other);
	expect_silence(_metadata, self->g);
}

static void own_in_job(struct __test_metadata *const _metadata, struct group *g)
{
	struct job *job = __job_prepare(_metadata, own, g, true);

	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
}

/* Another group, which is asked about what the test does. */
static struct group *open_other(struct __test_metadata *const _metadata)
{
	struct group *other = group_open(_metadata, 0);

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	own_in_job(_metadata, other);
	return other;
}

/* The owner is one no more while another group is asked about what it does. */
TEST_F(owner, own_while_another_is_asked)
{
	struct group *other = open_other(_metadata);
	struct event pre, pre_other;
	struct writer writer;

	thread_start(_metadata, &writer);
	pre_other = expect_pre(_metadata, other, getpid());
	own_in_job(_metadata, self->g);
	allow(_metadata, other, &pre_other);
	pre = expect_pre(_metadata, self->g, getpid());
	allow(_metadata, self->g, &pre);
	thread_join(_metadata, &writer);
	expect_post(_metadata, self->g, &pre, 2);
	expect_post(_metadata, other, &pre_other, 2);
}

#define MAP_SIZE 4096

/* A thread of the test that maps a file, while the test serves a group. */
struct mapper {
	pthread_t thread;
	int fd;
	void *map;
};

static void *map_in_thread(void *arg)
{
	struct mapper *mapper = arg;

	mapper->map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   mapper->fd, 0);
	return NULL;
}

static void map_start(struct __test_metadata *const _metadata,
		      struct mapper *mapper)
{
	ASSERT_EQ(0, pthread_create(&mapper->thread, NULL, map_in_thread,
				    mapper));
}

static void map_join(struct __test_metadata *const _metadata,
		     struct mapper *mapper)
{
	ASSERT_EQ(0, pthread_join(mapper->thread, NULL));
	ASSERT_NE(MAP_FAILED, mapper->map);
	ASSERT_EQ(0, munmap(mapper->map, MAP_SIZE));
}

static struct event allow_mapping(struct __test_metadata *const _metadata,
				  struct group *g, struct mapper *mapper)
{
	struct event pre;

	map_start(_metadata, mapper);
	pre = expect_pre_of(_metadata, g, FAN_MODIFY, FAN_OP_MAPPED, getpid());
	allow(_metadata, g, &pre);
	map_join(_metadata, mapper);
	return pre;
}

/*
 * What was asked about a file that is mapped is not all there is to be asked: its
 * former owner is seen by the group that did not know of it.
 */
TEST_F(owner, own_while_mapped)
{
	struct group *other = open_other(_metadata);
	struct mapper mapper = { .map = MAP_FAILED };
	struct event pre, pre_other;

	known_op_flags = FAN_OP_MAPPED;
	mapper.fd = open("file", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, mapper.fd);
	pre_other = allow_mapping(_metadata, other, &mapper);
	expect_silence(_metadata, self->g);

	own_in_job(_metadata, self->g);
	pre = allow_mapping(_metadata, self->g, &mapper);
	expect_silence(_metadata, other);

	/* Now all know of it. */
	map_start(_metadata, &mapper);
	map_join(_metadata, &mapper);
	ASSERT_EQ(0, close(mapper.fd));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_post_of(_metadata, other, &pre_other, 0);
}

/*
 * A child that was made by vfork(2) does what its parent would do, which waits
 * for it until it executes a program, or two.
 */
TEST_F(owner, spawned)
{
	char *const argv[] = { "script", NULL };
	struct group *g = group_open(_metadata, 0);
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	put_programs(_metadata);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_OPEN | FAN_ACCESS | FAN_MODIFY, ".");
	ASSERT_EQ(0, posix_spawn_file_actions_init(&actions));
	ASSERT_EQ(0, posix_spawn_file_actions_addopen(&actions, 100, "file",
						      O_WRONLY | O_TRUNC, 0));
	ASSERT_EQ(0, posix_spawn(&pid, "script", &actions, NULL, argv, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	expect_silence(_metadata, g);
	posix_spawn_file_actions_destroy(&actions);
}

/* Once it runs, it is someone else, as one that was made by fork(2) is at once. */
TEST_F(owner, spawned_and_on_its_own)
{
	char *const argv[] = { "script", NULL };
	struct group *g = self->g;
	int status, asked = 0;
	struct event ev;
	pid_t pid;

	copy_program(_metadata, "/bin/sh", "true");
	put_file(_metadata, "script", "#!" FS_DIR "/true\necho > " FS_DIR "/file\n");
	ASSERT_EQ(0, chmod("script", 0755));
	ASSERT_EQ(0, posix_spawn(&pid, "script", NULL, NULL, argv, NULL));
	/* It truncates and writes, and can be asked again before that has ended. */
	for (int i = 0; i < 4; i++) {
		ev = event_next(_metadata, g);
		EXPECT_EQ(pid, ev.pid);
		EXPECT_EQ(FAN_MODIFY, (int)plain_event(&ev));
		if (ev.mask & ALL_PRE) {
			allow(_metadata, g, &ev);
			asked++;
		}
	}
	EXPECT_EQ(2, asked);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* A child of the owner that makes another one, as @flags say, and waits for it. */
static long make_another(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	int status;
	pid_t pid;

	pid = syscall(__NR_clone, CLONE_VFORK | (long)arg, NULL, NULL, NULL, NULL);
	if (!pid)
		_exit(do_write(&args) != 2);
	/* A sibling is not waited for by who has made it. */
	if (pid < 0 || (long)arg & CLONE_PARENT)
		return pid;
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

/*
 * A child of the owner's can have its own children made the owner's, or wait for
 * them by itself. The owner does not wait for any of them.
 */
TEST_F(owner, made_by_a_child)
{
	struct event pre;
	struct job *job;
	pid_t pid;
	int status;

	job = __job_prepare(_metadata, make_another,
			    (void *)(long)(CLONE_PARENT | SIGCHLD), true);
	job_go(_metadata, job);
	pre = event_next(_metadata, self->g);
	ASSERT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	EXPECT_NE(job->pid, pre.pid);
	allow(_metadata, self->g, &pre);
	pid = job_join(_metadata, job);
	EXPECT_EQ(pre.pid, pid);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	expect_post(_metadata, self->g, &pre, 2);

	job = __job_prepare(_metadata, make_another, (void *)(long)SIGCHLD, true);
	job_go(_metadata, job);
	pre = event_next(_metadata, self->g);
	ASSERT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

static long read_and_end(void *arg)
{
	const struct group *g = arg;
	char buf[4096];

	return ioctl(g->fd, FAN_IOC_OWN) ? -1 : read(g->fd, buf, sizeof(buf));
}

/* A job waits, and another has read the question by @read, and ended. */
static struct job *start_and_read(struct __test_metadata *const _metadata,
				  struct group *g, job_fn read)
{
	struct job *writer = write_start(_metadata, "file", "ab"), *reader;

	wait_pending(_metadata, g, 1);
	reader = __job_prepare(_metadata, read, g, true);
	job_go(_metadata, reader);
	EXPECT_LT(0, job_join(_metadata, reader));
	expect_silence(_metadata, g);
	return writer;
}

/* The owner has the question, and keeps it if it becomes the owner again. */
static void keep_and_allow(struct __test_metadata *const _metadata,
			   struct group *g, struct job *writer)
{
	const struct event pre = expect_pre(_metadata, g, writer->pid);

	EXPECT_EQ(0, own(g));
	expect_silence(_metadata, g);
	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, writer));
	expect_post(_metadata, g, &pre, 2);
}

/* What a former owner has read and not answered is there for the next, */
TEST_F(owner, read_by_former)
{
	struct job *writer = start_and_read(_metadata, self->g, read_and_end);

	EXPECT_EQ(0, own(self->g));
	expect_pre(_metadata, self->g, writer->pid);

	/* but not what the owner itself has read, */
	own_in_job(_metadata, self->g);
	keep_and_allow(_metadata, self->g, writer);
}

static long read_one(void *arg)
{
	const struct group *g = arg;
	char buf[4096];

	return read(g->fd, buf, sizeof(buf));
}

/* And what a child has read that ended, even if the owner is the same. */
TEST_F(owner, read_by_child)
{
	struct job *writer = start_and_read(_metadata, self->g, read_one);

	EXPECT_EQ(0, own(self->g));
	keep_and_allow(_metadata, self->g, writer);
}

TEST_HARNESS_MAIN
