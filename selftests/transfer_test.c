// SPDX-License-Identifier: GPL-2.0
/*
 * Transfers between a file and a pipe or socket, which wait for others: for
 * data, for room, for who holds the pipe. Nothing happens to the file then, so
 * no one is asked, and no barrier waits for it.
 */

#include <ctype.h>
#include <sys/inotify.h>
#include <sys/param.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "ring.h"

#define CONTENT		"0123456789"
#define DATA		"abcd"
#define OFFSET		2
#define COUNT		4
#define BIG		(256 << 10)
#define IGNORE		FAN_MARK_IGNORE_SURV

/* Shared with the jobs, which inherit them. */
static int ends[2] = { -1, -1 };
static unsigned int splice_flags;

static void pipe_make(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	ASSERT_EQ(4096, fcntl(ends[0], F_SETPIPE_SZ, 4096));
}

/* The other end is the test's alone. */
static void pipe_close(int end)
{
	close(ends[end]);
	ends[end] = -1;
}

/* ------------------------------- the calls ------------------------------ */

static long splice_to_file(void *arg)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	loff_t offset = OFFSET;

	(void)arg;
	pipe_close(1);
	return splice(ends[0], NULL, fd, &offset, 100, splice_flags);
}

static long splice_from_file(void *arg)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);
	loff_t offset = OFFSET;

	(void)arg;
	pipe_close(0);
	return splice(fd, &offset, ends[1], NULL, COUNT, splice_flags);
}

static long sendfile_to_pipe(void *arg)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);
	off_t offset = OFFSET;

	(void)arg;
	pipe_close(0);
	if (splice_flags & SPLICE_F_NONBLOCK)
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
	return sendfile(ends[1], fd, &offset, COUNT);
}

static long uring_splice_to_file(void *arg)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	struct io_uring_sqe *sqe;
	struct ring r;
	long res;

	(void)arg;
	pipe_close(1);
	if (fd < 0 || ring_open(&r, 0))
		return -1;

	sqe = ring_sqe(&r, IORING_OP_SPLICE, fd, 0);
	sqe->splice_fd_in = ends[0];
	sqe->splice_off_in = -1;
	sqe->off = OFFSET;
	sqe->len = 100;
	sqe->splice_flags = splice_flags;
	if (ring_submit(&r))
		return -1;
	res = ring_wait(&r, NULL);
	errno = res < 0 ? -res : 0;
	return res < 0 ? -1 : res;
}

FIXTURE(transfer)
{
	struct group *g;
};

FIXTURE_VARIANT(transfer)
{
	job_fn fn;
	__u64 event;
	__u64 count;	/* that it asks for */
	bool to_file;
};

FIXTURE_VARIANT_ADD(transfer, splice_to)
{
	.fn = splice_to_file,
	.event = FAN_MODIFY,
	.count = 100,
	.to_file = true,
};

FIXTURE_VARIANT_ADD(transfer, uring_splice_to)
{
	.fn = uring_splice_to_file,
	.event = FAN_MODIFY,
	.count = 100,
	.to_file = true,
};

FIXTURE_VARIANT_ADD(transfer, splice_from)
{
	.fn = splice_from_file,
	.event = FAN_ACCESS,
	.count = COUNT,
};

FIXTURE_VARIANT_ADD(transfer, sendfile)
{
	.fn = sendfile_to_pipe,
	.event = FAN_ACCESS,
	.count = COUNT,
};

FIXTURE_SETUP(transfer)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", CONTENT);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY | FAN_ACCESS, ".");
	splice_flags = 0;
	pipe_make(_metadata);
}

FIXTURE_TEARDOWN(transfer)
{
	test_end(_metadata);
}

static void fill(struct __test_metadata *const _metadata)
{
	char page[4096] = {};

	ASSERT_EQ((ssize_t)sizeof(page), write(ends[1], page, sizeof(page)));
}

static void drain(struct __test_metadata *const _metadata)
{
	char page[4096];

	ASSERT_EQ((ssize_t)sizeof(page), read(ends[0], page, sizeof(page)));
}

/* Make it wait, and let it go on. */
static void stall(struct __test_metadata *const _metadata, bool to_file)
{
	if (!to_file)
		fill(_metadata);
}

