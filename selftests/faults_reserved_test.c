// SPDX-License-Identifier: GPL-2.0
/*
 * What does not depend on memory, whoever runs out of it: the end of a group and
 * of those who wait for it, groups that fail closed, what is said of objects that
 * are gone, and of operations that no one was asked about. What is lost is said
 * to be. And requests of io_uring whose workers run out of memory.
 */

#include <dirent.h>

#include "faults.h"
#include "fs.h"
#include "ring.h"
#include "sentinels.h"

#define OTHER		WORK_DIR "/other"

FIXTURE(reserved)
{
};

FIXTURE_SETUP(reserved)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir(OTHER, 0755));
	put_file(_metadata, "file", "");
	guard_start(_metadata, lift_all);
	REQUIRE_FAULTS(&all_code);
	ASSERT_EQ(0, fault_open());
}

FIXTURE_TEARDOWN(reserved)
{
	faults_end();
	lift_all();
	test_end(_metadata);
}

static int close_group(struct group *g)
{
	const int ret = close(g->fd);

	group_fds[g - groups] = 0;
	g->fd = -1;
	return ret;
}

/* ---------------------------- groups that end --------------------------- */

/* Who waits is allowed, read or not. */
TEST_F(reserved, close)
{
	int ret;

	FOR_EACH_FAULT(f) {
		struct group *g = group_open(_metadata, FAN_REPORT_DFID_NAME);
		struct job *was_read, *unread;

		mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
		mark(_metadata, g, FILESYSTEM, FAN_ATTRIB, ".");
		was_read = write_start(_metadata, "file", "ab");
		expect_pre(_metadata, g, was_read->pid);
		unread = write_start(_metadata, "file", "abc");
		wait_pending(_metadata, g, 2);
		FAULT(&f, ret = close_group(g));
		EXPECT_EQ(0, ret);
		EXPECT_EQ(2, job_join(_metadata, was_read));
		EXPECT_EQ(3, job_join(_metadata, unread));
	}
}

static struct group *open_closed(struct __test_metadata *const _metadata)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);

	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, ".");
	return g;
}

/* It is closed, all the time: what waits, and what comes after that. */
TEST_F(reserved, sentinel_begins)
{
	struct sentinel s;
	int ret;

	FOR_EACH_FAULT(f) {
		struct group *g = open_closed(_metadata);
		struct job *job = write_start(_metadata, "file", "ab");

		expect_pre(_metadata, g, job->pid);
		FAULT(&f, ret = close_group(g));
		EXPECT_EQ(0, ret);
		EXPECT_EQ(-EIO, job_join(_metadata, job));
		EXPECT_EQ(EIO, try_write());
		EXPECT_EQ(1, read_sentinels(&s));
		EXPECT_EQ(0, lift(s.id));
		EXPECT_EQ(0, try_write());
	}
}

/* Who cannot take it over leaves it as it is. */
TEST_F(reserved, sentinel_taken_over)
{
	struct group *g;
	int ret;

	FOR_EACH_FAULT(f) {
		close_group(open_closed(_metadata));
		EXPECT_EQ(1, count_sentinels());
		g = group_open(_metadata, FAN_FAIL_CLOSED);
		FAULT(&f, ret = sys_fanotify_mark(g->fd, FILESYSTEM, FAN_MODIFY,
						  AT_FDCWD, "."));
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		EXPECT_EQ(!!ret, count_sentinels());
		if (ret) {
			EXPECT_EQ(EIO, try_write());
			mark(_metadata, g, FILESYSTEM, FAN_MODIFY, ".");
			EXPECT_EQ(0, count_sentinels());
		}
		serve_write(_metadata, g, write_start(_metadata, "file", "ab"),
			    2);
		close_group(g);
		lift_all();
		EXPECT_EQ(0, count_sentinels());
	}
}

/* Who cannot lift it leaves it as it is, and so does who cannot look at it. */
TEST_F(reserved, sentinel_lifted)
{
	struct sentinel s, seen;
	int ret;

	FOR_EACH_FAULT(f) {
		close_group(open_closed(_metadata));
		EXPECT_EQ(1, read_sentinels(&s));
		FAULT(&f, ret = lift(s.id));
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		EXPECT_EQ(!!ret, count_sentinels());
		EXPECT_EQ(ret ? EIO : 0, try_write());
		lift_all();
	}

	close_group(open_closed(_metadata));
	FOR_EACH_FAULT(f) {
		FAULT(&f, ret = read_sentinels(&seen));
		expect_done_or(_metadata, &f, ret == 1, ENOMEM);
		EXPECT_EQ(EIO, try_write());
	}
}

/* ------------------------- what is said, or lost ------------------------ */

/* Either it is told or it is told that something was lost, and that is all. */
static struct event expect_told(struct __test_metadata *const _metadata,
				struct group *g, const struct fault *f,
				__u64 mask)
{
	const struct event ev = event_next(_metadata, g);

	if (ev.mask != FAN_Q_OVERFLOW) {
		EXPECT_EQ(mask, ev.mask);
	} else {
		EXPECT_TRUE(f->hit);
	}
	expect_silence(_metadata, g);
	return ev;
}

static struct group *open_once(struct __test_metadata *const _metadata,
			       unsigned int type, __u64 mask, const char *path)
{
	struct group *g = group_open(_metadata, FAN_REPORT_DFID_NAME |
						FAN_REPORT_PIDFD);

	mark(_metadata, g, FAN_MARK_ADD | type, mask, path);
	return g;
}

