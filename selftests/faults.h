/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allocations that fail, one at a time: the nth that a task makes from some
 * point on, and which one that was.
 *
 * Memory of the slab allocator is what fails, for there is no other in what is
 * tested. Whole pages, and copies from and to user space, would be counted as
 * well, so they are left out. What has failed is known by the trace events of
 * the allocator, with the stack; scripts/fault-sites looks for the lines of
 * source in it, of which none may be missing. It has what is written to the file
 * that FAULT_SITES names.
 */

#ifndef __FAULTS_H
#define __FAULTS_H

#include <search.h>

#include "fault_code.h"
#include "group.h"

#define FAIL_DIR	"/sys/kernel/debug"
#define TRACE_DIR	"/sys/kernel/tracing"

/* More allocations than anything here makes. */
#define MAX_NTH		1000

static char require_start[32], require_end[32];
static char reject_start[32], reject_end[32];

static struct {
	const char *path, *value;
	char was[32];
} fault_knobs[] = {
	/* What kmemleak takes for itself is no matter. */
	{ .path = FAIL_DIR "/failslab/reject-start", .value = reject_start },
	{ .path = FAIL_DIR "/failslab/reject-end", .value = reject_end },
	{ .path = FAIL_DIR "/failslab/require-start", .value = require_start },
	{ .path = FAIL_DIR "/failslab/require-end", .value = require_end },
	{ .path = FAIL_DIR "/failslab/ignore-gfp-wait", .value = "N" },
	{ .path = FAIL_DIR "/failslab/verbose", .value = "0" },
	/* Where no stack is looked at, none is what is required: no faults. */
	{ .path = FAIL_DIR "/fail_page_alloc/stacktrace-depth", .value = "0" },
	{ .path = FAIL_DIR "/fail_page_alloc/require-end", .value = "1" },
	{ .path = FAIL_DIR "/fail_usercopy/stacktrace-depth", .value = "0" },
	{ .path = FAIL_DIR "/fail_usercopy/require-end", .value = "1" },
};

static char fault_trace[64];	/* an instance of tracefs, of this test */
static int fault_trace_fd = -1;

static inline void faults_undo(void)
{
	close(fault_trace_fd);
	rmdir(fault_trace);
	for (size_t i = 0; i < ARRAY_SIZE(fault_knobs); i++)
		if (fault_knobs[i].was[0])
			write_file(fault_knobs[i].path, 0, fault_knobs[i].was);
}

static inline void trace_set(struct __test_metadata *const _metadata,
			     const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", fault_trace, file);
	ASSERT_EQ(0, write_file(path, 0, text))
		TH_LOG("%s", path);
}

static inline void faults_trace(struct __test_metadata *const _metadata)
{
	static const char * const events[] = { "kmalloc", "kmem_cache_alloc" };
	char path[128];

	ASSERT_EQ(0, mkdir(fault_trace, 0700));
	trace_set(_metadata, "trace_options", "stacktrace");
	trace_set(_metadata, "trace_options", "sym-offset");
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		snprintf(path, sizeof(path), "events/kmem/%s/filter",
			 events[i]);
		trace_set(_metadata, path, "ptr == 0");
		snprintf(path, sizeof(path), "events/kmem/%s/enable",
			 events[i]);
		trace_set(_metadata, path, "1");
	}
	snprintf(path, sizeof(path), "%s/trace_pipe", fault_trace);
	fault_trace_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, fault_trace_fd);
}

static inline void set_code(const struct code *code, char start[32],
			    char end[32])
{
	snprintf(start, 32, "%#lx", code->start);
	snprintf(end, 32, "%#lx", code->end);
}

/* What fails is called by this code. False if the kernel has none of this. */
static inline bool faults_start(struct __test_metadata *const _metadata,
				const struct code *code)
{
	if (access("/proc/self/fail-nth", F_OK))
		return false;
	/* Of no consequence if they are there. */
	if (access(FAIL_DIR "/failslab", F_OK))
		mount("debugfs", FAIL_DIR, "debugfs", 0, NULL);
	if (access(TRACE_DIR "/instances", F_OK))
		mount("tracefs", TRACE_DIR, "tracefs", 0, NULL);
	if (access(FAIL_DIR "/failslab", F_OK) ||
	    access(TRACE_DIR "/instances", F_OK))
		return false;

	set_code(code, require_start, require_end);
	set_code(&kmemleak_code, reject_start, reject_end);
	for (size_t i = 0; i < ARRAY_SIZE(fault_knobs); i++) {
		ASSERT_LT(0, read_file(fault_knobs[i].path, fault_knobs[i].was,
				       sizeof(fault_knobs[i].was)))
			TH_LOG("%s", fault_knobs[i].path);
	}
	snprintf(fault_trace, sizeof(fault_trace), TRACE_DIR "/instances/faults-%d",
		 getpid());
	guard_start(_metadata, faults_undo);
	for (size_t i = 0; i < ARRAY_SIZE(fault_knobs); i++)
		ASSERT_EQ(0, write_file(fault_knobs[i].path, 0,
					fault_knobs[i].value));
	faults_trace(_metadata);
	return true;
}

/* After the file system is set up, which makes the mount namespace. */
#define REQUIRE_FAULTS(code) do {					\
	if (!faults_start(_metadata, code))				\
		SKIP(return, "no fail-nth, failslab or tracefs");	\
} while (0)

/* --------------------------- the nth from here -------------------------- */

static int fault_fd = -1;	/* of the task that is to fail */

