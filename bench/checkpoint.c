// SPDX-License-Identifier: GPL-2.0
/*
 * What a checkpoint costs, and what comes before and after it: to drop the
 * ignore masks of many files, to be asked about one for the first time and
 * ignore it from then on, and the memory of a mark. Run it with --help for
 * what it measures.
 *
 * The files are made in a new directory of DIR and left there, for whoever
 * unmounts it: a million are gone sooner that way. DIR is to be on a file
 * system that keeps all of them in memory, as an inode that is forgotten takes
 * its mark with it.
 *
 * Some of these calls sleep. Whatever the machine has left to do then is done
 * by a process that spins at the lowest priority, whose time is subtracted. So
 * nothing that waits is in a figure, and all is that works on behalf of it.
 */

#include <getopt.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "group.h"

#define IGNORE		(FAN_MARK_ADD | FAN_MARK_IGNORE_SURV | \
			 FAN_MARK_EVICTABLE)
#define FLUSH_IGNORE	(FAN_MARK_FLUSH | FAN_MARK_IGNORE)
#define CLASS		(FAN_CLASS_VFS_FILTER | FAN_REPORT_FID | \
			 FAN_UNLIMITED_MARKS | FAN_UNLIMITED_QUEUE)
#define NOTIF		(FAN_CLASS_NOTIF | FAN_REPORT_FID | \
			 FAN_UNLIMITED_MARKS | FAN_UNLIMITED_QUEUE)

/* How many are ignored anew between two flushes of more than these. */
#define REFILL		500

/* Calls of a sample where one is short: who runs meanwhile differs a little. */
#define CALLS		4

/* How many marks are added in all for one figure of those that remove them. */
#define BUDGET		1000000

#define MAX_COUNTS	16
#define PER_DIRECTORY	1000

static struct sampling sampling = SAMPLING_DEFAULT;
static const char *state_list;
static unsigned long counts[MAX_COUNTS] = { 10, 1000, 100000, 1000000 };
static unsigned int n_counts = 4;

static const struct {
	const char *name;
	const char *what;
} states[] = {
	{ "flush", "FAN_MARK_FLUSH | FAN_MARK_IGNORE" },
	{ "flush_sync", "the same with FAN_MARK_SYNC" },
	{ "barrier", "FAN_MARK_BARRIER, until FAN_Q_BARRIER is read" },
	{ "upstream_flush", "FAN_MARK_FLUSH of as many marks of FAN_CLASS_NOTIF" },
	{ "upstream_remove", "FAN_MARK_REMOVE of one of them after the other" },
	{ "first_touch_unwatched", "the same writes with no group, to be compared with" },
	{ "first_touch_response", "asked, and answered by FAN_RESPONSE_IGNORE" },
	{ "first_touch_mark", "asked, an ignore mark made by the file's handle, answered" },
	{ "first_touch_mark_fd", "the same, if a descriptor of the file is at hand" },
	{ "first_touch_upstream", "FAN_PRE_ACCESS, the mark made by the descriptor that comes with it" },
	{ "mark_add", "an ignore mark by name and by descriptor, in a group of the class" },
	{ "upstream_mark_add", "the same in one of FAN_CLASS_NOTIF" },
	{ "memory", "bytes of an inode, an ignore mark of it, and what connects them;\n"
	  "                        makes 5000 files for each sample" },
};

static bool wanted(const char *state)
{
	return !state_list || list_has(state_list, state);
}

/* What is left of an earlier sample is to be done before the next. */
static void settle(unsigned int ms)
{
	if (usleep(ms * 1000))
		die("usleep");
}

/* --------------------------------- files --------------------------------- */

static unsigned long files_made;

