/*
 * host_call.h: raw host system calls, usable on any stack and without libc. Result: as the kernel gives it (-errno).
 */
#ifndef PALIMPSEST_LINUX_USER_HOST_CALL_H
#define PALIMPSEST_LINUX_USER_HOST_CALL_H

#include <stdint.h>

#include <asm/unistd_64.h>

static inline long host_call6(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#define HOST_CALL_PICK(_0, _1, _2, _3, _4, _5, _6, name, ...) name
#define HOST_CALL_0(nr) host_call6(nr, 0, 0, 0, 0, 0, 0)
#define HOST_CALL_1(nr, a) host_call6(nr, (long)(a), 0, 0, 0, 0, 0)
#define HOST_CALL_2(nr, a, b) host_call6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define HOST_CALL_3(nr, a, b, c) host_call6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define HOST_CALL_4(nr, a, b, c, d) host_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define HOST_CALL_5(nr, a, b, c, d, e)                                                             \
    host_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define HOST_CALL_6(nr, a, b, c, d, e, f)                                                          \
    host_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* Never injected: for calls that must not fail, and for hot paths that tests reach elsewhere. */
#define host_call(...)                                                                             \
    HOST_CALL_PICK(__VA_ARGS__, HOST_CALL_6, HOST_CALL_5, HOST_CALL_4, HOST_CALL_3, HOST_CALL_2,   \
                   HOST_CALL_1, HOST_CALL_0)                                                       \
    (__VA_ARGS__)

#endif