static void unstall(struct __test_metadata *const _metadata, bool to_file)
{
	if (to_file) {
		ASSERT_EQ(COUNT, write(ends[1], DATA, COUNT));
	} else {
		drain(_metadata);
	}
}

static void expect_range(struct __test_metadata *const _metadata,
			 const struct event *ev, __u64 count)
{
	EXPECT_NE(0ULL, ev->records & RECORD_RANGE);
	EXPECT_EQ(OFFSET, ev->offset);
	EXPECT_EQ(count, ev->count);
}

static void expect_transferred(struct __test_metadata *const _metadata,
			       bool to_file)
{
	char buf[COUNT + 1] = {};

	if (to_file) {
		expect_content(_metadata, "file", "01" DATA "6789");
		return;
	}
	EXPECT_EQ(COUNT, read(ends[0], buf, COUNT));
	EXPECT_STREQ("2345", buf);
}

/* Asked about what it is about to do, allowed, done, and reported. */
static void serve(struct __test_metadata *const _metadata, struct group *g,
		  struct job *job, __u64 event, __u64 count, bool to_file)
{
	struct event pre, post;

	pre = expect_pre_of(_metadata, g, event, 0, job->pid);
	expect_range(_metadata, &pre, count);
	allow(_metadata, g, &pre);
	EXPECT_EQ(COUNT, job_join(_metadata, job));
	post = expect_post_of(_metadata, g, &pre, COUNT);
	expect_range(_metadata, &post, COUNT);
	expect_transferred(_metadata, to_file);
}

/* It waits: no one is asked, and no one waits for it. */
static void expect_waits(struct __test_metadata *const _metadata,
			 struct group *g, struct job *job, __u64 number)
{
	expect_nothing(_metadata, g);
	expect_blocked(_metadata, job);
	barrier(_metadata, g, ".");
	expect_barrier(_metadata, g, number);
	EXPECT_EQ(0, group_state(_metadata, g).inflight);
}

TEST_F(transfer, waits)
{
	struct job *job;

	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	unstall(_metadata, variant->to_file);
	serve(_metadata, self->g, job, variant->event, variant->count,
	      variant->to_file);
}

/* What is ignored is counted, and so was the wait. */
TEST_F(transfer, ignored)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, variant->event, "file");
	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	unstall(_metadata, variant->to_file);
	EXPECT_EQ(COUNT, job_join(_metadata, job));
	expect_transferred(_metadata, variant->to_file);
}

/* One who comes meanwhile is asked, as if the call had been made after that. */
TEST_F(transfer, marked_meanwhile)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, variant->event, "file");
	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_IGNORE |
	     FAN_MARK_SYNC, 0, ".");
	unstall(_metadata, variant->to_file);
	serve(_metadata, self->g, job, variant->event, variant->count,
	      variant->to_file);
}

/* What was in the pipe is still there, in one piece. */
TEST_F(transfer, denied)
{
	struct event pre;
	struct job *job;
	char buf[8] = {};

	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	unstall(_metadata, variant->to_file);
	pre = expect_pre_of(_metadata, self->g, variant->event, 0, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_content(_metadata, "file", CONTENT);
	ASSERT_EQ(0, fcntl(ends[0], F_SETFL, O_NONBLOCK));
	EXPECT_EQ(variant->to_file ? COUNT : -1,
		  read(ends[0], buf, sizeof(buf)));
	EXPECT_STREQ(variant->to_file ? DATA : "", buf);
}

/* Another one was faster: back to where it waits, without the caller. */
TEST_F(transfer, outrun)
{
	struct event pre;
	struct job *job;
	char buf[COUNT];

	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	unstall(_metadata, variant->to_file);
	pre = expect_pre_of(_metadata, self->g, variant->event, 0, job->pid);
	if (variant->to_file) {
		ASSERT_EQ(COUNT, read(ends[0], buf, COUNT));
	} else {
		fill(_metadata);
	}
	allow(_metadata, self->g, &pre);
	expect_post_of(_metadata, self->g, &pre, -EAGAIN);
	expect_waits(_metadata, self->g, job, 2);
	expect_content(_metadata, "file", CONTENT);

	unstall(_metadata, variant->to_file);
	serve(_metadata, self->g, job, variant->event, variant->count,
	      variant->to_file);
}

static int sockets[2];

/* The jobs alone are at both ends, if there are any. */
static void sockets_close(void)
{
	close(sockets[0]);
	close(sockets[1]);
}

/* Has the pipe locked until there is something to be read from the socket. */
static long splice_from_socket(void *arg)
{
	(void)arg;
	return splice(sockets[0], NULL, ends[1], NULL, 1, 0);
}

static bool sleeps_in(pid_t pid, long call)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	return read_file(path, text, sizeof(text)) > 0 &&
	       isdigit((unsigned char)text[0]) && atol(text) == call;
}

