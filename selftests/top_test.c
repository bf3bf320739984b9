// SPDX-License-Identifier: GPL-2.0
/*
 * watch --top of samples/: with a listener that hangs, it names the group, who
 * holds it, and who waits for it.
 *
 * VFS_FILTER_BUILD is the project's build folder; without samples/watch in it
 * there is nothing to test.
 */

#include "fs.h"
#include "queue.h"
#include "trace.h"

#define TOP_OUTPUT	8192

FIXTURE(top)
{
	char watch[PATH_MAX];
	struct group *g;
};

FIXTURE_SETUP(top)
{
	const char *build = getenv("VFS_FILTER_BUILD");

	REQUIRE_CLASS();
	snprintf(self->watch, sizeof(self->watch), "%s/samples/release/watch",
		 build ?: "/nonexistent");
	if (access(self->watch, X_OK))
		SKIP(return, "no samples/release/watch");
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(top)
{
	test_end(_metadata);
}

static pid_t top_start(struct __test_metadata *const _metadata,
		       const char *watch, const char *option, int *out)
{
	int fds[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execl(watch, "watch", "--top", option, NULL);
		_exit(127);
	}
	close(fds[1]);
	*out = fds[0];
	return pid;
}

/* What it prints at once. */
static void top(struct __test_metadata *const _metadata, const char *watch,
		char *buf, size_t size)
{
	int out, status;
	size_t len = 0;
	ssize_t n;
	const pid_t pid = top_start(_metadata, watch, "--once", &out);

	while ((n = read(out, buf + len, size - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	close(out);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status) TH_LOG("%s", buf);
}

static void expect_start(struct __test_metadata *const _metadata,
			 const char *table, const char *line)
{
	EXPECT_EQ(0, strncmp(table, line, strlen(line)))
		TH_LOG("%s", table);
}

/* The line of a group, cut from the others, or NULL. */
static char *line_of(char *table, unsigned long long id)
{
	unsigned long long found;
	char *line, *rest = table;

	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, " %llu ", &found) == 1 && found == id)
			return line;
		if (rest)
			rest[-1] = '\n';
	}
	return NULL;
}

struct top_line {
	unsigned long long id, pending, queued, inflight, oldest;
	double since;
	int pid;
	char comm[32];
	char listeners[128];
};

static struct top_line parse(struct __test_metadata *const _metadata,
			     const char *line)
{
	struct top_line t = {};

	ASSERT_NE(NULL, line);
	ASSERT_EQ(9, sscanf(line, " %llu %llu %llu %llu #%llu %lf s %d %31s %127[^\n]",
			    &t.id, &t.pending, &t.queued, &t.inflight,
			    &t.oldest, &t.since, &t.pid, t.comm, t.listeners))
		TH_LOG("%s", line);
	return t;
}

/* A listener that tells its descriptor, and tells it again when it has read. */
static long hang_with_group(void *arg)
{
	const int *ready = arg;
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
	char buf[4096];

	prctl(PR_SET_NAME, "hanging one");
	if (fd < 0 || sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD,
					"file") ||
	    write(*ready, &fd, sizeof(fd)) != sizeof(fd) ||
	    read(fd, buf, sizeof(buf)) < 0 ||
	    write(*ready, &fd, sizeof(fd)) != sizeof(fd))
		return -1;
	pause();
	return 0;
}

static bool has_waited(pid_t listener, int fd, unsigned long msecs)
{
	char path[64], buf[4096];
	const char *found;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", listener, fd);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return false;
	found = strstr(buf, " msecs:");
	return found && strtoul(found + strlen(" msecs:"), NULL, 10) >= msecs;
}

static long write_as_victim(void *arg)
{
	prctl(PR_SET_NAME, "victim");
	return do_write(arg);
}

