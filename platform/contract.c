/*
 * contract.c: last words, put together without libc: a broken precondition may be found anywhere.
 */
#include "platform/contract.h"

#include <stddef.h>

#include "platform/instance.h"
#include "platform/platform.h"

struct line {
    char text[256];
    size_t length;
};

static void add(struct line *line, const char *text)
{
    while (*text && line->length < sizeof(line->text) - 1)
        line->text[line->length++] = *text++;
    line->text[line->length] = '\0';
}

static void add_number(struct line *line, unsigned number)
{
    char digits[12];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(line, digits + at);
}

static struct platform *g_panics_through;

void platform_panic_through(struct platform *p)
{
    g_panics_through = p;
}

void platform_panic(const char *message)
{
    if (g_panics_through)
        g_panics_through->instance->panic(g_panics_through, message);
    __builtin_trap();
}

void platform_require_failed(const char *condition, const char *file, int line_number)
{
    struct line line = {.length = 0};
    add(&line, file);
    add(&line, ":");
    add_number(&line, line_number > 0 ? (unsigned)line_number : 0);
    add(&line, ": broken precondition: ");
    add(&line, condition);
    platform_panic(line.text);
}

void platform_unimplemented(const char *what)
{
    struct line line = {.length = 0};
    add(&line, "not implemented: ");
    add(&line, what);
    platform_panic(line.text);
}
