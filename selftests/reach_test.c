// SPDX-License-Identifier: GPL-2.0
/*
 * What docs/security.md says of who can reach what there is, and of what events
 * tell of.
 */

#include "fs.h"
#include "privilege.h"
#include "queue.h"
#include "sentinels.h"

#define OTHER_DIR	WORK_DIR "/other"
#define TRACING_DIR	"/sys/kernel/tracing"
#define ALL_EVENTS	(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | \
			 FAN_MOVE | FAN_CREATE | FAN_DELETE | FAN_ONDIR)

FIXTURE(reach)
{
	struct group *g;
};

FIXTURE_SETUP(reach)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	ASSERT_EQ(0, chmod("file", 0666));
	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("unwatched", 0755));
	put_file(_metadata, "dir/file", "as it was");
	ASSERT_EQ(0, mkdir(OTHER_DIR, 0755));
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(reach)
{
	lift_all();
	test_end(_metadata);
}

/* ----------------------------- who reaches what --------------------------- */

struct reach_args {
	enum who who;
	const char *path;
	int flags;	/* of open(2) */
	pid_t pid;
	int fd;
};

static struct reach_args reach_args;

/* -errno of open(2), or what reading or writing did. */
static long open_as(void *arg __maybe_unused)
{
	char buf[64];
	int fd;

	if (become(reach_args.who))
		return -1;
	fd = open(reach_args.path, reach_args.flags);
	if (fd < 0)
		return -1;
	return reach_args.flags == O_RDONLY ? read(fd, buf, sizeof(buf)) :
					      write(fd, "1", 1);
}

static long run_as(struct __test_metadata *const _metadata, enum who who,
		   job_fn fn)
{
	reach_args.who = who;
	snprintf(row, sizeof(row), "%s", who_names[who]);
	return job_join(_metadata, job_start(_metadata, fn, NULL));
}

static long open_file_as(struct __test_metadata *const _metadata, enum who who,
			 const char *path, int flags)
{
	reach_args.path = path;
	reach_args.flags = flags;
	return run_as(_metadata, who, open_as);
}

static long init_as(void *arg __maybe_unused)
{
	static const unsigned int flags[] = {
		0, FAN_REPORT_FID, FAN_FAIL_CLOSED, FAN_REPORT_DFID_NAME_TARGET,
	};
	int fd;

	if (become(reach_args.who))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | flags[i], 0);
		if ((fd >= 0) != is_admin(reach_args.who))
			return i + 1;
		if (fd < 0 && errno != EPERM)
			return -1;
	}
	return 0;
}

TEST_F(reach, groups)
{
	for (enum who who = ROOT; who <= ROOT_OF_NAMESPACE; who++)
		EXPECT_EQ(0, run_as(_metadata, who, init_as));
	row[0] = '\0';
}

/* Files that are root's, who has to have the capability as well. */
TEST_F(reach, sysfs)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	group_close(g);
	ASSERT_TRUE(EVENTUALLY(count_sentinels() == 1));
	EXPECT_LT(0, open_file_as(_metadata, ROOT, SENTINELS, O_RDONLY));
	EXPECT_EQ(-EPERM, open_file_as(_metadata, ROOT_WITHOUT, SENTINELS,
				       O_RDONLY));
	EXPECT_EQ(-EPERM, open_file_as(_metadata, ROOT_WITHOUT, LIFT, O_WRONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, USER, SENTINELS, O_RDONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, USER, LIFT, O_WRONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, ROOT_OF_NAMESPACE, SENTINELS,
					O_RDONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, ROOT_OF_NAMESPACE, LIFT,
					O_WRONLY));
	EXPECT_EQ(1, count_sentinels());
	row[0] = '\0';
}

/* Trace events, which have no paths, are for whoever may trace the kernel. */
TEST_F(reach, tracefs)
{
	static const char path[] = TRACING_DIR "/events/vfs_filter/pre/enable";

	if (access(TRACING_DIR "/events", F_OK))
		mount("tracefs", TRACING_DIR, "tracefs", 0, NULL);
	if (access(path, F_OK))
		SKIP(return, "no trace events");
	EXPECT_LT(0, open_file_as(_metadata, ROOT, path, O_RDONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, USER, path, O_RDONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, USER, path, O_WRONLY));
	EXPECT_EQ(-EACCES, open_file_as(_metadata, ROOT_OF_NAMESPACE, path,
					O_RDONLY));
	row[0] = '\0';
}

static long steal(void *arg __maybe_unused)
{
	const int pidfd = sys_pidfd_open(reach_args.pid, 0);

	return become(reach_args.who) ? -1 :
		syscall(__NR_pidfd_getfd, pidfd, reach_args.fd, 0);
}

