/*
 * contract_cases_guest.c: guest_context.h: contexts, exits, interrupts.
 */
#include "tests/contract/contract.h"
#include "tests/contract/contract_prototypes.h"

#define CODE_AT (AREA + 0x100000)
#define STACK_TOP (AREA + 0x200000)

enum { FXSAVE_MXCSR = 24, FXSAVE_XMM0 = 160, XSAVE_STATE_BV = 512 }; /* SDM vol. 1, 10.5.1, 13.4 */

static const unsigned g_rw = MEMORY_READ | MEMORY_WRITE;

static struct guest_context *make_context(struct contract *c)
{
    int err = 0;
    struct guest_context *ctx = guest_context_create(c->p, &err);
    MUST(ctx != NULL);
    return ctx;
}

/* Extended state of `ctx`, in shim memory; release with shim_memory_free(.., state_bytes()). */
static size_t state_bytes(struct contract *c)
{
    return (guest_extended_size(c->p) + PAGE - 1) / PAGE * PAGE;
}

static unsigned char *saved_state(struct contract *c, struct guest_context *ctx)
{
    unsigned char *state = shim_memory_alloc(c->p, state_bytes(c));
    MUST(state != NULL);
    guest_extended_save(c->p, ctx, state);
    return state;
}

static uint32_t word_at(const unsigned char *bytes, size_t offset)
{
    uint32_t word;
    __builtin_memcpy(&word, bytes + offset, sizeof(word));
    return word;
}

void ContextContract_FreshContextIsThatOfAFreshProcess(struct contract *c)
{
    struct guest_context *ctx = make_context(c);
    unsigned char *state = saved_state(c, ctx);
    const struct guest_regs zero = {0};
    CHECK(guest_extended_size(c->p) >= 512);
    CHECK(__builtin_memcmp(&ctx->regs, &zero, sizeof(zero)) == 0);
    CHECK_EQUAL(word_at(state, 0) & 0xffff, 0x37f);
    CHECK_EQUAL(word_at(state, FXSAVE_MXCSR), 0x1f80);
    for (size_t i = 0; i < 256; i++)
        CHECK_EQUAL(state[FXSAVE_XMM0 + i], 0);
    shim_memory_free(c->p, state, state_bytes(c));
    guest_context_destroy(c->p, ctx);
}

/* A context whose xmm0 holds 0x51..., set through the image. */
static struct guest_context *marked_context(struct contract *c)
{
    struct guest_context *ctx = make_context(c);
    unsigned char *state = saved_state(c, ctx);
    __builtin_memset(state + FXSAVE_XMM0, 0x51, 16);
    CHECK_EQUAL(guest_extended_load(c->p, ctx, state, 512), 0);
    shim_memory_free(c->p, state, state_bytes(c));
    return ctx;
}

static bool is_marked(struct contract *c, struct guest_context *ctx)
{
    unsigned char *state = saved_state(c, ctx);
    bool marked = true;
    for (size_t i = 0; i < 16; i++)
        marked = marked && state[FXSAVE_XMM0 + i] == 0x51;
    shim_memory_free(c->p, state, state_bytes(c));
    return marked;
}

void ContextContract_CopyTakesRegistersAndExtendedState(struct contract *c)
{
    struct guest_context *from = marked_context(c), *to = make_context(c);
    from->regs.r12 = 7;
    from->regs.fs_base = AREA;
    guest_context_copy(c->p, to, from);
    CHECK(is_marked(c, to) && is_marked(c, from));
    CHECK(__builtin_memcmp(&to->regs, &from->regs, sizeof(to->regs)) == 0);
    guest_context_destroy(c->p, from);
    CHECK(is_marked(c, to));
    guest_context_destroy(c->p, to);
}

void ContextContract_SavedStateCanBeLoadedBack(struct contract *c)
{
    struct guest_context *from = marked_context(c), *to = make_context(c);
    unsigned char *state = saved_state(c, from);
    if (guest_extended_size(c->p) > 512) {
        uint64_t xstate_bv;
        __builtin_memcpy(&xstate_bv, state + XSAVE_STATE_BV, sizeof(xstate_bv));
        CHECK_EQUAL(xstate_bv & ~guest_extended_mask(c->p), 0);
    }
    CHECK_EQUAL(guest_extended_load(c->p, to, state, guest_extended_size(c->p)), 0);
    CHECK(is_marked(c, to));
    shim_memory_free(c->p, state, state_bytes(c));
    guest_context_destroy(c->p, from);
    guest_context_destroy(c->p, to);
}

