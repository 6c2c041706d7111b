/*
 * exceptions.cc: C++ exceptions thrown out of signal handlers, synchronous ones by unwinding through the signal frame, while system calls
 * come often and a timer interrupts; destructors run, each once, and what a thread keeps in registers is right afterwards.
 */
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

namespace
{
volatile sig_atomic_t ticks;
int destroyed;
long parent;

struct counted {
    ~counted()
    {
        destroyed++;
    }
};

void on_fault(int signo, siginfo_t *info, void *)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    throw std::runtime_error("fault at " +
                             std::to_string(reinterpret_cast<unsigned long>(info->si_addr)));
}

void on_tick(int)
{
    ticks = ticks + 1;
    if (getppid() != parent)
        _exit(90);
}

__attribute__((noinline)) int touch(const volatile int *at)
{
    counted here;
    for (int i = 0; i < 10; i++)
        if (getppid() != parent)
            _exit(91);
    return *at;
}

__attribute__((noinline)) int deep(int depth)
{
    counted here;
    if (depth == 0)
        return touch(reinterpret_cast<const volatile int *>(16));
    return deep(depth - 1) + 1;
}

int in_thread()
{
    int caught = 0;
    for (int i = 0; i < 100; i++) {
        try {
            if (syscall(SYS_getppid) != parent)
                return -1;
            throw i;
        } catch (int value) {
            caught += value == i;
        }
    }
    return caught;
}
} // namespace

int main()
{
    parent = getppid();
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_sigaction = on_fault;
    act.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &act, nullptr);
    struct sigaction tick;
    memset(&tick, 0, sizeof(tick));
    tick.sa_handler = on_tick;
    tick.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &tick, nullptr);
    itimerval often = {{0, 500}, {0, 500}};
    setitimer(ITIMER_REAL, &often, nullptr);
    std::string last;
    int caught = 0;
    for (int i = 0; i < 500 || ticks < 20; i++) {
        try {
            deep(i % 10);
        } catch (const std::exception &e) {
            if (i < 500)
                caught++;
            last = e.what();
        }
        if (i == 499)
            printf("caught %d, destroyed %d, last: %s\n", caught, destroyed, last.c_str());
    }
    int results[4] = {};
    {
        std::thread threads[4];
        for (int i = 0; i < 4; i++)
            threads[i] = std::thread([&results, i] { results[i] = in_thread(); });
        for (auto &t : threads)
            t.join();
    }
    itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, nullptr);
    printf("in threads: %d %d %d %d\n", results[0], results[1], results[2], results[3]);
    return 0;
}
