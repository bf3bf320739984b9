// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that run out of memory: each allocation that a call of the table of
 * operations.h makes fails in turn, those of the call itself and those for the
 * groups that are asked about it.
 *
 * Whatever fails, what was done had been asked about, of both groups that watch;
 * whoever was asked and has allowed it is told the end, once, and nothing else;
 * the call fails with ENOMEM, or with what the table here says; and the groups
 * go on as before.
 */

#include "faults.h"
#include "fs.h"
#include "operations.h"

#define CHANGES		(FAN_MODIFY | FAN_ATTRIB | FAN_CREATE | FAN_DELETE | MOVED)
#define NR_STEPS	ARRAY_SIZE(operations[0].steps)
#define NR_GROUPS	2
#define ALL_RECORDS	(FAN_RECORD_MNT | FAN_RECORD_CGROUP | FAN_RECORD_REPLACED)

/* How often it is looked if the groups still work. */
#define PROBE_EACH	8

/* Rows of operations.h, one or more of each family. */
static const struct row {
	const char *call;
	int errors[3];		/* besides ENOMEM */
	__u64 mask;		/* besides what the row has */
} rows[] = {
	{ .call = "write(fd, buf, count)" },
	{ .call = "io_submit(): IOCB_CMD_PWRITE",
	  .errors = { EAGAIN, EBADF } },
	{ .call = "io_uring_enter(): IORING_OP_WRITE",
	  .errors = { EAGAIN, EBADF } },
	{ .call = "splice(pipe, NULL, fd, &offset, count, 0)",
	  .errors = { ENFILE } },
	{ .call = "mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)" },
	{ .call = "mprotect(addr, len, PROT_READ | PROT_WRITE) of a shared mapping" },
	{ .call = "sendfile(fd, source, &offset, count)",
	  .errors = { EBADF, ENFILE } },
	{ .call = "copy_file_range(source, &from, fd, &to, len, 0)",
	  .errors = { EBADF, ENFILE } },
	{ .call = "truncate(path, length)" },
	{ .call = "open(path, O_WRONLY | O_TRUNC)" },
	{ .call = "fallocate(fd, 0, offset, len)" },
	{ .call = "read(fd, buf, count)" },
	{ .call = "io_submit(): IOCB_CMD_PREAD",
	  .errors = { EAGAIN } },
	{ .call = "splice(fd, &offset, pipe, NULL, count, 0)",
	  .errors = { ENFILE } },
	{ .call = "mremap(addr, len, 2 * len, MREMAP_MAYMOVE)" },
	{ .call = "execve(path, argv, envp) of a program",
	  .errors = { E2BIG, EAGAIN }, .mask = FAN_OPEN },
	{ .call = "execve(path, argv, envp) of a script",
	  .errors = { E2BIG, EAGAIN }, .mask = FAN_OPEN },
	{ .call = "readlink(path, buf, size)" },
	{ .call = "getdents64(fd, buf, count)" },
	{ .call = "lookup of a name that is not there" },
	{ .call = "chmod(path, mode)" },
	{ .call = "setxattr(path, name, value, size, 0)" },
	{ .call = "open(path, O_WRONLY | O_CREAT, mode)",
	  .errors = { ENOSPC } },
	{ .call = "mkdir(path, mode)",
	  .errors = { ENOSPC } },
	{ .call = "symlink(target, path)",
	  .errors = { ENOSPC } },
	{ .call = "link(old, path)",
	  .errors = { ENOSPC } },
	{ .call = "open(dir, O_RDWR | O_TMPFILE, mode)",
	  .errors = { ENOSPC } },
	{ .call = "bind(socket, address, len) of AF_UNIX",
	  .errors = { ENOSPC, EBADF, ENFILE } },
	{ .call = "unlink(path)" },
	{ .call = "rmdir(path)" },
	{ .call = "rename(old, new) to another directory" },
	{ .call = "rename(old, new) onto a victim" },
	{ .call = "renameat2(dirfd, old, dirfd, new, RENAME_EXCHANGE)" },
	{ .call = "open(path, O_RDONLY)" },
	{ .call = "open_by_handle_at(dirfd, handle, O_RDONLY)",
	  .errors = { ESTALE } },
};