void ContextContract_ReservedMxcsrBitsAreRefused(struct contract *c)
{
    struct guest_context *ctx = marked_context(c);
    unsigned char *state = saved_state(c, ctx);
    const uint32_t reserved = 0xffff0000;
    __builtin_memcpy(state + FXSAVE_MXCSR, &reserved, sizeof(reserved));
    __builtin_memset(state + FXSAVE_XMM0, 0, 16);
    CHECK_EQUAL(guest_extended_load(c->p, ctx, state, 512), -EINVAL);
    CHECK(is_marked(c, ctx));
    shim_memory_free(c->p, state, state_bytes(c));
    guest_context_destroy(c->p, ctx);
}

void ContextContract_ResetForgetsExtendedState(struct contract *c)
{
    struct guest_context *ctx = marked_context(c);
    ctx->regs.rbx = 3;
    guest_context_reset_extended(c->p, ctx);
    CHECK(!is_marked(c, ctx));
    CHECK_EQUAL(ctx->regs.rbx, 3);
    guest_context_destroy(c->p, ctx);
}

/*
 * For platforms with and without a guest: with one, the code is an endless loop, which must not
 * start.
 */
void ContextContract_InterruptIsSeenOnceByTheNextRun(struct contract *c)
{
    struct aspace *as = contract_space(c);
    struct guest_context *ctx = contract_load(c, as, CODE_AT, GUEST_CODE(syscalls));
    struct guest_exit exit;
    guest_interrupt(c->p, thread_current(c->p));
    guest_interrupt(c->p, thread_current(c->p));
    guest_run(c->p, ctx, &exit);
    CHECK_EQUAL(exit.reason, GUEST_INTERRUPT);
    CHECK_EQUAL(ctx->regs.rip, CODE_AT);
    guest_run(c->p, ctx, &exit);
    CHECK(exit.reason == GUEST_SYSCALL || exit.reason == GUEST_END);
    guest_context_destroy(c->p, ctx);
    contract_leave_and_destroy(c, as);
}

void NoGuestContract_RunReportsTheEnd(struct contract *c)
{
    struct aspace *as = contract_space(c);
    struct guest_context *ctx = contract_load(c, as, CODE_AT, GUEST_CODE(syscalls));
    struct guest_exit exit;
    for (int i = 0; i < 3; i++) {
        guest_run(c->p, ctx, &exit);
        CHECK_EQUAL(exit.reason, GUEST_END);
    }
    guest_context_destroy(c->p, ctx);
    contract_leave_and_destroy(c, as);
}

/* With a guest. A scene is one space with code at CODE_AT, a stack and two data pages at AREA. */
struct scene {
    struct aspace *as;
    struct guest_context *ctx;
    struct guest_exit exit;
};

static struct scene open_scene(struct contract *c, struct guest_code code)
{
    struct scene s = {.as = contract_space(c)};
    contract_map(c, s.as, AREA, 2, g_rw);
    contract_map(c, s.as, STACK_TOP - PAGE, 1, g_rw);
    s.ctx = contract_load(c, s.as, CODE_AT, code);
    s.ctx->regs.rsp = STACK_TOP - 64;
    return s;
}

static void close_scene(struct contract *c, struct scene *s)
{
    guest_context_destroy(c->p, s->ctx);
    contract_leave_and_destroy(c, s->as);
}

static void expect_syscall(struct contract *c, struct guest_context *ctx)
{
    struct guest_exit exit;
    guest_run(c->p, ctx, &exit);
    CHECK_EQUAL(exit.reason, GUEST_SYSCALL);
    if (exit.reason != GUEST_SYSCALL)
        contract_stop(c);
}

static void expect_fault(struct contract *c, struct scene *s, enum guest_fault_kind kind,
                         uint64_t addr, uint64_t rip)
{
    s->exit = (struct guest_exit){.reason = GUEST_END};
    guest_run(c->p, s->ctx, &s->exit);
    CHECK_EQUAL(s->exit.reason, GUEST_FAULT);
    CHECK_EQUAL(s->exit.fault, kind);
    CHECK_EQUAL(s->exit.addr.raw, addr);
    CHECK_EQUAL(s->ctx->regs.rip, rip);
}

