/*
 * contract_process.c: a case in an instance of a process: what it has to say goes into memory that it shares with contract_test.cc.
 */
#include "shim/base/string.h"
#include "tests/contract/contract.h"

void contract_fail(struct contract *c, const char *file, int line, const char *text)
{
    uint32_t i = __atomic_fetch_add(&c->report->failures, 1, __ATOMIC_RELAXED);
    if (i >= CONTRACT_FAILURES_MAX)
        return;
    c->report->failure[i].line = line;
    shim_snprintf(c->report->failure[i].file, sizeof(c->report->failure[i].file), "%s", file);
    shim_snprintf(c->report->failure[i].text, sizeof(c->report->failure[i].text), "%s", text);
}

void contract_stop(struct contract *c)
{
    instance_finish(c->p, 1 << 8);
}

void contract_main(struct platform *p, void *blob, size_t size UNUSED)
{
    const struct contract_blob *start = blob;
    struct contract c = {.p = p, .front = start->front, .report = start->report};
    start->body(&c);
    __atomic_store_n(&c.report->finished, 1, __ATOMIC_RELEASE);
    instance_finish(p, 0);
}

void contract_give_input(struct contract *c)
{
    __atomic_add_fetch(&c->report->stdin_bytes_asked, 1, __ATOMIC_RELEASE);
}

struct contract_gauge contract_measure(struct contract *c)
{
    uint32_t number = c->report->gauge_asked + 1;
    MUST(number <= CONTRACT_GAUGES);
    __atomic_store_n(&c->report->gauge_asked, number, __ATOMIC_RELEASE);
    while (__atomic_load_n(&c->report->gauge_taken, __ATOMIC_ACQUIRE) != number)
        contract_sleep_ms(c, 2);
    return c->report->gauge[number - 1];
}
