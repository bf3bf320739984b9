// SPDX-License-Identifier: GPL-2.0
/*
 * How the cost of being watched grows with the number of tasks and of groups,
 * by wall clock on several CPUs. That is indicative: the figures of one run can
 * be compared with each other, and with those of no other machine.
 *
 *	tasks_N		N processes write a byte to a file of their own, over and
 *			over, and one group watches all of them
 *	groups_N	one process does, and N groups watch it
 *
 * The states are
 *
 *	unwatched	no group; for groups_N, groups that watch another file
 *	ignored_evictable  the file system is marked, and the files are ignored
 *	post		the file system is marked for what was done, and one
 *			thread for each group reads that
 *	pre, both	the file system is marked for what is about to be done,
 *			or for both; --threads threads read and answer, or one
 *			for each group if there are several
 *	notif		FAN_CLASS_NOTIF with FAN_REPORT_FID, the file system is
 *			marked with FAN_MODIFY; one reader for each group
 *	inotify		each file is watched with IN_MODIFY; one reader likewise
 *
 * Whoever listens is one process, and not one that writes. A queue has no limit
 * but for inotify, where there is no such choice, so that no event is cheap
 * because it is lost. The older classes merge an event with an equal one that
 * was not read yet, this one does not. A remark under each figure says how many
 * events were read of how many writes there were.
 */

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/inotify.h>

#include "group.h"

#define MAX_COUNT	64
#define WARM_UP_MS	100
#define BUFFER		65536

#define IGNORE		(FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE)

enum kind { NO_GROUP, FILTER, NOTIF, INOTIFY };

struct state {
	const char *name;
	enum kind kind;
	__u64 mask;		/* of the file system, 0: of another file */
	bool ignored;
	bool asked;
};

static const struct state states[] = {
	{ "unwatched", FILTER, 0, false, false },
	{ "ignored_evictable", FILTER, FAN_MODIFY, true, false },
	{ "post", FILTER, FAN_POST(FAN_MODIFY), false, false },
	{ "pre", FILTER, FAN_PRE(FAN_MODIFY), false, true },
	{ "both", FILTER, FAN_MODIFY, false, true },
	{ "notif", NOTIF, FAN_MODIFY, false, false },
	{ "inotify", INOTIFY, IN_MODIFY, false, false },
};

/* One figure. */
struct run {
	const struct state *state;
	enum kind kind;
	const char *op;
	int tasks;
	int groups;
};

/* What the processes of a run have in common; no two write to one line of it. */
static struct shared {
	struct {
		_Alignas(128) _Atomic unsigned long n;
	} writes[MAX_COUNT];
	_Alignas(128) _Atomic unsigned long events;
	_Atomic unsigned long overflows;
	_Alignas(128) atomic_bool stop;
} *shared;

static const char *only_states, *only_ops;
static unsigned int samples = 5, sample_ms = 300, threads;
static int files[MAX_COUNT];
static int other_file;

/* ------------------------------ listeners ------------------------------ */

struct reader {
	pthread_t thread;
	enum kind kind;
	int fd;
};

static const struct answer allow = {
	.response.fd = FAN_NOFD,
	.response.response = FAN_ALLOW | FAN_INFO,
	.op.hdr.type = FAN_RESPONSE_INFO_OP,
	.op.hdr.len = sizeof(struct fanotify_response_info_op),
};

/* Counts the events in a buffer, and answers the questions among them at once. */
static void take_fanotify(int fd, const char *buf, ssize_t len)
{
	static _Thread_local struct answer answers[BUFFER /
				sizeof(struct fanotify_event_metadata)];
	const struct fanotify_event_metadata *meta = (const void *)buf;
	unsigned long events = 0, overflows = 0;
	size_t asked = 0;

	for (; FAN_EVENT_OK(meta, len); meta = FAN_EVENT_NEXT(meta, len)) {
		events++;
		overflows += meta->mask == FAN_Q_OVERFLOW;
		if (!(meta->mask & GROUP_PRE))
			continue;
		answers[asked] = allow;
		answers[asked++].op.cookie = event_op(meta)->cookie;
	}
	if (asked && write(fd, answers, asked * sizeof(*answers)) !=
	    (ssize_t)(asked * sizeof(*answers)))
		die("answer");
	atomic_fetch_add(&shared->events, events);
	atomic_fetch_add(&shared->overflows, overflows);
}

static void take_inotify(const char *buf, ssize_t len)
{
	unsigned long events = 0, overflows = 0;
	const struct inotify_event *event;

	for (ssize_t at = 0; at < len; at += sizeof(*event) + event->len) {
		event = (const void *)(buf + at);
		events++;
		overflows += !!(event->mask & IN_Q_OVERFLOW);
	}
	atomic_fetch_add(&shared->events, events);
	atomic_fetch_add(&shared->overflows, overflows);
}

static void *read_events(void *arg)
{
	static _Thread_local char buf[BUFFER] __attribute__((aligned(8)));
	const struct reader *reader = arg;

	for (;;) {
		const ssize_t len = read(reader->fd, buf, sizeof(buf));

		if (len <= 0)
			die("read of events");
		if (reader->kind == INOTIFY)
			take_inotify(buf, len);
		else
			take_fanotify(reader->fd, buf, len);
	}
	return NULL;
}

