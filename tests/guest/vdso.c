/* The vDSO: what it exports, that its clocks are those of the system calls, also in children and while signals arrive. */
#include "guest.h"

#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *g_base;
static const Elf64_Sym *g_symbols;
static const char *g_names;
static uint32_t g_count;

static void open_image(void)
{
    g_base = (const char *)getauxval(AT_SYSINFO_EHDR);
    CHECK(g_base && memcmp(g_base, ELFMAG, SELFMAG) == 0);
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)g_base;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(g_base + elf->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    for (int i = 0; i < elf->e_phnum; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)(g_base + headers[i].p_offset);
    CHECK(dynamic != NULL);
    const char *symbols = NULL;
    uint64_t soname = 0;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = g_base + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_STRTAB)
            g_names = g_base + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SONAME)
            soname = dynamic->d_un.d_val;
    }
    CHECK(symbols && g_names > symbols);
    printf("soname: %s\n", g_names + soname);
    g_symbols = (const Elf64_Sym *)symbols;
    g_count = (uint32_t)((size_t)(g_names - symbols) / sizeof(*g_symbols));
}

static void *find(const char *name)
{
    for (uint32_t i = 0; i < g_count; i++)
        if (g_symbols[i].st_shndx != SHN_UNDEF && strcmp(g_names + g_symbols[i].st_name, name) == 0)
            return (void *)(g_base + g_symbols[i].st_value);
    return NULL;
}

static int64_t ns_of(struct timespec t)
{
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int (*g_gettime)(clockid_t, struct timespec *);

/* One after the other never goes back, whichever way each is asked. */
static void in_turns(clockid_t clock, int rounds)
{
    struct timespec t;
    int64_t last = 0;
    for (int i = 0; i < rounds; i++) {
        CHECK(syscall(SYS_clock_gettime, clock, &t) == 0);
        CHECK(ns_of(t) >= last);
        last = ns_of(t);
        CHECK(g_gettime(clock, &t) == 0);
        CHECK(ns_of(t) >= last && t.tv_nsec < 1000000000);
        last = ns_of(t);
    }
}

static void all_in_turns(int rounds)
{
    static const clockid_t clocks[] = {
        CLOCK_REALTIME,         CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
        CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,  CLOCK_TAI,           CLOCK_PROCESS_CPUTIME_ID,
        CLOCK_THREAD_CPUTIME_ID};
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
        in_turns(clocks[i], rounds);
}

static void test_others(void)
{
    int (*tod)(struct timeval *, struct timezone *) = find("__vdso_gettimeofday");
    time_t (*seconds)(time_t *) = find("__vdso_time");
    int (*cpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    int (*res)(clockid_t, struct timespec *) = find("__vdso_clock_getres");
    CHECK(tod && seconds && cpu && res);
    struct timeval tv, before;
    struct timezone zone = {-1, -1}, zone_of_call = {-1, -1};
    for (int i = 0; i < 1000; i++) {
        CHECK(syscall(SYS_gettimeofday, &before, NULL) == 0);
        CHECK(tod(&tv, NULL) == 0);
        CHECK(timercmp(&tv, &before, >=));
    }
    CHECK(tod(&tv, &zone) == 0 && syscall(SYS_gettimeofday, NULL, &zone_of_call) == 0);
    CHECK(zone.tz_minuteswest == zone_of_call.tz_minuteswest &&
          zone.tz_dsttime == zone_of_call.tz_dsttime);
    CHECK(tod(NULL, NULL) == 0);
    time_t stored = 0, told = seconds(&stored), asked = syscall(SYS_time, NULL);
    CHECK(told == stored && asked >= told && asked <= told + 1000 && seconds(NULL) >= told);

    /* Bound to one processor, all ways name it. */
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
    unsigned here = 99, node = 99, called = 99;
    CHECK(cpu(&here, NULL, NULL) == 0 && CPU_ISSET(here, &set));
    CHECK(cpu(NULL, &node, NULL) == 0 && syscall(SYS_getcpu, NULL, &called, NULL) == 0 &&
          node == called);

    struct timespec t, u;
    for (clockid_t c = 0; c < 16; c++) {
        int a = res(c, &t);
        long b = syscall(SYS_clock_getres, c, &u);
        CHECK((a == 0) == (b == 0));
        if (b == 0 && c != CLOCK_PROCESS_CPUTIME_ID && c != CLOCK_THREAD_CPUTIME_ID)
            CHECK(ns_of(t) == ns_of(u));
    }
    printf("unknown clocks: %d %d %d\n", g_gettime(10, &t), g_gettime(1000, &t), g_gettime(33, &t));
    printf("unknown resolution: %d\n", res(77, &t));
}

static volatile sig_atomic_t g_signals;
static void on_alarm(int sig)
{
    (void)sig;
    struct timespec t;
    g_signals += g_gettime(CLOCK_MONOTONIC, &t) == 0;
}

static void test_signals(void)
{
    struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, 100}, {0, 100}}, none = {{0, 0}, {0, 0}};
    CHECK(sigaction(SIGALRM, &act, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
    while (g_signals < 200)
        in_turns(CLOCK_MONOTONIC, 1000);
    CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
    printf("signals among the calls: fine\n");
}

static void test_maps(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2)
            printf("in maps: %s, %.4s\n",
                   (const char *)start == g_base ? "at its place" : "elsewhere",
                   strchr(line, ' ') + 1);
    }
    fclose(maps);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    open_image();
    g_gettime = find("__vdso_clock_gettime");
    CHECK(g_gettime && find("clock_gettime") == (void *)g_gettime);
    if (argc > 1) {
        all_in_turns(100);
        printf("after execve: fine\n");
        return 0;
    }
    all_in_turns(2000);
    test_others();
    test_signals();
    test_maps();
    pid_t pid = fork();
    if (pid == 0) {
        all_in_turns(1000);
        printf("in a child: fine\n");
        execl(argv[0], argv[0], "again", (char *)NULL);
        _exit(1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("child: %d\n", status);
    return 0;
}
