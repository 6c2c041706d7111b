/*
 * For each number it reads: so many times sockets that hold each other and a file of memory in their queues, left behind; then it says
 * "done". Who feeds it looks at the host in between (tests/programs/growth.py).
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "passed_fds.h"

static void leave_a_cycle(int i)
{
    static char page[4096];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(a);
    int s[2], l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    int e = epoll_create1(0), memory = memfd_create("held", 0);
    struct epoll_event event = {.events = EPOLLIN};

    CHECK(socketpair(AF_UNIX, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0, s) == 0);
    CHECK(bind(l, (struct sockaddr *)&a, sizeof(a.sun_family)) == 0 && listen(l, 4) == 0);
    CHECK(getsockname(l, (struct sockaddr *)&a, &size) == 0);
    CHECK(connect(c, (struct sockaddr *)&a, size) == 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, l, &event) == 0);
    CHECK(write(memory, page, sizeof(page)) == sizeof(page));
    pass(s[0], (int[]){s[0], s[1], l}, 3);
    pass(s[1], (int[]){s[0], memory}, 2);
    pass(c, (int[]){l, e, memory, s[0]}, 4);
    close(memory);
    close(e);
    close(s[0]);
    close(s[1]);
    close(l);
    close(c);
}

int main(void)
{
    int count;

    setvbuf(stdout, NULL, _IOLBF, 0);
    while (scanf("%d", &count) == 1) {
        for (int i = 0; i < count; i++)
            leave_a_cycle(i);
        puts("done");
    }
    return 0;
}
