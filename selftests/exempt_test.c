// SPDX-License-Identifier: GPL-2.0
/*
 * Cgroups whose tasks raise no event, whatever they do: helpers of the listener,
 * and others that it cannot do without.
 */

#include <linux/aio_abi.h>
#include <spawn.h>

#include "cgroup.h"
#include "exec.h"
#include "group.h"

#define ALL_EVENTS	(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | \
			 FAN_MOVE | FAN_CREATE | FAN_DELETE | FAN_ONDIR)
#define MAX_EXEMPT	16

static char inner[80], other[80];

FIXTURE(exempt)
{
	struct group *g;
};

static void cgroups_end(void)
{
	cgroup_write(cgroup, "cgroup.kill", "1");
	for (int i = 0; i < MAX_EXEMPT; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%d", cgroup, i);
		rmdir(path);
	}
	EVENTUALLY(!rmdir(inner) || errno != EBUSY);
	EVENTUALLY(!rmdir(other) || errno != EBUSY);
	cgroup_end();
}

static int exempt(const struct group *g, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const int ret = ioctl(g->fd, FAN_IOC_EXEMPT, fd) ? errno : 0;

	close(fd);
	return ret;
}

FIXTURE_SETUP(exempt)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_programs(_metadata);
	put_file(_metadata, "file", "as it was");
	cgroup_mount(_metadata);
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	snprintf(inner, sizeof(inner), "%s/inner", cgroup);
	snprintf(other, sizeof(other), "%s-other", cgroup);
	ASSERT_EQ(0, mkdir(inner, 0755));
	ASSERT_EQ(0, mkdir(other, 0755));
	guard_start(_metadata, cgroups_end);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     ALL_EVENTS, ".");
	ASSERT_EQ(0, exempt(self->g, cgroup));
}

FIXTURE_TEARDOWN(exempt)
{
	test_end(_metadata);
}

static int write_by_aio(int fd)
{
	struct iocb iocb = {
		.aio_fildes = fd,
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_buf = (__u64)(uintptr_t)"AS",
		.aio_nbytes = 2,
	}, *iocbs[] = { &iocb };
	aio_context_t context = 0;
	struct io_event event;

	if (syscall(__NR_io_setup, 1, &context) ||
	    syscall(__NR_io_submit, context, 1, iocbs) != 1 ||
	    syscall(__NR_io_getevents, context, 1, 1, &event, NULL) != 1 ||
	    event.res != 2)
		return -1;
	return syscall(__NR_io_destroy, context);
}

static int write_by_mapping(int fd)
{
	char *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		return -1;
	mem[0]++;
	return munmap(mem, 4096);
}

static int run_program(const char *path)
{
	char *const argv[] = { (char *)path, NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, path, NULL, NULL, argv, NULL))
		return -1;
	return waitpid(pid, &status, 0) != pid || status;
}

/* Something of each kind. */
static long do_all(void *arg __maybe_unused)
{
	const int fd = open("file", O_RDWR | O_CLOEXEC);
	char buf[4];

	if (fd < 0 || pread(fd, buf, sizeof(buf), 0) != sizeof(buf) ||
	    pwrite(fd, "as", 2, 0) != 2 || fchmod(fd, 0600) ||
	    write_by_aio(fd) || write_by_mapping(fd) || close(fd))
		return -1;
	if (mkdir("dir", 0755) || rename("file", "dir/file") ||
	    rename("dir/file", "file") || rmdir("dir"))
		return -1;
	return run_program("script");
}

static void expect_exempt(struct __test_metadata *const _metadata,
			  struct group *g, const char *where)
{
	struct job *job = job_prepare(_metadata, do_all, NULL);

	ASSERT_EQ(0, enter(where, job->pid));
	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, g);
}

static void expect_asked(struct __test_metadata *const _metadata,
			 struct group *g, const char *where)
{
	struct job *job = job_prepare(_metadata, do_all, NULL);
	struct event pre;

	ASSERT_EQ(0, enter(where, job->pid));
	job_go(_metadata, job);
	pre = expect_pre_of(_metadata, g, FAN_OPEN, 0, job->pid);
	answer(_metadata, g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_silence(_metadata, g);
}

TEST_F(exempt, all_kinds)
{
	expect_exempt(_metadata, self->g, cgroup);
	expect_asked(_metadata, self->g, other);
	expect_asked(_metadata, self->g, CGROUP_DIR);
}

TEST_F(exempt, below)
{
	struct group *g = group_open(_metadata, 0);

	expect_exempt(_metadata, self->g, inner);

	/* But not above, and not for who has not asked for it. */
	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ALL_EVENTS, ".");
	expect_asked(_metadata, g, inner);
	EXPECT_EQ(0, exempt(g, inner));
	expect_exempt(_metadata, g, inner);
	expect_asked(_metadata, g, cgroup);
}

TEST_F(exempt, several)
{
	EXPECT_EQ(0, exempt(self->g, other));
	expect_exempt(_metadata, self->g, other);
	expect_exempt(_metadata, self->g, cgroup);
	expect_asked(_metadata, self->g, CGROUP_DIR);
}

/* By where the task is when it does something. */
TEST_F(exempt, moved)
{
	struct job *job = job_prepare(_metadata, do_all, NULL);
	struct event pre;

	ASSERT_EQ(0, enter(other, job->pid));
	job_go(_metadata, job);
	pre = expect_pre_of(_metadata, self->g, FAN_OPEN, 0, job->pid);
	ASSERT_EQ(0, enter(inner, job->pid));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));

	/* What it was asked about has its end all the same. */
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_silence(_metadata, self->g);
}

/* A cgroup that is gone was the one that it was, whatever has its name. */
TEST_F(exempt, removed)
{
	ASSERT_EQ(0, exempt(self->g, other));
	ASSERT_EQ(0, rmdir(other));
	ASSERT_EQ(0, mkdir(other, 0755));
	expect_asked(_metadata, self->g, other);
	EXPECT_EQ(0, exempt(self->g, other));
	expect_exempt(_metadata, self->g, other);
}

/* Who is exempt can fill a program that others are asked about. */
TEST_F(exempt, fills)
{
	struct write_args args = { .path = "true", .text = "no program" };
	struct job *job, *filler = job_prepare(_metadata, do_write, &args);
	struct event pre;

	ASSERT_EQ(0, enter(inner, filler->pid));
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
	     FAN_OPEN, ".");
	job = job_start(_metadata, do_exec, "true");
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	job_go(_metadata, filler);
	EXPECT_EQ(10, job_join(_metadata, filler));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(-ENOEXEC, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -ENOEXEC);
}

TEST_F(exempt, bad)
{
	char path[96];

	EXPECT_EQ(EEXIST, exempt(self->g, cgroup));
	EXPECT_EQ(EBADF, exempt(self->g, "nothing"));
	EXPECT_EQ(EINVAL, exempt(self->g, "."));
	EXPECT_EQ(EINVAL, exempt(self->g, "file"));
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	EXPECT_EQ(EINVAL, exempt(self->g, path));
	for (int i = 1; i < MAX_EXEMPT; i++) {
		snprintf(path, sizeof(path), "%s/%d", cgroup, i);
		ASSERT_EQ(0, mkdir(path, 0755));
		EXPECT_EQ(0, exempt(self->g, path));
		EXPECT_EQ(EEXIST, exempt(self->g, path));
	}
	EXPECT_EQ(ENOSPC, exempt(self->g, other));
	expect_exempt(_metadata, self->g, cgroup);
	expect_asked(_metadata, self->g, other);
}

TEST_HARNESS_MAIN