TEST_F(transfer, locked)
{
	struct job *job, *holder;
	struct event pre;
	char c;

	/* Room for two, one of which is taken. */
	ASSERT_EQ(8192, fcntl(ends[0], F_SETPIPE_SZ, 8192));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				sockets));
	if (variant->to_file) {
		ASSERT_EQ(COUNT, write(ends[1], DATA, COUNT));
	}
	holder = job_prepare(_metadata, splice_from_socket, NULL);
	job = job_start(_metadata, variant->fn, NULL);
	pre = expect_pre_of(_metadata, self->g, variant->event, 0, job->pid);
	job_go(_metadata, holder);
	ASSERT_TRUE(EVENTUALLY(sleeps_in(holder->pid, __NR_splice)));
	allow(_metadata, self->g, &pre);
	expect_post_of(_metadata, self->g, &pre, -EAGAIN);
	expect_waits(_metadata, self->g, job, 1);

	ASSERT_EQ(1, write(sockets[1], "!", 1));
	EXPECT_EQ(1, job_join(_metadata, holder));
	pre = expect_pre_of(_metadata, self->g, variant->event, 0, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_LE(COUNT, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre,
		       variant->to_file ? COUNT + 1 : COUNT);
	if (variant->to_file) {
		expect_content(_metadata, "file", "01" DATA "!789");
	} else {
		EXPECT_EQ(1, read(ends[0], &c, 1));
		expect_transferred(_metadata, false);
	}
	sockets_close();
}

/* Who does not want to wait has not begun anything. */
TEST_F(transfer, nonblocking)
{
	struct job *job;

	splice_flags = SPLICE_F_NONBLOCK;
	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	EXPECT_EQ(-EAGAIN, job_join(_metadata, job));
	expect_nothing(_metadata, self->g);

	unstall(_metadata, variant->to_file);
	serve(_metadata, self->g, job_start(_metadata, variant->fn, NULL),
	      variant->event, variant->count, variant->to_file);
}

/* There is nothing that could come, or no one for whom. */
TEST_F(transfer, no_other_end)
{
	struct job *job;

	signal(SIGPIPE, SIG_IGN);
	job = job_prepare(_metadata, variant->fn, NULL);
	pipe_close(variant->to_file);
	job_go(_metadata, job);
	EXPECT_EQ(variant->to_file ? 0 : -EPIPE, job_join(_metadata, job));
	expect_nothing(_metadata, self->g);
}

TEST_F(transfer, other_end_closed)
{
	struct job *job;

	signal(SIGPIPE, SIG_IGN);
	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	pipe_close(variant->to_file);
	EXPECT_EQ(variant->to_file ? 0 : -EPIPE, job_join(_metadata, job));
	expect_nothing(_metadata, self->g);
}

TEST_F(transfer, killed)
{
	struct job *job;

	stall(_metadata, variant->to_file);
	job = job_start(_metadata, variant->fn, NULL);
	expect_waits(_metadata, self->g, job, 1);
	job_kill(_metadata, job, SIGKILL);
	expect_nothing(_metadata, self->g);
}

/* ------------------------------- to a socket ---------------------------- */

FIXTURE(socket)
{
	struct group *g;
};

static char *big;

FIXTURE_SETUP(socket)
{
	int fd, size = 4096;

	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	big = malloc(BIG);
	ASSERT_NE(NULL, big);
	for (int i = 0; i < BIG; i++)
		big[i] = i / 251;
	fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_LE(0, fd);
	ASSERT_EQ(BIG, write(fd, big, BIG));
	close(fd);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_ACCESS,
	     ".");
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				sockets));
	ASSERT_EQ(0, setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &size,
				sizeof(size)));
}