void GuestContract_SystemCallComesOutWithItsArguments(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(syscalls));
    struct guest_regs *r = &s.ctx->regs;
    r->rax = 39;
    r->rdi = 1, r->rsi = 2, r->rdx = 3, r->r10 = 4, r->r8 = 5, r->r9 = 6;
    expect_syscall(c, s.ctx);
    CHECK_EQUAL(r->rax, 39);
    CHECK(r->rdi == 1 && r->rsi == 2 && r->rdx == 3 && r->r10 == 4 && r->r8 == 5 && r->r9 == 6);
    CHECK_EQUAL(r->rip, CODE_AT + 2);
    r->rax = UINT64_MAX; /* no number is special, negative ones included */
    expect_syscall(c, s.ctx);
    CHECK_EQUAL(r->rax, UINT64_MAX);
    close_scene(c, &s);
}

void GuestContract_RegistersSurviveASystemCall(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(syscalls));
    struct guest_regs before;
    for (uint64_t round = 1; round < 200; round++) {
        struct guest_regs *r = &s.ctx->regs;
        uint64_t *plain[] = {&r->r15, &r->r14, &r->r13, &r->r12, &r->rbp, &r->rbx, &r->r10,
                             &r->r9,  &r->r8,  &r->rax, &r->rdx, &r->rsi, &r->rdi};
        for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
            *plain[i] = (round * 16 + i) * UINT64_C(0x9e3779b97f4a7c15);
        r->rip = CODE_AT;
        r->rflags = 0x202 | (round % 2 ? 0x8d5 : 0); /* CF PF AF ZF SF OF */
        before = *r;
        expect_syscall(c, s.ctx);
        before.rip = CODE_AT + 2;
        /*
         * The instruction leaves rip and rflags there (SDM vol. 2, SYSCALL); a platform may keep
         * the old values.
         */
        before.rcx = r->rcx, before.r11 = r->r11;
        before.cs = r->cs, before.ss = r->ss;
        CHECK_EQUAL(r->rflags & 0x8d5, before.rflags & 0x8d5);
        before.rflags = r->rflags;
        CHECK(__builtin_memcmp(&before, r, sizeof(before)) == 0);
    }
    close_scene(c, &s);
}

void GuestContract_RedZoneSurvivesASystemCall(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(red_zone));
    expect_syscall(c, s.ctx);
    expect_syscall(c, s.ctx);
    CHECK_EQUAL(s.ctx->regs.rax, -136); /* -16 - 15 ... - 1 */
    close_scene(c, &s);
}

void GuestContract_SegmentBasesSurviveASystemCall(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(segments));
    for (uint64_t i = 0; i < 4; i++)
        contract_put(c, AREA + i % 2 * 8 + i / 2 * PAGE, 60 + i);
    s.ctx->regs.fs_base = AREA;
    s.ctx->regs.gs_base = AREA + PAGE;
    expect_syscall(c, s.ctx);
    CHECK_EQUAL(s.ctx->regs.rax, 60);
    CHECK_EQUAL(s.ctx->regs.rbx, 62);
    expect_syscall(c, s.ctx);
    CHECK_EQUAL(s.ctx->regs.rax, 61);
    CHECK_EQUAL(s.ctx->regs.rbx, 63);
    CHECK_EQUAL(s.ctx->regs.fs_base, AREA);
    CHECK_EQUAL(s.ctx->regs.gs_base, AREA + PAGE);
    close_scene(c, &s);
}

/* Sets up `ctx` for GUEST_CODE(vectors); its scratch words are at `scratch`. */
static void prepare_vectors(struct contract *c, struct guest_context *ctx, uint64_t scratch,
                            uint64_t seed)
{
    ctx->regs.rip = CODE_AT;
    ctx->regs.rdi = seed;
    ctx->regs.rsi = ~seed;
    ctx->regs.rdx = scratch;
    contract_put(c, scratch, 0x1f80 | (seed & 1) << 13); /* rounding control differs as well */
}

static void check_vectors(struct contract *c, const struct guest_context *ctx, uint64_t seed)
{
    const uint64_t mxcsr = 0x1f80 | (seed & 1) << 13;
    CHECK_EQUAL(ctx->regs.rax, seed);
    CHECK_EQUAL(ctx->regs.r10, seed);
    CHECK_EQUAL(ctx->regs.rbx, ~seed);
    CHECK_EQUAL(ctx->regs.r8, mxcsr);
    CHECK_EQUAL(ctx->regs.r9, mxcsr); /* loaded into the x87 stack as an integer */
}

