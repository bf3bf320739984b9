// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of a listener that run out of memory: each allocation that one of them
 * makes fails in turn. It fails with ENOMEM then and has changed nothing, or is
 * done; what can be done without memory is done in any case. Nothing is lost of
 * what there is a limit of.
 */

#include "cgroup.h"
#include "faults.h"
#include "fs.h"
#include "marks.h"
#include "queue.h"

#define MAX_USER_GROUPS	"/proc/sys/fs/fanotify/max_user_groups"

FIXTURE(calls)
{
	struct group *g;
};

FIXTURE_SETUP(calls)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	REQUIRE_FAULTS(&all_code);
	ASSERT_EQ(0, fault_open());
	known_records = RECORD_MNT | RECORD_CGROUP | RECORD_REPLACED;
	self->g = group_open(_metadata, FAN_REPORT_DFID_NAME_TARGET |
					FAN_REPORT_PIDFD);
	ASSERT_EQ(0, ioctl(self->g->fd, FAN_IOC_RECORDS,
			   FAN_RECORD_MNT | FAN_RECORD_CGROUP |
			   FAN_RECORD_REPLACED));
}

FIXTURE_TEARDOWN(calls)
{
	faults_end();
	test_end(_metadata);
}

/* The file system goes on as before, for who watches it. */
static void expect_works(struct __test_metadata *const _metadata,
			 struct group *g)
{
	struct group_state st;

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	serve_write(_metadata, g, write_start(_metadata, "file", "ab"), 2);
	expect_silence(_metadata, g);
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	st = group_state(_metadata, g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
}

/* ----------------------------- fanotify_init ---------------------------- */

static char groups_limit[32];

static void restore_groups_limit(void)
{
	write_file(MAX_USER_GROUPS, 0, groups_limit);
}

/* A group that was not made counts for nothing. */
TEST_F(calls, init)
{
	static const unsigned int flags[] = {
		0,
		FAN_REPORT_PIDFD | FAN_REPORT_DFID_NAME_TARGET,
		FAN_FAIL_CLOSED | FAN_UNLIMITED_QUEUE,
	};
	int fd;

	ASSERT_LT(0, read_file(MAX_USER_GROUPS, groups_limit,
			       sizeof(groups_limit)));
	guard_start(_metadata, restore_groups_limit);
	ASSERT_EQ(0, write_file(MAX_USER_GROUPS, 0, "4"));
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		FOR_EACH_FAULT(f) {
			FAULT(&f, fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER |
							 flags[i], 0));
			expect_done_or(_metadata, &f, fd >= 0, ENOMEM);
			if (fd >= 0) {
				ASSERT_EQ(0, close(fd));
			}
		}
	}
	expect_works(_metadata, self->g);
}

/* -------------------------------- barriers ------------------------------ */

/* The numbers are those of the barriers that have begun. */
TEST_F(calls, barrier)
{
	__u64 begun = 0;
	int ret;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ATTRIB, ".");
	FOR_EACH_FAULT(f) {
		FAULT(&f, ret = sys_fanotify_mark(self->g->fd, FAN_MARK_BARRIER,
						  0, AT_FDCWD, "."));
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		if (!ret)
			expect_barrier(_metadata, self->g, ++begun);
		expect_silence(_metadata, self->g);
	}
	expect_works(_metadata, self->g);
}

/* --------------------------------- ioctls ------------------------------- */

#define MAX_QUEUES	63

TEST_F(calls, queue)
{
	int fd, queues[MAX_QUEUES + 1];

	FOR_EACH_FAULT(f) {
		FAULT(&f, fd = queue_fd(self->g, O_CLOEXEC));
		expect_done_or(_metadata, &f, fd >= 0, ENOMEM);
		if (fd >= 0)
			close(fd);
	}
	/* All places are free. */
	for (int i = 0; i < MAX_QUEUES; i++) {
		queues[i] = queue_fd(self->g, O_CLOEXEC);
		EXPECT_LE(0, queues[i]);
	}
	EXPECT_EQ(-1, queue_fd(self->g, O_CLOEXEC));
	EXPECT_EQ(ENOSPC, errno);
	for (int i = 0; i < MAX_QUEUES; i++)
		close(queues[i]);
	expect_works(_metadata, self->g);
}

/* These take no memory. */
TEST_F(calls, ioctl)
{
	const struct fanotify_deadline deadline = {
		.msecs = TIMEOUT_MS,
		.verdict = FAN_DENY,
	};
	int ret, bytes, dir;

	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	dir = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	FOR_EACH_FAULT(f) {
		FAULT(&f, ret = ioctl(self->g->fd, FAN_IOC_OWN) ?:
				ioctl(self->g->fd, FAN_IOC_DEADLINE, &deadline) ?:
				ioctl(self->g->fd, FAN_IOC_RECORDS,
				      FAN_RECORD_MNT | FAN_RECORD_CGROUP) ?:
				ioctl(self->g->fd, FIONREAD, &bytes) ?:
				ioctl(self->g->fd, FAN_IOC_EXEMPT, dir));
		/* It is exempt the second time. */
		EXPECT_TRUE(!ret || (f.nth > 1 && f.error == EEXIST));
		EXPECT_FALSE(f.real);
	}
	close(dir);
	expect_works(_metadata, self->g);
}

/* ---------------------------- read and answer --------------------------- */