/* What there is to be asked again, by a call that nothing can go wrong with. */
static const struct row probe = {
	.call = "write(fd, buf, count)",
};

/* What a group was asked about. */
struct told {
	int asked, ended;
	__u64 cookies[16];
};

/* One call, of which the nth allocation fails; 0: none. */
struct shot {
	const struct row *row;
	const struct operation *op;
	unsigned int nth;
	long ret;		/* of the call */
	struct told told[NR_GROUPS];
};

static bool *shared_hit;

__attribute__((constructor))
static void share(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		abort();
	shared_hit = (bool *)page;
	unnamed_fid = (struct fid *)(page + 64);
	known_op_flags = FAN_OP_ASYNC | FAN_OP_MAPPED;
}

FIXTURE(faults)
{
	struct group *g[NR_GROUPS];
};

FIXTURE_VARIANT(faults)
{
	const char *fs;
	bool fresh;		/* groups for each call: they keep memory */
	const char *only[4];	/* of the rows, if not all */
};

FIXTURE_VARIANT_ADD(faults, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(faults, fresh)
{
	.fs = "tmpfs",
	.fresh = true,
	.only = {
		"write(fd, buf, count)",
		"mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)",
		"rename(old, new) onto a victim",
	},
};

/* Its file handles are longer than what an event has room for. */
FIXTURE_VARIANT_ADD(faults, overlay)
{
	.fs = "overlay",
	.only = {
		"chmod(path, mode)",
		"mkdir(path, mode)",
		"rename(old, new) onto a victim",
	},
};

FIXTURE_SETUP(faults)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no %s", variant->fs);
	REQUIRE_FAULTS();
	known_records = RECORD_MNT | RECORD_CGROUP | RECORD_REPLACED;
}

FIXTURE_TEARDOWN(faults)
{
	faults_end();
	test_end(_metadata);
}

/* ------------------------------- groups -------------------------------- */

static void open_groups(struct __test_metadata *const _metadata,
			FIXTURE_DATA(faults) *self)
{
	self->g[0] = group_open(_metadata, FAN_REPORT_DFID_NAME_TARGET |
					   FAN_REPORT_PIDFD);
	self->g[1] = group_open(_metadata, FAN_REPORT_DFID_NAME_TARGET);
	for (int i = 0; i < NR_GROUPS; i++)
		ASSERT_EQ(0, ioctl(self->g[i]->fd, FAN_IOC_RECORDS, ALL_RECORDS));
}

static void close_groups(FIXTURE_DATA(faults) *self)
{
	for (int i = 0; i < NR_GROUPS; i++)
		group_close(self->g[i]);
}

