/* Child and parent are isolated both ways, grandchildren too; shared mappings stay shared. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static int g_data = 1;

int main(void)
{
    int *heap = malloc(sizeof(int));
    int stack = 1;
    CHECK(heap);
    *heap = 1;
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    int to_child[2], to_parent[2];
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    char byte = 'x';
    if (child == 0) {
        CHECK(read(to_child[0], &byte, 1) == 1); /* the parent has written by now */
        CHECK(g_data == 1 && *heap == 1 && stack == 1 && shared[0] == 2);
        g_data = *heap = stack = 3;
        shared[1] = 3;
        pid_t grandchild = fork();
        CHECK(grandchild >= 0);
        if (grandchild == 0) {
            CHECK(g_data == 3 && *heap == 3 && stack == 3);
            g_data = *heap = stack = 4;
            shared[2] = 4;
            _exit(7);
        }
        int status;
        CHECK(waitpid(grandchild, &status, 0) == grandchild && WEXITSTATUS(status) == 7);
        CHECK(g_data == 3 && *heap == 3 && stack == 3 && shared[2] == 4);
        CHECK(write(to_parent[1], &byte, 1) == 1);
        CHECK(read(to_child[0], &byte, 1) == 1);
        CHECK(g_data == 3 && *heap == 3 && stack == 3);
        _exit(5);
    }
    g_data = *heap = stack = 2;
    shared[0] = 2;
    CHECK(write(to_child[1], &byte, 1) == 1);
    CHECK(read(to_parent[0], &byte, 1) == 1);
    CHECK(g_data == 2 && *heap == 2 && stack == 2 && shared[1] == 3 && shared[2] == 4);
    g_data = *heap = stack = 5;
    CHECK(write(to_child[1], &byte, 1) == 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    printf("child ended with %d; ours are %d %d %d, shared %d %d %d\n", WEXITSTATUS(status), g_data,
           *heap, stack, shared[0], shared[1], shared[2]);
    return 0;
}
