/*
 * stepper.c: runs stepped.c (tests/guest) under pal and traces all of pal's processes. For each N it lets the guest begin its system
 * call, steps it N instructions on, wherever that is (guest code, a patched site's stub, the way into the shim, a signal handler of
 * the host's, the shim, the way back), has the guest's other process send it a signal just there, and lets it go. The guest verifies
 * what it got; N ends where the call does, or waits.
 *
 *     stepper CALL SECONDS PAL run [OPTION ...] -- STEPPED
 *     exit status: 0; 3: a signal did harm; 1: anything else was wrong; 77: may not trace here, or pal cannot patch
 *
 * With 0 seconds it sends nothing, but tells what the shim executes for the call: instructions, locked ones among them, fences, host calls. Of a
 * call that is to be short, more than short_calls[] allows is wrong.
 */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/guest/stepped.h"

#define HWCAP2_FSGSBASE 2 /* asm/hwcap2.h */
#define WARM_UP 40
#define POSITIONS_MAX 20000
#define PATIENCE_MS 60000 /* beyond the time given, for the first places */
#define LAST_STEPS 24     /* before a call waits: visited one by one */
#define ACK_MS 250
#define PUSHFQ 0x9c
#define TRAP_FLAG 0x100ull

enum place { PLACE_GUEST, PLACE_STUB, PLACE_SHIM, PLACE_COUNT };
static const char *const place_names[] = {"guest code", "stubs", "the shim"};

static struct {
    pid_t pal, target;
    uint64_t words; /* address of struct shared_words in the target */
    int signo;      /* to be passed on when the target goes on */
    int early;      /* a stop of the target that was seen while others were waited for; 0: none */
    bool pal_gone;
    int pal_status;
} g;