static void watch(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(faults) *self, const struct shot *shot)
{
	__u64 mask = CHANGES | shot->op->mask | shot->row->mask;

	for (size_t i = 0; i < NR_STEPS; i++)
		mask |= shot->op->steps[i].event;
	for (int i = 0; i < NR_GROUPS; i++)
		mark(_metadata, self->g[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     mask, ".");
}

static void unwatch(struct __test_metadata *const _metadata,
		    FIXTURE_DATA(faults) *self)
{
	for (int i = 0; i < NR_GROUPS; i++)
		mark(_metadata, self->g[i], FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM,
		     0, ".");
}

/* ----------------------------- what is told ----------------------------- */

static void take(struct __test_metadata *const _metadata, struct group *g,
		 struct told *told, const struct shot *shot)
{
	const struct event ev = event_next(_metadata, g);
	int i = 0;

	if (ev.pidfd >= 0)
		close(ev.pidfd);
	if (ev.mask & ALL_PRE) {
		ASSERT_GT((int)ARRAY_SIZE(told->cookies), told->asked);
		told->cookies[told->asked++] = ev.cookie;
		allow(_metadata, g, &ev);
		return;
	}
	ASSERT_NE(0ULL, ev.mask & ALL_POST);
	EXPECT_EQ(0U, ev.flags & FAN_OP_UNPAIRED);
	while (i < told->asked && told->cookies[i] != ev.cookie)
		i++;
	ASSERT_LT(i, told->asked)
		TH_LOG("%s: the end of what was not asked about",
		       shot->op->call);
	told->cookies[i] = 0;
	told->ended++;
}

static bool all_ended(const struct shot *shot)
{
	for (int i = 0; i < NR_GROUPS; i++)
		if (shot->told[i].ended < shot->told[i].asked)
			return false;
	return true;
}

/* Allows all that the job asks, until it and all that it did has ended. */
static void serve(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(faults) *self, const struct job *job,
		  struct shot *shot)
{
	struct pollfd fds[NR_GROUPS + 1] = {};
	bool ended = false;

	for (int i = 0; i < NR_GROUPS; i++)
		fds[i] = (struct pollfd) { self->g[i]->fd, POLLIN, 0 };
	fds[NR_GROUPS] = (struct pollfd) { job->pidfd, POLLIN, 0 };

	while (!ended || !all_ended(shot)) {
		bool any = false;

		ASSERT_LT(0, poll(fds, NR_GROUPS + !ended, TIMEOUT_MS))
			TH_LOG("neither an event nor an end");
		for (int i = 0; i < NR_GROUPS; i++) {
			if (!fds[i].revents)
				continue;
			any = true;
			do {
				take(_metadata, self->g[i], &shot->told[i], shot);
			} while (self->g[i]->pos < self->g[i]->len);
		}
		if (!any && fds[NR_GROUPS].revents)
			ended = true;
	}
}

/* -------------------------------- a call -------------------------------- */

static long make_faulty(void *arg)
{
	const struct shot *shot = arg;
	long ret;

	if (fault_open())
		return -1;
	errno = 0;
	fault_set(fault_fd, shot->nth);
	ret = shot->op->make();
	*shared_hit = fault_over(fault_fd);
	return ret;
}

static struct job *prepare_shot(struct __test_metadata *const _metadata,
				struct shot *shot)
{
	struct job *job;

	*shared_hit = false;
	if (shot->op->open) {
		opened = open(shot->op->open, shot->op->flags | O_CLOEXEC);
		ASSERT_LE(0, opened);
	}
	job = job_prepare(_metadata, make_faulty, shot);
	/* The job has the last descriptor of the open file. */
	if (shot->op->open)
		close(opened);
	return job;
}

/* Returns whether an allocation of the call has failed. */
static bool end_shot(struct __test_metadata *const _metadata, struct job *job,
		     struct shot *shot)
{
	const int status = job_reap(_metadata, job);
	bool any;

	shot->ret = *job->result;
	munmap(job->result, sizeof(*job->result));
	any = faults_read(_metadata);
	if (shot->ret != JOB_NO_RESULT) {
		EXPECT_EQ(0, status);
		return *shared_hit;
	}
	/* It is another program that fails from here on, as it likes. */
	EXPECT_TRUE(shot->op->make == call_execve);
	shot->ret = WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ENOMEM;
	return any && strstr(fault_stack, "execve");
}

static void shoot(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(faults) *self, struct shot *shot, bool *hit)
{
	struct job *job = prepare_shot(_metadata, shot);

	watch(_metadata, self, shot);
	job_go(_metadata, job);
	serve(_metadata, self, job, shot);
	*hit = end_shot(_metadata, job, shot);
	if (*hit)
		snprintf(row, sizeof(row), "%.40s, allocation %u: %.60s",
			 shot->op->call, shot->nth, fault_site());
	for (int i = 0; i < NR_GROUPS; i++) {
		const struct group_state st = group_state(_metadata, self->g[i]);

		expect_silence(_metadata, self->g[i]);
		EXPECT_EQ(0, st.pending);
		EXPECT_EQ(0, st.queued);
		EXPECT_EQ(0, st.inflight);
		EXPECT_EQ(0, st.overflows);
	}
	unwatch(_metadata, self);
}

static bool may_fail_with(const struct shot *shot, int error)
{
	if (error == ENOMEM || error == shot->op->fails)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(shot->row->errors); i++)
		if (shot->row->errors[i] && error == shot->row->errors[i])
			return true;
	return false;
}

