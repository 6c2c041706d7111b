/*
 * stepped.c: the guest of tests/interception/stepper.c, which stops it at an instruction of its choice, anywhere between two breakpoints around
 * one system call, and has another process of it send a signal at that moment. Verifies that the signal is handled once and at once, and that
 * everything the call keeps is kept: general and vector registers, flags, red zone, signal mask.
 *
 *     stepped CALL     one of the names below, or of kinds[]
 */
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "guest.h"
#include "stepped.h"
#include "vectors.h"

#define RED_ZONE 16 /* words */

/* Before and after; offsets are used below. */
struct state {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14,
        r15;             /* 0 ... 112 */
    uint64_t flags;      /* 120: SF ZF AF PF CF as lahf has them in bits 8-15, OF in bit 0 */
    uint64_t direction;  /* 128: 0, or 1: DF set */
    uint64_t mxcsr, x87; /* 136, 144 */
    uint64_t red_zone[RED_ZONE]; /* 152 */
    uint64_t pad[5];
    uint8_t vectors[32][64]; /* 320 */
    uint64_t opmasks[8];     /* 2368 */
};
_Static_assert(offsetof(struct state, flags) == 120 && offsetof(struct state, vectors) == 320 &&
                   offsetof(struct state, opmasks) == 2368,
               "used below");
struct state g_in __attribute__((aligned(64))), g_out __attribute__((aligned(64)));
uint64_t g_stack, g_stack_out, g_level;

/* The routine around one call; `site` is the instructions that make it, with everything loaded. Memory is reached without a register. */
#define LOW " .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
#define HIGH " .irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
#define OPMASKS " .irp n,0,1,2,3,4,5,6,7\n"
#define LOAD_ZMM " vmovdqu64 g_in+320+64*\\n(%rip), %zmm\\n\n .endr\n"
#define SAVE_ZMM " vmovdqu64 %zmm\\n, g_out+320+64*\\n(%rip)\n .endr\n"
#define LOAD_VECTORS                                                                               \
    " cmpl $1, g_level(%rip)\n je 1f\n jb 2f\n" LOW LOAD_ZMM HIGH LOAD_ZMM OPMASKS                 \
    " kmovq g_in+2368+8*\\n(%rip), %k\\n\n .endr\n jmp 3f\n1:\n" LOW                               \
    " vmovdqu g_in+320+64*\\n(%rip), %ymm\\n\n .endr\n jmp 3f\n2:\n" LOW                           \
    " movdqu g_in+320+64*\\n(%rip), %xmm\\n\n .endr\n3:\n"
#define SAVE_VECTORS                                                                               \
    " cmpl $1, g_level(%rip)\n je 1f\n jb 2f\n" LOW SAVE_ZMM HIGH SAVE_ZMM OPMASKS                 \
    " kmovq %k\\n, g_out+2368+8*\\n(%rip)\n .endr\n jmp 3f\n1:\n" LOW                              \
    " vmovdqu %ymm\\n, g_out+320+64*\\n(%rip)\n .endr\n jmp 3f\n2:\n" LOW                          \
    " movdqu %xmm\\n, g_out+320+64*\\n(%rip)\n .endr\n3:\n"
