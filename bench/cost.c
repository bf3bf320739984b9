// SPDX-License-Identifier: GPL-2.0
/*
 * What an operation costs whose file is in a state of interest: watched by
 * nobody, watched elsewhere, ignored, told of, asked about. Run it without
 * arguments for the list of states.
 *
 * Each figure has a group of its own, with no mark but those for the events of
 * the one operation, and files that were opened after that. What is to be told
 * or asked is counted, so that no figure is that of another state.
 *
 * With --label nothing is watched by this program: it does the operations
 * where someone else has set up something, and prints them under that name.
 */

#include <getopt.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "group.h"
#include "ops.h"

/* Who reads what is told. */
enum reader {
	NOBODY,		/* there is nothing to be read */
	ITSELF,		/* the process of the operation, after each */
	ANOTHER,	/* a process that waits for it, and answers at once */
};

enum where {
	FILE_SYSTEM,
	OTHER_FILE_SYSTEM,
	OTHER_FILE,
};

struct state {
	const char *name;
	const char *what;
	bool group;		/* it is one of fanotify */
	unsigned int init;
	__u64 (*mask)(const struct op *op);	/* 0: there is no such event */
	enum where where;
	unsigned int ignore;	/* flags of the ignore mark of the inode, or 0 */
	enum reader reader;
	answer_fn answer;
};

#define IGNORE		(FAN_MARK_ADD | FAN_MARK_IGNORE_SURV)
#define CLASS		(FAN_CLASS_VFS_FILTER | FAN_REPORT_FID)
#define NOTIF		(FAN_CLASS_NOTIF | FAN_REPORT_FID)

static const char *other_fs = "/tmp";
static const char *label;
static struct sampling sampling = SAMPLING_DEFAULT;

/* --------------------------------- masks --------------------------------- */

static __u64 plain(const struct op *op)
{
	return op->events;
}

/* Marks that nothing comes of can be for all that there is. */
static __u64 elsewhere(const struct op *op)
{
	return op->events ?: FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN;
}

static __u64 pre(const struct op *op)
{
	return FAN_PRE(op->events);
}

static __u64 post(const struct op *op)
{
	return FAN_POST(op->events);
}

static __u64 pre_access(const struct op *op)
{
	return op->events & (FAN_ACCESS | FAN_MODIFY) ? FAN_PRE_ACCESS : 0;
}

static __u64 access_perm(const struct op *op)
{
	return op->events & FAN_ACCESS ? FAN_ACCESS_PERM : 0;
}

static __u64 open_perm(const struct op *op)
{
	return op->events & FAN_OPEN ? FAN_OPEN_PERM : 0;
}

static __u64 inotify_mask(const struct op *op)
{
	return op->inotify;
}

/* --------------------------------- states -------------------------------- */

static const struct state states[] = {
	{
		.name = "unwatched",
		.what = "no group is there",
	}, {
		.name = "other_fs",
		.what = "a group of the class watches another file system",
		.group = true, .init = CLASS, .mask = elsewhere,
		.where = OTHER_FILE_SYSTEM,
	}, {
		.name = "other_file",
		.what = "it watches another file of this one",
		.group = true, .init = CLASS, .mask = elsewhere,
		.where = OTHER_FILE,
	}, {
		.name = "ignored",
		.what = "it watches the file system, PRE and POST, and ignores the inode",
		.group = true, .init = CLASS, .mask = plain, .ignore = IGNORE,
	}, {
		.name = "ignored_evictable",
		.what = "the same with a mark that does not pin the inode",
		.group = true, .init = CLASS, .mask = plain,
		.ignore = IGNORE | FAN_MARK_EVICTABLE,
	}, {
		.name = "pre",
		.what = "it asks before, another process answers",
		.group = true, .init = CLASS, .mask = pre,
		.reader = ANOTHER, .answer = answer_class,
	}, {
		.name = "post",
		.what = "it tells afterwards, the same process reads that",
		.group = true, .init = CLASS, .mask = post, .reader = ITSELF,
	}, {
		.name = "both",
		.what = "it asks and tells, another process reads and answers",
		.group = true, .init = CLASS, .mask = plain,
		.reader = ANOTHER, .answer = answer_class,
	}, {
		.name = "inotify",
		.what = "a watch of the inode, the same process reads its event",
		.mask = inotify_mask, .reader = ITSELF,
	}, {
		.name = "notif",
		.what = "FAN_CLASS_NOTIF with FAN_REPORT_FID, as above",
		.group = true, .init = NOTIF, .mask = plain, .reader = ITSELF,
	}, {
		.name = "notif_name",
		.what = "FAN_CLASS_NOTIF with FAN_REPORT_DFID_NAME, as above",
		.group = true, .init = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME,
		.mask = plain, .reader = ITSELF,
	}, {
		.name = "notif_ignored",
		.what = "FAN_CLASS_NOTIF with FAN_REPORT_FID, the inode ignored, evictable",
		.group = true, .init = NOTIF, .mask = plain,
		.ignore = IGNORE | FAN_MARK_EVICTABLE,
	}, {
		.name = "notif_other_file",
		.what = "FAN_CLASS_NOTIF with FAN_REPORT_FID, for another file",
		.group = true, .init = NOTIF, .mask = elsewhere,
		.where = OTHER_FILE,
	}, {
		.name = "pre_access",
		.what = "FAN_CLASS_PRE_CONTENT with FAN_PRE_ACCESS, another process answers",
		.group = true, .init = FAN_CLASS_PRE_CONTENT,
		.mask = pre_access, .reader = ANOTHER, .answer = answer_older,
	}, {
		.name = "access_perm",
		.what = "FAN_CLASS_PRE_CONTENT with FAN_ACCESS_PERM, as above",
		.group = true, .init = FAN_CLASS_PRE_CONTENT,
		.mask = access_perm, .reader = ANOTHER, .answer = answer_older,
	}, {
		.name = "open_perm",
		.what = "FAN_CLASS_PRE_CONTENT with FAN_OPEN_PERM, as above",
		.group = true, .init = FAN_CLASS_PRE_CONTENT,
		.mask = open_perm, .reader = ANOTHER, .answer = answer_older,
	},
};

