/* 200 forks one after another, then 64 children at once; every status is collected exactly once. */
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

int main(void)
{
    int sum = 0, status;
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(i & 0x7f);
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == (i & 0x7f));
        sum += WEXITSTATUS(status);
    }
    int gate[2];
    CHECK(pipe(gate) == 0);
    for (int i = 0; i < 64; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            char byte;
            close(gate[1]);
            _exit(read(gate[0], &byte, 1) == 0 ? i : 99);
        }
    }
    close(gate[1]);
    int seen[64] = {0};
    for (int i = 0; i < 64; i++) {
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) < 64);
        seen[WEXITSTATUS(status)]++;
    }
    for (int i = 0; i < 64; i++)
        CHECK(seen[i] == 1);
    CHECK(wait(&status) == -1 && errno == ECHILD);
    printf("sum %d\n", sum);
    return 0;
}
