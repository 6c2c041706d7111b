/* How many entries a directory has. */
#ifndef PALIMPSEST_TESTS_GUEST_ENTRIES_H
#define PALIMPSEST_TESTS_GUEST_ENTRIES_H

#include <dirent.h>

/* Hidden ones apart; -1: it cannot be opened. */
static inline int entries(const char *name)
{
    DIR *d = opendir(name);
    int n = 0;

    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

#endif
