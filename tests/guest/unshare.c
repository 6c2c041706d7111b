/*
 * unshare.c: a thread takes descriptors, directory and umask of its own; others look at them through /proc meanwhile.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

static void *apart(void *unused)
{
    char directory[100];
    CHECK(unshare(CLONE_FILES | CLONE_FS) == 0);
    CHECK(chdir("/usr") == 0);
    umask(077);
    printf("%d %s\n", open("/dev/null", O_RDONLY), getcwd(directory, sizeof(directory)));
    return unused;
}

static void *storm(void *unused)
{
    for (int i = 0; i < 300; i++)
        CHECK(unshare(CLONE_FILES | CLONE_FS) == 0);
    return unused;
}

int main(void)
{
    pthread_t thread, many[4];
    char directory[100];
    CHECK(chdir("/") == 0);
    umask(022);
    CHECK(pthread_create(&thread, NULL, apart, NULL) == 0 && pthread_join(thread, NULL) == 0);
    printf("%s %03o\n", getcwd(directory, sizeof(directory)), umask(022));
    printf("%d\n", fcntl(3, F_GETFD));
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&many[i], NULL, storm, NULL) == 0);
    for (int i = 0; i < 300; i++) {
        int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
        CHECK(fd >= 0 && close(fd) == 0);
        CHECK(access("/proc/self/fd/0", F_OK) == 0 && access("/proc/self/cwd", F_OK) == 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(many[i], NULL) == 0);
    puts("done");
    return 0;
}