static void die(const char *what)
{
    printf("stepper: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t word(size_t offset)
{
    uint32_t value = 0;
    struct iovec mine = {&value, 4}, theirs = {(void *)(g.words + offset), 4};
    if (process_vm_readv(g.target, &mine, 1, &theirs, 1, 0) != 4)
        die("reading the guest");
    return value;
}

static void set_word(size_t offset, uint32_t value)
{
    struct iovec mine = {&value, 4}, theirs = {(void *)(g.words + offset), 4};
    if (process_vm_writev(g.target, &mine, 1, &theirs, 1, 0) != 4)
        die("writing to the guest");
}
#define WORD(name) word(offsetof(struct shared_words, name))
#define SET_WORD(name, value) set_word(offsetof(struct shared_words, name), value)

static void registers(struct user_regs_struct *regs)
{
    if (ptrace(PTRACE_GETREGS, g.target, NULL, regs) != 0)
        die("reading registers");
}

/* A stop of any other tracee: it just goes on. True: it is at a breakpoint of stepped.c, and is the target from now on. */
static bool other_stopped(pid_t pid, int status)
{
    int event = status >> 16, signo = WSTOPSIG(status);
    if (!WIFSTOPPED(status)) {
        if (pid == g.pal) {
            g.pal_gone = true;
            g.pal_status = status;
        }
        return false;
    }
    if (event == PTRACE_EVENT_STOP && (signo == SIGSTOP || signo == SIGTSTP)) {
        ptrace(PTRACE_LISTEN, pid, NULL, NULL);
        return false;
    }
    if (event == 0 && signo == SIGTRAP && g.target == 0) {
        struct user_regs_struct regs;
        if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 && regs.rax == STEPPED_HELLO) {
            g.target = pid;
            g.words = regs.rbx;
            return true;
        }
    }
    ptrace(PTRACE_CONT, pid, NULL, event ? 0 : signo);
    return false;
}

static bool sleeps(void)
{
    char path[64], line[512], *at;
    snprintf(path, sizeof(path), "/proc/%d/stat", g.target);
    FILE *file = fopen(path, "r");
    bool asleep =
        file && fgets(line, sizeof(line), file) && (at = strrchr(line, ')')) && at[2] == 'S';
    if (file)
        fclose(file);
    return asleep;
}

enum wait_result { WAIT_STOPPED, WAIT_TIME, WAIT_GONE };

/* The target's next stop, while all others are served. status is the target's. */
static enum wait_result wait_target(uint64_t limit_ms, int *status)
{
    uint64_t end = now_ms() + limit_ms;
    if (g.early) {
        *status = g.early;
        g.early = 0;
        return WAIT_STOPPED;
    }
    for (;;) {
        pid_t pid = waitpid(-1, status, __WALL); /* a timer interrupts it */
        if (pid < 0 && errno == EINTR) {
            if (now_ms() >= end)
                return WAIT_TIME;
            continue;
        }
        if (pid < 0)
            return WAIT_GONE;
        if (pid == g.target)
            return WIFSTOPPED(*status) ? WAIT_STOPPED : WAIT_GONE;
        if (other_stopped(pid, *status))
            return WAIT_STOPPED;
        if (g.pal_gone)
            return WAIT_GONE;
    }
}

static void go_on(enum __ptrace_request how)
{
    if (ptrace(how, g.target, NULL, (long)g.signo) != 0)
        die("resuming the guest");
    g.signo = 0;
}

/* Takes note of a stop: of a signal that is to be passed on, or a breakpoint of stepped.c: then its number, else 0. */
static uint64_t stop_meaning(int status, struct user_regs_struct *regs)
{
    siginfo_t info;
    g.signo = 0;
    if (status >> 16 != 0)
        return 0; /* an event: nothing to pass on */
    if (WSTOPSIG(status) != SIGTRAP) {
        g.signo = WSTOPSIG(status);
        return 0;
    }
    if (ptrace(PTRACE_GETSIGINFO, g.target, NULL, &info) != 0)
        die("reading a signal");
    if (info.si_code != SI_KERNEL)
        return 0; /* a step */
    registers(regs);
    if (regs->rax >= STEPPED_HELLO && regs->rax <= STEPPED_END)
        return regs->rax;
    g.signo = SIGTRAP; /* of a site that is being written */
    return 0;
}

static void gone(void)
{
    printf("stepper: the guest is gone; pal's status %#x\n", g.pal_status);
    exit(1);
}

/* Run to a breakpoint of stepped.c. 0: not within the time. */
static uint64_t run_to_breakpoint(uint64_t limit_ms, struct user_regs_struct *regs)
{
    int status;
    for (;;) {
        enum wait_result how = wait_target(limit_ms, &status);
        if (how == WAIT_GONE)
            gone();
        if (how == WAIT_TIME)
            return 0;
        uint64_t breakpoint = stop_meaning(status, regs);
        if (breakpoint)
            return breakpoint;
        go_on(PTRACE_CONT);
    }
}

/*
 * One instruction, or the arrival of a signal. A flag register pushed on the way shows the trap flag that only tracing put there:
 * it is taken out again.
 */
static enum wait_result step(uint64_t *breakpoint, struct user_regs_struct *regs)
{
    int status;
    uint64_t rip =
        (uint64_t)ptrace(PTRACE_PEEKUSER, g.target, offsetof(struct user_regs_struct, rip), NULL);
    bool pushes = g.signo == 0 && (ptrace(PTRACE_PEEKTEXT, g.target, rip, NULL) & 0xff) == PUSHFQ;
    go_on(PTRACE_SINGLESTEP);
    enum wait_result how;
    do
        how = wait_target(400, &status);
    while (how == WAIT_TIME && !sleeps()); /* not waiting: the machine is busy */
    if (how != WAIT_STOPPED)
        return how;
    *breakpoint = stop_meaning(status, regs);
    if (pushes) {
        registers(regs);
        long pushed = ptrace(PTRACE_PEEKDATA, g.target, regs->rsp, NULL);
        ptrace(PTRACE_POKEDATA, g.target, regs->rsp, (long)((uint64_t)pushed & ~TRAP_FLAG));
    }
    return WAIT_STOPPED;
}

/* Have a signal sent to the target, which is stopped. True: it was, before it goes on; else it is somewhere that keeps the sender waiting. */
static bool send_signal(void)
{
    uint32_t wanted = WORD(wanted) + 1;
    int status;
    SET_WORD(wanted, wanted);
    uint64_t end = now_ms() + ACK_MS;
    while (WORD(sent) != wanted) {
        if (now_ms() > end)
            return false;
        pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
        if (pid == g.target && pid > 0) {
            if (!WIFSTOPPED(status))
                gone();
            g.early = status; /* it waited, and the signal is here */
        } else if (pid > 0)
            other_stopped(pid, status);
        else
            usleep(30);
    }
    return true;
}

static enum place place_of(uint64_t rip)
{
    /* A static program's text lies at 4 MiB, its stubs below the guest's range, all of ours above it. */
    return rip >= 0x7ef000000000ull ? PLACE_SHIM : rip < 0x20000 ? PLACE_STUB : PLACE_GUEST;
}

/*
 * After the signal: to the end of the turn. A call that waits and was not begun when the signal came waits now: it gets a second one. Had the
 * first been lost, the two would be one, and the guest would count too few; so they would if the first was not sent yet.
 */
static void finish_turn(bool waits, struct user_regs_struct *regs)
{
    unsigned asleep = 0;
    for (unsigned tries = 0; tries < 3000; tries++) {
        uint64_t breakpoint = run_to_breakpoint(20, regs);
        if (breakpoint == STEPPED_END)
            return;
        if (breakpoint) {
            go_on(PTRACE_CONT);
            continue;
        }
        asleep = waits && WORD(sent) == WORD(wanted) && sleeps() ? asleep + 1 : 0;
        if (asleep == 3)
            send_signal();
    }
    printf("stepper: the guest does not reach its end\n");
    exit(1);
}

static void report(unsigned position, uint64_t rip, uint64_t wrong)
{
    static const char *const what[] = {"result",
                                       "rbx, rbp",
                                       "rcx",
                                       "rdx, rsi, rdi",
                                       "r8-r10",
                                       "r12, r13",
                                       "r14, r15",
                                       "flags",
                                       "OF",
                                       "DF",
                                       "rsp",
                                       "red zone",
                                       "vectors",
                                       "mxcsr, x87",
                                       "signal late",
                                       "signals handled",
                                       "frame outside the program",
                                       "mask in the handler",
                                       "mask",
                                       "r11"};
    printf("a signal after %u instructions, at %#lx:", position, (unsigned long)rip);
    for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
        if (wrong >> i & 1)
            printf(" [%s]", what[i]);
    printf("\n");
    fflush(stdout);
}

static void on_tick(int signo)
{
    (void)signo;
}

/* All on one processor: handing over from one to the other is cheapest there. And a timer, for waits that are to end. */
static void prepare(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_handler = on_tick;
    sigaction(SIGALRM, &act, NULL);
}

static void start(char **argv)
{
    int input[2];
    if (pipe(input) != 0)
        die("pipe");
    g.pal = fork();
    if (g.pal == 0) {
        dup2(input[0], 0);
        close(input[0]);
        close(input[1]); /* the tracer keeps it: the pipe never ends */
        raise(SIGSTOP);
        execv(argv[0], argv);
        _exit(127);
    }
    int status;
    waitpid(g.pal, &status, WUNTRACED);
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, g.pal, NULL, options) != 0) {
        printf("may not trace here: %s\n", strerror(errno));
        kill(g.pal, SIGKILL);
        exit(77);
    }
    kill(g.pal, SIGCONT);
    struct itimerval often = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &often, NULL);
}