/* Without printf(), which would cost a tenth of what is measured. */
static const char *name_of(unsigned long i)
{
	static char name[] = "0000/000";
	unsigned long dir = i / PER_DIRECTORY, file = i % PER_DIRECTORY;

	for (int digit = 3; digit >= 0; digit--, dir /= 10)
		name[digit] = '0' + dir % 10;
	for (int digit = 7; digit >= 5; digit--, file /= 10)
		name[digit] = '0' + file % 10;
	return name;
}

static void make_files(unsigned long to)
{
	for (; files_made < to; files_made++) {
		const char *name = name_of(files_made);
		char dir[8];

		if (files_made % PER_DIRECTORY == 0) {
			snprintf(dir, sizeof(dir), "%.4s", name);
			if (mkdir(dir, 0700))
				die("mkdir %s", dir);
		}
		if (mknod(name, S_IFREG | 0600, 0))
			die("mknod %s", name);
	}
}

static void ignore_files(int fd, unsigned long from, unsigned long to)
{
	for (unsigned long i = from; i < to; i++)
		group_mark(fd, IGNORE, FAN_MODIFY, AT_FDCWD, name_of(i));
}

/* ------------------------- time without what is idle ---------------------- */

static clockid_t idle_clock;

static void spin_start(void)
{
	const struct sched_param param = { };
	cpu_set_t cpus;
	pid_t pid;

	/* What is subtracted has to be of the same CPU. */
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");

	pid = spawn();
	if (!pid) {
		if (sched_setscheduler(0, SCHED_IDLE, &param))
			die("sched_setscheduler");
		for (;;)
			;
	}
	errno = clock_getcpuclockid(pid, &idle_clock);
	if (errno)
		die("clock_getcpuclockid");
}

static unsigned long long idle_ns(void)
{
	struct timespec t;

	if (clock_gettime(idle_clock, &t))
		die("clock_gettime of the process that spins");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static double busy_time(void (*work)(void))
{
	const unsigned long long idle = idle_ns(), start = now_ns();
	unsigned long long end;

	work();
	end = now_ns();
	return (double)(end - start) - (idle_ns() - idle);
}

static void no_work(void)
{
}

/* What busy_time() costs by itself. */
static double busy_cost(void)
{
	double best = busy_time(no_work);

	for (int i = 0; i < 16; i++) {
		const double cost = busy_time(no_work);

		if (cost < best)
			best = cost;
	}
	return best;
}

/* ------------------------------- checkpoints ------------------------------ */

static int group;
static unsigned long count;	/* of ignored inodes */

static void flush(void)
{
	group_mark(group, FLUSH_IGNORE, 0, AT_FDCWD, ".");
}

static void flush_sync(void)
{
	group_mark(group, FLUSH_IGNORE | FAN_MARK_SYNC, 0, AT_FDCWD, ".");
}

static void barrier(void)
{
	const struct fanotify_event_metadata *event = (void *)group_buf;

	group_mark(group, FAN_MARK_BARRIER, 0, AT_FDCWD, ".");
	if (read(group, group_buf, sizeof(group_buf)) < (ssize_t)sizeof(*event))
		die("read the barrier");
	if (event->mask != FAN_Q_BARRIER)
		fail("the event is not a barrier, but %#llx",
		     (unsigned long long)event->mask);
}

static void upstream_flush(void)
{
	group_mark(group, FAN_MARK_FLUSH, 0, AT_FDCWD, ".");
}

static void upstream_remove(void)
{
	for (unsigned long i = 0; i < count; i++)
		group_mark(group, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV,
			   FAN_MODIFY, AT_FDCWD, name_of(i));
}

/*
 * Before the first call all @count are ignored. Before each of the others that
 * @refill of them are ignored again, as they would be after a checkpoint. What
 * earlier calls have left to others takes @rest milliseconds.
 */
struct checkpoint {
	const char *state;
	void (*work)(void);
	unsigned long refill;
	unsigned int samples, calls, rest;
};

static void checkpoints(const struct checkpoint *c)
{
	const double cost = busy_cost();
	double values[MAX_SAMPLES];
	bool first = true;
	char op[32];

	if (!wanted(c->state))
		return;
	for (unsigned int i = 0; i < c->samples; i++) {
		values[i] = 0;
		for (unsigned int call = 0; call < c->calls; call++) {
			ignore_files(group, 0, first ? count : c->refill);
			first = false;
			settle(c->rest);
			values[i] += busy_time(c->work) - cost;
		}
		values[i] /= c->calls;
	}
	snprintf(op, sizeof(op), "%lu", count);
	print_figure(c->state, op, sampling.unit, values, c->samples);
}

static bool any_wanted(const char *a, const char *b, const char *c)
{
	return wanted(a) || wanted(b) || (c && wanted(c));
}

static void checkpoints_of_class(void)
{
	unsigned long refill;
	unsigned int samples = sampling.samples;

	if (!any_wanted("flush", "flush_sync", "barrier"))
		return;
	group = group_open(CLASS);
	group_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		   FAN_PRE(FAN_MODIFY), AT_FDCWD, ".");
	for (unsigned int i = 0; i < n_counts; i++) {
		count = counts[i];
		refill = count < REFILL ? count : REFILL;
		make_files(count);
		checkpoints(&(struct checkpoint) {
			"flush", flush, refill, samples, 1, 0 });
		checkpoints(&(struct checkpoint) {
			"flush_sync", flush_sync, refill, samples, CALLS, 1 });
		/* It drops nothing. */
		checkpoints(&(struct checkpoint) {
			"barrier", barrier, 0, samples, CALLS, 1 });
	}
	group_close(group);
}