/* With what it does if nothing fails in @whole. */
static void expect_honest(struct __test_metadata *const _metadata,
			  const struct shot *shot, const struct shot *whole,
			  bool changed)
{
	const bool done = whole->ret < 0 ? shot->ret == whole->ret :
					   shot->ret >= 0;

	if (shot->ret < 0) {
		EXPECT_TRUE(may_fail_with(shot, -shot->ret))
			TH_LOG("%s", strerror(-shot->ret));
	}
	for (int i = 0; i < NR_GROUPS; i++) {
		/* Nothing is done unasked, be it all or a part. */
		if (done) {
			EXPECT_LE(whole->told[i].asked, shot->told[i].asked);
		}
		if (changed) {
			EXPECT_LT(0, shot->told[i].asked);
		}
	}
}

/* ------------------------------- all calls ------------------------------ */

static const struct operation *find_operation(const char *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(operations[i].call, call))
			return &operations[i];
	return NULL;
}

static void enter_new_tree(struct __test_metadata *const _metadata,
			   const struct operation *op)
{
	ASSERT_EQ(0, chdir(FS_DIR));
	if (!access("tree", F_OK)) {
		ASSERT_EQ(0, tree_remove("tree"));
	}
	ASSERT_EQ(0, mkdir("tree", 0755));
	ASSERT_EQ(0, chdir("tree"));
	ASSERT_EQ(0, tree_make());
	if (op->prepare) {
		ASSERT_EQ(0, op->prepare());
	}
	ASSERT_EQ(0, tree_age());
}

/* One write by someone else, of which nothing fails. */
static void expect_groups_work(struct __test_metadata *const _metadata,
			       FIXTURE_DATA(faults) *self)
{
	struct shot shot = { .row = &probe, .op = find_operation(probe.call) };
	bool hit;

	shoot(_metadata, self, &shot, &hit);
	EXPECT_FALSE(hit);
	EXPECT_EQ(COUNT, shot.ret);
	for (int i = 0; i < NR_GROUPS; i++) {
		EXPECT_EQ(1, shot.told[i].asked);
		EXPECT_EQ(1, shot.told[i].ended);
	}
}

static void try_row(struct __test_metadata *const _metadata,
		    FIXTURE_DATA(faults) *self, const struct row *r, bool fresh)
{
	const struct operation *op = find_operation(r->call);
	bool hit = true, changed = true;
	struct shot shot, whole = {};
	unsigned int nth = 0, faults = 0;

	ASSERT_NE(NULL, op)
		TH_LOG("no operation %s", r->call);
	for (; hit && !_metadata->exit_code; nth++) {
		struct snapshot was, is;

		ASSERT_GT(MAX_NTH, nth);
		snprintf(row, sizeof(row), "%.60s, %u", op->call, nth);
		if (changed)
			enter_new_tree(_metadata, op);
		if (fresh)
			open_groups(_metadata, self);
		shot = (struct shot) { .row = r, .op = op, .nth = nth };
		snapshot(_metadata, &was);
		shoot(_metadata, self, &shot, &hit);
		snapshot(_metadata, &is);
		changed = !same_snapshot(&was, &is);
		faults += nth && hit;
		if (!nth) {
			/* What there is to be asked about. */
			EXPECT_TRUE(shot.ret >= 0 || shot.ret == -op->fails);
			EXPECT_LT(0, shot.told[0].asked);
			whole = shot;
			hit = true;
		}
		expect_honest(_metadata, &shot, &whole, changed);
		if (nth % PROBE_EACH == 0 || !hit || fresh) {
			expect_groups_work(_metadata, self);
			changed = true;
		}
		if (fresh)
			close_groups(self);
	}
	EXPECT_LT(0U, faults);
	printf("# %s: %u allocations\n", op->call, faults);
}

static bool is_among(const char * const only[4], const char *call)
{
	if (!only[0])
		return true;
	for (int i = 0; i < 4 && only[i]; i++)
		if (!strcmp(only[i], call))
			return true;
	return false;
}

TEST_F(faults, operations)
{
	if (!variant->fresh)
		open_groups(_metadata, self);
	FOR_EACH_ROW(i, rows)
		if (is_among(variant->only, rows[i].call))
			try_row(_metadata, self, &rows[i], variant->fresh);
}

TEST_HARNESS_MAIN
