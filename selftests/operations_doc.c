// SPDX-License-Identifier: GPL-2.0
/*
 * Prints the table of operations.h as it is shown in docs/operations.md.
 */

#include "operations.h"

static const struct {
	__u64 bit;
	const char *name;
} events[] = {
	{ FAN_ACCESS, "ACCESS" },
	{ FAN_MODIFY, "MODIFY" },
	{ FAN_ATTRIB, "ATTRIB" },
	{ FAN_OPEN, "OPEN" },
	{ FAN_MOVED_FROM, "MOVED_FROM" },
	{ FAN_MOVED_TO, "MOVED_TO" },
	{ FAN_CREATE, "CREATE" },
	{ FAN_DELETE, "DELETE" },
	{ FAN_ONDIR, "ONDIR" },
};

static bool creates(const struct step *step)
{
	return step->event & FAN_CREATE && step->is & IS_OF_NEW;
}

/* The text of a cell: a bar would end it. */
static void print_code(const char *text)
{
	putchar('`');
	for (; *text; text++)
		printf(*text == '|' ? "\\|" : "%c", *text);
	putchar('`');
}

static void print_event(const struct step *step)
{
	const char *between = "";

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (!(step->event & events[i].bit))
			continue;
		printf("%s%s", between, events[i].name);
		between = ", ";
	}
	if (step->flags & FAN_OP_ASYNC)
		printf(", FAN_OP_ASYNC");
	if (step->flags & FAN_OP_MAPPED)
		printf(", FAN_OP_MAPPED");
}

static void print_object(const struct step *step)
{
	printf("`%s`", step->object);
	if (creates(step))
		printf(", POST only");
}

static void print_names(const struct step *step)
{
	if (step->new_entry)
		printf("`%s`, `%s`", step->entry, step->new_entry);
	else if (creates(step) && !strcmp(step->object, UNNAMED))
		printf("in `%s`", step->entry);
	else if (step->entry)
		printf("`%s`", step->entry);
	else if (strcmp(step->object, UNNAMED))
		printf("`%s`", step->object);
	else
		printf("none");
}

static void print_range(const struct step *step)
{
	if (!step->pre.known && !step->post.known)
		printf("none");
	else if (!step->pre.known)
		printf("none; %s", step->says_range ?: "bytes done");
	else
		printf("%s", step->says_range ?: "bytes asked; bytes done");
}

static void print_result(const struct step *step)
{
	if (step->result == RETURNED)
		printf("bytes");
	else if (step->result < 0)
		printf("-%s", strerrorname_np(-step->result));
	else
		printf("0");
}

static void print_step(const struct step *step)
{
	void (* const cells[])(const struct step *step) = {
		print_event, print_object, print_names, print_range,
		print_result,
	};

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
		printf(" | ");
		cells[i](step);
	}
	printf(" | %s |\n", step->leaves ?: "nothing");
}

static const char *relation(const struct step *step)
{
	if (step->is & IS_PART)
		return "… as a part of it";
	return step->is & IS_MEANWHILE ? "… meanwhile" : "… then";
}

static void print_family(const struct operation *op)
{
	printf("\n### %s\n\n"
	       "| call | event | object | name | range | result | a denial leaves |\n"
	       "|---|---|---|---|---|---|---|\n", op->family);
}

static void print_operation(const struct operation *op)
{
	const struct step *steps = op->steps;

	printf("| ");
	print_code(op->call);
	if (op->note)
		printf("<br>%s", op->note);
	if (!steps[0].event) {
		printf(" | none | | | | | |\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(op->steps) && steps[i].event; i++) {
		if (i)
			printf("| %s", relation(&steps[i]));
		print_step(&steps[i]);
	}
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (operations[i].family)
			print_family(&operations[i]);
		print_operation(&operations[i]);
	}
	return 0;
}
