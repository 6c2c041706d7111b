/*
 * layout.c: where the host loaded the runner. It must be above what guests get. Hosts whose mappings have 32 random bits (Debian's have
 * 28) seldom do that, nor does the old layout from below, nor one that leaves room for a stack without limit: then the runner starts
 * itself anew, without those. personality(2), setrlimit(2); mmap_base() of the host's arch/x86/mm/mmap.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include "platform/linux_user/lu.h"

extern const char __executable_start[];

#define STACK_LIMIT (8ul << 20) /* for a runner without one; guests have limits of their own */

/* Whether there was none before. */
static bool limit_stack(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur != RLIM_INFINITY)
        return false;
    limit.rlim_cur = STACK_LIMIT;
    return setrlimit(RLIMIT_STACK, &limit) == 0;
}

/* The words of this program's command line, with NULL at the end. */
static char **g_words;

static bool read_words(void)
{
    FILE *f = fopen("/proc/self/cmdline", "re");
    char *word = NULL;
    size_t room = 0;
    bool whole = f;
    for (size_t count = 0; whole && getdelim(&word, &room, '\0', f) > 0; word = NULL) {
        char **more = realloc(g_words, (count + 2) * sizeof(*more));
        whole = more;
        if (!more)
            break;
        g_words = more;
        g_words[count++] = word;
        g_words[count] = NULL;
    }
    free(word); /* made for what was not there */
    if (f)
        fclose(f);
    return whole && g_words;
}

/* Returns when that is not possible, or was done already. */
static void start_anew(void)
{
    int now = personality(0xffffffff), wanted = (now & ~ADDR_COMPAT_LAYOUT) | ADDR_NO_RANDOMIZE;
    if (now < 0 || !read_words())
        return;
    bool changes = limit_stack();
    changes |= wanted != now && personality((unsigned long)wanted) >= 0;
    if (changes)
        execv("/proc/self/exe", g_words);
}

int lu_layout_check(char *why, size_t size)
{
    uintptr_t low = (uintptr_t)__executable_start, stack = (uintptr_t)&low;
    if (low >= LU_GUEST_END && stack >= LU_GUEST_END)
        return 0;
    start_anew();
    snprintf(why, size,
             "the runner was loaded at %#lx, its stack at %#lx: inside the guest's range",
             (unsigned long)low, (unsigned long)stack);
    return -ENOTSUP;
}
