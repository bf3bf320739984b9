// SPDX-License-Identifier: GPL-2.0
/*
 * The class comes and goes with its module: asked for when it is not there,
 * and kept for as long as anything of it is.
 *
 * Takes the module of VFS_FILTER_KO out and puts it in, and leaves it there.
 */

#include "fs.h"
#include "group.h"
#include "marks.h"
#include "module.h"
#include "underway.h"

#define ALIAS "fanotify-class-vfs-filter"

FIXTURE(module)
{
};

FIXTURE_SETUP(module)
{
	REQUIRE_MODULE();
	/* No one is there to load it but this test. */
	ASSERT_EQ(0, write_file(MODPROBE, 0, "\n"));
}

FIXTURE_TEARDOWN(module)
{
	test_end(_metadata);
}

TEST_F(module, present_and_absent)
{
	int fd;

	expect_init(_metadata, 0);
	EXPECT_EQ(-EEXIST, load(module_path));
	ASSERT_EQ(0, unload_soon());
	expect_init(_metadata, EOPNOTSUPP);
	expect_init(_metadata, EOPNOTSUPP);

	/* The other classes are not of this module. */
	fd = sys_fanotify_init(FAN_CLASS_NOTIF, 0);
	EXPECT_LE(0, fd);
	close(fd);

	ASSERT_EQ(0, load(module_path));
	expect_init(_metadata, 0);
}

TEST_F(module, in_use_by_group)
{
	struct group *g = group_open(_metadata, 0);
	int fd;

	EXPECT_EQ(-EAGAIN, unload());
	fd = dup(g->fd);
	ASSERT_LE(0, fd);
	group_close(g);
	EXPECT_EQ(-EAGAIN, unload());
	expect_init(_metadata, 0);
	close(fd);
	EXPECT_EQ(0, unload_soon());
}

/* Marks, questions, answers and reports that no one wants any more. */
TEST_F(module, in_use_by_events)
{
	struct job *answered, *read, *unread;
	struct event pre;
	struct group *g;

	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	g = group_open(_metadata, 0);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_EVICTABLE, FAN_MODIFY, ".");

	answered = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, g, answered->pid);
	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, answered));
	read = write_start(_metadata, "file", "ab");
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, g).queued == 2));
	expect_pre(_metadata, g, read->pid);
	unread = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, g, 2);
	EXPECT_EQ(-EAGAIN, unload());

	group_close(g);
	EXPECT_EQ(2, job_join(_metadata, read));
	EXPECT_EQ(2, job_join(_metadata, unread));
	EXPECT_EQ(0, unload_soon());
}

/* The group is gone, but not an operation that it has allowed. */
TEST_F(module, in_use_by_operation)
{
	struct group *g;
	struct job *job;

	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "");
	g = group_open(_metadata, 0);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "begin", job->pid);
	go_and_allow(_metadata, g, job, "begin");

	group_close(g);
	usleep(SETTLE_MS * 1000);
	EXPECT_EQ(-EAGAIN, unload());
	release(_metadata, "begin");
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(0, unload_soon());
}

/* What no one waits for any more, but has not come about yet. */
TEST_F(module, in_use_by_barrier)
{
	struct group *g;
	struct job *job;

	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "");
	g = group_open(_metadata, 0);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "begin", job->pid);
	go_and_allow(_metadata, g, job, "begin");
	mark(_metadata, g, FAN_MARK_BARRIER, 0, ".");
	mark(_metadata, g, FAN_MARK_BARRIER, 0, WORK_DIR);

	group_close(g);
	usleep(SETTLE_MS * 1000);
	EXPECT_EQ(-EAGAIN, unload());
	release(_metadata, "begin");
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(0, unload_soon());
}

/* With a few that are on their way as the group goes. */
TEST_F(module, barriers_in_the_air)
{
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	for (int round = 0; round < 10; round++) {
		struct group *g = group_open(_metadata, 0);

		for (int i = 0; i < 10; i++)
			mark(_metadata, g, FAN_MARK_BARRIER, 0, ".");
		group_close(g);
		ASSERT_EQ(0, unload_soon());
		ASSERT_EQ(0, load(module_path));
	}
}

#define PINNED 500
#define REUSED 20

/* And with marks that are about to be freed, or are used again. */
TEST_F(module, marks_in_the_air)
{
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	for (int round = 0; round < 20; round++) {
		struct group *g = group_open(_metadata, FAN_UNLIMITED_MARKS);

		mark_files(_metadata, g, FAN_MARK_IGNORE_SURV, FAN_MODIFY, 0,
			   PINNED);
		mark(_metadata, g, FAN_MARK_FLUSH | FAN_MARK_IGNORE, 0, ".");
		usleep(50 * round);
		mark_files(_metadata, g, 0, FAN_ATTRIB, PINNED - REUSED,
			   PINNED);
		group_close(g);
		ASSERT_EQ(0, unload_soon());
		ASSERT_EQ(0, load(module_path));
	}
}

