/* Two parents, each with eight children at once, all writing to one pipe: records arrive whole and none is lost. */
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

enum { PARENTS = 2, CHILDREN = 8, RECORDS = 200, SIZE = 64 };

int main(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    for (int p = 0; p < PARENTS; p++) {
        pid_t parent = fork();
        CHECK(parent >= 0);
        if (parent > 0)
            continue;
        for (int c = 0; c < CHILDREN; c++) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child > 0)
                continue;
            char record[SIZE];
            for (int r = 0; r < RECORDS; r++) {
                memset(record, 'a' + c, sizeof(record));
                snprintf(record, sizeof(record), "%d %d %d", p, c, r);
                CHECK(write(fds[1], record, sizeof(record)) == sizeof(record));
            }
            _exit(0);
        }
        for (int c = 0; c < CHILDREN; c++) {
            int status;
            CHECK(wait(&status) > 0 && status == 0);
        }
        _exit(0);
    }
    close(fds[1]);
    int next[PARENTS][CHILDREN] = {{0}}, records = 0;
    char record[SIZE];
    size_t have = 0;
    ssize_t n;
    while ((n = read(fds[0], record + have, sizeof(record) - have)) > 0) {
        have += (size_t)n;
        if (have < sizeof(record))
            continue;
        have = 0;
        int p, c, r;
        CHECK(sscanf(record, "%d %d %d", &p, &c, &r) == 3);
        CHECK(record[SIZE - 1] == 'a' + c);
        CHECK(next[p][c]++ == r);
        records++;
    }
    CHECK(n == 0 && have == 0);
    for (int p = 0; p < PARENTS; p++) {
        int status;
        CHECK(wait(&status) > 0 && status == 0);
    }
    printf("%d records\n", records);
    return 0;
}