void GuestContract_VectorStateSurvivesOtherContexts(struct contract *c)
{
    enum { COUNT = 3 };
    struct scene s = open_scene(c, GUEST_CODE(vectors));
    struct guest_context *contexts[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        contexts[i] = make_context(c);
        prepare_vectors(c, contexts[i], AREA + i * 64, UINT64_C(0x1111111122222222) * (i + 1));
        expect_syscall(c, contexts[i]);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        expect_syscall(c, contexts[i]);
        check_vectors(c, contexts[i], UINT64_C(0x1111111122222222) * (i + 1));
        guest_context_destroy(c->p, contexts[i]);
    }
    close_scene(c, &s);

    if (!(guest_extended_mask(c->p) & 4)) /* AVX */
        return;
    s = open_scene(c, GUEST_CODE(wide_vectors));
    struct guest_context *other = make_context(c);
    s.ctx->regs.rdi = 71;
    other->regs.rip = CODE_AT;
    other->regs.rdi = 72;
    expect_syscall(c, s.ctx);
    expect_syscall(c, other);
    expect_syscall(c, s.ctx);
    expect_syscall(c, other);
    CHECK_EQUAL(s.ctx->regs.rax, 71);
    CHECK_EQUAL(other->regs.rax, 72);
    guest_context_destroy(c->p, other);
    close_scene(c, &s);
}

void GuestContract_CopiedContextContinuesWithTheVectorState(struct contract *c)
{
    const uint64_t seed = UINT64_C(0x3333333344444445);
    struct scene s = open_scene(c, GUEST_CODE(vectors));
    struct guest_context *copy = make_context(c);
    prepare_vectors(c, s.ctx, AREA, seed);
    expect_syscall(c, s.ctx);
    guest_context_copy(c->p, copy, s.ctx);
    expect_syscall(c, s.ctx);
    check_vectors(c, s.ctx, seed);
    expect_syscall(c, copy);
    check_vectors(c, copy, seed);
    guest_context_destroy(c->p, copy);
    close_scene(c, &s);
}

void GuestContract_LoadedVectorStateIsWhatTheGuestSees(struct contract *c)
{
    extern const char contract_guest_vectors[], contract_guest_vectors_read[];
    const uint64_t value = UINT64_C(0x5555555566666666);
    struct scene s = open_scene(c, GUEST_CODE(vectors));
    size_t sizes[] = {512, guest_extended_size(c->p)};
    for (int i = 0; i < 2; i++) {
        guest_context_reset_extended(c->p, s.ctx);
        unsigned char *state = saved_state(c, s.ctx);
        __builtin_memcpy(state + FXSAVE_XMM0, &value, 8);
        __builtin_memcpy(state + FXSAVE_XMM0 + 8, &value, 8);
        if (sizes[i] > 512)
            state[XSAVE_STATE_BV] |= 3;
        CHECK_EQUAL(guest_extended_load(c->p, s.ctx, state, sizes[i]), 0);
        s.ctx->regs.rip =
            CODE_AT + (uint64_t)(contract_guest_vectors_read - contract_guest_vectors);
        s.ctx->regs.rdx = AREA;
        expect_syscall(c, s.ctx);
        CHECK_EQUAL(s.ctx->regs.rax, value);
        CHECK_EQUAL(s.ctx->regs.r10, value);
        CHECK_EQUAL(s.ctx->regs.rbx, 0);
        shim_memory_free(c->p, state, state_bytes(c));
    }
    close_scene(c, &s);
}

void GuestContract_ReadOfUnmappedMemoryIsAFaultAtItsAddress(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(read_memory));
    s.ctx->regs.rdi = AREA - 123;
    s.ctx->regs.rax = 5;
    expect_fault(c, &s, GUEST_FAULT_UNMAPPED, AREA - 123, CODE_AT);
    CHECK_EQUAL(s.exit.error_code & 2, 0);
    CHECK_EQUAL(s.ctx->regs.rax, 5);
    s.ctx->regs.rdi = 0;
    expect_fault(c, &s, GUEST_FAULT_UNMAPPED, 0, CODE_AT);
    close_scene(c, &s);
}

void GuestContract_WriteToReadOnlyMemoryIsAProtectionFault(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(write_memory));
    CHECK_EQUAL(memory_protect(c->p, s.as, guest_addr(AREA), PAGE, MEMORY_READ), 0);
    s.ctx->regs.rdi = AREA + 16;
    s.ctx->regs.rsi = 1;
    expect_fault(c, &s, GUEST_FAULT_PROTECTION, AREA + 16, CODE_AT);
    CHECK_EQUAL(s.exit.error_code & 2, 2);
    CHECK_EQUAL(contract_get(c, AREA + 16), 0);
    close_scene(c, &s);
}

