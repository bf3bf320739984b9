/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events of the class, in an instance of the test's own: what others
 * trace is not touched, and what is left of a test that was killed goes.
 */

#ifndef __TRACE_H
#define __TRACE_H

#include "group.h"

#define TRACE_DIR	"/sys/kernel/tracing"
#define TRACE_INSTANCE	TRACE_DIR "/instances/vfs-filter-test"
#define TRACE_ENABLE	TRACE_INSTANCE "/events/vfs_filter/enable"

/* One that was raised; of its fields those that it has. */
struct traced {
	pid_t pid;		/* in whose context */
	char name[16];
	unsigned long long group;
	unsigned long long cookie;	/* of a barrier its number */
	unsigned long long mask;
	long long result;	/* of an answer its error */
	char how[16];		/* of an answer by whom, of a barrier its state */
};

static inline void trace_end(void)
{
	write_file(TRACE_ENABLE, 0, "0");
	rmdir(TRACE_INSTANCE);
}

/* After the file system is set up, which makes the mount namespace. */
static inline bool trace_mount(void)
{
	/* Of no consequence if it is there, or cannot be had. */
	if (access(TRACE_DIR "/instances", F_OK))
		mount("tracefs", TRACE_DIR, "tracefs", 0, NULL);
	return !access(TRACE_DIR "/events/vfs_filter", F_OK);
}

static inline bool trace_available(struct __test_metadata *const _metadata)
{
	if (!trace_mount())
		return false;

	guard_start(_metadata, trace_end);
	ASSERT_EQ(0, mkdir(TRACE_INSTANCE, 0700))
		TH_LOG("mkdir: %s", strerror(errno));
	ASSERT_EQ(0, write_file(TRACE_ENABLE, 0, "1"));
	return true;
}

#define REQUIRE_TRACE() do {						\
	if (!trace_available(_metadata))				\
		SKIP(return, "no trace events");			\
} while (0)

static inline struct traced trace_parse(struct __test_metadata *const _metadata,
					const char *line)
{
	const char *cpu = strstr(line, " ["), *name = strstr(line, ": ");
	struct traced t = {};
	const char *fields;
	int end = 0;

	ASSERT_NE(NULL, cpu) TH_LOG("%s", line);
	ASSERT_NE(NULL, name);
	/* COMM-PID [CPU] flags time: name: fields */
	while (cpu > line && cpu[-1] != '-')
		cpu--;
	t.pid = atoi(cpu);
	ASSERT_EQ(1, sscanf(name, ": %15[a-z]: ", t.name));
	fields = name + strlen(": ") + strlen(t.name) + strlen(": ");
	if (!strcmp(t.name, "pre"))
		sscanf(fields, "group=%llu cookie=%llu mask=%llx%n",
		       &t.group, &t.cookie, &t.mask, &end);
	else if (!strcmp(t.name, "answer"))
		sscanf(fields, "group=%llu cookie=%llu error=%lld by=%15[a-z]%n",
		       &t.group, &t.cookie, &t.result, t.how, &end);
	else if (!strcmp(t.name, "post"))
		sscanf(fields, "group=%llu cookie=%llu mask=%llx result=%lld%n",
		       &t.group, &t.cookie, &t.mask, &t.result, &end);
	else if (!strcmp(t.name, "barrier"))
		sscanf(fields, "group=%llu number=%llu state=%15[a-z]%n",
		       &t.group, &t.cookie, t.how, &end);
	ASSERT_LT(0, end) TH_LOG("%s", line);
	ASSERT_EQ('\0', fields[end]) TH_LOG("%s", line);
	return t;
}

/*
 * Reads all that there is, and returns the length of that. The file is not kept
 * open: jobs and guards would have it open as well, and the instance could not
 * be removed.
 */
static inline size_t trace_read(struct __test_metadata *const _metadata,
				char *buf, size_t size)
{
	const int fd = open(TRACE_INSTANCE "/trace_pipe",
			    O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	ASSERT_LE(0, fd);
	while ((n = read(fd, buf + len, size - len)) > 0)
		len += n;
	ASSERT_EQ(EAGAIN, errno)
		TH_LOG("%zd: %s", n, strerror(errno));
	close(fd);
	return len;
}

/* The next line, without its end; or none. */
static inline bool trace_line(struct __test_metadata *const _metadata,
			      char *line, size_t size)
{
	static char buf[1 << 16];
	static size_t len;
	size_t line_len;
	char *end;

	if (!len)
		len = trace_read(_metadata, buf, sizeof(buf));
	if (!len)
		return false;
	end = memchr(buf, '\n', len);
	ASSERT_NE(NULL, end);
	line_len = end - buf;
	ASSERT_LT(line_len, size);
	memcpy(line, buf, line_len);
	line[line_len] = '\0';
	len -= line_len + 1;
	memmove(buf, end + 1, len);
	return true;
}

/* What was raised next. All that is looked at here has been, by then. */
static inline struct traced trace_next(struct __test_metadata *const _metadata)
{
	char line[512];

	ASSERT_TRUE(trace_line(_metadata, line, sizeof(line)))
		TH_LOG("there is no further trace event");
	return trace_parse(_metadata, line);
}

static inline void expect_no_trace(struct __test_metadata *const _metadata)
{
	char line[512];
	bool some = trace_line(_metadata, line, sizeof(line));

	EXPECT_FALSE(some) TH_LOG("%s", line);
}

/* A group is asked. A @cookie that is not known is 0, and then found here. */
static inline void expect_traced_pre(struct __test_metadata *const _metadata,
				     __u64 id, pid_t pid, __u64 *cookie)
{
	const struct traced t = trace_next(_metadata);

	ASSERT_STREQ("pre", t.name);
	EXPECT_EQ(id, t.group);
	EXPECT_EQ(pid, t.pid);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), t.mask);
	if (*cookie) {
		EXPECT_EQ(*cookie, t.cookie);
	}
	*cookie = t.cookie;
}

/* It is decided. */
static inline void expect_traced_answer(struct __test_metadata *const _metadata,
					__u64 id, __u64 cookie, int error,
					const char *by, pid_t pid)
{
	const struct traced t = trace_next(_metadata);

	ASSERT_STREQ("answer", t.name);
	EXPECT_EQ(id, t.group);
	EXPECT_EQ(cookie, t.cookie);
	EXPECT_EQ(error, t.result);
	EXPECT_STREQ(by, t.how);
	EXPECT_EQ(pid, t.pid);
}

/* It is told the end. */
static inline void expect_traced_post(struct __test_metadata *const _metadata,
				      __u64 id, __u64 cookie, long long result,
				      pid_t pid)
{
	const struct traced t = trace_next(_metadata);

	ASSERT_STREQ("post", t.name);
	EXPECT_EQ(id, t.group);
	EXPECT_EQ(cookie, t.cookie);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), t.mask);
	EXPECT_EQ(result, t.result);
	EXPECT_EQ(pid, t.pid);
}

static inline void
expect_traced_barrier(struct __test_metadata *const _metadata, __u64 id,
		      __u64 number, const char *state)
{
	const struct traced t = trace_next(_metadata);

	ASSERT_STREQ("barrier", t.name);
	EXPECT_EQ(id, t.group);
	EXPECT_EQ(number, t.cookie);
	EXPECT_STREQ(state, t.how);
}

#endif /* __TRACE_H */
