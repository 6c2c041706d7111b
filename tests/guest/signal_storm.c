/*
 * argv[1] real-time signals hit threads at whatever instruction they are, while those compute, make system calls, fork and take faults.
 * Handlers overwrite every register, call, fault and are interrupted themselves. No register of the interrupted code changes, general
 * or vector, flags or red zone; each signal arrives once and in order.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "guest.h"
#include "vectors.h"

#define VICTIMS 3
#define SENDERS 2
#define GPRS 15

/* What storm_round loads, and finds afterwards. The assembly below knows the layout. */
struct registers {
    uint64_t gpr[GPRS]; /* rax rbx rcx rdx rsi rdi rbp r8..r15 */
    uint64_t carry;
    uint64_t
        red_zone; /* below the stack pointer: the same value in three places; 0 if they differ */
    uint64_t x87;
    uint32_t mxcsr, pad[9];
    uint8_t vector[32][64];
    uint64_t mask[8];
};
_Static_assert(offsetof(struct registers, carry) == 120, "assembly");
_Static_assert(offsetof(struct registers, mxcsr) == 144, "assembly");
_Static_assert(offsetof(struct registers, vector) == 184, "assembly");
_Static_assert(offsetof(struct registers, mask) == 2232, "assembly");

/* Load `in`, count down `spins`, make call `number` unless it is negative, store into `out`. */
void storm_round(const struct registers *in, struct registers *out, long spins, long number,
                 long level);
/* Overwrite what a handler may. */
void storm_clobber(long level);

/* clang-format off */
__asm__(
    ".text\n"
    ".globl storm_round\n.type storm_round, @function\n"
    "storm_round:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    /* 0 spins, 8 number, 16 level, 24 out, 32 scratch */
    "  sub $168, %rsp\n"
    "  mov %rdx, (%rsp); mov %rcx, 8(%rsp); mov %r8, 16(%rsp); mov %rsi, 24(%rsp)\n"
    "  mov 128(%rdi), %rax; mov %rax, -8(%rsp); mov %rax, -64(%rsp); mov %rax, -128(%rsp)\n"
    "  fninit; fildll 136(%rdi); ldmxcsr 144(%rdi)\n"
    "  cmpq $1, 16(%rsp); je 2f; jg 3f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movups 184+64*\\n(%rdi), %xmm\\n\n .endr\n"
    "  jmp 4f\n"
    "2:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovups 184+64*\\n(%rdi), %ymm\\n\n .endr\n"
    "  jmp 4f\n"
    "3:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    " vmovups 184+64*\\n(%rdi), %zmm\\n\n .endr\n"
    ".irp n,1,2,3,4,5,6,7\n kmovw 2232+8*\\n(%rdi), %k\\n\n .endr\n"
    "4:\n"
    "  mov (%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx\n"
    "  mov 32(%rdi), %rsi; mov 48(%rdi), %rbp; mov 56(%rdi), %r8; mov 64(%rdi), %r9\n"
    "  mov 72(%rdi), %r10; mov 80(%rdi), %r11; mov 88(%rdi), %r12; mov 96(%rdi), %r13\n"
    "  mov 104(%rdi), %r14; mov 112(%rdi), %r15; mov 40(%rdi), %rdi\n"
    "  cmpq $0, 8(%rsp); jl 5f\n"
    "  mov 8(%rsp), %eax; syscall\n"
    "5:stc\n"
    "6:decq (%rsp); jnz 6b\n" /* which leaves the carry flag alone */
    "  mov %rdi, 32(%rsp); mov 24(%rsp), %rdi\n"
    "  mov %rax, (%rdi); mov %rbx, 8(%rdi); mov %rcx, 16(%rdi); mov %rdx, 24(%rdi)\n"
    "  mov %rsi, 32(%rdi); mov %rbp, 48(%rdi); mov %r8, 56(%rdi); mov %r9, 64(%rdi)\n"
    "  mov %r10, 72(%rdi); mov %r11, 80(%rdi); mov %r12, 88(%rdi); mov %r13, 96(%rdi)\n"
    "  mov %r14, 104(%rdi); mov %r15, 112(%rdi); mov 32(%rsp), %rax; mov %rax, 40(%rdi)\n"
    "  setc %al; movzbl %al, %eax; mov %rax, 120(%rdi)\n"
    "  mov -8(%rsp), %rax; xor %ecx, %ecx\n"
    "  cmp -64(%rsp), %rax; cmovne %rcx, %rax; cmp -128(%rsp), %rax; cmovne %rcx, %rax\n"
    "  mov %rax, 128(%rdi); fistpll 136(%rdi); stmxcsr 144(%rdi)\n"
    "  cmpq $1, 16(%rsp); je 2f; jg 3f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movups %xmm\\n, 184+64*\\n(%rdi)\n .endr\n"
    "  jmp 4f\n"
    "2:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovups %ymm\\n, 184+64*\\n(%rdi)\n .endr\n"
    "  vzeroupper; jmp 4f\n"
    "3:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    " vmovups %zmm\\n, 184+64*\\n(%rdi)\n .endr\n"
    ".irp n,1,2,3,4,5,6,7\n kmovw %k\\n, 2232+8*\\n(%rdi)\n .endr\n"
    "  vzeroupper\n"
    "4:\n"
    "  movl $0x1f80, 32(%rsp); ldmxcsr 32(%rsp); fninit\n"
    "  add $168, %rsp\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".size storm_round, . - storm_round\n"
    ".globl storm_clobber\n.type storm_clobber, @function\n"
    "storm_clobber:\n"
    "  cmp $1, %rdi; je 2f; jg 3f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pcmpeqd %xmm\\n, %xmm\\n\n .endr\n"
    "  jmp 4f\n"
    "2:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vcmptrueps %ymm\\n, %ymm\\n, %ymm\\n\n .endr\n"
    "  jmp 4f\n"
    "3:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    " vpternlogd $255, %zmm\\n, %zmm\\n, %zmm\\n\n .endr\n"
    ".irp n,1,2,3,4,5,6,7\n kxnorw %k\\n, %k\\n, %k\\n\n .endr\n"
    "4:\n"
    "  fninit; fldpi; movl $0x3f80, -8(%rsp); ldmxcsr -8(%rsp)\n"
    "  mov $-1, %rax; mov %rax, %rcx; mov %rax, %rdx; mov %rax, %rsi; mov %rax, %rdi\n"
    "  mov %rax, %r8; mov %rax, %r9; mov %rax, %r10; mov %rax, %r11; ret\n"
    ".size storm_clobber, . - storm_clobber\n");
