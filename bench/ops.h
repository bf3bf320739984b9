/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations that are measured, each a function that does it once on
 * files of the current directory, which files_make() has made.
 *
 * The table says which events one of them raises, as docs/operations.md has
 * it, so that a group can be made that is told of nothing else.
 */

#ifndef __BENCH_OPS_H
#define __BENCH_OPS_H

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../selftests/wrappers.h"
#include "async.h"
#include "measure.h"

#define OPS_FILE	"file"		/* what operations are on */
#define OPS_OTHER	"other"		/* what is left alone */
#define OPS_NAME	"name"		/* what is created and renamed ... */
#define OPS_NEW_NAME	"new-name"	/* ... to this */
#define OPS_DIR		"dir"		/* a directory that is left alone */

#define OPS_PAGE	4096UL
#define OPS_PAGES	1024UL		/* of OPS_FILE */

/* A fault that reads maps this many pages at once, as the kernel does it. */
#define OPS_AROUND	16UL

static int ops_fd = -1;
static volatile char *ops_map;
static unsigned long ops_page;
static bool ops_renamed;
static char ops_buf[OPS_PAGE] __attribute__((aligned(OPS_PAGE)));

struct op {
	const char *name;
	__u64 events;		/* for fanotify; 0: it raises none */
	__u32 inotify;		/* the same for inotify */
	unsigned int asks;	/* how many PRE events it is, for the class */
	unsigned long period;	/* after so many it is the same again; 0: 1 */
	bool entry;		/* the events are those of a directory */
	void (*setup)(void);
	step_fn run;
	void (*teardown)(void);
};

/* ------------------------------ data of a file --------------------------- */

static inline void open_for_writing(void)
{
	ops_fd = open(OPS_FILE, O_RDWR | O_CLOEXEC);
	if (ops_fd < 0)
		die("open %s", OPS_FILE);
}

/*
 * A read compares when the file was last read with when it was last changed,
 * which takes longer if both were in the same second.
 */
static inline void open_for_reading(void)
{
	ops_fd = open(OPS_FILE, O_RDONLY | O_CLOEXEC);
	if (ops_fd < 0)
		die("open %s", OPS_FILE);
	if (usleep(1100000))
		die("usleep");
	if (pread(ops_fd, ops_buf, 1, 0) != 1)
		die("pread");
}

static inline void close_file(void)
{
	if (close(ops_fd))
		die("close %s", OPS_FILE);
	ops_fd = -1;
}

static void run_pwrite_1(void)
{
	if (pwrite(ops_fd, ops_buf, 1, 0) != 1)
		die("pwrite");
}

static void run_pwrite_4k(void)
{
	if (pwrite(ops_fd, ops_buf, OPS_PAGE, 0) != OPS_PAGE)
		die("pwrite");
}

static void run_pread_1(void)
{
	if (pread(ops_fd, ops_buf, 1, 0) != 1)
		die("pread");
}

static void run_pread_4k(void)
{
	if (pread(ops_fd, ops_buf, OPS_PAGE, 0) != OPS_PAGE)
		die("pread");
}

static inline void open_for_aio(void)
{
	open_for_writing();
	aio_open();
}

static inline void close_aio(void)
{
	aio_close();
	close_file();
}

static void run_aio_pwrite_1(void)
{
	aio_do(IOCB_CMD_PWRITE, ops_fd, ops_buf);
}

static inline void open_for_uring(void)
{
	open_for_reading();
	uring_open();
}

static inline void close_uring(void)
{
	uring_close();
	close_file();
}

static void run_uring_pread_1(void)
{
	uring_do(IORING_OP_READ, ops_fd, ops_buf);
}

/* --------------------------------- names --------------------------------- */