void GuestContract_FaultCanBeRepairedAndTheInstructionRunAgain(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(write_memory));
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t at = AREA + 0x300000 + i * PAGE;
        s.ctx->regs.rip = CODE_AT;
        s.ctx->regs.rdi = at;
        s.ctx->regs.rsi = i;
        expect_fault(c, &s, GUEST_FAULT_UNMAPPED, at, CODE_AT);
        contract_map(c, s.as, at, 1, g_rw);
        expect_syscall(c, s.ctx);
        CHECK_EQUAL(contract_get(c, at), i);
    }
    close_scene(c, &s);
}

void GuestContract_JumpToNowhereIsAFault(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(syscalls));
    s.ctx->regs.rip = AREA + 0x400000;
    expect_fault(c, &s, GUEST_FAULT_UNMAPPED, AREA + 0x400000, AREA + 0x400000);
    s.ctx->regs.rip = 0;
    expect_fault(c, &s, GUEST_FAULT_UNMAPPED, 0, 0);
    s.ctx->regs.rip = AREA; /* mapped, not executable */
    expect_fault(c, &s, GUEST_FAULT_PROTECTION, AREA, AREA);
    s.ctx->regs.rip = UINT64_C(0x8000000000000000);
    guest_run(c->p, s.ctx, &s.exit);
    CHECK_EQUAL(s.exit.reason, GUEST_FAULT);
    CHECK_EQUAL(s.exit.fault, GUEST_FAULT_GENERAL);
    s.ctx->regs.rip = CODE_AT;
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

void GuestContract_NonCanonicalAddressIsAGeneralFault(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(read_memory));
    s.ctx->regs.rdi = UINT64_C(0x8000000000000000);
    expect_fault(c, &s, GUEST_FAULT_GENERAL, 0, CODE_AT);
    close_scene(c, &s);
}

void GuestContract_PrivilegedInstructionIsAGeneralFault(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(privileged));
    expect_fault(c, &s, GUEST_FAULT_GENERAL, 0, CODE_AT);
    close_scene(c, &s);
}

void GuestContract_IllegalInstructionIsAFault(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(illegal));
    guest_run(c->p, s.ctx, &s.exit);
    CHECK_EQUAL(s.exit.reason, GUEST_FAULT);
    CHECK_EQUAL(s.exit.fault, GUEST_FAULT_ILLEGAL);
    CHECK_EQUAL(s.ctx->regs.rip, CODE_AT);
    close_scene(c, &s);
}

void GuestContract_DivisionByZeroIsAFault(struct contract *c)
{
    extern const char contract_guest_divide[], contract_guest_divide_at[];
    struct scene s = open_scene(c, GUEST_CODE(divide));
    guest_run(c->p, s.ctx, &s.exit);
    CHECK_EQUAL(s.exit.reason, GUEST_FAULT);
    CHECK_EQUAL(s.exit.fault, GUEST_FAULT_DIVIDE);
    CHECK_EQUAL(s.ctx->regs.rip,
                CODE_AT + (uint64_t)(contract_guest_divide_at - contract_guest_divide));
    close_scene(c, &s);
}

void GuestContract_BreakpointComesOutBehindTheInstruction(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(breakpoint));
    guest_run(c->p, s.ctx, &s.exit);
    CHECK_EQUAL(s.exit.reason, GUEST_FAULT);
    CHECK_EQUAL(s.exit.fault, GUEST_FAULT_BREAKPOINT);
    CHECK_EQUAL(s.ctx->regs.rip, CODE_AT + 1);
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

void GuestContract_TrapFlagStepsOneInstruction(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(nops));
    for (uint64_t i = 1; i <= 2; i++) {
        s.ctx->regs.rflags = 0x302;
        guest_run(c->p, s.ctx, &s.exit);
        CHECK_EQUAL(s.exit.reason, GUEST_FAULT);
        CHECK_EQUAL(s.exit.fault, GUEST_FAULT_STEP);
        CHECK_EQUAL(s.ctx->regs.rip, CODE_AT + i);
    }
    s.ctx->regs.rflags = 0x202;
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