/* Here all marks are gone after a sample, and are made anew. */
static void checkpoints_upstream(void)
{
	unsigned long samples;

	if (!any_wanted("upstream_flush", "upstream_remove", NULL))
		return;
	group = group_open(NOTIF);
	group_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
		   AT_FDCWD, ".");
	for (unsigned int i = 0; i < n_counts; i++) {
		count = counts[i];
		make_files(count);
		samples = BUDGET / count;
		if (samples < 2)
			samples = 2;
		if (samples > sampling.samples)
			samples = sampling.samples;
		checkpoints(&(struct checkpoint) {
			"upstream_flush", upstream_flush, count, samples, 1,
			50 });
		checkpoints(&(struct checkpoint) {
			"upstream_remove", upstream_remove, count, samples, 1,
			50 });
	}
	group_close(group);
}

/* ------------------------------- first touch ------------------------------ */

#define TOUCHED		500

/* Of each process its own, as what is open to it depends on when it was opened. */
static int touch_fds[TOUCHED];
static unsigned int touch_next;
static int touch_dir;

/* What the process that touches has to say. */
static struct touch_times {
	double first;
	double again;
} *touch_times;

static const char *touch_name(unsigned int i)
{
	static char name[] = "touch-000";

	for (int digit = 8; digit >= 6; digit--, i /= 10)
		name[digit] = '0' + i % 10;
	return name;
}

static void touch_make(void)
{
	for (unsigned int i = 0; i < TOUCHED; i++) {
		const char *name = touch_name(i);

		touch_fds[i] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (touch_fds[i] < 0)
			die("open %s", name);
		/* So that there is a block, and it is dirty. */
		if (pwrite(touch_fds[i], "", 1, 0) != 1)
			die("write %s", name);
	}
}

/* To be done after the marks, or nothing would be told of these descriptors. */
static void touch_open(void)
{
	for (unsigned int i = 0; i < TOUCHED; i++) {
		const char *name = touch_name(i);

		if (close(touch_fds[i]))
			die("close %s", name);
		touch_fds[i] = open(name, O_RDWR | O_CLOEXEC);
		if (touch_fds[i] < 0)
			die("open %s", name);
	}
}

static void touch(void)
{
	if (pwrite(touch_fds[touch_next], "", 1, 0) != 1)
		die("pwrite");
	touch_next = (touch_next + 1) % TOUCHED;
}

