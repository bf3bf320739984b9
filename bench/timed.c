// SPDX-License-Identifier: GPL-2.0
/*
 * timed ROOT DIR OUT COMMAND... - runs a command, chrooted to ROOT and in the
 * folder DIR there, and writes two numbers to the file OUT: the nanoseconds from
 * before the command is started until the file system of DIR is synced after it,
 * and how long all was waiting meanwhile. In the machine of scripts/vm --icount
 * the first is instructions.
 *
 * When there is nothing to do that machine goes on to the next timer, and the
 * clock jumps. So there is always something to do here: a process that counts
 * for nothing (SCHED_IDLE) runs whenever no other can. What it has had of the
 * CPU is the time of waiting, to the nanosecond, and is not part of the first
 * number. It is one for one CPU.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "timed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long ns_of(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("clock_gettime");
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static pid_t fork_child(void)
{
	const pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid && prctl(PR_SET_PDEATHSIG, SIGKILL))
		die("prctl");
	return pid;
}

/* The process that runs when no other can; @clock tells how long it has run. */
static pid_t start_idler(clockid_t *clock)
{
	const struct sched_param none = {};
	const pid_t pid = fork_child();

	if (!pid) {
		if (sched_setscheduler(0, SCHED_IDLE, &none))
			die("SCHED_IDLE");
		for (;;)
			__asm__ volatile("pause");
	}
	errno = clock_getcpuclockid(pid, clock);
	if (errno)
		die("clock_getcpuclockid");
	/* From the first time it runs on it is of that class. */
	while (sched_getscheduler(pid) != SCHED_IDLE)
		if (sched_yield())
			die("sched_yield");
	return pid;
}

static void run(char **argv)
{
	const pid_t pid = fork_child();
	int status;

	if (!pid) {
		execvp(argv[0], argv);
		die(argv[0]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (status) {
		fprintf(stderr, "timed: %s: status %#x\n", argv[0], status);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	long long start, elapsed, waited;
	clockid_t idle_clock;
	pid_t idler;
	FILE *out;
	int dir;

	if (argc < 5) {
		fputs("usage: timed ROOT DIR OUT COMMAND...\n", stderr);
		return 1;
	}
	out = fopen(argv[3], "we");
	if (!out)
		die(argv[3]);
	if (chroot(argv[1]) || chdir(argv[2]))
		die(argv[2]);
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || syncfs(dir))
		die(argv[2]);

	idler = start_idler(&idle_clock);
	waited = -ns_of(idle_clock);
	start = ns_of(CLOCK_MONOTONIC);
	run(argv + 4);
	if (syncfs(dir))
		die("syncfs");
	elapsed = ns_of(CLOCK_MONOTONIC) - start;
	waited += ns_of(idle_clock);

	if (kill(idler, SIGKILL) || waitpid(idler, NULL, 0) != idler)
		die("the process that waits");
	if (fprintf(out, "%lld %lld\n", elapsed - waited, waited) < 0 ||
	    fclose(out))
		die(argv[3]);
	return 0;
}