/* What the shim executed for one call. */
struct executed {
    unsigned instructions, locked, fences, host_calls;
};

/* What the turns found. */
struct findings {
    unsigned positions, exact, failures, places[PLACE_COUNT];
    struct executed executed;
    bool watch, in_stub; /* watch: each step tells whether it is in a stub */
};

static uint64_t current_rip(void)
{
    return (uint64_t)ptrace(PTRACE_PEEKUSER, g.target, offsetof(struct user_regs_struct, rip),
                            NULL);
}

static bool is_prefix(uint8_t byte)
{
    return byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x36 ||
           byte == 0x3e || byte == 0x26 || (byte >= 0x64 && byte <= 0x67);
}

/* Takes note of the instruction that comes next, if it is the shim's. */
static void observe(struct executed *e)
{
    static const uint8_t fence[] = {0xf0, 0x48, 0x83, 0x0c, 0x24, 0x00}; /* lock orq $0,(%rsp) */
    uint8_t code[16];
    uint64_t rip = current_rip();
    if (place_of(rip) != PLACE_SHIM)
        return;
    for (size_t i = 0; i < sizeof(code); i += sizeof(long)) {
        long bytes = ptrace(PTRACE_PEEKTEXT, g.target, rip + i, NULL);
        memcpy(code + i, &bytes, sizeof(bytes));
    }
    unsigned at = 0;
    bool locked = false;
    for (; at < 8 && is_prefix(code[at]); at++)
        locked |= code[at] == 0xf0;
    at += (code[at] & 0xf0) == 0x40;
    /* xchg with memory is locked without saying so */
    locked |= (code[at] == 0x86 || code[at] == 0x87) && code[at + 1] >> 6 != 3;
    bool fences = memcmp(code, fence, sizeof(fence)) == 0;
    e->instructions++;
    e->fences += fences;
    e->locked += locked && !fences;
    e->host_calls += code[at] == 0x0f && code[at + 1] == 0x05;
}

