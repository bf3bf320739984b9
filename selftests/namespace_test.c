// SPDX-License-Identifier: GPL-2.0
/*
 * Listeners, and those that are asked about, in other namespaces: what pid is
 * told, who may be a listener, and what mounts are watched.
 */

#include "fs.h"
#include "group.h"
#include "privilege.h"
#include "stages.h"
#include "stand_in.h"

#define OTHER_DIR	WORK_DIR "/other"

FIXTURE(namespace)
{
	struct group *g;
};

FIXTURE_SETUP(namespace)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ASSERT_EQ(0, chmod("file", 0666));
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(namespace)
{
	test_end(_metadata);
}

/* ------------------------------ pid namespaces ---------------------------- */

struct inside {
	job_fn fn;
	void *arg;
};

/*
 * A job that has its function done by the first process of a pid namespace, with
 * a proc of its own.
 */
static long do_inside(void *arg)
{
	const struct inside *inside = arg;
	int status, pipes[2];
	long ret = -1;
	pid_t pid;

	if (pipe(pipes) || unshare(CLONE_NEWPID | CLONE_NEWNS))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount("proc", "/proc", "proc", 0, NULL))
			_exit(1);
		errno = 0;
		ret = inside->fn(inside->arg);
		if (ret < 0)
			ret = -errno;
		_exit(write(pipes[1], &ret, sizeof(ret)) != sizeof(ret));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status ||
	    read(pipes[0], &ret, sizeof(ret)) != sizeof(ret))
		return -1;
	errno = -ret;
	return ret;
}

static struct job *inside_start(struct __test_metadata *const _metadata,
				job_fn fn, void *arg)
{
	struct inside inside = { .fn = fn, .arg = arg };
	struct job *job = __job_prepare(_metadata, do_inside, &inside, true);

	job_go(_metadata, job);
	return job;
}

/* Returns the pid that a question has, which is 0 if there is no pidfd. */
static long serve(void *arg)
{
	const struct group *g = arg;
	const struct event pre = allow_one(g->fd);

	if (pre.records & RECORD_PIDFD && (pre.pidfd >= 0) != (pre.pid > 0)) {
		errno = EBADF;
		return -1;
	}
	return pre.pid;
}

/* Who reads is told of those that it can see, by the number that it knows. */
TEST_F(namespace, reader)
{
	struct group *g = group_open(_metadata, FAN_REPORT_PIDFD);
	struct job *reader, *job;
	struct event post;

	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, g, 1);
	reader = inside_start(_metadata, serve, g);
	EXPECT_EQ(0, job_join(_metadata, reader));
	post = event_next(_metadata, g);
	EXPECT_EQ(job->pid, post.pid);
	EXPECT_EQ(2, post.result);
	close(post.pidfd);
	EXPECT_EQ(2, job_join(_metadata, job));
}

static long do_write_ab(void *arg __maybe_unused)
{
	struct write_args args = { .path = "file", .text = "ab" };

	return do_write(&args);
}

/* The first process of the namespace has a number outside as well. */
TEST_F(namespace, writer)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = inside_start(_metadata, do_write_ab, NULL);
	pre = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	EXPECT_LT(job->pid, pre.pid);
	EXPECT_EQ(0, kill(pre.pid, 0));
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

static long owner_line(int fd)
{
	char path[64], buf[4096], *owner;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return -1;
	owner = strstr(buf, " owner:");
	return owner ? atoi(owner + 7) : -1;
}

/* A listener as a container has it, with a child that it is asked about. */
static long listen_inside(void *arg __maybe_unused)
{
	struct group g = {
		.fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_REPORT_PIDFD,
					0),
	};
	int status;
	pid_t pid;

	if (g.fd < 0 || sys_fanotify_mark(g.fd, FAN_MARK_ADD,
					  FAN_PRE(FAN_MODIFY), AT_FDCWD, "file"))
		return -1;
	/* It is the first process of its namespace. */
	if (owner_line(g.fd) != 1) {
		errno = ENOMSG;
		return -1;
	}
	pid = fork();
	if (!pid) {
		close(g.fd);
		_exit(do_write_ab(NULL) != 2);
	}
	if (serve(&g) != pid || waitpid(pid, &status, 0) != pid || status)
		return -1;
	/* And now for someone outside. */
	reach(1);
	return serve(&g);
}

TEST_F(namespace, listener)
{
	struct job *job, *writer;

	stages_start(_metadata);
	job = inside_start(_metadata, listen_inside, NULL);
	wait_reached(_metadata, 1);
	writer = write_start(_metadata, "file", "ab");
	go_on(1);
	EXPECT_EQ(2, job_join(_metadata, writer));
	EXPECT_EQ(0, job_join(_metadata, job));
}