/* A descriptor is not to be had from who has it, nor opened again. */
TEST_F(reach, descriptors)
{
	struct group *q = queue_open(_metadata, self->g);
	struct group *all[] = { self->g, q };
	char path[64];

	reach_args.pid = getpid();
	for (int i = 0; i < 2; i++) {
		reach_args.fd = all[i]->fd;
		EXPECT_EQ(-EPERM, run_as(_metadata, USER, steal));
		EXPECT_EQ(-EPERM, run_as(_metadata, ROOT_OF_NAMESPACE, steal));
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getpid(),
			 all[i]->fd);
		EXPECT_EQ(-EACCES, open_file_as(_metadata, USER, path, O_RDONLY));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", all[i]->fd);
		EXPECT_EQ(-1, open(path, O_RDWR));
		EXPECT_EQ(ENXIO, errno);
	}
	row[0] = '\0';
	group_close(q);
}

/* --------------------------- what events tell of -------------------------- */

/* Whatever is done to what is not marked. */
static long do_here(void *arg __maybe_unused)
{
	char buf[16];
	int fd;

	fd = open("unwatched/a", O_RDWR | O_CREAT, 0644);
	if (fd < 0 || write(fd, "ab", 2) != 2 || pread(fd, buf, 2, 0) != 2 ||
	    fchmod(fd, 0600) || rename("unwatched/a", "unwatched/b") ||
	    link("unwatched/b", "c") || unlink("unwatched/b") || unlink("c") ||
	    mkdir("unwatched/d", 0755) || rmdir("unwatched/d"))
		return -1;
	return close(fd);
}

static long do_elsewhere(void *arg)
{
	return do_here(arg) || write_file(OTHER_DIR "/file", O_CREAT, "ab") ?
		-1 : 0;
}

/* Only what is marked is told of, and what is in it if that was asked for. */
TEST_F(reach, nothing_else)
{
	struct group *g = group_open(_metadata, FAN_REPORT_DFID_NAME);

	mark(_metadata, self->g, FAN_MARK_ADD, ALL_EVENTS, "dir/file");
	mark(_metadata, g, FAN_MARK_ADD, ALL_EVENTS | FAN_EVENT_ON_CHILD, "dir");
	EXPECT_EQ(0, job_join(_metadata,
			      job_start(_metadata, do_elsewhere, NULL)));
	expect_silence(_metadata, self->g);
	expect_silence(_metadata, g);

	/* Nor of other file systems, and other mounts. */
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
	ASSERT_EQ(0, mount("none", OTHER_DIR, "tmpfs", 0, NULL));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ALL_EVENTS,
	     OTHER_DIR);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_MOUNT, ALL_EVENTS, OTHER_DIR);
	EXPECT_EQ(0, job_join(_metadata,
			      job_start(_metadata, do_here, NULL)));
	expect_silence(_metadata, self->g);
	expect_silence(_metadata, g);
}

static long do_rename(void *arg __maybe_unused)
{
	return rename("dir/file", "unwatched/new");
}

static long do_link(void *arg __maybe_unused)
{
	return link("file", "dir/new");
}

/*
 * But a rename has two directories, a name has one, and what is linked is from
 * somewhere: those are told.
 */
TEST_F(reach, names_beside)
{
	struct group *g = group_open(_metadata, FAN_REPORT_DFID_NAME);
	struct fid file = fid_of(_metadata, "file");
	struct fid dir = fid_of(_metadata, "dir");
	struct fid unwatched = fid_of(_metadata, "unwatched");
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MOVED_FROM, "dir");
	job = job_start(_metadata, do_rename, NULL);
	pre = expect_pre_of(_metadata, self->g, FAN_MOVED_FROM, 0, job->pid);
	EXPECT_TRUE(same_fid(&dir, &pre.dir));
	EXPECT_TRUE(same_fid(&unwatched, &pre.new_dir));
	EXPECT_STREQ("new", pre.new_name);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_CREATE, "dir");
	job = job_start(_metadata, do_link, NULL);
	pre = expect_pre_of(_metadata, self->g, FAN_CREATE, 0, job->pid);
	EXPECT_TRUE(same_fid(&file, &pre.fid));
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));

	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "dir/file");
	job = write_start(_metadata, "dir/file", "ab");
	pre = expect_pre(_metadata, g, job->pid);
	EXPECT_TRUE(same_fid(&dir, &pre.dir));
	EXPECT_STREQ("file", pre.name);
	answer(_metadata, g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