/* Who hangs is named, stopped or not, and comes before who does not. */
TEST_F(top, hanging)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct group_state st;
	struct job *listener, *first, *second;
	char buf[TOP_OUTPUT], text[64], *line, *own;
	struct top_line t;
	int ready[2], fd, status;
	struct event pre;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	listener = job_start(_metadata, hang_with_group, &ready[1]);
	ASSERT_EQ((int)sizeof(fd), read(ready[0], &fd, sizeof(fd)));
	first = job_start(_metadata, write_as_victim, &args);
	pre = expect_pre(_metadata, self->g, first->pid);
	allow(_metadata, self->g, &pre);
	ASSERT_EQ((int)sizeof(fd), read(ready[0], &fd, sizeof(fd)));
	ASSERT_EQ(0, kill(listener->pid, SIGSTOP));
	ASSERT_EQ(listener->pid, waitpid(listener->pid, &status, WUNTRACED));
	/* So that it is the first by far to have someone wait. */
	ASSERT_TRUE(EVENTUALLY(has_waited(listener->pid, fd, 100)));
	second = job_start(_metadata, write_as_victim, &args);
	wait_pending(_metadata, self->g, 1);
	st = group_state(_metadata, self->g);

	top(_metadata, self->watch, buf, sizeof(buf));
	expect_start(_metadata, buf, "groups: 2, tasks that wait: 2\n");
	/* The group of the one that hangs is the younger. */
	own = line_of(buf, st.id);
	line = line_of(buf, st.id + 1);
	ASSERT_NE(NULL, own);
	EXPECT_LT(line, own);
	t = parse(_metadata, line);
	EXPECT_EQ(1ULL, t.pending);
	EXPECT_EQ(0ULL, t.queued);
	EXPECT_EQ(pre.cookie, t.oldest);
	EXPECT_EQ(first->pid, t.pid);
	EXPECT_STREQ("victim", t.comm);
	snprintf(text, sizeof(text), "%d hanging one (stopped)", listener->pid);
	EXPECT_STREQ(text, t.listeners);

	t = parse(_metadata, own);
	EXPECT_EQ(1ULL, t.pending);
	EXPECT_EQ(1ULL, t.queued);
	EXPECT_EQ(1ULL, t.inflight);
	EXPECT_EQ(st.oldest, t.oldest);
	EXPECT_EQ(second->pid, t.pid);
	snprintf(text, sizeof(text), "%d top_test", getpid());
	EXPECT_STREQ(text, t.listeners);

	job_kill(_metadata, listener, SIGKILL);
	EXPECT_EQ(2, job_join(_metadata, first));
	pre = expect_pre(_metadata, self->g, second->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, second));
	self->g->unread_ok = true;
}

/* A group that no one waits for has a line; so has one of a queue alone. */
TEST_F(top, idle)
{
	const struct group_state st = group_state(_metadata, self->g);
	char buf[TOP_OUTPUT], pid[32], *line;
	struct group *q = NULL;

	for (int closed = 0; closed < 2; closed++) {
		top(_metadata, self->watch, buf, sizeof(buf));
		expect_start(_metadata, buf, "groups: 1, tasks that wait: 0\n");
		line = line_of(buf, st.id);
		ASSERT_NE(NULL, line);
		snprintf(pid, sizeof(pid), " %d top_test", getpid());
		EXPECT_NE(NULL, strstr(line, " -  -"));
		EXPECT_NE(NULL, strstr(line, pid));
		if (closed)
			break;
		q = queue_open(_metadata, self->g);
		group_close(self->g);
	}
	group_close(q);
	top(_metadata, self->watch, buf, sizeof(buf));
	EXPECT_STREQ("groups: 0, tasks that wait: 0\n", buf);
}

/* PRE, answers and POST per second, of a table that is about to be printed. */
static void read_rates(struct __test_metadata *const _metadata, FILE *tables,
		       unsigned long long id, unsigned long long rates[3])
{
	unsigned long long found;
	bool seen = false;
	char line[512];

	do {
		ASSERT_NE(NULL, fgets(line, sizeof(line), tables));
		if (sscanf(line, " %llu %*u %*u %*u %llu %llu %llu ", &found,
			   &rates[0], &rates[1], &rates[2]) == 4)
			seen |= found == id;
	} while (strcmp(line, "\n"));
	ASSERT_TRUE(seen);
}

/* Live, with what happens in a second; and nothing is traced after that. */
TEST_F(top, rates)
{
	const unsigned long long id = group_state(_metadata, self->g).id;
	unsigned long long rates[3], sum[3] = {};
	char instance[128];
	int out, status;
	FILE *tables;
	pid_t pid;

	if (!trace_mount())
		SKIP(return, "no trace events");
	pid = top_start(_metadata, self->watch, "--rates", &out);
	tables = fdopen(out, "r");
	ASSERT_NE(NULL, tables);
	snprintf(instance, sizeof(instance),
		 TRACE_DIR "/instances/vfs-filter-top-%d", pid);
	/* It counts from here on. */
	read_rates(_metadata, tables, id, rates);
	EXPECT_EQ(0, access(instance, F_OK));
	for (int i = 0; i < 20; i++)
		serve_write(_metadata, self->g,
			    write_start(_metadata, "file", "ab"), 2);
	/* They can be in several seconds. */
	while (!sum[0] || !sum[1] || !sum[2]) {
		read_rates(_metadata, tables, id, rates);
		for (int i = 0; i < 3; i++)
			sum[i] += rates[i];
	}
	ASSERT_EQ(0, kill(pid, SIGTERM));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	fclose(tables);
	EXPECT_EQ(-1, access(instance, F_OK));
	EXPECT_EQ(ENOENT, errno);
}

TEST_HARNESS_MAIN
