/*
 * event_files.h: descriptors that stand for events: eventfd(2), timerfd_create(2), signalfd(2).
 */
#ifndef PALIMPSEST_SHIM_FS_EVENT_FILES_H
#define PALIMPSEST_SHIM_FS_EVENT_FILES_H

#include "platform/clock.h"
#include "shim/fs/file.h"
#include "shim/signal.h"

enum eventfd_kind { EVENTFD_COUNTER, EVENTFD_SEMAPHORE };
/* flags: O_NONBLOCK or 0, in all three. Owner: caller. */
struct file *eventfd_create_file(uint64_t value, enum eventfd_kind kind, uint32_t flags, int *err);

struct timerfd_setting { /* nanoseconds */
    uint64_t value;      /* until the next expiry; 0: disarmed */
    uint64_t interval;
};
struct file *timerfd_create_file(enum clock_kind clock, uint32_t flags, int *err);
enum timerfd_mode { TIMERFD_RELATIVE, TIMERFD_ABSOLUTE };
/* *old receives the setting before. -EINVAL: no timerfd. */
int timerfd_set(struct file *f, enum timerfd_mode mode, const struct timerfd_setting *set,
                struct timerfd_setting *old);
int timerfd_get(struct file *f, struct timerfd_setting *out);

/* Woken when a signal is queued for anybody. One queue: watchers may outlive the process they watched for. */
extern struct wait_queue g_signal_wait;
struct file *signalfd_create_file(struct sigset mask, uint32_t flags, int *err);
int signalfd_set_mask(struct file *f, struct sigset mask); /* -EINVAL: no signalfd */

#endif
