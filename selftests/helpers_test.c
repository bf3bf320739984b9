// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that the kernel starts for others, from a file system that is
 * watched for all that they do: the one that takes the core of whoever crashes,
 * a listener for one, and modprobe. They are asked about as all others are.
 */

#include <pthread.h>
#include <sys/resource.h>

#include "queue.h"
#include "sentinels.h"
#include "serve.h"
#include "usermode.h"

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"
#define NO_FS		"vfsfilternone"

/* What one must not wait for longer than, by far. */
#define SOON_MS		20000

FIXTURE(helper)
{
	struct group *g;
};

static char dir[64], script[96], result[96];
static char old_pattern[256], old_modprobe[PATH_MAX];

static void undo(void)
{
	write_file(CORE_PATTERN, 0, old_pattern);
	write_file(MODPROBE, 0, old_modprobe);
	lift_all();
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static void put_script(struct __test_metadata *const _metadata,
		       const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", what);
	put_file(_metadata, script, text);
	ASSERT_EQ(0, chmod(script, 0755));
}

FIXTURE_SETUP(helper)
{
	REQUIRE_CLASS();
	if (!same_root_as_init())
		SKIP(return, "helpers are run in another namespace");
	usermode_dir(_metadata, dir, sizeof(dir));
	ASSERT_LT(0, read_file(CORE_PATTERN, old_pattern, sizeof(old_pattern)));
	ASSERT_LT(0, read_file(MODPROBE, old_modprobe, sizeof(old_modprobe)));
	guard_start(_metadata, undo);
	ASSERT_EQ(0, mount("none", dir, "tmpfs", 0, NULL));
	snprintf(script, sizeof(script), "%s/script", dir);
	snprintf(result, sizeof(result), "%s/result", dir);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ALL_EVENTS,
	     dir);
}

FIXTURE_TEARDOWN(helper)
{
	if (self->g)
		self->g->unread_ok = true;
	test_end(_metadata);
}

static bool result_is(const char *text)
{
	char buf[256];

	return read_file(result, buf, sizeof(buf)) > 0 && !strcmp(buf, text);
}

/* ---------------------------------- cores ---------------------------------- */

static void set_core_pattern(struct __test_metadata *const _metadata)
{
	char pattern[256];

	put_script(_metadata, "cat >/dev/null; echo dumped >$1");
	snprintf(pattern, sizeof(pattern), "|%s %s", script, result);
	ASSERT_EQ(0, write_file(CORE_PATTERN, 0, pattern));
}

/* More than fits in a pipe, to be dumped. */
static char ballast[1 << 20];

static long crash(void *arg)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	(void)arg;
	memset(ballast, 1, sizeof(ballast));
	signal(SIGABRT, SIG_DFL);
	setrlimit(RLIMIT_CORE, &all);
	prctl(PR_SET_DUMPABLE, 1);
	abort();
}

static void expect_crashed(struct __test_metadata *const _metadata,
			   struct job *job, bool dumped)
{
	const int status = job_reap(_metadata, job);

	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_EQ(dumped, !!WCOREDUMP(status));
}

TEST_F(helper, core_of_another)
{
	struct job *job;

	set_core_pattern(_metadata);
	job = job_start(_metadata, crash, NULL);
	EXPECT_LT(0U, SERVE_UNTIL(self->g, job->pid, job_ended(job, 0)));
	expect_crashed(_metadata, job, true);
	SERVE_UNTIL(self->g, 0, result_is("dumped\n"));
}

/* It is no one's fault but the listener's if it says no. */
TEST_F(helper, core_that_is_denied)
{
	struct event pre;
	struct job *job;

	set_core_pattern(_metadata);
	job = job_start(_metadata, crash, NULL);
	pre = event_next(_metadata, self->g);
	EXPECT_NE(0ULL, pre.mask & ALL_PRE);
	EXPECT_NE(job->pid, pre.pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	expect_crashed(_metadata, job, false);
	EXPECT_FALSE(result_is("dumped\n"));
}

struct crash_args {
	const struct group *g;
	unsigned int flags;	/* of its own group */
};

/* A listener that no one but itself could answer for. */
static long crash_with_group(void *arg)
{
	const struct crash_args *args = arg;
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | args->flags, 0);

	if (fd < 0 || sys_fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
					ALL_EVENTS, AT_FDCWD, dir))
		return -1;
	return crash(NULL);
}

TEST_F(helper, core_of_the_listener)
{
	struct crash_args args = {};
	struct job *job;

	set_core_pattern(_metadata);
	group_close(self->g);
	self->g = NULL;
	job = job_start(_metadata, crash_with_group, &args);
	ASSERT_TRUE(job_ended(job, SOON_MS));
	expect_crashed(_metadata, job, true);
	EXPECT_TRUE(EVENTUALLY(result_is("dumped\n")));
}