/* It would make a column of this: */
/* clang-format off */
#define ROUTINE(name, size, site)                                                                  \
    __asm__(".text\n.balign 64\n.type " #name ", @function\n" #name ":\n"                          \
            " push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"             \
            " mov %rsp, g_stack(%rip)\n sub $512, %rsp\n"                                          \
            " mov $16, %ecx\n lea g_in+152(%rip), %rsi\n lea -128(%rsp), %rdi\n rep movsq\n"       \
            " ldmxcsr g_in+136(%rip)\n fldcw g_in+144(%rip)\n"                                     \
 LOAD_VECTORS " mov $" STEPPED_TEXT(STEPPED_BEGIN) ", %eax\n int3\n"                               \
            " cmpl $0, g_in+128(%rip)\n jz 3f\n std\n3:\n"                                         \
            " mov g_in+120(%rip), %rax\n mov %eax, %ecx\n add $0x7f, %cl\n sahf\n"                 \
            " mov g_in+8(%rip), %rbx\n mov g_in+24(%rip), %rdx\n mov g_in+32(%rip), %rsi\n"        \
            " mov g_in+40(%rip), %rdi\n mov g_in+48(%rip), %rbp\n mov g_in+56(%rip), %r8\n"        \
            " mov g_in+64(%rip), %r9\n mov g_in+72(%rip), %r10\n mov g_in+80(%rip), %r11\n"        \
            " mov g_in+88(%rip), %r12\n mov g_in+96(%rip), %r13\n mov g_in+104(%rip), %r14\n"      \
            " mov g_in+112(%rip), %r15\n mov g_in+16(%rip), %rcx\n" site                           \
            " mov %rax, g_out(%rip)\n mov %rbx, g_out+8(%rip)\n mov %rcx, g_out+16(%rip)\n"        \
            " mov %rdx, g_out+24(%rip)\n mov %rsi, g_out+32(%rip)\n mov %rdi, g_out+40(%rip)\n"    \
            " mov %rbp, g_out+48(%rip)\n mov %r8, g_out+56(%rip)\n mov %r9, g_out+64(%rip)\n"      \
            " mov %r10, g_out+72(%rip)\n mov %r11, g_out+80(%rip)\n mov %r12, g_out+88(%rip)\n"    \
            " mov %r13, g_out+96(%rip)\n mov %r14, g_out+104(%rip)\n mov %r15, g_out+112(%rip)\n"  \
            " mov $0, %eax\n lahf\n seto %al\n mov %rax, g_out+120(%rip)\n"                        \
            " mov %rsp, g_stack_out(%rip)\n lea -128(%rsp), %rsp\n pushfq\n pop %rax\n"            \
            " lea 128(%rsp), %rsp\n shr $10, %eax\n and $1, %eax\n mov %rax, g_out+128(%rip)\n"    \
            " cld\n mov $16, %ecx\n lea g_out+152(%rip), %rdi\n lea -128(%rsp), %rsi\n rep movsq\n"\
            " stmxcsr g_out+136(%rip)\n fnstcw g_out+144(%rip)\n"                                  \
            SAVE_VECTORS " mov g_stack(%rip), %rsp\n mov $" STEPPED_TEXT(STEPPED_CALLED) ", %eax\n int3\n"    \
            " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"             \
            ".size " #name ", " size "\n .balign 64\n");                                             \
    void name(void);                                                                               \
    extern const char name##_after[];
/* clang-format on */

/* An instruction of five bytes before the call; none; and one whose operand is relative to where it stands. */
ROUTINE(call_long, ". - call_long", " mov $110, %eax\n syscall\ncall_long_after:\n")
ROUTINE(call_short, "0", /* only inside functions of no known length is padding looked for */
        " mov g_in(%rip), %rax\n nop\n syscall\ncall_short_after: nop\n jmp 9f\n"
        " .balign 32\n .nops 16, 8\n9:\n")
ROUTINE(call_relative, ". - call_relative",
        " mov g_in(%rip), %rax\n syscall\ncall_relative_after:\n")

static volatile int g_handled, g_bad_frames;
static uint64_t g_mask_seen;
extern const char __executable_start[], etext[];
static struct shared_words *g_words;

static void clobber_vectors(void)
{
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n movdqa %%xmm0, %%xmm5\n movdqa %%xmm0, %%xmm9\n"
                     "movdqa %%xmm0, %%xmm15\n fninit\n"
                     :
                     :
                     : "xmm0", "xmm5", "xmm9", "xmm15");
    if (g_level >= AVX)
        __asm__ volatile("vzeroall" : : : "xmm1", "xmm2", "xmm3", "xmm4", "xmm6", "xmm7", "xmm8");
    if (g_level == AVX512)
        __asm__ volatile(HIGH " vpternlogd $255, %zmm\\n, %zmm\\n, %zmm\\n\n .endr\n" OPMASKS
                              " kxnorq %k\\n, %k\\n, %k\\n\n .endr\n");
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    (void)signo;
    (void)info;
    g_handled++;
    /* Frames name the program's own instructions, never those somebody moved elsewhere. */
    if (rip < (uint64_t)__executable_start || rip >= (uint64_t)etext)
        g_bad_frames++;
    memcpy(&g_mask_seen, &uc->uc_sigmask, sizeof(g_mask_seen));
    clobber_vectors();
    __asm__ volatile("std\n\tcld\n\tstc" : : : "cc");
}

