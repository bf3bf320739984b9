/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The stressors of stress-ng that change files, in families that run at the
 * same time. Each has a directory to itself, so a path that is missing says
 * whose it is.
 */

#ifndef __STRESSORS_H
#define __STRESSORS_H

#include <stdarg.h>

#include "event.h"

struct stressor {
	const char *name;
	const char *ops;	/* "bogo operations", after which it ends */
	const char *more[4];	/* options, to keep what it does small */
};

#define MAX_STRESSORS	16

#define STRESSOR(name, ops, ...) { name, ops, { __VA_ARGS__ } }

/* A family at a time, as to start them takes longer than what they do here. */
static const struct family {
	const char *name;
	struct stressor stressors[MAX_STRESSORS];
} families[] = {
	{
		"contents", {
			STRESSOR("copy-file", "4"),
			STRESSOR("fallocate", "20", "--fallocate-bytes", "1M"),
			STRESSOR("fsize", "10"),
			STRESSOR("hdd", "50", "--hdd-bytes", "1M",
				 "--hdd-write-size", "4K"),
			STRESSOR("iomix", "20", "--iomix-bytes", "1M"),
			STRESSOR("pseek", "50"),
			STRESSOR("readahead", "10", "--readahead-bytes", "1M"),
			STRESSOR("revio", "50", "--revio-bytes", "1M"),
			STRESSOR("seek", "50", "--seek-size", "1M"),
		},
	}, {
		"mappings and rings", {
			STRESSOR("aio", "50"),
			STRESSOR("aiol", "50"),
			STRESSOR("io-uring", "50"),
			STRESSOR("mmap", "5", "--mmap-file",
				 "--mmap-bytes", "64K"),
			STRESSOR("msync", "20", "--msync-bytes", "1M"),
			STRESSOR("msyncmany", "1"),
		},
	}, {
		"attributes", {
			STRESSOR("access", "10"),
			STRESSOR("chattr", "5"),
			STRESSOR("chmod", "5"),
			STRESSOR("chown", "20"),
			STRESSOR("fiemap", "5", "--fiemap-bytes", "1M"),
			STRESSOR("file-ioctl", "10"),
			STRESSOR("inode-flags", "5"),
			STRESSOR("umask", "1"),
			STRESSOR("utime", "50"),
			STRESSOR("xattr", "1"),
		},
	}, {
		"names", {
			STRESSOR("chdir", "10", "--chdir-dirs", "64"),
			STRESSOR("dentry", "100", "--dentries", "64"),
			STRESSOR("dir", "10", "--dir-dirs", "64"),
			STRESSOR("dirmany", "50"),
			STRESSOR("filename", "10"),
			STRESSOR("link", "1"),
			STRESSOR("metamix", "5", "--metamix-bytes", "64K"),
			STRESSOR("mknod", "50"),
			STRESSOR("open", "50", "--open-max", "64"),
			STRESSOR("rename", "100"),
			STRESSOR("symlink", "1"),
			STRESSOR("touch", "50"),
			STRESSOR("unlink", "1"),
		},
	},
};

/* How long a family can run, for machines that are emulated. */
#define FAMILY_SECONDS	"6"

#define STRESSOR_DIR	"tmp-stress-ng-"

/* That which runs, and which of it have made their directories. */
static const struct family *family;
static bool stressor_seen[MAX_STRESSORS];

static void note_stressor(const struct event *ev)
{
	const struct stressor *s;
	size_t len;

	if (!family || !(ev->records & RECORD_NAME) ||
	    strncmp(ev->name, STRESSOR_DIR, strlen(STRESSOR_DIR)))
		return;
	for (int i = 0; i < MAX_STRESSORS && family->stressors[i].name; i++) {
		s = &family->stressors[i];
		len = strlen(s->name);
		if (!strncmp(ev->name + strlen(STRESSOR_DIR), s->name, len) &&
		    ev->name[strlen(STRESSOR_DIR) + len] == '-')
			stressor_seen[i] = true;
	}
}

#define MAX_ARGS	(16 + 8 * MAX_STRESSORS)
#define ARG_SIZE	32

struct command {
	int argc;
	char *argv[MAX_ARGS];
	char args[MAX_ARGS][ARG_SIZE];
};

__attribute__((format(printf, 2, 3)))
static void command_add(struct command *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->args[c->argc], ARG_SIZE, format, args);
	va_end(args);
	c->argv[c->argc] = c->args[c->argc];
	c->argc++;
}

static void command_make(struct command *c, unsigned int seed)
{
	command_add(c, "stress-ng");
	command_add(c, "--quiet");
	command_add(c, "--temp-path");
	command_add(c, ".");
	command_add(c, "--seed");
	command_add(c, "%u", seed);
	command_add(c, "--timeout");
	command_add(c, FAMILY_SECONDS);
	for (int i = 0; i < MAX_STRESSORS && family->stressors[i].name; i++) {
		const struct stressor *s = &family->stressors[i];

		command_add(c, "--%s", s->name);
		command_add(c, "1");
		command_add(c, "--%s-ops", s->name);
		command_add(c, "%s", s->ops);
		for (size_t j = 0; j < ARRAY_SIZE(s->more) && s->more[j]; j++)
			command_add(c, "%s", s->more[j]);
	}
}

#define NO_COMMAND	127

/* A job: its exit status. */
static long do_command(void *arg)
{
	struct command *c = arg;
	int status, null;
	pid_t pid;

	pid = fork();
	if (!pid) {
		null = open("/dev/null", O_RDWR);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
		execvp(c->argv[0], c->argv);
		_exit(NO_COMMAND);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) + 128;
}

static bool there_is_stress_ng(struct __test_metadata *const _metadata)
{
	struct command command = {};
	struct job *job;

	command_add(&command, "stress-ng");
	command_add(&command, "--version");
	job = job_start(_metadata, do_command, &command);
	return job_join(_metadata, job) != NO_COMMAND;
}

/*
 * Not many have been skipped, as those are that a machine cannot do. One or the
 * other gives up when it finds too little room, which all of a family share.
 */
static void expect_stressors(struct __test_metadata *const _metadata)
{
	int count = 0, seen = 0;

	for (; count < MAX_STRESSORS && family->stressors[count].name; count++) {
		seen += stressor_seen[count];
		if (!stressor_seen[count])
			TH_LOG("%s has done nothing",
			       family->stressors[count].name);
	}
	EXPECT_LE(3 * count, 4 * seen);
}

#endif /* __STRESSORS_H */