/* One call with a signal after `wanted` instructions; 0: without one. The result: how many there were; fewer: the call was over, or waited. */
static unsigned turn(unsigned wanted, bool waits, struct findings *f)
{
    struct user_regs_struct regs;
    uint64_t breakpoint = 0, rip = 0;
    unsigned steps = 0;
    bool blocked = false;
    SET_WORD(stepping, wanted > 0);
    go_on(PTRACE_CONT);
    if (run_to_breakpoint(60000, &regs) != STEPPED_BEGIN)
        gone();
    for (; steps < wanted && breakpoint != STEPPED_CALLED && !blocked; steps++) {
        if (f->watch)
            observe(&f->executed);
        enum wait_result how = step(&breakpoint, &regs);
        if (how == WAIT_GONE)
            gone();
        blocked = how == WAIT_TIME;
        if (f->watch && !blocked)
            f->in_stub |= place_of(current_rip()) == PLACE_STUB;
    }
    if (wanted == 0 || breakpoint == STEPPED_CALLED) {
        go_on(PTRACE_CONT);
        finish_turn(false, &regs);
    } else {
        rip = current_rip();
        f->positions++;
        f->places[place_of(rip)]++;
        f->exact += send_signal();
        if (!blocked)
            go_on(PTRACE_CONT);
        finish_turn(waits, &regs);
    }
    if (regs.rbx != 0) {
        report(steps, rip, regs.rbx);
        f->failures++;
    }
    return steps - (breakpoint == STEPPED_CALLED || blocked);
}

/* Places far apart first, then more: what the time suffices for is spread over the whole path. The result: how long that is. */
static unsigned visit_all(bool waits, uint64_t end, struct findings *f)
{
    static const uint8_t passes[] = {0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15};
    unsigned length = 0;
    for (unsigned pass = 0; pass < sizeof(passes) && (pass == 0 || now_ms() < end); pass++)
        for (unsigned at = passes[pass] + 1; at <= POSITIONS_MAX; at += sizeof(passes)) {
            if (f->failures >= 20 || now_ms() >= end + (pass == 0 ? PATIENCE_MS : 0))
                return length;
            length = at > length ? at : length;
            if (turn(at, waits, f) < at)
                break;
        }
    return length;
}

/*
 * What needs no lock takes none; a fence where somebody may have to be told.
 */