void GuestContract_TouchingPastAnObjectsEndIsABusFault(struct contract *c)
{
    const uint64_t at = AREA + 0x300000;
    int err = 0;
    struct scene s = open_scene(c, GUEST_CODE(read_memory));
    struct memory_object *obj = memory_object_create(c->p, PAGE, &err);
    MUST(obj != NULL);
    contract_map_object(c, s.as, at, 2, MEMORY_SHARED, obj, 0);
    s.ctx->regs.rdi = at + PAGE;
    expect_fault(c, &s, GUEST_FAULT_BUS, at + PAGE, CODE_AT);
    CHECK_EQUAL(memory_object_resize(c->p, obj, 2 * PAGE), 0);
    expect_syscall(c, s.ctx);
    memory_object_put(c->p, obj);
    close_scene(c, &s);
}

void GuestContract_AWriteThatFindsNoMemoryCanBeRunAgain(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(write_memory));
    uint64_t nth = 1;
    s.ctx->regs.rdi = AREA;
    expect_syscall(c, s.ctx); /* its code is there */
    for (bool fired = true; fired && nth < 100; nth++) {
        const uint64_t at = AREA + nth * 0x200000;
        contract_map(c, s.as, at, 1, g_rw);
        s.ctx->regs.rip = CODE_AT;
        s.ctx->regs.rdi = at;
        s.ctx->regs.rsi = nth;
        c->front->fault_arm((unsigned)nth);
        guest_run(c->p, s.ctx, &s.exit);
        fired = c->front->fault_arm(0);
        if (s.exit.reason == GUEST_FAULT) {
            CHECK(fired);
            CHECK_EQUAL(s.exit.fault, GUEST_FAULT_NO_MEMORY);
            CHECK_EQUAL(s.exit.addr.raw, at);
            CHECK_EQUAL(s.ctx->regs.rip, CODE_AT);
            expect_syscall(c, s.ctx);
        }
        CHECK_EQUAL(contract_get(c, at), nth);
    }
    CHECK(nth < 100);
    close_scene(c, &s);
}

void GuestContract_CompatSystemCallIsToldApart(struct contract *c)
{
    struct scene s = open_scene(c, GUEST_CODE(compat_call));
    s.ctx->regs.rax = 20;
    guest_run(c->p, s.ctx, &s.exit);
    CHECK_EQUAL(s.exit.reason, GUEST_FAULT);
    CHECK_EQUAL(s.exit.fault, GUEST_FAULT_COMPAT);
    CHECK_EQUAL(s.ctx->regs.rip, CODE_AT + 2);
    CHECK_EQUAL(s.ctx->regs.rax, 20);
    expect_syscall(c, s.ctx);
    close_scene(c, &s);
}

void GuestContract_UnusableStackPointerDoesNotMatter(struct contract *c)
{
    static const uint64_t pointers[] = {0, 8, AREA - 8, UINT64_C(0x8000000000000000), UINT64_MAX};
    for (size_t i = 0; i < sizeof(pointers) / sizeof(*pointers); i++) {
        struct scene s = open_scene(c, GUEST_CODE(read_memory));
        s.ctx->regs.rsp = pointers[i];
        s.ctx->regs.rdi = AREA - PAGE;
        expect_fault(c, &s, GUEST_FAULT_UNMAPPED, AREA - PAGE, CODE_AT);
        CHECK_EQUAL(s.ctx->regs.rsp, pointers[i]);
        s.ctx->regs.rdi = AREA;
        expect_syscall(c, s.ctx);
        CHECK_EQUAL(s.ctx->regs.rsp, pointers[i]);
        close_scene(c, &s);
    }
}

static void go_on(struct contract *c, void *arg)
{
    expect_syscall(c, arg);
}

void GuestContract_CopyGoesOnInAnotherThread(struct contract *c)
{
    const uint64_t seed = UINT64_C(0x7777777788888888);
    struct scene s = open_scene(c, GUEST_CODE(vectors));
    for (int i = 0; i < 10; i++) {
        struct guest_context *copy = make_context(c);
        struct contract_worker w;
        guest_context_reset_extended(c->p, s.ctx); /* the x87 stack holds eight */
        prepare_vectors(c, s.ctx, AREA, seed);
        s.ctx->regs.rbp = 3;
        expect_syscall(c, s.ctx);
        guest_context_copy(c->p, copy, s.ctx);
        contract_start(c, &w, s.as, go_on, copy);
        contract_join(c, &w);
        check_vectors(c, copy, seed);
        CHECK_EQUAL(copy->regs.rbp, 3);
        guest_context_destroy(c->p, copy);
    }
    close_scene(c, &s);
}