FIXTURE_TEARDOWN(socket)
{
	test_end(_metadata);
}

static long sendfile_to_socket(void *arg)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);

	(void)arg;
	close(sockets[1]);
	return sendfile(sockets[0], fd, NULL, BIG);
}

static long filled;	/* of the socket, before all that is sent */

/* Until there is no room: what is sent then waits for one who receives. */
static void fill_socket(struct __test_metadata *const _metadata)
{
	const char page[4096] = {};
	ssize_t n;

	while ((n = send(sockets[0], page, sizeof(page), MSG_DONTWAIT)) > 0)
		filled += n;
	ASSERT_EQ(-1, n);
	ASSERT_EQ(EAGAIN, errno);
}

/* One who takes what is sent, and compares it. */
static long receive(void *arg)
{
	char buf[4096];
	long n, len = 0, left = filled;

	(void)arg;
	close(sockets[0]);
	while (left > 0 && (n = read(sockets[1], buf,
				     MIN(left, (long)sizeof(buf)))) > 0)
		left -= n;
	if (left)
		return -1;
	while ((n = read(sockets[1], buf, sizeof(buf))) > 0) {
		if (len + n > BIG || memcmp(big + len, buf, n))
			return -1;
		len += n;
	}
	return len;
}

/* Pieces of a transfer that were asked about, and how many bytes were read. */
struct pieces {
	struct event pre[BIG / 4096];
	int asked, ended;
	__u64 done;
};

/*
 * Each piece is asked about, and told, before it is sent. The next one can be
 * asked about before the end of this one is read, as questions come before all
 * else.
 */
static void serve_piece(struct __test_metadata *const _metadata,
			struct group *g, const struct job *job,
			struct pieces *pieces)
{
	const struct event ev = event_next(_metadata, g);
	const struct event *pre = &pieces->pre[pieces->ended];

	EXPECT_EQ(job->pid, ev.pid);
	EXPECT_EQ(0U, ev.flags);
	if (ev.mask == FAN_PRE(FAN_ACCESS)) {
		ASSERT_LT((size_t)pieces->asked, ARRAY_SIZE(pieces->pre));
		pieces->pre[pieces->asked++] = ev;
		allow(_metadata, g, &ev);
		return;
	}
	ASSERT_EQ(FAN_POST(FAN_ACCESS), ev.mask);
	ASSERT_LT(pieces->ended, pieces->asked);
	EXPECT_EQ(pre->cookie, ev.cookie);
	EXPECT_EQ(pieces->done, pre->offset);
	EXPECT_EQ(BIG - pieces->done, pre->count);
	EXPECT_EQ(pieces->done, ev.offset);
	EXPECT_EQ(ev.result, (long)ev.count);
	ASSERT_LT(0, ev.result);
	pieces->ended++;
	pieces->done += ev.result;
}

/* The first piece was read, which was told. It is sent when there is room. */
static void serve_first_piece(struct __test_metadata *const _metadata,
			      struct group *g, struct job *job,
			      struct pieces *pieces)
{
	for (int i = 0; i < 2; i++)
		serve_piece(_metadata, g, job, pieces);
	ASSERT_EQ(1, pieces->ended);
	ASSERT_GT(BIG, pieces->done);
	expect_waits(_metadata, g, job, 1);
}

TEST_F(socket, waits)
{
	struct job *job, *receiver;
	struct pieces pieces = {};

	fill_socket(_metadata);
	receiver = job_prepare(_metadata, receive, NULL);
	job = job_start(_metadata, sendfile_to_socket, NULL);
	serve_first_piece(_metadata, self->g, job, &pieces);

	sockets_close();
	job_go(_metadata, receiver);
	while (pieces.done < BIG)
		serve_piece(_metadata, self->g, job, &pieces);
	EXPECT_EQ(BIG, job_join(_metadata, job));
	EXPECT_EQ(BIG, job_join(_metadata, receiver));
	EXPECT_EQ(pieces.asked, pieces.ended);
	expect_nothing(_metadata, self->g);
}

TEST_F(socket, ignored)
{
	struct job *job, *receiver;

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_ACCESS, "file");
	receiver = job_prepare(_metadata, receive, NULL);
	job = job_start(_metadata, sendfile_to_socket, NULL);
	expect_waits(_metadata, self->g, job, 1);
	sockets_close();
	job_go(_metadata, receiver);
	EXPECT_EQ(BIG, job_join(_metadata, job));
	EXPECT_EQ(BIG, job_join(_metadata, receiver));
}

