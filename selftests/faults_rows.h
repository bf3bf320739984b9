/* SPDX-License-Identifier: GPL-2.0 */
/* The calls that run out of memory, and what they say then. */

#ifndef __FAULTS_ROWS_H
#define __FAULTS_ROWS_H

#include "operations.h"

/* Rows of operations.h, one or more of each family. */
static const struct row {
	const char *call;
	int errors[2];		/* besides ENOMEM */
	__u64 mask;		/* besides what the row has */
	bool by_worker;		/* asks, see faults_reserved_test.c */
} rows[] = {
	{ .call = "write(fd, buf, count)" },
	{ .call = "io_submit(): IOCB_CMD_PWRITE" },
	{ .call = "io_uring_enter(): IORING_OP_WRITE",
	  .errors = { EAGAIN, ECANCELED }, .by_worker = true },
	{ .call = "splice(pipe, NULL, fd, &offset, count, 0)" },
	{ .call = "mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)" },
	{ .call = "mprotect(addr, len, PROT_READ | PROT_WRITE) of a shared mapping" },
	{ .call = "sendfile(fd, source, &offset, count)" },
	{ .call = "copy_file_range(source, &from, fd, &to, len, 0)" },
	{ .call = "truncate(path, length)" },
	{ .call = "open(path, O_WRONLY | O_TRUNC)" },
	{ .call = "fallocate(fd, 0, offset, len)" },
	{ .call = "read(fd, buf, count)" },
	{ .call = "io_submit(): IOCB_CMD_PREAD" },
	{ .call = "splice(fd, &offset, pipe, NULL, count, 0)" },
	{ .call = "mremap(addr, len, 2 * len, MREMAP_MAYMOVE)" },
	{ .call = "execve(path, argv, envp) of a program", .mask = FAN_OPEN },
	{ .call = "execve(path, argv, envp) of a script", .mask = FAN_OPEN },
	{ .call = "readlink(path, buf, size)" },
	{ .call = "getdents64(fd, buf, count)" },
	{ .call = "lookup of a name that is not there" },
	{ .call = "chmod(path, mode)" },
	{ .call = "setxattr(path, name, value, size, 0)" },
	{ .call = "open(path, O_WRONLY | O_CREAT, mode)" },
	{ .call = "mkdir(path, mode)",
	  .errors = { ENOSPC } },
	{ .call = "symlink(target, path)" },
	{ .call = "link(old, path)" },
	{ .call = "open(dir, O_RDWR | O_TMPFILE, mode)" },
	{ .call = "bind(socket, address, len) of AF_UNIX" },
	{ .call = "unlink(path)" },
	{ .call = "rmdir(path)" },
	{ .call = "rename(old, new) to another directory" },
	{ .call = "rename(old, new) onto a victim" },
	{ .call = "renameat2(dirfd, old, dirfd, new, RENAME_EXCHANGE)" },
	{ .call = "open(path, O_RDONLY)" },
	{ .call = "open_by_handle_at(dirfd, handle, O_RDONLY)" },
};

#endif /* __FAULTS_ROWS_H */
