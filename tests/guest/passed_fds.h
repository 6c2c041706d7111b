/* One byte over an AF_UNIX socket that brings descriptors along. */
#ifndef PALIMPSEST_TESTS_GUEST_PASSED_FDS_H
#define PALIMPSEST_TESTS_GUEST_PASSED_FDS_H

#include <sys/socket.h>

#include "guest.h"

#define PASSED_FDS_MAX 8

/* What sendmsg says. */
static inline ssize_t try_pass(int over, const int *fds, unsigned count, int flags)
{
    char control[CMSG_SPACE(PASSED_FDS_MAX * sizeof(int))] = {0};
    struct iovec v = {"d", 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    CHECK(count <= PASSED_FDS_MAX);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(h), fds, count * sizeof(int));
    return sendmsg(over, &m, flags);
}

static inline void pass(int over, const int *fds, unsigned count)
{
    CHECK(try_pass(over, fds, count, 0) == 1);
}

#endif
