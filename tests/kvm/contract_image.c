/*
 * contract_image.c: the contract cases in ring 0, one after the other in one machine: those that are not to end by a check. The blob:
 *   after NAME   only those behind that one in the list
 *   only NAME    one, whatever its kind
 *   most ...     where ring 0 is emulated, without those that take long there
 * What happens is told on standard error; contract_in_image.c reads it. After each case the memory it used must be free again.
 */
#include "platform/kvm/image/image.h"
#include "platform/kvm/image/kvm_image.h"
#include "platform/kvm/image/tlb.h"
#include "shim/base/string.h"
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

enum case_kind { ENDS, IS_STOPPED };
static const struct {
    const char *name;
    contract_body body;
    uint64_t needs;
    enum case_kind kind;
} g_cases[] = {
#define CASE(suite, name, needs) {#suite "." #name, suite##_##name, needs, ENDS},
#define DEATH(suite, name, needs, words) {#suite "." #name, suite##_##name, needs, IS_STOPPED},
    CONTRACT_CASES(CASE, DEATH)};
enum { CASE_COUNT = sizeof(g_cases) / sizeof(g_cases[0]) };

/* Half a minute and more each, where ring 0 is emulated. */
static const char *const g_slow[] = {
    "AspaceContract.DestroyReleasesMemory",
    "AspaceForkContract.DestroyReleasesWhatTheChildWrote",
    "GuestContract.InterruptsAnywhereKeepEveryRegister",
    "GuestContract.InterruptsAroundCallsOfMappedCodeKeepEveryRegister",
    "GuestContract.InterruptsAroundSystemCallsKeepEveryRegister",
    "GuestContract.SharedWordIsAtomicBetweenGuestAndShim",
    "ManySpacesContract.SpacesCanBeMadeAndDestroyedAThousandTimes",
    "MemoryContract.LargeCopiesArriveWhole",
    "ThreadContract.SpawnFailingAgainAndAgainTakesNothing",
};
static bool g_leave_out_slow;

static const char *g_name;
static struct contract_report g_report;

static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...)
{
    char line[400];
    va_list args;
    va_start(args, format);
    shim_vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    image_message(line);
}

void contract_fail(struct contract *c, const char *file, int line, const char *text)
{
    if (__atomic_fetch_add(&c->report->failures, 1, __ATOMIC_RELAXED) < CONTRACT_FAILURES_MAX)
        say("%s:%d: %s", file, line, text);
}

/* What the case has begun can't be undone: the machine ends with it. */
void contract_stop(struct contract *c UNUSED)
{
    say("failed %s", g_name);
    image_exit(1 << 8);
}

void contract_give_input(struct contract *c)
{
    instance_trace(c->p, "i", 1);
}

struct contract_gauge contract_measure(struct contract *c UNUSED)
{
    struct mm_counts counts;
    mm_counts(&counts);
    return (struct contract_gauge){.memory_bytes =
                                       (counts.frames_total - counts.frames_free) * PAGE,
                                   .processes = 1,
                                   .files = kvm_files_open()};
}

static const char *why_not(const struct platform *p, const char *name, uint64_t needs)
{
    static const struct {
        uint64_t bit;
        const char *text;
    } names[] = {{PLATFORM_FEATURE_FORK, "no fork here"},
                 {PLATFORM_FEATURE_GUEST, "no guest code here"},
                 {PLATFORM_FEATURE_THREADS, "no threads here"},
                 {PLATFORM_FEATURE_HOST_FILES, "no host files here"},
                 {PLATFORM_FEATURE_HOST_SOCKETS, "no host sockets here"}};
    if ((needs & CONTRACT_WITHOUT_FORK) && (p->features & PLATFORM_FEATURE_FORK))
        return "it is for platforms without fork";
    if ((needs & CONTRACT_WITHOUT_GUEST) && (p->features & PLATFORM_FEATURE_GUEST))
        return "it is for platforms without guest code";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (needs & ~p->features & names[i].bit)
            return names[i].text;
    for (size_t i = 0; i < sizeof(g_slow) / sizeof(g_slow[0]) && g_leave_out_slow; i++)
        if (str_equal(g_slow[i], name))
            return "it takes long where ring 0 is emulated";
    return NULL;
}

struct in_use {
    uint64_t data, tables, file, records, open;
};

static struct in_use in_use(void)
{
    struct mm_counts counts;
    mm_counts(&counts);
    return (struct in_use){counts.frames_guest, counts.table_pages, counts.frames_file,
                           counts.frames_records, kvm_files_open()};
}

/* Threads that have said their last word may still be on their way out. */
static void expect_all_back(struct contract *c, struct in_use before)
{
    struct in_use after = in_use();
    for (int i = 0; i < 1000 && memcmp(&before, &after, sizeof(after)) != 0; i++) {
        contract_sleep_ms(c, 10);
        after = in_use();
    }
    CHECK_EQUAL(after.data, before.data);
    CHECK_EQUAL(after.tables, before.tables);
    CHECK_EQUAL(after.file, before.file);
    CHECK_EQUAL(after.records, before.records);
    CHECK_EQUAL(after.open, before.open);
}

static bool run(struct platform *p, const struct platform_front *front, size_t number)
{
    struct contract c = {.p = p, .front = front, .report = &g_report};
    const char *why = why_not(p, g_cases[number].name, g_cases[number].needs);
    g_name = g_cases[number].name;
    if (why) {
        say("skipped %s: %s", g_name, why);
        return true;
    }
    say("case %s", g_name);
    const struct in_use before = in_use();
    g_report = (struct contract_report){0};
    uint64_t start = clock_now(p, CLOCK_KIND_MONOTONIC);
    g_cases[number].body(&c);
    uint64_t took = (clock_now(p, CLOCK_KIND_MONOTONIC) - start) / 1000000;
    expect_all_back(&c, before);
    bool passed = g_report.failures == 0;
    say("%s %s (%llu ms)", passed ? "passed" : "failed", g_name, (unsigned long long)took);
    return passed;
}

void image_program(struct platform *p, void *blob, size_t size)
{
    static const struct platform_front front = {.name = "kvm", .fault_arm = kvm_fault_arm};
    static char words[256];
    shim_snprintf(words, sizeof(words), "%.*s", (int)size, (const char *)blob);
    const char *name = words;
    if (str_starts_with(name, "most")) {
        g_leave_out_slow = g_boot.features & KVM_SOFTWARE;
        name += name[4] ? 5 : 4;
    }
    bool only = str_starts_with(name, "only "), after = str_starts_with(name, "after ");
    name += only ? 5 : after ? 6 : 0;
    size_t failed = 0, first = 0;
    if (only || after) {
        while (first < CASE_COUNT && !str_equal(g_cases[first].name, name))
            first++;
        if (first == CASE_COUNT) {
            say("no case %s", name);
            image_exit(2 << 8);
        }
        first += after;
    }
    for (size_t i = first; i < CASE_COUNT; i++) {
        if (only || g_cases[i].kind == ENDS)
            failed += !run(p, &front, i);
        if (only)
            break;
    }
    uint64_t kept = 0;
    for (unsigned i = 0; i < g_tlb_count; i++)
        kept += g_tlb[i].loads_kept;
    if (kept > 0)
        say("translations were kept %llu times", (unsigned long long)kept);
    say("end");
    image_exit(failed ? 1 << 8 : 0);
}