static long read_owner(void *arg)
{
	const struct group *g = arg;

	return owner_line(g->fd);
}

static long own_and_read_owner(void *arg)
{
	const struct group *g = arg;
	long ret;

	if (ioctl(g->fd, FAN_IOC_OWN))
		return -1;
	ret = owner_line(g->fd);
	reach(1);
	return ret;
}

/* fdinfo has the numbers of the proc that it is in. */
TEST_F(namespace, owner)
{
	struct job *job = inside_start(_metadata, read_owner, self->g);
	pid_t owner;

	EXPECT_EQ(getpid(), group_state(_metadata, self->g).owner);
	EXPECT_EQ(0, job_join(_metadata, job));

	stages_start(_metadata);
	job = inside_start(_metadata, own_and_read_owner, self->g);
	wait_reached(_metadata, 1);
	owner = group_state(_metadata, self->g).owner;
	EXPECT_LT(job->pid, owner);
	EXPECT_EQ(0, kill(owner, 0));
	go_on(1);
	EXPECT_EQ(1, job_join(_metadata, job));
}

/* ------------------------------ user namespaces --------------------------- */

static long init_as(void *arg)
{
	if (become(*(enum who *)arg))
		return -1;
	return sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
}

/* Who is root in a user namespace is a user like others. */
TEST_F(namespace, init)
{
	enum who who = ROOT_OF_NAMESPACE;

	EXPECT_EQ(-EPERM, job_join(_metadata,
				   job_start(_metadata, init_as, &who)));
	who = ADMIN;
	EXPECT_LE(0, job_join(_metadata, job_start(_metadata, init_as, &who)));
}

static long write_as_root_of_namespace(void *arg)
{
	return become(ROOT_OF_NAMESPACE) ? -1 : do_write(arg);
}

/* And is asked about, and denied, as they are. */
TEST_F(namespace, asked)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	job = job_start(_metadata, write_as_root_of_namespace, &args);
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

/* ------------------------------ mount namespaces -------------------------- */

static long write_in_namespace(void *arg)
{
	return become(ROOT_OF_NAMESPACE) || unshare(CLONE_NEWNS) ? -1 :
		do_write(arg);
}

/*
 * A mount namespace has mounts of its own, which are not those that were marked
 * there. Anyone can have one. Of a file system there is no other.
 */
TEST_F(namespace, mounts)
{
	struct write_args args = { .path = FS_DIR "/file", .text = "ab" };
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, ".");
	serve_write(_metadata, self->g, write_start(_metadata, "file", "ab"), 2);
	EXPECT_EQ(2, job_join(_metadata, job_start(_metadata,
						   write_in_namespace, &args)));
	expect_silence(_metadata, self->g);

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	job = job_start(_metadata, write_in_namespace, &args);
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

struct mark_args {
	const struct group *g;
	unsigned int type;
};

static long mark_in_namespace(void *arg)
{
	const struct mark_args *args = arg;

	if (unshare(CLONE_NEWNS) ||
	    mount("none", OTHER_DIR, "tmpfs", 0, NULL) ||
	    write_file(OTHER_DIR "/file", O_CREAT, "") ||
	    sys_fanotify_mark(args->g->fd, FAN_MARK_ADD | args->type,
			      FAN_MODIFY, AT_FDCWD, OTHER_DIR))
		return -1;
	reach(1);
	return 0;
}

/* What is marked is where who marks it is. It goes with that namespace. */
TEST_F(namespace, marked_elsewhere)
{
	static const unsigned int types[] = {
		FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM,
	};
	struct mark_args args = { .g = self->g };
	struct event pre, post;
	char path[64];
	struct job *job, *writer;

	ASSERT_EQ(0, mkdir(OTHER_DIR, 0755));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		stages_start(_metadata);
		args.type = types[i];
		job = __job_prepare(_metadata, mark_in_namespace, &args, true);
		job_go(_metadata, job);
		wait_reached(_metadata, 1);
		EXPECT_EQ(-1, access(OTHER_DIR "/file", F_OK));

		/* By way of its root, as its mounts are not to be seen. */
		snprintf(path, sizeof(path), "/proc/%d/root" OTHER_DIR "/file",
			 job->pid);
		writer = write_start(_metadata, path, "ab");
		pre = expect_pre(_metadata, self->g, writer->pid);
		allow(_metadata, self->g, &pre);
		EXPECT_EQ(2, job_join(_metadata, writer));
		post = expect_post(_metadata, self->g, &pre, 2);
		EXPECT_EQ(2ULL, post.count);
		go_on(1);
		EXPECT_EQ(0, job_join(_metadata, job));
		EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, self->g).mask);
	}
}

TEST_HARNESS_MAIN