static int open_inotify(const struct run *run)
{
	const int fd = inotify_init1(IN_CLOEXEC);
	char path[32];

	if (fd < 0)
		die("inotify_init1");
	for (int i = 0; i < run->tasks; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", files[i]);
		if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
			die("inotify_add_watch");
	}
	return fd;
}

static int open_fanotify(const struct run *run)
{
	const struct state *state = run->state;
	const int fd = group_open(FAN_UNLIMITED_QUEUE |
				  (run->kind == NOTIF ?
				   FAN_CLASS_NOTIF | FAN_REPORT_FID :
				   FAN_CLASS_VFS_FILTER));

	if (!state->mask) {
		group_mark(fd, FAN_MARK_ADD, FAN_MODIFY, other_file, NULL);
		return fd;
	}
	group_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, state->mask,
		   files[0], NULL);
	for (int i = 0; state->ignored && i < run->tasks; i++)
		group_mark(fd, FAN_MARK_ADD | IGNORE, FAN_MODIFY, files[i],
			   NULL);
	return fd;
}

/* Listens until it is killed; @ready is told when all groups are there. */
static void __attribute__((noreturn)) listen_for(const struct run *run,
						 int ready)
{
	const int each = run->groups == 1 && run->state->asked ? threads : 1;
	struct reader *reader = calloc(run->groups * each, sizeof(*reader));

	if (!reader)
		die("calloc");
	for (int i = 0; i < run->groups; i++) {
		const int fd = run->kind == INOTIFY ? open_inotify(run) :
						      open_fanotify(run);

		for (int j = 0; j < each; j++)
			reader[i * each + j] = (struct reader) {
				.kind = run->kind,
				.fd = fd,
			};
	}
	for (int i = 0; i < run->groups * each; i++) {
		errno = pthread_create(&reader[i].thread, NULL, read_events,
				       &reader[i]);
		if (errno)
			die("pthread_create");
	}
	if (write(ready, "", 1) != 1)
		die("write to a pipe");
	for (;;)
		pause();
}

/* ------------------------------ processes ------------------------------ */

static void open_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC))
		die("pipe2");
}

static pid_t start_listener(const struct run *run)
{
	int ready[2];
	pid_t pid;
	char c;

	open_pipe(ready);
	pid = spawn();
	if (!pid)
		listen_for(run, ready[1]);
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		fail("the process that listens has ended");
	close(ready[0]);
	return pid;
}

/* Writes from when all ends of @gate[1] are closed until it is told to stop. */
static void __attribute__((noreturn)) write_bytes(int i, const int gate[2])
{
	unsigned long n = 0;
	char c;

	close(gate[1]);
	if (read(gate[0], &c, 1) != 0)
		die("read of a pipe");
	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		if (pwrite(files[i], "x", 1, 0) != 1)
			die("pwrite");
		atomic_store_explicit(&shared->writes[i].n, ++n,
				      memory_order_relaxed);
	}
	exit(0);
}

static void start_tasks(const struct run *run, pid_t *pids)
{
	int gate[2];

	open_pipe(gate);
	for (int i = 0; i < run->tasks; i++) {
		pids[i] = spawn();
		if (!pids[i])
			write_bytes(i, gate);
	}
	close(gate[0]);
	close(gate[1]);
}

static void stop_tasks(const struct run *run, const pid_t *pids)
{
	int status;

	atomic_store(&shared->stop, true);
	for (int i = 0; i < run->tasks; i++) {
		if (waitpid(pids[i], &status, 0) != pids[i])
			die("waitpid");
		if (status)
			fail("a process that writes has ended");
	}
}

static void stop_listener(pid_t pid)
{
	int status;

	if (kill(pid, SIGKILL))
		die("kill");
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("the process that listens has ended");
}

/* ------------------------------ measuring ------------------------------ */

static void sleep_ms(int ms)
{
	const struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	if (nanosleep(&ts, NULL))
		die("nanosleep");
}

static unsigned long writes(const struct run *run)
{
	unsigned long sum = 0;

	for (int i = 0; i < run->tasks; i++)
		sum += atomic_load_explicit(&shared->writes[i].n,
					    memory_order_relaxed);
	return sum;
}

static double sample(const struct run *run)
{
	const unsigned long long start = now_ns();
	const unsigned long before = writes(run);
	siginfo_t ended = {};
	unsigned long done;
	double seconds;

	sleep_ms(sample_ms);
	done = writes(run) - before;
	seconds = (now_ns() - start) / 1e9;
	if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT))
		die("waitid");
	if (ended.si_pid)
		fail("process %d has ended", ended.si_pid);
	if (!done)
		fail("%s %s: no write in %d ms", run->state->name, run->op,
		     sample_ms);
	return done / seconds;
}