static int vectors_differ(void)
{
    static const size_t sizes[] = {16, 32, 64};
    for (int i = 0; i < (g_level == AVX512 ? 32 : 16); i++)
        if (memcmp(g_in.vectors[i], g_out.vectors[i], sizes[g_level]) != 0)
            return 1;
    return g_level == AVX512 && memcmp(g_in.opmasks, g_out.opmasks, sizeof(g_in.opmasks)) != 0;
}

#define DIFFERS(what, cond)                                                                        \
    do {                                                                                           \
        if (cond)                                                                                  \
            wrong |= 1u << (what);                                                                 \
    } while (0)

/* What of the state is wrong, by bits; 0: nothing. */
static uint64_t compare(long expected, const char *after)
{
    uint64_t wrong = 0;
    DIFFERS(0, (long)g_out.rax != expected);
    DIFFERS(1, g_out.rbx != g_in.rbx || g_out.rbp != g_in.rbp);
    DIFFERS(2, g_out.rcx != (uint64_t)after);
    DIFFERS(3, g_out.rdx != g_in.rdx || g_out.rsi != g_in.rsi || g_out.rdi != g_in.rdi);
    DIFFERS(4, g_out.r8 != g_in.r8 || g_out.r9 != g_in.r9 || g_out.r10 != g_in.r10);
    DIFFERS(5, g_out.r12 != g_in.r12 || g_out.r13 != g_in.r13);
    DIFFERS(6, g_out.r14 != g_in.r14 || g_out.r15 != g_in.r15);
    DIFFERS(7, (g_out.flags & 0xd500) != (g_in.flags & 0xd500)); /* SF ZF AF PF CF */
    DIFFERS(8, (g_out.flags & 1) != (g_in.flags & 1));           /* OF */
    DIFFERS(9, g_out.direction != g_in.direction);
    DIFFERS(10, g_stack_out != g_stack - 512);
    DIFFERS(11, memcmp(g_in.red_zone, g_out.red_zone, sizeof(g_in.red_zone)) != 0);
    DIFFERS(12, vectors_differ());
    DIFFERS(13, g_out.mxcsr != g_in.mxcsr || g_out.x87 != g_in.x87);
    /* The flags as the call found them, with those that are always set; TF is the tracer's, RF the host's. */
    uint64_t flags = (g_in.flags >> 8 & 0xd7) | (g_in.flags & 1) << 11 | g_in.direction << 10;
    DIFFERS(19, (g_out.r11 & ~0x10100ull) != (flags | 0x202));
    return wrong;
}

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed ^ *seed >> 29;
}

static void fill(uint64_t *seed, long number, int plain)
{
    uint64_t *words = (uint64_t *)&g_in;
    for (size_t i = 0; i < sizeof(g_in) / 8; i++)
        words[i] = next(seed);
    g_in.rax = (uint64_t)number;
    g_in.flags = (g_in.flags & 0xd501) | 0x0200;
    g_in.direction = plain ? 0 : g_in.direction & 1;
    g_in.mxcsr = 0x1f80 | (g_in.mxcsr & 0x6000);
    g_in.x87 = 0x37f | (g_in.x87 & 0xc00);
    memset(&g_out, 0, sizeof(g_out));
}

static void tell(uint64_t what, uint64_t value, uint64_t more)
{
    __asm__ volatile("int3" : : "a"(what), "b"(value), "c"(more) : "memory");
}

/* The process that sends: whenever the tracer asks. */
static void send_when_asked(pid_t target)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        uint32_t wanted = __atomic_load_n(&g_words->wanted, __ATOMIC_ACQUIRE);
        if (wanted == g_words->sent) {
            usleep(30);
            continue;
        }
        if (kill(target, SIGUSR1) != 0)
            _exit(1);
        __atomic_store_n(&g_words->sent, wanted, __ATOMIC_RELEASE);
    }
}

/* What was sent during the call arrives without another call of ours. 1: it does not. */
static int await_signals(int expected)
{
    while (__atomic_load_n(&g_words->sent, __ATOMIC_ACQUIRE) != g_words->wanted)
        __asm__ volatile("pause");
    for (int spins = 0; g_handled < expected; spins++) {
        if (spins > 10000000)
            return 1;
        __asm__ volatile("pause");
    }
    return 0;
}

/* ---- the calls ---- */