#define ROUNDS 10
#define EVENTS 10	/* of each round */
#define WRITERS 3

static volatile bool *stop_writing;

static long write_until_stopped(void *arg)
{
	int fd = open("file", O_WRONLY);
	long n = 0;

	(void)arg;
	if (fd < 0)
		return -1;
	while (!*stop_writing && ++n)
		if (pwrite(fd, "ab", 2, 0) != 2)
			return -1;
	return n;
}

/* Writers are there all the time, whether someone listens or not. */
TEST_F(module, in_and_out_under_load)
{
	struct job *jobs[WRITERS];

	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	stop_writing = mmap(NULL, sizeof(*stop_writing), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, stop_writing);
	for (int i = 0; i < WRITERS; i++)
		jobs[i] = job_start(_metadata, write_until_stopped, NULL);

	for (int round = 0; round < ROUNDS; round++) {
		struct group *g = group_open(_metadata, 0);

		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     FAN_MODIFY, ".");
		for (int i = 0; i < EVENTS; i++) {
			const struct event ev = event_next(_metadata, g);

			if (ev.mask == FAN_PRE(FAN_MODIFY))
				allow(_metadata, g, &ev);
		}
		/* With questions open, as likely as not. */
		group_close(g);
		ASSERT_EQ(0, unload_soon());
		ASSERT_EQ(0, load(module_path));
	}

	*stop_writing = true;
	for (int i = 0; i < WRITERS; i++)
		EXPECT_LT(0, job_join(_metadata, jobs[i]));
}

/*
 * The kernel looks for the module by itself, by way of a program that this
 * test puts in the place of modprobe. It is run as a child of kthreadd.
 */
FIXTURE(autoload)
{
	char dir[32];
	char script[64];
	char log[64];
};

FIXTURE_SETUP(autoload)
{
	REQUIRE_MODULE();
	if (!same_root_as_init())
		SKIP(return, "modprobe would be run in another namespace");

	usermode_dir(_metadata, self->dir, sizeof(self->dir));
	snprintf(self->script, sizeof(self->script), "%s/modprobe", self->dir);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	put_file(_metadata, self->log, "");
	ASSERT_EQ(0, unload_soon());
}

FIXTURE_TEARDOWN(autoload)
{
	test_end(_metadata);
	unlink(self->script);
	unlink(self->log);
	rmdir(self->dir);
}

/* A program that notes how it was called and then loads the module, or not. */
static void put_modprobe(struct __test_metadata *const _metadata,
			 FIXTURE_DATA(autoload) *self, bool loads)
{
	char exe[PATH_MAX] = "", *text;

	ASSERT_LT(0, readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	ASSERT_LT(0, asprintf(&text, "#!/bin/sh\necho \"$*\" >>'%s'\n"
			      "%s exec '%s' --load '%s'\n", self->log,
			      loads ? "" : "exit 1;", exe, module_path));
	put_file(_metadata, self->script, text);
	free(text);
	ASSERT_EQ(0, chmod(self->script, 0755));
	ASSERT_EQ(0, write_file(MODPROBE, 0, self->script));
}

TEST_F(autoload, loads)
{
	put_modprobe(_metadata, self, true);
	expect_init(_metadata, 0);
	expect_content(_metadata, self->log, "-q -- " ALIAS "\n");

	/* No need to ask twice. */
	expect_init(_metadata, 0);
	expect_content(_metadata, self->log, "-q -- " ALIAS "\n");
}

TEST_F(autoload, fails)
{
	put_modprobe(_metadata, self, false);
	expect_init(_metadata, EOPNOTSUPP);
	expect_content(_metadata, self->log, "-q -- " ALIAS "\n");
	expect_init(_metadata, EOPNOTSUPP);
	expect_content(_metadata, self->log,
		       "-q -- " ALIAS "\n-q -- " ALIAS "\n");
}

static long init_as_nobody(void *arg)
{
	(void)arg;
	if (setresuid(65534, 65534, 65534))
		return -1;
	return sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
}

/* Not for those who may not use it, nor for those who want something else. */
TEST_F(autoload, not_for_others)
{
	int fd;

	put_modprobe(_metadata, self, true);
	EXPECT_EQ(-EPERM, job_join(_metadata, job_start(_metadata,
							init_as_nobody, NULL)));
	fd = sys_fanotify_init(FAN_CLASS_NOTIF, 0);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-1, sys_fanotify_init(FAN_CLASS_NOTIF | FAN_FAIL_CLOSED, 0));
	EXPECT_EQ(EINVAL, errno);
	expect_content(_metadata, self->log, "");
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--load"))
		return load(argv[2]) ? KSFT_FAIL : KSFT_PASS;
	return test_harness_run(argc, argv);
}
