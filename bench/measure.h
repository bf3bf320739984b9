/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How all programs here measure and print: a sample is the mean of a batch of
 * steps, and a figure is a line with all samples of it,
 *
 *	STATE <tab> OP <tab> UNIT <tab> v1 v2 v3 ...
 *
 * Time is CLOCK_MONOTONIC. In a machine that counts executed instructions
 * (scripts/vm --icount) a nanosecond is an instruction, and with one CPU those
 * of all processes are counted. Lines that begin with # are remarks.
 */

#ifndef __BENCH_MEASURE_H
#define __BENCH_MEASURE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_SAMPLES	1000

/* ------------------------------- failures ------------------------------- */

/* Says what failed, with errno where that is not 0, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2)))
static inline void die(const char *format, ...)
{
	const int error = errno;
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

/* For what is wrong though no system call has failed. */
#define fail(...) do {							\
	errno = 0;							\
	die(__VA_ARGS__);						\
} while (0)

/* ------------------------------- arguments ------------------------------ */

/* A whole number of at least @min, or the end. */
static inline unsigned long parse_number(const char *text, const char *option,
					 unsigned long min)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < min)
		fail("--%s: %s is not a number of at least %lu", option, text,
		     min);
	return value;
}

/* Is @name one of the words of @list, which has commas between them? */
static inline bool list_has(const char *list, const char *name)
{
	const size_t len = strlen(name);

	for (const char *word = list; word; word = strchr(word, ',')) {
		word += *word == ',';
		if (!strncmp(word, name, len) &&
		    (word[len] == ',' || !word[len]))
			return true;
	}
	return false;
}

/* A word that nobody knows would be a figure that silently is not there. */
static inline void list_check(const char *list, const char *option,
			      bool (*known)(const char *word))
{
	char *copy = strdup(list), *rest = copy, *word;

	if (!copy)
		die("strdup");
	while ((word = strsep(&rest, ",")))
		if (!known(word))
			fail("--%s: there is no \"%s\"", option, word);
	free(copy);
}

/* -------------------------------- samples ------------------------------- */

typedef void (*step_fn)(void);

struct sampling {
	unsigned int samples;
	unsigned long batch;		/* steps of a sample; 0: as length says */
	unsigned long period;		/* a sample is a multiple of so many */
	unsigned long long length;	/* nanoseconds of a sample, about */
	const char *unit;
};

/*
 * In 8 ms there are two ticks of the timer, so that where one begins does not
 * show, and few enough instructions for an emulated machine.
 */
#define SAMPLING_DEFAULT { .samples = 12, .period = 1, .length = 8000000, \
			   .unit = "instructions" }

static inline unsigned long long now_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t))
		die("clock_gettime");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* How many steps time_steps() has made in all. */
static unsigned long steps_made;

/* Not inlined, so that the loop costs the same whatever is in it. */
__attribute__((noinline))
static unsigned long long time_steps(step_fn step, unsigned long n)
{
	const unsigned long long start = now_ns();

	for (unsigned long i = 0; i < n; i++)
		step();
	steps_made += n;
	return now_ns() - start;
}

static void empty_step(void)
{
}

/* What a step costs that does nothing: the least of a few, for there are ticks. */
static inline double loop_cost(void)
{
	const unsigned long n = 10000, made = steps_made;
	unsigned long long ns, best = -1ULL;

	for (int i = 0; i < 8; i++) {
		ns = time_steps(empty_step, n);
		if (ns < best)
			best = ns;
	}
	steps_made = made;
	return (double)best / n;
}

/* Warms up, and finds how many steps are a sample. */
static inline unsigned long warm_up(const struct sampling *s, step_fn step)
{
	unsigned long n = s->batch ?: 16;
	unsigned long long ns;

	while ((ns = time_steps(step, n)) < s->length / 2 && !s->batch)
		n *= 2;
	if (!s->batch)
		n = (double)n * s->length / ns;

	/* Samples that are not of whole periods would not be of the same work. */
	n = (n + s->period - 1) / s->period * s->period;
	return n ?: s->period;
}

static inline void print_figure(const char *state, const char *op,
				const char *unit, const double *values,
				unsigned int n)
{
	printf("%s\t%s\t%s\t", state, op, unit);
	for (unsigned int i = 0; i < n; i++)
		printf("%s%.2f", i ? " " : "", values[i]);
	putchar('\n');
	if (fflush(stdout))
		die("standard output");
}

/* Takes all samples of a figure and prints it. */
static inline void measure(const struct sampling *s, const char *state,
			   const char *op, step_fn step)
{
	const double loop = loop_cost();
	double values[MAX_SAMPLES];
	unsigned long n;

	n = warm_up(s, step);
	for (unsigned int i = 0; i < s->samples; i++)
		values[i] = (double)time_steps(step, n) / n - loop;
	print_figure(state, op, s->unit, values, s->samples);
}

#endif /* __BENCH_MEASURE_H */