/* clang-format on */

struct victim {
    pthread_t thread;
    volatile pid_t tid;
    volatile unsigned long received[SENDERS], faults;
    unsigned long rounds, forks;
    unsigned seed;
};
static struct victim g_victims[VICTIMS];
static __thread struct victim *g_me;
static long g_level;
static unsigned long g_each;
static volatile char *g_forbidden;

/* A fault that the handler answers by going on behind it. The kind of the fault is in what is found there. */
extern const char storm_read[], storm_ud[], storm_div[];
static void fault(unsigned kind)
{
    switch (kind % 4) {
    case 0:
        __asm__ volatile(".globl storm_read\nstorm_read: movb (%0), %%al" ::"r"(g_forbidden)
                         : "rax", "memory");
        break;
    case 1:
        __asm__ volatile(".globl storm_ud\nstorm_ud: ud2");
        break;
    case 2:
        __asm__ volatile("xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx\n"
                         ".globl storm_div\nstorm_div: div %%ecx" ::
                             : "rax", "rcx", "rdx", "cc");
        break;
    default:
        __asm__ volatile("int3");
    }
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    switch (sig) {
    case SIGSEGV:
        CHECK(rip == (uint64_t)storm_read && info->si_addr == g_forbidden &&
              info->si_code == SEGV_ACCERR);
        break;
    case SIGILL:
        CHECK(rip == (uint64_t)storm_ud && info->si_addr == (void *)rip &&
              info->si_code == ILL_ILLOPN);
        break;
    case SIGFPE:
        CHECK(rip == (uint64_t)storm_div && info->si_addr == (void *)rip &&
              info->si_code == FPE_INTDIV);
        break;
    default:
        CHECK(sig == SIGTRAP && info->si_code == SI_KERNEL);
    }
    if (sig != SIGTRAP)
        uc->uc_mcontext.gregs[REG_RIP] += 2; /* each of them is two bytes long */
    g_me->faults++;
    storm_clobber(g_level);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int sender = sig - SIGRTMIN - 1;
    CHECK(info->si_code == SI_QUEUE && info->si_pid == getpid());
    CHECK((unsigned long)(uintptr_t)info->si_value.sival_ptr == g_me->received[sender] + 1);
    unsigned long n = ++g_me->received[sender];
    if (n % 8 == 0)
        fault((unsigned)(n / 8));
    if (n % 16 == 1)
        syscall(SYS_getppid);
    if (n % 64 == 3)
        sched_yield();
    storm_clobber(g_level);
}

static uint64_t next(unsigned *seed)
{
    uint64_t a = (uint64_t)rand_r(seed), b = (uint64_t)rand_r(seed);
    return a << 33 ^ b << 10 ^ a;
}

static void check_same(const struct registers *in, const struct registers *out, long number)
{
    static const size_t widths[] = {16, 32, 64};
    for (int i = 0; i < GPRS; i++) /* a call changes rax, rcx and r11 */
        CHECK(out->gpr[i] == in->gpr[i] || (number >= 0 && (i == 0 || i == 2 || i == 10)));
    CHECK(out->carry == 1 && out->red_zone == in->red_zone && out->x87 == in->x87);
    CHECK(out->mxcsr == in->mxcsr);
    for (int i = 0; i < (g_level == AVX512 ? 32 : 16); i++)
        CHECK(memcmp(out->vector[i], in->vector[i], widths[g_level]) == 0);
    for (int i = 1; g_level == AVX512 && i < 8; i++)
        CHECK((uint16_t)out->mask[i] == (uint16_t)in->mask[i]);
}