static void answer_by_response(int fd,
			       const struct fanotify_event_metadata *event)
{
	++*group_answered;
	answer(fd, event, FAN_ALLOW | FAN_RESPONSE_IGNORE);
}

/* The record of the file's handle. */
static struct file_handle *
event_handle(const struct fanotify_event_metadata *event)
{
	const char *pos = (const char *)(event + 1);
	const char *end = (const char *)event + event->event_len;

	while (pos < end) {
		const struct fanotify_event_info_fid *fid = (const void *)pos;

		if (fid->hdr.info_type == FAN_EVENT_INFO_TYPE_FID)
			return (struct file_handle *)fid->handle;
		pos += fid->hdr.len;
	}
	fail("an event has no handle of its file");
}

static void answer_by_mark(int fd, const struct fanotify_event_metadata *event)
{
	const int file = open_by_handle_at(touch_dir, event_handle(event),
					   O_RDONLY | O_CLOEXEC);

	if (file < 0)
		die("open_by_handle_at");
	group_mark(fd, IGNORE, FAN_MODIFY, file, NULL);
	if (close(file))
		die("close");
	++*group_answered;
	answer(fd, event, FAN_ALLOW);
}

/* Questions come in the order of the files. */
static void answer_by_mark_fd(int fd,
			      const struct fanotify_event_metadata *event)
{
	group_mark(fd, IGNORE, FAN_MODIFY, touch_fds[touch_next], NULL);
	touch_next = (touch_next + 1) % TOUCHED;
	++*group_answered;
	answer(fd, event, FAN_ALLOW);
}

static void answer_upstream(int fd, const struct fanotify_event_metadata *event)
{
	group_mark(fd, IGNORE, FAN_PRE_ACCESS, event->fd, NULL);
	answer_older(fd, event);
}

static const struct touch {
	const char *state;
	unsigned int init;
	__u64 mask;
	answer_fn answer;
	unsigned int flush;
} touches[] = {
	{
		"first_touch_unwatched", 0, 0, NULL, 0,
	}, {
		"first_touch_response", CLASS, FAN_PRE(FAN_MODIFY),
		answer_by_response, FLUSH_IGNORE,
	}, {
		"first_touch_mark", CLASS, FAN_PRE(FAN_MODIFY),
		answer_by_mark, FLUSH_IGNORE,
	}, {
		"first_touch_mark_fd", CLASS, FAN_PRE(FAN_MODIFY),
		answer_by_mark_fd, FLUSH_IGNORE,
	}, {
		"first_touch_upstream",
		FAN_CLASS_PRE_CONTENT | FAN_UNLIMITED_MARKS, FAN_PRE_ACCESS,
		answer_upstream, FAN_MARK_FLUSH,
	},
};

/* Touches each file once; so many of them are to be asked about. */
static double touch_all(const struct touch *t, unsigned int asked)
{
	const unsigned long before = t->answer ? *group_answered : 0;
	unsigned long answered;
	double time;

	/* Or a file that was written in this tick would not get another time. */
	settle(10);
	time = (double)time_steps(touch, TOUCHED) / TOUCHED - loop_cost();
	answered = t->answer ? *group_answered - before : asked;
	if (answered != asked)
		fail("%s: %lu of %d files were asked about, not %u", t->state,
		     answered, TOUCHED, asked);
	return time;
}

/* Each file for the first time, ignored, and once more after a checkpoint. */
static void touch_work(const struct touch *t, int fd)
{
	touch_open();
	touch_times->first = touch_all(t, TOUCHED);
	touch_all(t, 0);
	if (t->answer)
		group_mark(fd, t->flush, 0, AT_FDCWD, ".");
	touch_times->again = touch_all(t, TOUCHED);
	touch_all(t, 0);
}

/* A group of its own for each sample, so that each mark is a new one. */
static struct touch_times touch_sample(const struct touch *t)
{
	pid_t worker, answerer = 0;
	int fd = -1;