static void run_open_close(void)
{
	const int fd = open(OPS_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open %s", OPS_FILE);
	if (close(fd))
		die("close %s", OPS_FILE);
}

static void run_create_unlink(void)
{
	const int fd = open(OPS_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);

	if (fd < 0)
		die("create %s", OPS_NAME);
	if (close(fd))
		die("close %s", OPS_NAME);
	if (unlink(OPS_NAME))
		die("unlink %s", OPS_NAME);
}

static inline void make_name(void)
{
	if (mknod(OPS_NAME, S_IFREG | 0600, 0))
		die("mknod %s", OPS_NAME);
	ops_renamed = false;
}

/* There and back again, so each is the same as the one before the last. */
static void run_rename(void)
{
	if (ops_renamed ? rename(OPS_NEW_NAME, OPS_NAME) :
			  rename(OPS_NAME, OPS_NEW_NAME))
		die("rename");
	ops_renamed = !ops_renamed;
}

static inline void remove_name(void)
{
	if (unlink(ops_renamed ? OPS_NEW_NAME : OPS_NAME))
		die("unlink what was renamed");
}

static void run_stat(void)
{
	struct stat st;

	if (stat(OPS_FILE, &st))
		die("stat %s", OPS_FILE);
}

/* ------------------------------ page faults ------------------------------ */

static inline void map(int prot)
{
	void *addr = mmap(NULL, OPS_PAGES * OPS_PAGE, prot, MAP_SHARED, ops_fd,
			  0);

	if (addr == MAP_FAILED)
		die("mmap %s", OPS_FILE);
	ops_map = addr;
	ops_page = 0;
}

static inline void map_for_writing(void)
{
	open_for_writing();
	map(PROT_READ | PROT_WRITE);
}

static inline void map_for_reading(void)
{
	open_for_reading();
	map(PROT_READ);
}

static inline void unmap(void)
{
	if (munmap((void *)ops_map, OPS_PAGES * OPS_PAGE))
		die("munmap %s", OPS_FILE);
	close_file();
}

/* When all pages are mapped, none is: a part of that call is in each fault. */
static inline void next_page(unsigned long step)
{
	ops_page += step;
	if (ops_page < OPS_PAGES)
		return;

	ops_page = 0;
	if (madvise((void *)ops_map, OPS_PAGES * OPS_PAGE, MADV_DONTNEED))
		die("madvise");
}

static void run_mmap_fault(void)
{
	ops_map[ops_page * OPS_PAGE] = 1;
	next_page(1);
}

static void run_mmap_read_fault(void)
{
	(void)ops_map[ops_page * OPS_PAGE];
	next_page(OPS_AROUND);
}

/* --------------------------------- tables -------------------------------- */

static const struct op ops[] = {
	{
		.name = "pwrite_1",
		.events = FAN_MODIFY, .inotify = IN_MODIFY, .asks = 1,
		.setup = open_for_writing, .run = run_pwrite_1,
		.teardown = close_file,
	}, {
		.name = "pwrite_4k",
		.events = FAN_MODIFY, .inotify = IN_MODIFY, .asks = 1,
		.setup = open_for_writing, .run = run_pwrite_4k,
		.teardown = close_file,
	}, {
		.name = "pread_1",
		.events = FAN_ACCESS, .inotify = IN_ACCESS, .asks = 1,
		.setup = open_for_reading, .run = run_pread_1,
		.teardown = close_file,
	}, {
		.name = "pread_4k",
		.events = FAN_ACCESS, .inotify = IN_ACCESS, .asks = 1,
		.setup = open_for_reading, .run = run_pread_4k,
		.teardown = close_file,
	}, {
		.name = "aio_pwrite_1",
		.events = FAN_MODIFY, .inotify = IN_MODIFY, .asks = 1,
		.setup = open_for_aio, .run = run_aio_pwrite_1,
		.teardown = close_aio,
	}, {
		.name = "uring_pread_1",
		.events = FAN_ACCESS, .inotify = IN_ACCESS, .asks = 1,
		.setup = open_for_uring, .run = run_uring_pread_1,
		.teardown = close_uring,
	}, {
		/* Groups of the class are not told that a file was closed. */
		.name = "open_close",
		.events = FAN_OPEN, .inotify = IN_OPEN, .asks = 1,
		.run = run_open_close,
	}, {
		/* Both of one operation; what is opened between them is not told. */
		.name = "create_unlink", .entry = true,
		.events = FAN_CREATE | FAN_DELETE,
		.inotify = IN_CREATE | IN_DELETE, .asks = 2,
		.run = run_create_unlink,
	}, {
		.name = "rename", .entry = true,
		.events = FAN_MOVED_FROM | FAN_MOVED_TO,
		.inotify = IN_MOVED_FROM | IN_MOVED_TO, .asks = 1,
		.period = 2,
		.setup = make_name, .run = run_rename, .teardown = remove_name,
	}, {
		.name = "stat", .run = run_stat,
	}, {
		/* The first write to a page of a shared mapping. */
		.name = "mmap_fault", .period = OPS_PAGES,
		.setup = map_for_writing, .run = run_mmap_fault,
		.teardown = unmap,
	}, {
		/* The first read, which maps OPS_AROUND pages. */
		.name = "mmap_read_fault", .period = OPS_PAGES / OPS_AROUND,
		.setup = map_for_reading, .run = run_mmap_read_fault,
		.teardown = unmap,
	},
};

/* --------------------------------- files --------------------------------- */

static inline void file_make(const char *name, unsigned long pages)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);

	if (fd < 0)
		die("create %s", name);
	for (unsigned long i = 0; i < pages; i++)
		if (write(fd, ops_buf, OPS_PAGE) != OPS_PAGE)
			die("write %s", name);
	if (fsync(fd))
		die("fsync %s", name);
	if (close(fd))
		die("close %s", name);
}

/* Makes the files of all operations here; blocks are allocated, pages clean. */
static inline void files_make(void)
{
	file_make(OPS_FILE, OPS_PAGES);
	file_make(OPS_OTHER, 1);
	if (mkdir(OPS_DIR, 0700))
		die("mkdir %s", OPS_DIR);
}

static inline void files_remove(void)
{
	if (unlink(OPS_FILE) || unlink(OPS_OTHER))
		die("unlink the files of the operations");
	if (rmdir(OPS_DIR))
		die("rmdir %s", OPS_DIR);
}

#endif /* __BENCH_OPS_H */