/* Of the current task, as long as it is the same. */
static inline int fault_open(void)
{
	fault_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return fault_fd < 0 ? -1 : 0;
}

static inline void fault_set(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fd, text, len, 0) != len)
		abort();
}

/* From here on nothing fails. Returns if something did; errno stays as it is. */
static inline bool fault_over(int fd)
{
	const int error = errno;
	char text[16] = "";
	bool hit;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		abort();
	hit = atoi(text) == 0;
	fault_set(fd, 0);
	errno = error;
	return hit;
}

/* ---------------------------- what has failed --------------------------- */

/* The stack of the last one: functions with offsets, the innermost first. */
static char fault_stack[8192];
static void *fault_stacks;	/* all of them, of tsearch(3) */

static inline int fault_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static inline bool is_ours(const char *frame)
{
	return strstr(frame, "[vfs_filter]") || strstr(frame, "fsnotify") ||
	       strstr(frame, "fanotify");
}

/* Was it for the allocator itself, or what looks for bugs? They do without. */
static inline bool fault_is_inner(void)
{
	static const char *const inner[] = {
		"sheaf", "obj_exts", "kmem_cache_free", "kfree", "kvfree",
		"fill_pool+", "kmemleak",
	};

	for (size_t i = 0; i < ARRAY_SIZE(inner); i++)
		if (strstr(fault_stack, inner[i]))
			return true;
	return false;
}

/* Each stack once. */
static inline void fault_note(void)
{
	const char *path = getenv("FAULT_SITES");
	FILE *file;

	if (!strchr(fault_stack, '\n') ||
	    tfind(fault_stack, &fault_stacks, fault_compare))
		return;
	tsearch(strdup(fault_stack), &fault_stacks, fault_compare);
	file = path ? fopen(path, "ae") : NULL;
	if (!file)
		return;
	fprintf(file, "fault:\n%s", fault_stack);
	fclose(file);
}

static inline void fault_line(char *line)
{
	const size_t len = strlen(fault_stack);
	const char *frame = strstr(line, " => ");

	if (strstr(line, ": kmalloc: ") || strstr(line, ": kmem_cache_alloc: "))
		fault_stack[0] = '\0';
	else if (frame)
		snprintf(fault_stack + len, sizeof(fault_stack) - len, "%s\n",
			 frame + strlen(" => "));
}

/* Reads what has failed since the last call. Returns if anything has. */
static inline bool faults_read(struct __test_metadata *const _metadata)
{
	static char buf[1 << 16];
	char *line, *end;
	bool any = false;
	size_t len = 0;
	ssize_t n;

	while ((n = read(fault_trace_fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += n;
	ASSERT_TRUE(n < 0 && errno == EAGAIN)
		TH_LOG("trace_pipe: %zd, %s", n, strerror(errno));
	buf[len] = '\0';
	for (line = buf; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		/* The one before is complete. */
		if (!strstr(line, " => ") && !strstr(line, "<stack trace>"))
			fault_note();
		fault_line(line);
		any = true;
	}
	fault_note();
	return any;
}

/* The first function on the stack of the last one that is ours. */
static inline const char *fault_site(void)
{
	static char site[256];
	const char *line, *end;

	for (line = fault_stack; (end = strchr(line, '\n')); line = end + 1) {
		snprintf(site, sizeof(site), "%.*s", (int)(end - line), line);
		if (is_ours(site))
			return site;
	}
	snprintf(site, sizeof(site), "%.*s", (int)strcspn(fault_stack, "\n"),
		 fault_stack);
	return site;
}

static inline void faults_show(const void *node, VISIT visit, int depth)
{
	(void)depth;
	if (visit != postorder && visit != leaf)
		return;
	snprintf(fault_stack, sizeof(fault_stack), "%s", *(char *const *)node);
	if (is_ours(fault_site()))
		printf("# fault: %s\n", fault_site());
}

/* At the end of a test. */
static inline void faults_end(void)
{
	twalk(fault_stacks, faults_show);
	fflush(stdout);
}

/* -------------------- of what the test does by itself ------------------- */

struct fault {
	unsigned int nth;
	bool hit;	/* there was one, which failed */
	bool real;	/* and it was not for the allocator itself */
	int error;	/* of what was done */
};

static inline bool fault_next(struct __test_metadata *const _metadata,
			      struct fault *f)
{
	if (_metadata->exit_code || (f->nth && !f->hit))
		return false;
	f->nth++;
	ASSERT_GT(MAX_NTH, f->nth);
	return true;
}

/* Once with each allocation that it makes failing, and at last with none. */
#define FOR_EACH_FAULT(f) \
	for (struct fault f = {}; fault_next(_metadata, &f); )

#define FAULT(f, statement) do {					\
	errno = 0;							\
	fault_set(fault_fd, (f)->nth);					\
	statement;							\
	(f)->hit = fault_over(fault_fd);				\
	(f)->error = errno;						\
	faults_read(_metadata);						\
	(f)->real = (f)->hit && !fault_is_inner();			\
	if ((f)->hit)							\
		snprintf(row, sizeof(row), "allocation %u: %.90s",	\
			 (f)->nth, fault_site());			\
	else								\
		snprintf(row, sizeof(row), "no fault, after %u",	\
			 (f)->nth - 1);					\
} while (0)

/* Either it was done, or there was no memory, which is what is said. */
static inline void expect_done_or(struct __test_metadata *const _metadata,
				  const struct fault *f, bool done, int error)
{
	if (done)
		return;
	EXPECT_TRUE(f->hit);
	EXPECT_EQ(error, f->error);
}

#endif /* __FAULTS_H */