	if (t->answer) {
		fd = group_open(t->init);
		group_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, t->mask,
			   AT_FDCWD, ".");
		answerer = spawn_answerer(fd, t->answer);
	}
	worker = spawn();
	if (!worker) {
		touch_work(t, fd);
		exit(0);
	}
	reap_worker(worker, answerer);
	if (t->answer)
		group_close(fd);
	settle(200);
	return *touch_times;
}

static void first_touches(void)
{
	double first[MAX_SAMPLES], again[MAX_SAMPLES];

	for (size_t i = 0; i < ARRAY_LEN(touches); i++) {
		const struct touch *t = &touches[i];

		if (!wanted(t->state))
			continue;
		/* The first one is not counted, it warms up. */
		touch_sample(t);
		for (unsigned int s = 0; s < sampling.samples; s++) {
			const struct touch_times times = touch_sample(t);

			first[s] = times.first;
			again[s] = times.again;
		}
		print_figure(t->state, "pwrite_1", sampling.unit, first,
			     sampling.samples);
		print_figure(t->state, "pwrite_1_again", sampling.unit, again,
			     sampling.samples);
	}
}

static void first_touch_prepare(void)
{
	const struct rlimit limit = { 3 * TOUCHED, 3 * TOUCHED };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	touch_times = mmap(NULL, sizeof(*touch_times), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (touch_times == MAP_FAILED)
		die("mmap");
	touch_dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (touch_dir < 0)
		die("open the directory");
	touch_make();
}

/* ---------------------------------- marks --------------------------------- */

static void add_by_name(void)
{
	group_mark(group, IGNORE, FAN_MODIFY, AT_FDCWD, touch_name(touch_next));
	touch_next = (touch_next + 1) % TOUCHED;
}

static void add_by_fd(void)
{
	group_mark(group, IGNORE, FAN_MODIFY, touch_fds[touch_next], NULL);
	touch_next = (touch_next + 1) % TOUCHED;
}

/* Each a mark of an inode that has none. */
static void mark_add_by(const char *state, const char *op, unsigned int init,
			step_fn add)
{
	double values[MAX_SAMPLES];

	touch_next = 0;
	for (unsigned int i = 0; i < sampling.samples; i++) {
		group = group_open(init);
		values[i] = (double)time_steps(add, TOUCHED) / TOUCHED -
			    loop_cost();
		group_close(group);
		settle(200);
	}
	print_figure(state, op, sampling.unit, values, sampling.samples);
}

static void mark_add(const char *state, unsigned int init)
{
	if (!wanted(state))
		return;
	mark_add_by(state, "evictable_ignore", init, add_by_name);
	mark_add_by(state, "evictable_ignore_fd", init, add_by_fd);
}

/*
 * Bytes of the objects in use of all slab caches whose names end in @suffix:
 * whole slabs by the number of objects that are in one.
 */
static double slab_bytes(const char *suffix)
{
	unsigned long active, total, size, per_slab, pages;
	char line[512], name[128];
	double bytes = 0;
	bool seen = false;
	size_t len;
	FILE *f;

	f = fopen("/proc/slabinfo", "re");
	if (!f)
		die("/proc/slabinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%127s %lu %lu %lu %lu %lu", name, &active,
			   &total, &size, &per_slab, &pages) != 6 || !per_slab)
			continue;
		len = strlen(name);
		if (len < strlen(suffix) ||
		    strcmp(name + len - strlen(suffix), suffix))
			continue;
		bytes += (double)active * pages * getpagesize() / per_slab;
		seen = true;
	}
	fclose(f);
	if (!seen)
		fail("/proc/slabinfo: no cache %s", suffix);
	return bytes;
}

static const struct {
	const char *op;
	const char *cache;
} slabs[] = {
	{ "inode", "inode_cache" },
	{ "mark", "fanotify_mark" },
	{ "connector", "fsnotify_inode_mark_connector" },
};

