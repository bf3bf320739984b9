/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One call of a job, of which an allocation fails, and what groups are told of it.
 */

#ifndef __FAULTS_SHOT_H
#define __FAULTS_SHOT_H

#include "faults.h"
#include "faults_rows.h"

#define NR_GROUPS	2

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
	bool by_child;		/* of the job, of which no one has a pidfd */
	long ret;		/* of the call */
	struct told told[NR_GROUPS];
};

/* Of who makes the call, for the test. */
static struct shared {
	bool hit;
	long ret;	/* of a child, or -errno */
	struct fid unnamed;
} *shared;

__attribute__((constructor))
static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	unnamed_fid = &shared->unnamed;
	known_op_flags = FAN_OP_ASYNC | FAN_OP_MAPPED;
}

/* ----------------------------- what is told ----------------------------- */

/* The next event of the group with this number. */
static void take(struct __test_metadata *const _metadata, struct group *g,
		 struct shot *shot, int nr)
{
	struct told *told = &shot->told[nr];
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
		  struct group *const *g, const struct job *job,
		  struct shot *shot)
{
	struct pollfd fds[NR_GROUPS + 1] = {};
	bool ended = false;

	for (int i = 0; i < NR_GROUPS; i++)
		fds[i] = (struct pollfd) { g[i]->fd, POLLIN, 0 };
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
				take(_metadata, g[i], shot, i);
			} while (g[i]->pos < g[i]->len);
		}
		if (!any && fds[NR_GROUPS].revents)
			ended = true;
	}
}

/* -------------------------------- a call -------------------------------- */

static long make_faulty(const struct shot *shot)
{
	long ret;

	if (fault_open())
		return -1;
	errno = 0;
	fault_set(fault_fd, shot->nth);
	ret = shot->op->make();
	shared->hit = fault_over(fault_fd) && shot->nth;
	return ret;
}

static long make_by_child(const struct shot *shot)
{
	const pid_t pid = fork();
	int status;
	long ret;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ret = make_faulty(shot);
		shared->ret = ret < 0 ? -errno : ret;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	errno = shared->ret < 0 ? -shared->ret : 0;
	return shared->ret;
}

static long make_shot(void *arg)
{
	const struct shot *shot = arg;

	return shot->by_child ? make_by_child(shot) : make_faulty(shot);
}

static struct job *prepare_shot(struct __test_metadata *const _metadata,
				struct shot *shot)
{
	struct job *job;

	shared->hit = false;
	shared->ret = -EIO;
	if (shot->op->open) {
		opened = open(shot->op->open, shot->op->flags | O_CLOEXEC);
		ASSERT_LE(0, opened);
	}
	job = job_prepare(_metadata, make_shot, shot);
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
		return shared->hit;
	}
	/* It is another program that fails from here on, as it likes. */
	EXPECT_TRUE(shot->op->make == call_execve);
	shot->ret = WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ENOMEM;
	return any && strstr(fault_stack, "execve");
}

#endif /* __FAULTS_SHOT_H */