/* An event is read in any case, and at worst there is no pidfd. */
static struct event read_faulty(struct __test_metadata *const _metadata,
				struct group *g, struct fault *f)
{
	struct event ev;
	ssize_t n;

	ASSERT_TRUE(group_readable(g, TIMEOUT_MS));
	FAULT(f, n = read(g->fd, g->buf, sizeof(g->buf)));
	ASSERT_LT(0, n)
		TH_LOG("read: %s", strerror(f->error));
	ev = event_parse(_metadata, g->buf, n);
	EXPECT_EQ((size_t)n, ev.len);
	EXPECT_NE(0ULL, ev.records & RECORD_PIDFD);
	EXPECT_TRUE(f->real ? ev.pidfd == FAN_EPIDFD : ev.pidfd >= 0);
	if (ev.pidfd >= 0)
		close(ev.pidfd);
	return ev;
}

TEST_F(calls, read)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	FOR_EACH_FAULT(f) {
		struct job *job = write_start(_metadata, "file", "ab");
		struct event pre, post;

		pre = read_faulty(_metadata, self->g, &f);
		EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
		allow(_metadata, self->g, &pre);
		ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
		post = event_next(_metadata, self->g);
		EXPECT_EQ(pre.cookie, post.cookie);
		close(post.pidfd);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
	}
	/* The same of POST. */
	FOR_EACH_FAULT(f) {
		struct job *job = write_start(_metadata, "file", "ab");
		struct event pre, post;

		pre = expect_pre(_metadata, self->g, job->pid);
		close(pre.pidfd);
		allow(_metadata, self->g, &pre);
		ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
		post = read_faulty(_metadata, self->g, &f);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(pre.cookie, post.cookie);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
	}
}

/* To allow or to deny takes no memory. */
TEST_F(calls, answer)
{
	static const __u32 verdicts[] = { FAN_ALLOW, FAN_DENY };
	int ret;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		FOR_EACH_FAULT(f) {
			struct job *job = write_start(_metadata, "file", "ab");
			struct event pre;

			pre = expect_pre(_metadata, self->g, job->pid);
			close(pre.pidfd);
			FAULT(&f, ret = try_answer(self->g, pre.cookie,
						   verdicts[i]));
			EXPECT_EQ((int)sizeof(struct answer), ret);
			EXPECT_FALSE(f.real);
			EXPECT_EQ(verdicts[i] == FAN_ALLOW ? 2 : -EPERM,
				  job_join(_metadata, job));
		}
	}
}

struct rename_args {
	const char *from, *to;
};

static long do_rename(void *arg)
{
	const struct rename_args *args = arg;

	return rename(args->from, args->to);
}

/*
 * What cannot be ignored is not answered, and can be. Of a rename both
 * directories are ignored, or none.
 */
TEST_F(calls, answer_ignore)
{
	struct rename_args args = { .from = "a/x", .to = "b/x" };
	int ret;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, MOVED, ".");
	FOR_EACH_FAULT(f) {
		unsigned long long mask = 0, ignored = 0;
		struct event pre;
		struct job *job;

		ASSERT_EQ(0, mkdir("a", 0755));
		ASSERT_EQ(0, mkdir("b", 0755));
		put_file(_metadata, "a/x", "");
		job = job_start(_metadata, do_rename, &args);
		pre = event_next(_metadata, self->g);
		close(pre.pidfd);
		EXPECT_EQ(FAN_PRE(MOVED), pre.mask);
		FAULT(&f, ret = try_answer(self->g, pre.cookie,
					   FAN_ALLOW | FAN_RESPONSE_IGNORE));
		if (ret < 0) {
			EXPECT_TRUE(f.hit);
			EXPECT_EQ(-ENOMEM, ret);
			EXPECT_EQ(1, group_state(_metadata, self->g).pending);
			EXPECT_FALSE(job_ended(job, 0));
			/* At most there is room for what is to be ignored. */
			group_mark(_metadata, self->g, "ino", &mask, &ignored);
			EXPECT_EQ(0ULL, mask | ignored);
			EXPECT_GE(1, count_marks(_metadata, self->g, "ino"));
			allow(_metadata, self->g, &pre);
			ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
			close(event_next(_metadata, self->g).pidfd);
		} else {
			EXPECT_EQ(2, count_marks(_metadata, self->g, "ino"));
		}
		EXPECT_EQ(0, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
		mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
		ASSERT_EQ(0, unlink("b/x"));
		ASSERT_EQ(0, rmdir("a"));
		ASSERT_EQ(0, rmdir("b"));
	}
}

/* --------------------------------- fdinfo ------------------------------- */

TEST_F(calls, fdinfo)
{
	char path[64], buf[4096];
	ssize_t n;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB, "file");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_ATTRIB, ".");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->g->fd);
	FOR_EACH_FAULT(f) {
		FAULT(&f, n = read_file(path, buf, sizeof(buf)));
		if (n > 0) {
			EXPECT_NE(NULL, strstr(buf, "\nfanotify ino:"));
			EXPECT_NE(NULL, strstr(buf, "\nvfs-filter-group id:"));
		} else {
			EXPECT_TRUE(f.hit);
			EXPECT_EQ(-ENOMEM, n);
		}
	}
	expect_works(_metadata, self->g);
}

TEST_HARNESS_MAIN