static void measure_run(const struct run *run)
{
	double per_second[MAX_SAMPLES];
	pid_t tasks[MAX_COUNT];
	pid_t listener = 0;

	memset(shared, 0, sizeof(*shared));
	if (run->kind != NO_GROUP)
		listener = start_listener(run);
	start_tasks(run, tasks);
	sleep_ms(WARM_UP_MS);
	for (unsigned int i = 0; i < samples; i++)
		per_second[i] = sample(run);
	stop_tasks(run, tasks);
	if (listener)
		stop_listener(listener);

	print_figure(run->state->name, run->op, "ops_per_s", per_second,
		     samples);
	printf("# %lu writes, %lu events read, %lu overflows\n", writes(run),
	       atomic_load(&shared->events), atomic_load(&shared->overflows));
}

/* --------------------------- what is measured -------------------------- */

static bool class_is_there(void)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);

	if (fd < 0 && errno != EINVAL && errno != EOPNOTSUPP)
		die("fanotify_init");
	return fd >= 0 && !close(fd);
}

static bool wanted(const char *list, const char *word)
{
	return !list || list_has(list, word);
}

static void measure_op(const struct state *state, const char *kind, int count)
{
	const bool tasks = !strcmp(kind, "tasks");
	char op[32];
	struct run run = {
		.state = state,
		.kind = tasks && !state->mask ? NO_GROUP : state->kind,
		.op = op,
		.tasks = tasks ? count : 1,
		.groups = tasks ? 1 : count,
	};

	snprintf(op, sizeof(op), "%s_%d", kind, count);
	if (!wanted(only_ops, kind) && !wanted(only_ops, op))
		return;
	/* All states are the default, so one asked for has to be there. */
	if (run.kind == FILTER && !only_states && !class_is_there())
		printf("# no %s of %s: no FAN_CLASS_VFS_FILTER here\n",
		       state->name, op);
	else
		measure_run(&run);
}

static bool known_state(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (!strcmp(states[i].name, word))
			return true;
	return false;
}

static bool known_op(const char *word)
{
	char op[32];

	for (int n = 2; n <= MAX_COUNT; n *= 2) {
		snprintf(op, sizeof(op), "tasks_%d", n);
		if (!strcmp(word, op))
			return true;
		snprintf(op, sizeof(op), "groups_%d", n);
		if (!strcmp(word, op))
			return true;
	}
	return !strcmp(word, "tasks") || !strcmp(word, "groups");
}

static int open_file(int dir, const char *name)
{
	const int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, "x", 1, 0) != 1)
		die("%s", name);
	/* An open file needs no name, and this leaves none behind. */
	if (unlinkat(dir, name, 0))
		die("unlink %s", name);
	return fd;
}

static void open_files(const char *path)
{
	const int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[32];

	if (dir < 0)
		die("%s", path);
	for (int i = 0; i < MAX_COUNT; i++) {
		snprintf(name, sizeof(name), "scale-%d", i);
		files[i] = open_file(dir, name);
	}
	other_file = open_file(dir, "scale-other");
	close(dir);
}

static const char usage[] =
"scale --dir DIR [OPTION...] - operations per second by tasks and groups\n"
"\n"
"	--dir DIR	where to write, on the file system to watch\n"
"	--states LIST	of unwatched, ignored_evictable, post, pre, both, notif,\n"
"			inotify; all that this kernel has by default\n"
"	--ops LIST	of tasks, groups, tasks_N, groups_N; N is 2, 4 ... 64\n"
"	--samples N	for each figure, 5 by default\n"
"	--ms N		for each sample, 300 by default\n"
"	--threads N	that answer for one group, as many as CPUs by default\n";

static void __attribute__((noreturn)) bad_usage(void)
{
	fputs(usage, stderr);
	exit(1);
}

static const char *parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "states", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "samples", required_argument, NULL, 'n' },
		{ "ms", required_argument, NULL, 'm' },
		{ "threads", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	const char *dir = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'd':
			dir = optarg;
			break;
		case 's':
			only_states = optarg;
			list_check(optarg, "states", known_state);
			break;
		case 'o':
			only_ops = optarg;
			list_check(optarg, "ops", known_op);
			break;
		case 'n':
			samples = parse_number(optarg, "samples", 1);
			break;
		case 'm':
			sample_ms = parse_number(optarg, "ms", 1);
			break;
		case 't':
			threads = parse_number(optarg, "threads", 1);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			bad_usage();
		}
	}
	if (!dir || optind < argc)
		bad_usage();
	if (samples > MAX_SAMPLES)
		fail("--samples: at most %d", MAX_SAMPLES);
	return dir;
}

int main(int argc, char **argv)
{
	const int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const char *dir;

	threads = cpus;
	dir = parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	open_files(dir);

	printf("# wall clock, indicative: %d CPUs, %d threads that answer, samples of %d ms\n",
	       cpus, threads, sample_ms);
	for (const struct state *state = states;
	     state < states + ARRAY_LEN(states); state++) {
		if (!wanted(only_states, state->name))
			continue;
		for (int n = 2; n <= MAX_COUNT; n *= 2)
			measure_op(state, "tasks", n);
		for (int n = 2; n <= MAX_COUNT; n *= 2)
			measure_op(state, "groups", n);
	}
	return 0;
}
