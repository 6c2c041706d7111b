/* Arguments, environment, auxiliary vector, exit status. */
#include <sys/auxv.h>
#include <unistd.h>

#include "guest.h"

extern char **environ;
static int g_constructed;
__attribute__((constructor)) static void construct(void)
{
    g_constructed = 1;
}

int main(int argc, char **argv)
{
    int vars = 0;
    for (char **e = environ; *e; e++)
        vars++;
    printf("argc %d constructed %d\n", argc, g_constructed);
    for (int i = 1; i < argc; i++)
        printf("argv[%d] = '%s'\n", i, argv[i]);
    printf("GUEST_VARIABLE=%s\n", getenv("GUEST_VARIABLE") ? getenv("GUEST_VARIABLE") : "(none)");
    CHECK(vars > 0);
    CHECK(getauxval(AT_PAGESZ) == 4096);
    CHECK(getauxval(AT_RANDOM) != 0);
    CHECK(getauxval(AT_PHDR) != 0);
    CHECK(getauxval(AT_ENTRY) != 0);
    CHECK(getauxval(AT_SECURE) == 0);
    fprintf(stderr, "this goes to standard error\n");
    return 42;
}