/* Runs until an interrupt comes out, and counts what else does. */
struct runner {
    struct guest_context *ctx;
    uint32_t interrupts, calls, stop;
};

static void run_and_count(struct contract *c, void *arg)
{
    struct runner *r = arg;
    while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
        struct guest_exit exit;
        guest_run(c->p, r->ctx, &exit);
        MUST(exit.reason == GUEST_INTERRUPT || exit.reason == GUEST_SYSCALL);
        __atomic_add_fetch(exit.reason == GUEST_INTERRUPT ? &r->interrupts : &r->calls, 1,
                           __ATOMIC_RELEASE);
    }
}

/*
 * Interrupts again and again, each time until it was seen; that none is lost shows by not hanging.
 */
static void interrupt_many_times(struct contract *c, struct guest_code code, unsigned count)
{
    struct scene s = open_scene(c, code);
    struct runner r = {.ctx = s.ctx};
    struct contract_worker w;
    contract_start(c, &w, s.as, run_and_count, &r);
    /* With fewer processors than threads each takes a slice of time: then fewer will do. */
    const uint64_t enough = clock_now(c->p, CLOCK_KIND_MONOTONIC) + UINT64_C(5000000000);
    for (unsigned i = 0; i < count; i++) {
        if (i >= count / 10 && clock_now(c->p, CLOCK_KIND_MONOTONIC) > enough)
            break;
        uint32_t seen = __atomic_load_n(&r.interrupts, __ATOMIC_ACQUIRE);
        guest_interrupt(c->p, w.thread);
        while (__atomic_load_n(&r.interrupts, __ATOMIC_ACQUIRE) == seen)
            thread_yield(c->p);
    }
    __atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
    guest_interrupt(c->p, w.thread);
    contract_join(c, &w);
    CHECK(r.interrupts <= count + 1);
    close_scene(c, &s);
}

void GuestContract_InterruptStopsARunningLoop(struct contract *c)
{
    interrupt_many_times(c, GUEST_CODE(spin), 500);
}

void GuestContract_NoInterruptIsLostBetweenRuns(struct contract *c)
{
    interrupt_many_times(c, GUEST_CODE(syscalls), 3000);
}

/*
 * Interrupts at whatever instruction they meet; the guest looks at every register of its own all
 * the time.
 */
static void flood_scene(struct contract *c, struct scene s, unsigned count)
{
    struct runner r = {.ctx = s.ctx};
    struct contract_worker w;
    for (uint64_t i = 0; i < 30; i++)
        contract_put(c, AREA + i * 8, (i + 1) * UINT64_C(0x0123456789abcdef));
    s.ctx->regs.rdi = AREA;
    contract_start(c, &w, s.as, run_and_count, &r);
    guest_interrupt(c->p, w.thread);
    while (__atomic_load_n(&r.interrupts, __ATOMIC_ACQUIRE) == 0)
        thread_yield(c->p); /* on a busy host the flood could be over before the thread runs */
    for (unsigned i = 0; i < count; i++) {
        guest_interrupt(c->p, w.thread);
        for (unsigned pause = i % 64; pause > 0; pause--)
            __asm__ volatile("pause");
    }
    __atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
    guest_interrupt(c->p, w.thread);
    contract_join(c, &w);
    CHECK(r.interrupts > 0);
    close_scene(c, &s);
}

static void flood_with_interrupts(struct contract *c, struct guest_code code, unsigned count)
{
    flood_scene(c, open_scene(c, code), count);
}

void GuestContract_InterruptsAnywhereKeepEveryRegister(struct contract *c)
{
    flood_with_interrupts(c, GUEST_CODE(keep_values), 100000);
}

void GuestContract_InterruptsAroundSystemCallsKeepEveryRegister(struct contract *c)
{
    flood_with_interrupts(c, GUEST_CODE(keep_values_and_call), 100000);
}

