/*
 * terminal.h: the terminal that pal was started at gets its modes back, however the run ends. Programs inside change them, and may be
 * killed before they undo it.
 */
#ifndef PALIMPSEST_PAL_TERMINAL_H
#define PALIMPSEST_PAL_TERMINAL_H

/* Before the instance starts: remembers the modes, also for a crash of this process. Once. */
void terminal_save(void);
/* After its end. Nothing when they are as they were, or there is no terminal. */
void terminal_restore(void);

#endif
