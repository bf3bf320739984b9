// SPDX-License-Identifier: GPL-2.0
/*
 * Who has a group or a queue and no privileges: what each call does for them.
 */

#include "handed.h"
#include "privilege.h"
#include "sentinels.h"
#include "stages.h"
#include "stand_in.h"

FIXTURE(unprivileged)
{
	struct group *g;
	struct group *q;
};

FIXTURE_SETUP(unprivileged)
{
	REQUIRE_CLASS();
	handed_setup(_metadata, &self->g, &self->q);
}

FIXTURE_TEARDOWN(unprivileged)
{
	handed_teardown(_metadata, self->q);
}

struct try_args {
	enum who who;
	const struct group *g;
	bool queue;
	bool closed;	/* is the group? */
};

#define CHECK(cond) do { if (!(cond)) return __LINE__; } while (0)
#define CHECK_FAILS(error, call) do {					\
	errno = 0;							\
	if ((call) != -1 || errno != (error))				\
		return __LINE__;					\
} while (0)

/* What changes what is enforced: no one else is told what was wrong with it. */
static long try_admin(const struct try_args *args)
{
	const int fd = args->g->fd, here = open(".", O_RDONLY | O_CLOEXEC);
	const int closed = args->closed ? ENOENT : 0;

	CHECK(here >= 0);
	if (!is_admin(args->who)) {
		CHECK_FAILS(EPERM, ioctl(fd, FAN_IOC_EXEMPT, here));
		CHECK_FAILS(EPERM, ioctl(fd, FAN_IOC_EXEMPT, -1));
		CHECK_FAILS(EPERM, ioctl(fd, FAN_IOC_DEADLINE,
					 &(struct fanotify_deadline) {}));
		CHECK_FAILS(EPERM, ioctl(fd, FAN_IOC_DEADLINE, NULL));
		return 0;
	}
	CHECK_FAILS(closed ?: EINVAL, ioctl(fd, FAN_IOC_EXEMPT, here));
	CHECK_FAILS(closed ?: EBADF, ioctl(fd, FAN_IOC_EXEMPT, -1));
	CHECK_FAILS(closed ?: EFAULT, ioctl(fd, FAN_IOC_DEADLINE, NULL));
	return 0;
}

static long try_mark(const struct try_args *args)
{
	const int all = args->queue ? EINVAL : is_admin(args->who) ? 0 : EPERM;
	const int secret = args->who == ROOT || args->who == ROOT_WITHOUT ?
			   0 : EACCES;
	const int fd = args->g->fd;
	static const unsigned int types[] = {
		FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM,
	};

	for (int i = 0; i < 2; i++) {
		errno = 0;
		sys_fanotify_mark(fd, FAN_MARK_ADD | types[i], FAN_ATTRIB,
				  AT_FDCWD, ".");
		CHECK(errno == all);
	}
	errno = 0;
	sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_ATTRIB, AT_FDCWD, "file");
	CHECK(errno == (args->queue ? EINVAL : 0));
	errno = 0;
	sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_ATTRIB, AT_FDCWD, "secret");
	CHECK(errno == (args->queue ? EINVAL : secret));
	return 0;
}

static long try_listener(const struct try_args *args)
{
	struct answer answer = make_answer(~0ULL, FAN_ALLOW);
	const int fd = args->g->fd;
	int len, q;

	CHECK(!ioctl(fd, FIONREAD, &len) && !len);
	CHECK(!ioctl(fd, FAN_IOC_RECORDS, FAN_RECORD_CGROUP));
	CHECK(!ioctl(fd, FAN_IOC_RECORDS, 0));
	CHECK_FAILS(EAGAIN, read(fd, &answer, sizeof(answer)));
	CHECK_FAILS(ENOENT, write(fd, &answer, sizeof(answer)));
	q = ioctl(fd, FAN_IOC_QUEUE, O_CLOEXEC);
	CHECK(q >= 0);
	close(q);
	CHECK(!ioctl(fd, FAN_IOC_OWN));
	return 0;
}

static long try_all(void *arg)
{
	const struct try_args *args = arg;
	long ret;

	if (become(args->who))
		return -1;
	ret = try_admin(args);
	if (ret || args->closed)
		return ret;
	ret = try_mark(args);
	return ret ? ret : try_listener(args);
}

/* Returns the line of the first call that did otherwise. */
static long run_try(struct __test_metadata *const _metadata,
		    struct try_args *args)
{
	struct job *job = __job_prepare(_metadata, try_all, args, true);

	job_go(_metadata, job);
	return job_join(_metadata, job);
}

/*
 * Whoever has a descriptor can be the listener: that is what it was given for.
 * What the group enforces is an administrator's, as are marks of more than a file
 * that one can read.
 */
TEST_F(unprivileged, without_privileges)
{
	static const enum who all[] = {
		ROOT, ADMIN, USER, ROOT_WITHOUT, ROOT_OF_NAMESPACE,
	};

	FOR_EACH_ROW(i, all) {
		struct try_args args = { .who = all[i], .g = self->g };

		snprintf(row, sizeof(row), "%s", who_names[all[i]]);
		EXPECT_EQ(0, run_try(_metadata, &args));
		args.g = self->q;
		args.queue = true;
		EXPECT_EQ(0, run_try(_metadata, &args));
	}

	/* It is not told, either, that the group is no more. */
	group_close(self->g);
	FOR_EACH_ROW(i, all) {
		struct try_args args = {
			.who = all[i], .g = self->q, .queue = true,
			.closed = true,
		};

		EXPECT_EQ(0, run_try(_metadata, &args));
	}
	row[0] = '\0';
}

static long listen_as_user(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	const struct group *q = arg;

	if (become(USER))
		return -1;
	reach(1);
	if (!allow_one(q->fd).cookie || ioctl(q->fd, FAN_IOC_OWN) ||
	    do_write(&args) != 2)
		return -1;
	reach(2);
	close(q->fd);
	return do_write(&args);
}

/* So a listener can give up its privileges, and be exempt as before. */
TEST_F(unprivileged, user_is_exempt)
{
	struct job *job, *writer;
	struct event post;

	stages_start(_metadata);
	job = __job_prepare(_metadata, listen_as_user, self->q, true);
	job_go(_metadata, job);
	wait_reached(_metadata, 1);
	writer = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 1);
	go_on(1);
	EXPECT_EQ(2, job_join(_metadata, writer));
	post = event_next(_metadata, self->g);
	EXPECT_EQ(2, post.result);
	wait_reached(_metadata, 2);
	expect_silence(_metadata, self->g);
	group_close(self->q);
	go_on(2);
	serve_write(_metadata, self->g, job, 2);
}

static long outlive_as_user(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	const struct group *g = arg;
	int q;

	if (become(USER))
		return -1;
	q = queue_fd(g, O_CLOEXEC);
	/* Whoever has the group has to close it for its end to be seen. */
	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	reach(1);
	if (q < 0 || do_write(&args) != 2)
		return -1;
	close(q);
	return do_write(&args);
}

/* It is so until its queue is closed, also when the group has become a sentinel. */
TEST_F(unprivileged, user_is_exempt_from_sentinel)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct job *job;

	guard_start(_metadata, lift_all);
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, ".");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	stages_start(_metadata);
	job = __job_prepare(_metadata, outlive_as_user, g, true);
	job_go(_metadata, job);
	wait_reached(_metadata, 1);
	group_close(g);
	EXPECT_EQ(-EIO, write_file("file", 0, "ab"));
	go_on(1);
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	lift_all();
}

TEST_HARNESS_MAIN