/* Then no one can have it, and the listener is gone all the same. */
TEST_F(helper, core_of_a_listener_that_fails_closed)
{
	struct crash_args args = { .flags = FAN_FAIL_CLOSED };
	struct job *job;

	set_core_pattern(_metadata);
	group_close(self->g);
	self->g = NULL;
	job = job_start(_metadata, crash_with_group, &args);
	ASSERT_TRUE(job_ended(job, SOON_MS));
	expect_crashed(_metadata, job, false);
	EXPECT_EQ(1, count_sentinels());
	lift_all();
	EXPECT_FALSE(result_is("dumped\n"));
}

static long crash_with_queue(void *arg)
{
	const struct crash_args *args = arg;
	char buf[4096];
	const int fd = queue_fd(args->g, O_CLOEXEC);

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	/* With a question of its own, that it does not answer any more. */
	return fd < 0 || read(fd, buf, sizeof(buf)) <= 0 ? -1 : crash(NULL);
}

static long touch(void *arg)
{
	return open(arg, O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0;
}

/* One of several: what it has read, and what its helper does, are another's. */
TEST_F(helper, core_of_a_worker)
{
	struct crash_args args = { .g = self->g };
	struct job *job, *toucher;

	set_core_pattern(_metadata);
	job = __job_prepare(_metadata, crash_with_queue, &args, true);
	job_go(_metadata, job);
	toucher = job_start(_metadata, touch, script);
	EXPECT_TRUE(EVENTUALLY(group_state(_metadata, self->g).pending));
	EXPECT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).queued));
	EXPECT_LT(0U, SERVE_UNTIL(self->g, toucher->pid, job_ended(job, 0)));
	expect_crashed(_metadata, job, true);
	SERVE_UNTIL(self->g, 0, job_ended(toucher, 0));
	EXPECT_EQ(0, job_join(_metadata, toucher));
	SERVE_UNTIL(self->g, 0, result_is("dumped\n"));
}

/* --------------------------------- modprobe -------------------------------- */

static void set_modprobe(struct __test_metadata *const _metadata)
{
	char text[160];

	snprintf(text, sizeof(text), "echo \"$*\" >%s; exit 1", result);
	put_script(_metadata, text);
	ASSERT_EQ(0, write_file(MODPROBE, 0, script));
}

/* The kernel asks for a module, and waits for the end of it. */
static long mount_unknown(void *arg)
{
	(void)arg;
	return mount("none", "/", NO_FS, 0, NULL);
}

static void expect_modprobe(struct __test_metadata *const _metadata)
{
	EXPECT_TRUE(result_is("-q -- fs-" NO_FS "\n"));
}

TEST_F(helper, modprobe_of_another)
{
	struct job *job;

	set_modprobe(_metadata);
	job = job_start(_metadata, mount_unknown, NULL);
	EXPECT_LT(0U, SERVE_UNTIL(self->g, job->pid, job_ended(job, 0)));
	EXPECT_EQ(-ENODEV, job_join(_metadata, job));
	expect_modprobe(_metadata);
}

/* Who waits for it can be killed, whatever the listener does. */
TEST_F(helper, modprobe_that_no_one_answers)
{
	struct job *job;

	set_modprobe(_metadata);
	job = job_start(_metadata, mount_unknown, NULL);
	wait_pending(_metadata, self->g, 1);
	expect_blocked(_metadata, job);
	job_kill(_metadata, job, SIGKILL);
	SERVE_UNTIL(self->g, 0, result_is("-q -- fs-" NO_FS "\n"));
}

/* A thread of the listener, which is exempt, and modprobe is not. */
static void *mount_in_thread(void *arg)
{
	const long ret = mount_unknown(NULL) ? -errno : 0;

	__atomic_store_n((long *)arg, ret, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F(helper, modprobe_of_another_thread)
{
	long ret = 1;
	pthread_t thread;

	set_modprobe(_metadata);
	ASSERT_EQ(0, pthread_create(&thread, NULL, mount_in_thread, &ret));
	EXPECT_LT(0U, SERVE_UNTIL(self->g, 0,
				  __atomic_load_n(&ret, __ATOMIC_ACQUIRE) != 1));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-ENODEV, ret);
	expect_modprobe(_metadata);
}

/* The only thread waits for itself, and a deadline ends that. */
TEST_F(helper, modprobe_of_the_only_thread)
{
	const struct fanotify_deadline deadline = { 200, FAN_ALLOW };

	set_modprobe(_metadata);
	ASSERT_EQ(0, ioctl(self->g->fd, FAN_IOC_DEADLINE, &deadline));
	EXPECT_EQ(-1, mount_unknown(NULL));
	EXPECT_EQ(ENODEV, errno);
	expect_modprobe(_metadata);
}

/* What the script needs can be had by then: so it is with what is loaded at boot. */
TEST_F(helper, modprobe_not_needed)
{
	set_modprobe(_metadata);
	ASSERT_EQ(0, mount("none", dir, "tmpfs", 0, NULL));
	ASSERT_EQ(0, umount(dir));
	EXPECT_EQ(-ENOENT, access(result, F_OK) ? -errno : 0);
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
