/*
 * control.h: what the negative controls of the stress tests leave out (tests/interception). The product leaves out nothing; built as one of
 * these, it must fail the test that would notice, or that test notices nothing.
 */
#ifndef PALIMPSEST_LINUX_USER_CONTROL_H
#define PALIMPSEST_LINUX_USER_CONTROL_H

#define LU_CONTROL_NAIVE_WRITES 1    /* a site is written byte after byte, without a breakpoint */
#define LU_CONTROL_NO_STUB_SWEEP 2   /* stubs go while threads may be in them */
#define LU_CONTROL_NO_ENTER_WINDOW 3 /* an interrupt on the way into the guest is only remembered */
#define LU_CONTROL_NO_PROMPT_WINDOW 4 /* the same for an answered prompt call */
#define LU_CONTROL_NO_CALL_WINDOW 5   /* the same just before a host call that may wait */
#define LU_CONTROL_NO_MEMORY_FILE 6   /* no failure: a host without a writable /proc/self/mem */
#define LU_CONTROL_NO_SECOND_FILE 7   /* the same, when patches are taken back */

#ifndef LU_CONTROL
#define LU_CONTROL 0
#endif
static inline int lu_control(int which)
{
    return LU_CONTROL == which;
}

#endif