/* Code of a program's file, as the shim maps it: what a platform may patch. */
static void replace_code_by_file(struct contract *c, struct scene *s, struct guest_code code)
{
    size_t size = (size_t)((const char *)code.end - (const char *)code.start);
    int err = 0;
    struct host_file *dir = host_file_granted(c->p, "rw", &err);
    MUST(dir != NULL);
    struct host_file *file = host_file_open(
        c->p, dir, "code", HOST_OPEN_READ | HOST_OPEN_WRITE | HOST_OPEN_CREATE, 0700, &err);
    MUST(file != NULL);
    struct mem_ref bytes = mem_shim((void *)(uintptr_t)code.start, size);
    CHECK_EQUAL(host_file_pwrite(c->p, file, 0, bytes), size);
    struct memory_object *obj = memory_object_from_file(c->p, file, &err);
    MUST(obj != NULL);
    struct memory_map_request req = {.addr = guest_addr(CODE_AT),
                                     .size = PAGE,
                                     .sharing = MEMORY_PRIVATE,
                                     .prot = MEMORY_READ | MEMORY_EXEC,
                                     .object = obj};
    CHECK_EQUAL(memory_map(c->p, s->as, &req), 0);
    memory_object_put(c->p, obj);
    host_file_close(c->p, file);
    host_file_close(c->p, dir);
}

void GuestContract_InterruptsAroundCallsOfMappedCodeKeepEveryRegister(struct contract *c)
{
    struct guest_code code = GUEST_CODE(keep_values_and_call);
    struct scene s = open_scene(c, code);
    replace_code_by_file(c, &s, code);
    flood_scene(c, s, 100000);
}

/* Parent and child both go on calling from the same place, however it was prepared before the fork. */
void GuestContract_MappedCodeCallsOnInTheChildOfAFork(struct contract *c)
{
    struct guest_code code = GUEST_CODE(keep_values_and_call);
    struct scene s = open_scene(c, code);
    replace_code_by_file(c, &s, code);
    for (uint64_t i = 0; i < 30; i++)
        contract_put(c, AREA + i * 8, (i + 1) * UINT64_C(0x0123456789abcdef));
    s.ctx->regs.rdi = AREA;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 20; i++)
            expect_syscall(c, s.ctx);
        struct aspace *child = contract_fork(c, s.as);
        struct guest_context *copy = make_context(c);
        struct contract_worker w;
        guest_context_copy(c->p, copy, s.ctx);
        contract_start(c, &w, child, go_on, copy);
        expect_syscall(c, s.ctx);
        contract_join(c, &w);
        CHECK(__builtin_memcmp(&copy->regs, &s.ctx->regs, sizeof(copy->regs)) == 0);
        guest_context_destroy(c->p, copy);
        aspace_destroy(c->p, child);
    }
    close_scene(c, &s);
}

void GuestContract_ThreadsRunGuestCodeInTheSameSpaceTogether(struct contract *c)
{
    enum { THREADS = 4, ROUNDS = 50000 };
    struct scene s = open_scene(c, GUEST_CODE(count_atomically));
    struct guest_context *contexts[THREADS];
    struct contract_worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        contexts[i] = make_context(c);
        contexts[i]->regs.rip = CODE_AT;
        contexts[i]->regs.rdi = AREA;
        contexts[i]->regs.rsi = ROUNDS;
        contract_start(c, &workers[i], s.as, go_on, contexts[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        contract_join(c, &workers[i]);
        guest_context_destroy(c->p, contexts[i]);
    }
    CHECK_EQUAL(contract_get(c, AREA), THREADS * ROUNDS);
    close_scene(c, &s);
}

void GuestContract_SharedWordIsAtomicBetweenGuestAndShim(struct contract *c)
{
    enum { ROUNDS = 200000, OURS = 20000 };
    struct scene s = open_scene(c, GUEST_CODE(count_atomically));
    struct contract_worker w;
    s.ctx->regs.rdi = AREA;
    s.ctx->regs.rsi = ROUNDS;
    contract_start(c, &w, s.as, go_on, s.ctx);
    for (int i = 0; i < OURS; i++) {
        uint32_t expected, seen = 0;
        CHECK_EQUAL(guest_load32(c->p, guest_addr(AREA), &seen), 0);
        do {
            expected = seen;
            CHECK_EQUAL(guest_cmpxchg32(c->p, guest_addr(AREA), expected, expected + 1, &seen), 0);
        } while (seen != expected);
    }
    contract_join(c, &w);
    CHECK_EQUAL(contract_get(c, AREA), ROUNDS + OURS);
    close_scene(c, &s);
}

void GuestContractDeath_RunningOutsideAnySpaceAborts(struct contract *c)
{
    struct guest_context *ctx = make_context(c);
    struct guest_exit exit;
    guest_run(c->p, ctx, &exit);
}