TEST_F(reserved, gone)
{
	struct group *g;
	int ret;

	FOR_EACH_FAULT(f) {
		tmpfs_mount(_metadata, OTHER, FS_SIZE);
		g = open_once(_metadata, FAN_MARK_FILESYSTEM, FAN_MODIFY, OTHER);
		FAULT(&f, ret = umount(OTHER));
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		if (ret)
			umount(OTHER);
		expect_told(_metadata, g, &f, FAN_Q_GONE);
		close_group(g);
	}
	FOR_EACH_FAULT(f) {
		put_file(_metadata, "doomed", "");
		g = open_once(_metadata, 0, FAN_MODIFY, "doomed");
		FAULT(&f, ret = unlink("doomed"));
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		if (ret)
			unlink("doomed");
		expect_told(_metadata, g, &f, FAN_Q_GONE);
		close_group(g);
	}
}

/* ------------------------------ in other tasks -------------------------- */

/* Of who does it, for the test. */
static struct shared {
	bool hit;
	long ret;	/* of a child, or -errno */
} *shared;

__attribute__((constructor))
static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	known_op_flags = FAN_OP_ASYNC;
}

/* From where the write begins to look for memory. */
static void write_faulty(unsigned int nth)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || fault_open())
		return;
	fault_set(fault_fd, nth);
	shared->ret = pwrite(fd, "ab", 2, 0) == 2 ? 2 : -errno;
	shared->hit = fault_over(fault_fd);
}

/* By a child of the job, of which no one has had a pidfd when it is gone. */
static long write_by_child(void *arg)
{
	const pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_faulty(*(unsigned int *)arg);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

/* Who did it does not fail because there is no memory to tell of it. */
TEST_F(reserved, unpaired)
{
	FOR_EACH_FAULT(f) {
		struct group *g;
		struct event ev;
		struct job *job;

		g = open_once(_metadata, 0, FAN_POST(FAN_MODIFY), "file");
		*shared = (struct shared) { .ret = -EIO };
		job = job_start(_metadata, write_by_child, &f.nth);
		EXPECT_EQ(0, job_join(_metadata, job));
		faults_read(_metadata);
		f.hit = shared->hit;
		f.error = -shared->ret;
		expect_done_or(_metadata, &f, shared->ret == 2, ENOMEM);
		/* Before it was done, as any write can fail. */
		if (shared->ret == 2) {
			ev = expect_told(_metadata, g, &f, FAN_POST(FAN_MODIFY));
			/* At worst it is too late for a pidfd. */
			EXPECT_TRUE(ev.pidfd >= 0 || f.hit);
			if (ev.pidfd >= 0)
				close(ev.pidfd);
		}
		close_group(g);
	}
}

/* The thread of the process that does its requests. */
static int worker_fd(void)
{
	char path[64], comm[32];
	struct dirent *entry;
	int fd = -1;
	DIR *dir = opendir("/proc/self/task");

	if (!dir)
		return -1;
	while (fd < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm",
			 entry->d_name);
		if (read_file(path, comm, sizeof(comm)) <= 0 ||
		    strncmp(comm, "iou-wrk", 7))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.16s/fail-nth",
			 entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(dir);
	return fd;
}

/* A worker is there when it has read something, and does what comes next. */
static long uring_write_faulty(void *arg)
{
	const unsigned int nth = *(unsigned int *)arg;
	const int fd = open("file", O_RDWR | O_CLOEXEC);
	struct ring r;
	char buf[2];
	long ret;
	int worker;

	if (fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_READ, fd, buf, sizeof(buf), 0, 1);
	r.sqes[0].flags = IOSQE_ASYNC;
	if (ring_submit(&r) || ring_wait(&r, NULL) < 0)
		return -1;
	worker = worker_fd();
	if (worker < 0)
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, "ab", 2, 0, 2);
	r.sqes[1].flags = IOSQE_ASYNC;
	fault_set(worker, nth);
	ret = ring_submit(&r) ? -EIO : ring_wait(&r, NULL);
	shared->hit = fault_over(worker);
	errno = ret < 0 ? -ret : 0;
	return ret < 0 ? -1 : ret;
}

TEST_F(reserved, worker)
{
	struct group *g;

	FOR_EACH_FAULT(f) {
		struct event pre, post;
		struct job *job;
		long ret;

		g = open_once(_metadata, 0, FAN_MODIFY, "file");
		shared->hit = false;
		job = job_start(_metadata, uring_write_faulty, &f.nth);
		while (!group_readable(g, 0) && !job_ended(job, 10))
			;
		if (group_readable(g, 0)) {
			pre = event_next(_metadata, g);
			EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
			close(pre.pidfd);
			allow(_metadata, g, &pre);
			post = event_next(_metadata, g);
			EXPECT_EQ(pre.cookie, post.cookie);
			close(post.pidfd);
			ret = job_join(_metadata, job);
			EXPECT_EQ(ret, post.result);
		} else {
			ret = job_join(_metadata, job);
			EXPECT_GT(0, ret);
		}
		faults_read(_metadata);
		f.hit = shared->hit;
		f.error = -ret;
		expect_done_or(_metadata, &f, ret == 2, ENOMEM);
		expect_silence(_metadata, g);
		close_group(g);
	}
}

TEST_HARNESS_MAIN