struct call {
    const char *kind;
    long number, result;
    unsigned takes; /* so many of these; what others hold is arbitrary */
    uint64_t args[4];
};
static struct pollfd g_input = {.fd = 0, .events = POLLIN};
static uint64_t g_fs_base, g_masks[2];
static struct timespec g_now;
static uint32_t g_word;
static char g_byte;
static const struct call kinds[] = {
    {"wait", SYS_poll, 0, 3, {(uint64_t)&g_input, 1, 0}},
    {"leaves", SYS_arch_prctl, 0, 2, {0x1003 /* ARCH_GET_FS */, (uint64_t)&g_fs_base}},
    {"null", 500, -ENOSYS, 0, {0}}, /* nobody has that number */
    {"getpid", SYS_getpid, 0, 0, {0}},
    {"clock", SYS_clock_gettime, 0, 2, {CLOCK_MONOTONIC, (uint64_t)&g_now}},
    {"lseek", SYS_lseek, 5, 3, {0, 5, SEEK_SET}},
    {"sigprocmask",
     SYS_rt_sigprocmask,
     0,
     4,
     {SIG_SETMASK, (uint64_t)&g_masks[0], (uint64_t)&g_masks[1], 8}},
    {"futex", SYS_futex, 0, 3, {(uint64_t)&g_word, 129 /* FUTEX_WAKE_PRIVATE */, 1}},
    {"read", SYS_read, 1, 3, {0, (uint64_t)&g_byte, 1}},
};

static struct call prepare_call(const char *kind)
{
    struct call call = {.kind = kind, .number = SYS_getppid, .result = getppid()};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            call = kinds[i];
    if (call.number == SYS_getpid)
        call.result = getpid();
    if (call.number == SYS_lseek || call.number == SYS_read) {
        static const char bytes[4096] = "a file in memory";
        char path[] = "/tmp/stepped.XXXXXX";
        int fd = mkstemp(path);
        CHECK(fd >= 0 && write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
        CHECK(lseek(fd, 0, SEEK_SET) == 0 && unlink(path) == 0);
        call.args[0] = (uint64_t)fd;
    }
    return call;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "long";
    int waits = strcmp(kind, "wait") == 0;
    void (*routine)(void) = strcmp(kind, "long") == 0    ? call_long
                            : strcmp(kind, "short") == 0 ? call_short
                                                         : call_relative;
    const char *after = routine == call_long    ? call_long_after
                        : routine == call_short ? call_short_after
                                                : call_relative_after;
    g_level = (uint64_t)vector_level();
    g_words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(g_words != MAP_FAILED);
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_sigaction = on_signal;
    act.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    pid_t target = getpid(), sender = fork();
    CHECK(sender >= 0);
    if (sender == 0)
        send_when_asked(target);
    struct call call = prepare_call(kind); /* what it opens is not shared with the sender */

    uint64_t seed = 1;
    uint32_t counted = 0;
    g_words->vectors = (uint32_t)g_level;
    tell(STEPPED_HELLO, (uint64_t)g_words, waits);
    for (uint64_t turn = 0;; turn++) {
        int before = g_handled;
        fill(&seed, call.number, turn % 4 != 3);
        if (call.takes > 0)
            g_in.rdi = call.args[0];
        if (call.takes > 1)
            g_in.rsi = call.args[1];
        if (call.takes > 2)
            g_in.rdx = call.args[2];
        if (call.takes > 3)
            g_in.r10 = call.args[3];
        if (call.number == SYS_rt_sigprocmask)
            g_masks[0] ^= 1ul << (SIGUSR2 - 1);
        if (waits) {
            /* At once until the tracer begins, and when it asks for no signal; else to an end that it lives to see */
            g_in.rdx = g_words->stepping ? 30000 : 0;
            call.result = g_words->stepping ? -EINTR : 0;
        }
        g_bad_frames = 0;
        g_mask_seen = 0;
        routine();
        uint64_t wrong = compare(call.result, after);
        if (g_words->wanted != counted) {
            int signals = (int)(g_words->wanted - counted);
            counted = g_words->wanted;
            DIFFERS(14, await_signals(before + signals));
            DIFFERS(15, g_handled != before + signals);
            DIFFERS(16, g_bad_frames != 0);
            DIFFERS(17, g_mask_seen != 0);
        } else {
            DIFFERS(15, g_handled != before);
        }
        sigset_t now;
        sigprocmask(SIG_BLOCK, NULL, &now);
        DIFFERS(18, sigismember(&now, SIGUSR1));
        tell(STEPPED_END, wrong, 0);
        if (g_words->finish)
            break;
    }
    kill(sender, SIGKILL);
    return 0;
}