static const struct {
    const char *call;
    struct executed most;
} short_calls[] = {
    {"null", {90, 0, 0, 0}},   {"getpid", {90, 0, 0, 0}},
    {"clock", {550, 0, 0, 1}}, /* the host's vDSO may not be able to tell */
    {"lseek", {300, 0, 0, 0}}, {"sigprocmask", {550, 0, 1, 0}},
    {"futex", {420, 0, 1, 0}}, {"read", {600, 0, 0, 0}},
};

static int check_short(const char *call, const struct executed *e)
{
    printf("%s: %u instructions of the shim's, %u of them locked, %u fences, %u host calls\n", call,
           e->instructions, e->locked, e->fences, e->host_calls);
    for (size_t i = 0; i < sizeof(short_calls) / sizeof(short_calls[0]); i++) {
        const struct executed *most = &short_calls[i].most;
        if (strcmp(call, short_calls[i].call) == 0)
            return e->instructions > most->instructions || e->locked > most->locked ||
                   e->fences > most->fences || e->host_calls > most->host_calls;
    }
    printf("not a call that is to be short\n");
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        printf("usage: stepper CALL SECONDS PAL run [OPTION ...] -- STEPPED\n");
        return 2;
    }
    const char *call = argv[1];
    uint64_t end = now_ms() + strtoull(argv[2], NULL, 10) * 1000;
    char **command = calloc((size_t)argc + 1, sizeof(*command));
    if (!command) {
        perror("stepper");
        return 2;
    }
    for (int i = 3; i < argc; i++)
        command[i - 3] = argv[i];
    command[argc - 3] = argv[1];
    bool patched = true; /* what pal does unless it is told otherwise */
    for (int i = 3; i < argc; i++)
        patched &= strncmp(argv[i], "--intercept=", strlen("--intercept=")) != 0 ||
                   strcmp(argv[i], "--intercept=patch") == 0;
    if (patched && !(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)) {
        printf("skipped: no patching without FSGSBASE\n");
        return 77;
    }
    prepare();
    start(command);

    int status;
    if (wait_target(60000, &status) != WAIT_STOPPED || g.target == 0)
        gone();
    static const char *const vectors[] = {"SSE", "AVX", "AVX-512"};
    struct findings f = {0};
    bool waits = strcmp(call, "wait") == 0;
    for (unsigned i = 0; i < WARM_UP; i++)
        turn(0, false, &f);
    f.watch = true;
    unsigned last = turn(POSITIONS_MAX, waits, &f);
    f.watch = false;
    if (strcmp(argv[2], "0") == 0) {
        int wrong = check_short(call, &f.executed);
        /* Not counted again: what a host signal of somebody else's brought in between. */
        for (int tries = 0; wrong && tries < 4; tries++) {
            f.executed = (struct executed){0};
            f.watch = true;
            turn(POSITIONS_MAX, false, &f);
            wrong = check_short(call, &f.executed);
        }
        kill(g.pal, SIGKILL);
        return wrong || f.failures || !f.in_stub;
    }
    /* Whoever looks whether it may wait, and then waits, can miss a signal in between: few instructions, at the end. */
    for (unsigned i = 0; waits && i < LAST_STEPS && f.failures == 0; i++)
        turn(last - i, waits, &f);
    unsigned length = f.failures ? last : visit_all(waits, end, &f);
    printf("%s registers; ", vectors[WORD(vectors)]);
    printf("%s: a signal at %u of %u places (", call, f.positions, length);
    for (int i = 0; i < PLACE_COUNT; i++)
        printf("%s%u in %s", i ? ", " : "", f.places[i], place_names[i]);
    printf("), %u of them exactly; failures: %u\n", f.exact, f.failures);
    kill(g.pal, SIGKILL);
    if (f.failures)
        return 3;
    if (patched != f.in_stub) {
        printf("the call was to be %s\n", patched ? "patched" : "trapped");
        return 1;
    }
    if (f.exact * 2 < f.positions) {
        printf("skipped: the machine is too busy for signals to come where they are wanted\n");
        return 77;
    }
    return 0;
}