/* What the event of @op is about: the file, or the directory it is in. */
static const char *object_of(const struct op *op)
{
	return op->entry ? "." : OPS_FILE;
}

static int watch_by_inotify(const struct op *op)
{
	const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		die("inotify_init1");
	if (inotify_add_watch(fd, object_of(op), op->inotify) < 0)
		die("inotify_add_watch %s", object_of(op));
	return fd;
}

static int watch_by_fanotify(const struct state *state, const struct op *op)
{
	const __u64 mask = state->mask(op);
	unsigned int flags = 0;
	int fd;

	/* Who reads its own events never waits: they are there, or it is an error. */
	if (state->reader != ANOTHER)
		flags = FAN_NONBLOCK;
	fd = group_open(state->init | flags);
	switch (state->where) {
	case FILE_SYSTEM:
		group_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask,
			   AT_FDCWD, ".");
		break;
	case OTHER_FILE_SYSTEM:
		group_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask,
			   AT_FDCWD, other_fs);
		break;
	case OTHER_FILE:
		group_mark(fd, FAN_MARK_ADD, mask, AT_FDCWD,
			   op->entry ? OPS_DIR : OPS_OTHER);
		break;
	}
	if (state->ignore)
		group_mark(fd, state->ignore, mask, AT_FDCWD, object_of(op));
	return fd;
}

/* Returns the descriptor of what watches, or -1. */
static int watch(const struct state *state, const struct op *op)
{
	if (!state || !state->mask)
		return -1;
	if (!state->group)
		return watch_by_inotify(op);
	return watch_by_fanotify(state, op);
}

/* -------------------------------- measuring ------------------------------ */

static const struct op *run_op;
static int run_fd;

/* The operation, and the reading of what it has raised. */
static void run_and_read(void)
{
	run_op->run();
	if (read(run_fd, group_buf, sizeof(group_buf)) <= 0)
		die("%s: read the event", run_op->name);
}

/* Whatever the setup of the operation has raised. */
static void drain(void)
{
	while (read(run_fd, group_buf, sizeof(group_buf)) > 0)
		;
	if (errno != EAGAIN)
		die("read from a group");
}

static void expect_silence(const char *name)
{
	if (read(run_fd, group_buf, sizeof(group_buf)) >= 0)
		fail("%s, %s: there was an event", name, run_op->name);
	if (errno != EAGAIN)
		die("read from a group");
}

static void expect_answered(const char *name, unsigned long before)
{
	const unsigned long answered = *group_answered - before;
	const unsigned long asked = steps_made * run_op->asks;

	if (answered != asked)
		fail("%s, %s: %lu times asked, not %lu", name, run_op->name,
		     answered, asked);
}

/* The life of the process that does the operations. */
static void work(const struct state *state, const char *name)
{
	const enum reader reader = state ? state->reader : NOBODY;
	unsigned long answered;

	if (run_op->setup)
		run_op->setup();
	if (run_fd >= 0 && reader == ITSELF)
		drain();
	answered = reader == ANOTHER ? *group_answered : 0;
	steps_made = 0;
	sampling.period = run_op->period ?: 1;
	measure(&sampling, name, run_op->name,
		reader == ITSELF ? run_and_read : run_op->run);
	if (run_fd >= 0 && reader != ANOTHER)
		expect_silence(name);
	if (reader == ANOTHER)
		expect_answered(name, answered);
	if (run_op->teardown)
		run_op->teardown();
}

/*
 * What is written back, and what the marks of the last figure have left to be
 * freed, is to be done before this one.
 */
