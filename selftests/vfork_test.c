// SPDX-License-Identifier: GPL-2.0
/*
 * What a child made by vfork(2), or posix_spawn(3), does before it runs another
 * program: whoever waits for it must not be who is to answer, whatever becomes
 * of the two meanwhile.
 */

#include "cgroup.h"
#include "fs.h"
#include "group.h"
#include "stand_in.h"

/* The number of a group's descriptor, for a listener that was executed. */
#define LISTENER_FD	"VFORK_TEST_FD"

/* A job that makes a child, which writes when it is told to. */
struct spawner {
	struct job *job;
	bool listens;	/* to what the child does */
	pid_t child;
	int ready[2], go[2], done[2];
};

static char other[80];

FIXTURE(vforked)
{
	struct group *g;
	struct spawner spawner;
};

static void cgroups_end(void)
{
	EVENTUALLY(!rmdir(other) || errno != EBUSY);
	cgroup_end();
}

FIXTURE_SETUP(vforked)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	cgroup_mount(_metadata);
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	snprintf(other, sizeof(other), "%s-other", cgroup);
	ASSERT_EQ(0, mkdir(other, 0755));
	guard_start(_metadata, cgroups_end);
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(vforked)
{
	if (self->spawner.child)
		kill(self->spawner.child, SIGKILL);
	test_end(_metadata);
}

/* Shares the memory of its parent, which may be gone. */
static __attribute__((noinline)) void child(const struct spawner *s)
{
	const pid_t self = getpid();
	int ret;
	char c;

	if (write(s->ready[1], &self, sizeof(self)) != sizeof(self) ||
	    read(s->go[0], &c, 1) != 1)
		return;
	ret = write_file("file", 0, "ab");
	if (write(s->done[1], &ret, sizeof(ret)) < 0)
		return;
}

static long spawn(void *arg)
{
	const struct spawner *s = arg;
	int fd;

	if (s->listens) {
		fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
		if (fd < 0 || sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY,
						AT_FDCWD, "file"))
			return -1;
	}
	if (!vfork()) {
		child(s);
		_exit(0);
	}
	return 0;
}

static void spawner_prepare(struct __test_metadata *const _metadata,
			    struct spawner *s)
{
	ASSERT_EQ(0, pipe(s->ready));
	ASSERT_EQ(0, pipe(s->go));
	ASSERT_EQ(0, pipe(s->done));
	s->job = job_prepare(_metadata, spawn, s);
}

/* Until the child is about to write. */
static void spawner_go(struct __test_metadata *const _metadata,
		       struct spawner *s)
{
	job_go(_metadata, s->job);
	ASSERT_EQ((int)sizeof(s->child),
		  read(s->ready[0], &s->child, sizeof(s->child)));
}

static void child_go(struct __test_metadata *const _metadata,
		     const struct spawner *s)
{
	ASSERT_EQ(1, write(s->go[1], "", 1));
}

/* How the child has fared. It can take an answer first. */
static void expect_written(struct __test_metadata *const _metadata,
			   struct spawner *s)
{
	struct pollfd pfd = { .fd = s->done[0], .events = POLLIN };
	int ret = -1;

	ASSERT_EQ(1, poll(&pfd, 1, TIMEOUT_MS))
		TH_LOG("process %d still waits", s->child);
	ASSERT_EQ((int)sizeof(ret), read(s->done[0], &ret, sizeof(ret)));
	EXPECT_EQ(0, ret);
	s->child = 0;
}

/* A listener is killed: its child, which has the group as well, is not asked. */
TEST_F(vforked, listener_killed)
{
	self->spawner.listens = true;
	spawner_prepare(_metadata, &self->spawner);
	spawner_go(_metadata, &self->spawner);
	job_kill(_metadata, self->spawner.job, SIGKILL);
	child_go(_metadata, &self->spawner);
	expect_written(_metadata, &self->spawner);
}

static void watch_from_cgroup(struct __test_metadata *const _metadata,
			      struct group *g, struct spawner *s)
{
	cgroup_exempt(_metadata, g->fd);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	spawner_prepare(_metadata, s);
	ASSERT_EQ(0, enter(cgroup, s->job->pid));
	spawner_go(_metadata, s);
	ASSERT_EQ(0, enter(other, s->child));
}

/*
 * Service managers make a child in its cgroup, and wait for it in theirs, which
 * is exempt.
 */
