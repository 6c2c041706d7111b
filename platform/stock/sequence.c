/*
 * sequence.c: see sequence.h. Layouts and checks: linux/rseq.h and rseq(2).
 */
#include "platform/stock/sequence.h"

#include "platform/platform.h"

#include <linux/rseq.h>

_Static_assert(offsetof(struct rseq, cpu_id_start) == 0 && offsetof(struct rseq, cpu_id) == 4,
               "written in one go");

static bool is_user(struct platform *p, uint64_t address)
{
    return address < p->guest_end;
}

static bool is_sound(struct platform *p, const struct rseq_cs *cs, uint32_t signature)
{
    uint64_t end = cs->start_ip + cs->post_commit_offset;
    uint32_t before;
    if (cs->version || !is_user(p, cs->start_ip) || end < cs->start_ip || !is_user(p, end) ||
        !is_user(p, cs->abort_ip) || cs->abort_ip - cs->start_ip < cs->post_commit_offset)
        return false;
    return guest_copy_in(p, &before, guest_addr(cs->abort_ip - sizeof(before)), sizeof(before)) ==
               0 &&
           before == signature;
}

bool stock_sequence_resume(struct platform *p, struct guest_addr area, uint32_t signature,
                           uint32_t cpu, struct guest_regs *regs)
{
    const uint32_t cpus[2] = {cpu, cpu};
    const uint64_t none = 0;
    const struct guest_addr named = guest_addr(area.raw + offsetof(struct rseq, rseq_cs));
    uint64_t at;
    struct rseq_cs cs;
    if (guest_copy_out(p, area, cpus, sizeof(cpus)) || guest_copy_in(p, &at, named, sizeof(at)))
        return false;
    if (!at)
        return true;
    if (guest_copy_in(p, &cs, guest_addr(at), sizeof(cs)) || !is_sound(p, &cs, signature))
        return false;
    if (regs->rip - cs.start_ip < cs.post_commit_offset)
        regs->rip = cs.abort_ip;
    /* Either way the sequence is over: whoever starts one says so again */
    return guest_copy_out(p, named, &none, sizeof(none)) == 0;
}