/* What was sent was sent. */
TEST_F(socket, denied_meanwhile)
{
	struct job *job, *receiver;
	struct pieces pieces = {};
	struct event pre;

	fill_socket(_metadata);
	receiver = job_prepare(_metadata, receive, NULL);
	job = job_start(_metadata, sendfile_to_socket, NULL);
	serve_first_piece(_metadata, self->g, job, &pieces);

	sockets_close();
	job_go(_metadata, receiver);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	EXPECT_EQ(pieces.done, pre.offset);
	EXPECT_EQ(BIG - pieces.done, pre.count);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ((long)pieces.done, job_join(_metadata, job));
	EXPECT_EQ((long)pieces.done, job_join(_metadata, receiver));
}

TEST_F(socket, denied)
{
	struct event pre;
	struct job *job;
	char c;

	job = job_start(_metadata, sendfile_to_socket, NULL);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	EXPECT_EQ(-1, recv(sockets[1], &c, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
}

struct refused_case {
	const char *out;	/* or a descriptor that is not open */
	int flags;
	off_t offset;
	int error;
};

static long do_refused(void *arg)
{
	const struct refused_case *row = arg;
	const int in = open("file", O_RDONLY | O_CLOEXEC);
	off_t offset = row->offset;
	int out = 77;

	if (row->out)
		out = open(row->out, row->flags | O_CLOEXEC);
	return sendfile(out, in, &offset, 1);
}

/* Refused without a look at the file: nothing to ask about. */
TEST_F(socket, refused)
{
	struct refused_case rows[] = {
		{ "file", O_RDONLY, 0, EBADF },
		{ "/dev/null", O_WRONLY, -1, EINVAL },
		{ NULL, 0, 0, EBADF },
	};

	FOR_EACH_ROW(i, rows)
		EXPECT_EQ(-rows[i].error,
			  job_join(_metadata, job_start(_metadata, do_refused,
							&rows[i])));
	expect_nothing(_metadata, self->g);
}

/* ----------------------- what only others watch for --------------------- */

FIXTURE(others)
{
	struct group *g;
	int inotify;
};

FIXTURE_VARIANT(others)
{
	job_fn fn;
};

static long rename_file(void *arg)
{
	(void)arg;
	return rename("file", "renamed");
}

static long write_bytes(void *arg)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);

	(void)arg;
	return write(fd, "AS", 2) == 2 ? 0 : -1;
}

static long read_bytes(void *arg)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);
	char buf[2];

	(void)arg;
	return read(fd, buf, 2) == 2 ? 0 : -1;
}

static long open_file(void *arg)
{
	(void)arg;
	return open("file", O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0;
}

FIXTURE_VARIANT_ADD(others, rename)
{
	.fn = rename_file,
};

FIXTURE_VARIANT_ADD(others, write)
{
	.fn = write_bytes,
};

FIXTURE_VARIANT_ADD(others, read)
{
	.fn = read_bytes,
};

FIXTURE_VARIANT_ADD(others, open)
{
	.fn = open_file,
};

FIXTURE_SETUP(others)
{
	struct group *older;

	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", CONTENT);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_ATTRIB,
	     ".");
	self->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ASSERT_LE(0, self->inotify);
	ASSERT_LE(0, inotify_add_watch(self->inotify, ".", IN_ALL_EVENTS));
	older = class_open(_metadata, FAN_CLASS_NOTIF | FAN_REPORT_FID);
	older->unread_ok = true;
	mark(_metadata, older, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_MOVED_FROM | FAN_MOVED_TO,
	     ".");
}

FIXTURE_TEARDOWN(others)
{
	close(self->inotify);
	test_end(_metadata);
}

/* Wherever it is: it does not stay at a point, or no one waits for it there. */
TEST_F(others, not_counted)
{
	struct job *job = job_prepare(_metadata, variant->fn, NULL);

	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	ASSERT_TRUE(EVENTUALLY(held(_metadata, "begin") || job_ended(job, 0)));
	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 1);
	release(_metadata, "begin");
	EXPECT_EQ(0, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
