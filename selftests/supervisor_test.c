// SPDX-License-Identifier: GPL-2.0
/*
 * A worker that is killed at any moment under load, and that a supervisor starts
 * again: nothing passes unasked, nothing is denied, and each operation has its one
 * POST. And one that is killed with its supervisor, of a group that fails closed:
 * what comes until another takes over is denied, and nothing passes.
 *
 *	VFS_FILTER_KILLS	how often a worker is killed, KILLS by default
 *	VFS_FILTER_SEED		of the moments at which it is
 */

#include <sys/socket.h>

#include "fs.h"
#include "ledger.h"
#include "queue.h"
#include "sentinels.h"

#define KILLS		100

static int kills(void)
{
	const char *n = getenv("VFS_FILTER_KILLS");

	return n ? atoi(n) : KILLS;
}

static void setup(struct __test_metadata *const _metadata)
{
	const char *seed = getenv("VFS_FILTER_SEED");
	const unsigned int n = seed ? atoi(seed) : time(NULL);

	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ledger_open(_metadata);
	srand(n);
	TH_LOG("seed %u", n);
}

static struct job *tasks[LEDGER_TASKS];

static void tasks_start(struct __test_metadata *const _metadata)
{
	for (int i = 0; i < LEDGER_TASKS; i++)
		tasks[i] = job_start(_metadata, ledger_work, &i);
}

static void tasks_stop(struct __test_metadata *const _metadata)
{
	LEDGER_ADD(stop, 1);
	for (int i = 0; i < LEDGER_TASKS; i++)
		EXPECT_LT(0, job_join(_metadata, tasks[i]));
}

/* ----------------- the group outlives its workers ----------------------- */

enum how {
	FORKED,		/* the supervisor has the group, and a worker a queue of it */
	STORED,		/* a worker leaves the group with a store, and is given it back */
	STORED_OWN,	/* and reads it itself, not by a queue */
};

struct worker {
	struct __test_metadata *_metadata;
	enum how how;
	struct group g;
	struct ledger_log *log;
	int socket;	/* of the store */
};

FIXTURE(supervisor)
{
	struct group *g;
};

FIXTURE_VARIANT(supervisor)
{
	enum how how;
	int workers;
};

FIXTURE_VARIANT_ADD(supervisor, forked)
{
	.how = FORKED,
	.workers = 1,
};

FIXTURE_VARIANT_ADD(supervisor, two_forked)
{
	.how = FORKED,
	.workers = 2,
};

FIXTURE_VARIANT_ADD(supervisor, stored)
{
	.how = STORED,
	.workers = 1,
};

FIXTURE_VARIANT_ADD(supervisor, stored_own)
{
	.how = STORED_OWN,
	.workers = 1,
};

FIXTURE_SETUP(supervisor)
{
	REQUIRE_CLASS();
	setup(_metadata);
	if (variant->how != FORKED)
		return;
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FILESYSTEM, LEDGER_EVENTS, ".");
	LEDGER_ADD(ready, 1);
}

FIXTURE_TEARDOWN(supervisor)
{
	test_end(_metadata);
}

