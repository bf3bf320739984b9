/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the peers share: each sets something up, runs a command under it, and
 * exits with the command's status.
 */

#ifndef __BENCH_PEER_H
#define __BENCH_PEER_H

#include <err.h>
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts the command with the words @argv. Returns its process, or -1 with errno. */
static inline pid_t command_start(char **argv)
{
	pid_t pid;

	errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	return errno ? -1 : pid;
}

/* Waits for it. Returns its exit status as a shell gives it, or -1. */
static inline int command_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

#endif /* __BENCH_PEER_H */