TEST_F(vforked, in_another_cgroup)
{
	watch_from_cgroup(_metadata, self->g, &self->spawner);
	child_go(_metadata, &self->spawner);
	expect_written(_metadata, &self->spawner);
	EXPECT_EQ(0, job_join(_metadata, self->spawner.job));
	expect_silence(_metadata, self->g);
}

/* If no one waits for it any more, it is someone like all others. */
TEST_F(vforked, in_another_cgroup_alone)
{
	struct event pre;

	watch_from_cgroup(_metadata, self->g, &self->spawner);
	job_kill(_metadata, self->spawner.job, SIGKILL);
	child_go(_metadata, &self->spawner);
	pre = expect_pre(_metadata, self->g, self->spawner.child);
	allow(_metadata, self->g, &pre);
	expect_written(_metadata, &self->spawner);
	expect_post(_metadata, self->g, &pre, 2);
}

/* Does a process run another program, with memory of its own? */
static bool has_executed(pid_t pid)
{
	char path[32], self[256] = "", other[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 &&
	       readlink(path, other, sizeof(other) - 1) > 0 &&
	       strcmp(self, other);
}

/*
 * A child owns the group, and runs a program: what its parent does is no more of
 * it. Nor is it when the child has ended, be it that it is reaped or not.
 */
struct owner {
	const struct group *g;
	bool ended, reaped;
};

static int end_owner(pid_t pid, bool reaped)
{
	siginfo_t info;

	return kill(pid, SIGKILL) ||
	       waitid(P_PID, pid, &info, WEXITED | (reaped ? 0 : WNOWAIT));
}

static long own_by_child(void *arg)
{
	const struct owner *owner = arg;
	char *const argv[] = { "sleep", "1000", NULL };
	const pid_t pid = vfork();
	int ret;

	if (!pid) {
		if (!ioctl(owner->g->fd, FAN_IOC_OWN))
			execvp(argv[0], argv);
		_exit(1);
	}
	/* Who waits for it goes on a little before that. */
	if (!EVENTUALLY(has_executed(pid)) ||
	    (owner->ended && end_owner(pid, owner->reaped)))
		return -1;
	ret = write_file("file", 0, "ab");
	return owner->reaped || !end_owner(pid, true) ? ret : -1;
}

static void expect_parent_asks(struct __test_metadata *const _metadata,
			       struct group *g, struct owner owner)
{
	struct job *job = __job_prepare(_metadata, own_by_child, &owner, true);
	struct event pre;

	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job_go(_metadata, job);
	pre = expect_pre(_metadata, g, job->pid);
	allow(_metadata, g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post(_metadata, g, &pre, 2);
}

TEST_F(vforked, owner_has_executed)
{
	expect_parent_asks(_metadata, self->g,
			   (struct owner) { .g = self->g });
}

TEST_F(vforked, owner_has_ended)
{
	expect_parent_asks(_metadata, self->g,
			   (struct owner) { .g = self->g, .ended = true });
}

TEST_F(vforked, owner_was_reaped)
{
	expect_parent_asks(_metadata, self->g, (struct owner) {
		.g = self->g, .ended = true, .reaped = true,
	});
}

/* A listener that was executed: reads a question, and has a child write. */
__attribute__((constructor)) static void listener(void)
{
	const char *nr = getenv(LISTENER_FD);
	int status = -1;
	pid_t pid;

	if (!nr)
		return;
	allow_one(atoi(nr));
	pid = vfork();
	if (!pid)
		_exit(!!write_file("file", 0, "ab"));
	_exit(waitpid(pid, &status, 0) != pid || status);
}

static long execute_listener(void *arg)
{
	char *const argv[] = { "listener", NULL };
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
	char nr[16];

	if (fd < 0 || sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD,
					"file"))
		return -1;
	snprintf(nr, sizeof(nr), "%d", fd);
	if (setenv(LISTENER_FD, nr, 1) || write(*(int *)arg, "", 1) != 1)
		return -1;
	return execv("/proc/self/exe", argv);
}

/* Once it reads, it is known to have other memory than what had the group made. */
TEST_F(vforked, by_executed)
{
	struct job *writer, *job;
	int marked[2], status;
	char c;

	ASSERT_EQ(0, pipe(marked));
	job = job_start(_metadata, execute_listener, &marked[1]);
	ASSERT_EQ(1, read(marked[0], &c, 1));
	writer = write_start(_metadata, "file", "a");
	EXPECT_EQ(1, job_join(_metadata, writer));
	status = job_reap(_metadata, job);
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_HARNESS_MAIN