/* A byte, and a descriptor if that is not -1. */
static int send_fd(int socket, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { "", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

/* Returns the descriptor, -1 if there is none with the byte, or -errno. */
static int recv_fd(int socket)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -EPIPE;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* As a service does it: the group is in the store before anything is marked. */
static int stored_group(struct worker *w)
{
	int fd = recv_fd(w->socket);

	if (fd < -1)
		return fd;
	if (fd < 0) {
		fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_CLOEXEC, 0);
		if (fd < 0 || send_fd(w->socket, fd))
			return -1;
	}
	/* The one before may not have come to that. */
	if (sys_fanotify_mark(fd, FILESYSTEM, LEDGER_EVENTS, AT_FDCWD, ".") ||
	    ioctl(fd, FAN_IOC_OWN))
		return -1;
	LEDGER_ADD(ready, 1);
	return fd;
}

static long work(void *arg)
{
	struct worker *w = arg;
	int fd = w->g.fd;

	if (w->how != FORKED)
		fd = stored_group(w);
	if (fd < 0)
		return -1;
	if (w->how != STORED_OWN) {
		const int group_fd = fd;

		fd = ioctl(group_fd, FAN_IOC_QUEUE, O_CLOEXEC);
		if (fd < 0 || close(group_fd))
			return -1;
	}
	w->g.fd = fd;
	ledger_serve(w->_metadata, &w->g, w->log);
	return -1;
}

/* The store takes what it is sent, and has it from then on. */
static void store(struct __test_metadata *const _metadata, int socket)
{
	struct pollfd pfd = { .fd = socket, .events = POLLIN };

	ASSERT_EQ(1, poll(&pfd, 1, TIMEOUT_MS));
	groups[0] = (struct group) { .fd = recv_fd(socket) };
	ASSERT_LE(0, groups[0].fd);
	group_fds[0] = groups[0].fd;
}

static struct job *worker_start(struct __test_metadata *const _metadata,
				struct group **g, enum how how, int nr)
{
	struct worker w = {
		._metadata = _metadata,
		.how = how,
		.log = &ledger->logs[nr],
	};
	int sockets[2];
	struct job *job;

	if (how == FORKED) {
		w.g.fd = (*g)->fd;
		job = __job_prepare(_metadata, work, &w, true);
		job_go(_metadata, job);
		return job;
	}

	/* What it has of the group is what comes by the socket. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets));
	w.socket = sockets[1];
	job = job_start(_metadata, work, &w);
	close(sockets[1]);
	ASSERT_EQ(0, send_fd(sockets[0], *g ? (*g)->fd : -1));
	if (!*g) {
		store(_metadata, sockets[0]);
		*g = &groups[0];
	}
	close(sockets[0]);
	return job;
}

/* Whenever it is, others have all that they were promised. */
TEST_F(supervisor, worker_killed)
{
	struct job *workers[LEDGER_LOGS];
	struct group_state st;
	struct ledger_sum sum;

	for (int i = 0; i < variant->workers; i++)
		workers[i] = worker_start(_metadata, &self->g, variant->how, i);
	ASSERT_TRUE(EVENTUALLY(LEDGER_LOAD(ready)));
	tasks_start(_metadata);

	for (int i = 0; i < kills(); i++) {
		const int nr = rand() % variant->workers;

		ledger_wait(_metadata);
		job_kill(_metadata, workers[nr], SIGKILL);
		workers[nr] = worker_start(_metadata, &self->g, variant->how,
					   nr);
	}

	tasks_stop(_metadata);
	ASSERT_TRUE(EVENTUALLY((st = group_state(_metadata, self->g),
				!st.pending && !st.queued && !st.inflight)));
	EXPECT_EQ(0, st.overflows);
	for (int i = 0; i < variant->workers; i++)
		job_kill(_metadata, workers[i], SIGKILL);
	ASSERT_EQ(0, fcntl(self->g->fd, F_SETFL, O_NONBLOCK));

	sum = ledger_check(_metadata, false);
	TH_LOG("%ld operations, %ld of them asked about again", sum.ops,
	       sum.again);
	/* Or there was no one who died with a question. */
	EXPECT_LT(kills() / 20, sum.again);
}

/* ------------------ the supervisor is killed as well -------------------- */

FIXTURE(closed)
{
};

FIXTURE_SETUP(closed)
{
	REQUIRE_CLASS();
	setup(_metadata);
	ASSERT_EQ(0, count_sentinels());
	guard_start(_metadata, lift_all);
}

FIXTURE_TEARDOWN(closed)
{
	lift_all();
	test_end(_metadata);
}

static pid_t supervised(struct __test_metadata *const _metadata, struct group *g)
{
	const pid_t supervisor = getpid(), pid = fork();
	struct group q = {};

	ASSERT_LE(0, pid);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(1);
	q.fd = queue_fd(g, O_CLOEXEC);
	ASSERT_LE(0, q.fd);
	close(g->fd);
	__atomic_store_n(&ledger->worker, getpid(), __ATOMIC_RELEASE);
	ledger_serve(_metadata, &q, &ledger->logs[0]);
	/* The group went with the supervisor, and this goes in a moment. */
	pause();
	_exit(1);
}

/* Takes over what there is, and has a worker until it is killed. */
static long supervise(void *arg)
{
	struct __test_metadata *const _metadata = arg;
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	int status;

	mark(_metadata, g, FILESYSTEM, LEDGER_EVENTS, ".");
	LEDGER_ADD(ready, 1);
	do {
		const pid_t pid = supervised(_metadata, g);

		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	} while (WIFSIGNALED(status));
	return -1;
}

static void expect_killed(struct __test_metadata *const _metadata, pid_t pid,
			  struct job *supervisor)
{
	struct pollfd pfd = {
		.fd = sys_pidfd_open(pid, 0),
		.events = POLLIN,
	};

	ASSERT_LE(0, pfd.fd);
	if (supervisor)
		job_kill(_metadata, supervisor, SIGKILL);
	else
		ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(1, poll(&pfd, 1, TIMEOUT_MS));
	close(pfd.fd);
}

/* Until another takes over nothing is done, and after that all is asked about. */
TEST_F(closed, supervisor_killed)
{
	const int rounds = kills() / 4;
	struct ledger_sum sum;
	struct job *supervisor;
	pid_t worker = 0;
	long denied;

	for (int i = 0; i < rounds; i++) {
		supervisor = job_start(_metadata, supervise, _metadata);
		ASSERT_TRUE(EVENTUALLY(LEDGER_LOAD(ready) == i + 1));
		EXPECT_EQ(0, count_sentinels());
		if (!i)
			tasks_start(_metadata);
		for (int both = 0; both < 2; both++) {
			const pid_t before = worker;

			ASSERT_TRUE(EVENTUALLY((worker = LEDGER_LOAD(worker)) !=
					       before));
			ledger_wait(_metadata);
			denied = LEDGER_LOAD(denied);
			expect_killed(_metadata, worker,
				      both ? supervisor : NULL);
		}
		ASSERT_TRUE(EVENTUALLY(LEDGER_LOAD(denied) > denied));
		EXPECT_EQ(1, count_sentinels());
	}
	supervisor = job_start(_metadata, supervise, _metadata);
	ASSERT_TRUE(EVENTUALLY(LEDGER_LOAD(ready) == rounds + 1));
	ASSERT_TRUE(EVENTUALLY(LEDGER_LOAD(worker) != worker));
	tasks_stop(_metadata);
	expect_killed(_metadata, LEDGER_LOAD(worker), supervisor);

	sum = ledger_check(_metadata, true);
	TH_LOG("%ld operations, %ld attempts denied, the ends of %ld not read",
	       sum.ops, LEDGER_LOAD(denied), sum.unread);
	/* What waits to be read is bounded, and so is what goes with a group. */
	EXPECT_GE((rounds + 1) * (128 + 2 * LEDGER_TASKS), sum.unread);
}

TEST_HARNESS_MAIN