static void settle(unsigned int ms)
{
	const int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die("open the directory");
	if (syncfs(fd))
		die("syncfs");
	if (close(fd))
		die("close the directory");
	if (usleep(ms * 1000))
		die("usleep");
}

static void figure(const struct state *state, const struct op *op)
{
	const char *name = state ? state->name : label;
	pid_t worker, answerer = 0;

	if (state && state->mask && !state->mask(op)) {
		printf("# %s: there is no event of %s for this\n", name,
		       op->name);
		return;
	}
	settle(100);
	run_op = op;
	run_fd = watch(state, op);
	if (state && state->reader == ANOTHER)
		answerer = spawn_answerer(run_fd, state->answer);
	worker = spawn();
	if (!worker) {
		work(state, name);
		exit(0);
	}
	reap_worker(worker, answerer);
	if (run_fd >= 0)
		group_close(run_fd);
}

static void figures_of(const struct state *state, const char *op_list)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (!op_list || list_has(op_list, ops[i].name))
			figure(state, &ops[i]);
}

/* One state after the other, so that the first one, unwatched, is first. */
static void figures(const char *state_list, const char *op_list)
{
	if (label) {
		figures_of(NULL, op_list);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (!state_list || list_has(state_list, states[i].name))
			figures_of(&states[i], op_list);
}

/* -------------------------------- arguments ------------------------------ */

static bool known_op(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (!strcmp(name, ops[i].name))
			return true;
	return false;
}

static bool known_state(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (!strcmp(name, states[i].name))
			return true;
	return false;
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: cost --dir DIR [--states LIST | --label NAME] [--ops LIST]\n"
		"\n"
		"  --dir DIR        where the files of the operations are made\n"
		"  --other-fs DIR   a directory of another file system, /tmp by default\n"
		"  --states LIST    of those below, with commas; all by default. The one\n"
		"                   that nobody watches is to be on a fresh mount, for a\n"
		"                   file system remembers that it was watched\n"
		"  --label NAME     no state: run the operations and print them as NAME\n"
		"  --ops LIST       of those below; all by default\n"
		"  --samples N      of each figure, 12 by default\n"
		"  --batch N        steps of a sample, about; as many as take 8 ms by default\n"
		"  --length MS      instead of those 8\n"
		"  --unit NAME      of what is printed, instructions by default\n"
		"\n"
		"States:\n");
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		fprintf(out, "  %-19s%s\n", states[i].name, states[i].what);
	fprintf(out, "\nOperations:\n ");
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		fprintf(out, " %s", ops[i].name);
	fprintf(out, "\n");
}

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "other-fs", required_argument, NULL, 'f' },
	{ "states", required_argument, NULL, 's' },
	{ "label", required_argument, NULL, 'l' },
	{ "ops", required_argument, NULL, 'o' },
	{ "samples", required_argument, NULL, 'n' },
	{ "batch", required_argument, NULL, 'b' },
	{ "length", required_argument, NULL, 't' },
	{ "unit", required_argument, NULL, 'u' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

/* It is used from within @dir, so it must not depend on where that is. */
static void find_other_fs(const char *dir)
{
	struct stat here, there;
	char *path = realpath(other_fs, NULL);

	if (!path)
		die("%s", other_fs);
	if (stat(dir, &here))
		die("%s", dir);
	if (stat(path, &there))
		die("%s", path);
	if (here.st_dev == there.st_dev)
		fail("--other-fs: %s is on the file system of %s", other_fs,
		     dir);
	other_fs = path;
}

int main(int argc, char **argv)
{
	const char *dir = NULL, *state_list = NULL, *op_list = NULL;
	char here[64];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			dir = optarg;
			break;
		case 'f':
			other_fs = optarg;
			break;
		case 's':
			state_list = optarg;
			list_check(optarg, "states", known_state);
			break;
		case 'l':
			label = optarg;
			break;
		case 'o':
			op_list = optarg;
			list_check(optarg, "ops", known_op);
			break;
		case 'n':
			sampling.samples = parse_number(optarg, "samples", 1);
			if (sampling.samples > MAX_SAMPLES)
				fail("--samples: at most %d", MAX_SAMPLES);
			break;
		case 'b':
			sampling.batch = parse_number(optarg, "batch", 1);
			break;
		case 't':
			sampling.length = 1000000ULL *
					  parse_number(optarg, "length", 1);
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
	if (!dir || optind != argc || (label && state_list)) {
		usage(stderr);
		return 1;
	}
	if (!label && (!state_list || list_has(state_list, "other_fs")))
		find_other_fs(dir);

	if (chdir(dir))
		die("%s", dir);
	snprintf(here, sizeof(here), "cost.%d", getpid());
	if (mkdir(here, 0700) || chdir(here))
		die("%s/%s", dir, here);
	files_make();

	/* What a machine does that was booted for this alone. */
	settle(3000);
	figures(state_list, op_list);
	files_remove();
	if (chdir("..") || rmdir(here))
		die("rmdir %s/%s", dir, here);
	return 0;
}