/*
 * Files are made and ignored in as many steps as there are samples, after one
 * that takes what is free in slabs that are there.
 */
static void memory(void)
{
	double values[ARRAY_LEN(slabs)][MAX_SAMPLES];
	double before[ARRAY_LEN(slabs)];
	const unsigned long n = 5000;

	if (!wanted("memory"))
		return;
	group = group_open(CLASS);
	make_files(n);
	ignore_files(group, 0, n);
	for (unsigned int s = 0; s < sampling.samples; s++) {
		const unsigned long from = files_made;

		for (size_t i = 0; i < ARRAY_LEN(slabs); i++)
			before[i] = slab_bytes(slabs[i].cache);
		make_files(from + n);
		ignore_files(group, from, from + n);
		for (size_t i = 0; i < ARRAY_LEN(slabs); i++)
			values[i][s] = (slab_bytes(slabs[i].cache) -
					before[i]) / n;
	}
	group_close(group);
	settle(200);
	for (size_t i = 0; i < ARRAY_LEN(slabs); i++)
		print_figure("memory", slabs[i].op, "bytes", values[i],
			     sampling.samples);
}

/* -------------------------------- arguments ------------------------------- */

static bool known_state(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (!strcmp(name, states[i].name))
			return true;
	return false;
}

static void parse_counts(char *list)
{
	char *word;

	n_counts = 0;
	while ((word = strsep(&list, ","))) {
		if (n_counts == MAX_COUNTS)
			fail("--counts: at most %d", MAX_COUNTS);
		counts[n_counts] = parse_number(word, "counts", 1);
		if (counts[n_counts] > 10000UL * PER_DIRECTORY)
			fail("--counts: at most %lu", 10000UL * PER_DIRECTORY);
		n_counts++;
	}
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: checkpoint --dir DIR [--states LIST] [--counts LIST]\n"
		"\n"
		"  --dir DIR      where files are made, and left\n"
		"  --states LIST  of those below, with commas; all by default\n"
		"  --counts LIST  how many inodes are ignored at a checkpoint; by default\n"
		"                 10,1000,100000,1000000\n"
		"  --samples N    of each figure, 12 by default; fewer where %d or more\n"
		"                 marks would have to be made for them\n"
		"  --unit NAME    of what is printed, instructions by default\n"
		"\n"
		"States:\n", BUDGET);
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		fprintf(out, "  %-22s%s\n", states[i].name, states[i].what);
}

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "states", required_argument, NULL, 's' },
	{ "counts", required_argument, NULL, 'c' },
	{ "samples", required_argument, NULL, 'n' },
	{ "unit", required_argument, NULL, 'u' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

int main(int argc, char **argv)
{
	const char *dir = NULL;
	char here[64];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			dir = optarg;
			break;
		case 's':
			state_list = optarg;
			list_check(optarg, "states", known_state);
			break;
		case 'c':
			parse_counts(optarg);
			break;
		case 'n':
			sampling.samples = parse_number(optarg, "samples", 1);
			if (sampling.samples > MAX_SAMPLES)
				fail("--samples: at most %d", MAX_SAMPLES);
			break;
		case 'u':
			sampling.unit = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 1;
		}
	}
	if (!dir || optind != argc) {
		usage(stderr);
		return 1;
	}

	if (chdir(dir))
		die("%s", dir);
	snprintf(here, sizeof(here), "checkpoint.%d", getpid());
	if (mkdir(here, 0700) || chdir(here))
		die("%s/%s", dir, here);

	/* Before anything spins: two are ready to run all the time then. */
	first_touch_prepare();
	first_touches();
	mark_add("mark_add", CLASS);
	mark_add("upstream_mark_add", NOTIF);
	memory();

	spin_start();
	checkpoints_of_class();
	checkpoints_upstream();
	return 0;
}