static bool done(const struct victim *v)
{
    for (int s = 0; s < SENDERS; s++)
        if (v->received[s] < g_each)
            return false;
    return true;
}

static void *victim_main(void *arg)
{
    static const long calls[] = {-1, -1, SYS_getppid, SYS_sched_yield, -1, SYS_gettid};
    struct victim *v = g_me = arg;
    static __thread struct registers in, out;
    static __thread char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
    if (v != g_victims) /* the first takes them on its own stack */
        CHECK(sigaltstack(&stack, NULL) == 0);
    v->tid = (pid_t)syscall(SYS_gettid);
    while (!done(v)) {
        for (int i = 0; i < GPRS; i++)
            in.gpr[i] = next(&v->seed);
        in.red_zone = next(&v->seed) | 1;
        in.x87 = next(&v->seed) >> 2;
        in.mxcsr = 0x1f80 | (uint32_t)(next(&v->seed) & 3) << 13;
        for (int i = 0; i < 32; i++)
            for (int at = 0; at < 64; at += 8)
                *(uint64_t *)(in.vector[i] + at) = next(&v->seed);
        for (int i = 0; i < 8; i++)
            in.mask[i] = next(&v->seed);
        long number = calls[v->rounds % 6];
        if (v->rounds % 256 == 77)
            number = SYS_fork;
        /* Arguments of fork are none; the others ignore what they find. */
        storm_round(&in, &out, 1 + (long)(next(&v->seed) % 3000), number, g_level);
        if (number == SYS_fork && out.gpr[0] == 0) {
            check_same(&in, &out, number);
            syscall(SYS_exit_group, 42);
        }
        check_same(&in, &out, number);
        if (number == SYS_fork) {
            int status;
            pid_t pid = (pid_t)out.gpr[0];
            CHECK(pid > 0);
            while (waitpid(pid, &status, 0) != pid)
                CHECK(errno == EINTR);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
            v->forks++;
        }
        if (v->rounds % 16 == 5)
            fault((unsigned)v->rounds / 16);
        v->rounds++;
    }
    return NULL;
}

static void *sender_main(void *arg)
{
    int sender = (int)(intptr_t)arg;
    for (unsigned long n = 1; n <= g_each; n++) {
        for (int i = 0; i < VICTIMS; i++) {
            siginfo_t info = {.si_code = SI_QUEUE};
            info.si_pid = getpid();
            info.si_uid = getuid();
            info.si_value.sival_ptr = (void *)(uintptr_t)n;
            while (syscall(SYS_rt_tgsigqueueinfo, getpid(), g_victims[i].tid, SIGRTMIN + 1 + sender,
                           &info) != 0) {
                CHECK(errno == EAGAIN);
                usleep(100);
            }
        }
        /* No more than some in flight, or they come in heaps and not at random places. */
        for (int i = 0; i < VICTIMS; i++)
            while (n - g_victims[i].received[sender] > 4)
                sched_yield();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const int faults[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP};
    unsigned long all = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    g_each = (all + VICTIMS * SENDERS - 1) / (VICTIMS * SENDERS);
    g_level = vector_level();
    g_forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g_forbidden != MAP_FAILED);
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    for (int s = 0; s < SENDERS; s++)
        CHECK(sigaction(SIGRTMIN + 1 + s, &action, NULL) == 0);
    action.sa_sigaction = on_fault;
    action.sa_flags |= SA_NODEFER; /* a signal's handler may fault while it interrupts this one */
    for (int i = 0; i < 4; i++)
        CHECK(sigaction(faults[i], &action, NULL) == 0);
    pthread_t senders[SENDERS];
    for (int i = 0; i < VICTIMS; i++) {
        g_victims[i].seed = 17u * (unsigned)i + 1;
        CHECK(pthread_create(&g_victims[i].thread, NULL, victim_main, &g_victims[i]) == 0);
    }
    for (int i = 0; i < VICTIMS; i++)
        while (!g_victims[i].tid)
            usleep(100);
    for (int s = 0; s < SENDERS; s++)
        CHECK(pthread_create(&senders[s], NULL, sender_main, (void *)(intptr_t)s) == 0);
    for (int s = 0; s < SENDERS; s++)
        CHECK(pthread_join(senders[s], NULL) == 0);
    unsigned long sum = 0, fault_sum = 0;
    for (int i = 0; i < VICTIMS; i++) {
        CHECK(pthread_join(g_victims[i].thread, NULL) == 0);
        fault_sum += g_victims[i].faults;
        for (int s = 0; s < SENDERS; s++) {
            CHECK(g_victims[i].received[s] == g_each);
            sum += g_victims[i].received[s];
        }
    }
    printf("%lu signals, each once and in order; vector state of kind %ld; faults: %d\n", sum,
           g_level, fault_sum >= sum / 8 - VICTIMS * SENDERS);
    return 0;
}
