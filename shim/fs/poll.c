/*
 * Waiting for several files at once.
 */
#include "shim/fs/file.h"

#include "platform/errno.h"
#include "shim/base/alloc.h"
#include "shim/base/string.h"
#include "shim/process.h"

void poll_table_init(struct poll_table *table)
{
    memset(table, 0, sizeof(*table));
    table->files = table->near_files;
    table->file_capacity = POLL_TABLE_NEAR;
    table->deadline_ns = THREAD_WAIT_FOREVER;
}

void poll_table_end(struct poll_table *table)
{
    struct poll_far_waiter *far = table->far, *next;

    for (unsigned i = 0; i < table->near_count; i++)
        wait_queue_remove(&table->near[i]);
    for (; far; far = next) {
        next = far->next;
        wait_queue_remove(&far->waiter);
        shim_free(far);
    }
    if (table->files != table->near_files)
        shim_free(table->files);
}

void poll_table_add(struct poll_table *table, struct wait_queue *q)
{
    struct poll_far_waiter *far;

    if (table->registered)
        return;
    if (table->add) {
        table->add(table, q);
        return;
    }
    if (table->near_count < POLL_TABLE_NEAR) {
        wait_queue_add(q, &table->near[table->near_count++]);
        return;
    }
    far = shim_zalloc(sizeof(*far));
    if (!far) {
        table->failed = true;
        return;
    }
    far->next = table->far;
    table->far = far;
    wait_queue_add(q, &far->waiter);
}

static bool poll_table_grow(struct poll_table *table)
{
    size_t capacity = table->file_capacity * 4;
    struct thread_wait_file *files = shim_alloc(capacity * sizeof(*files));

    if (!files)
        return false;
    memcpy(files, table->files, table->file_count * sizeof(*files));
    if (table->files != table->near_files)
        shim_free(table->files);
    table->files = files;
    table->file_capacity = capacity;
    return true;
}

void poll_table_add_host(struct poll_table *table, struct host_file *file, uint32_t events)
{
    if (table->registered)
        return;
    if (table->add_host) {
        table->add_host(table, file, events);
        return;
    }
    if (table->file_count == table->file_capacity && !poll_table_grow(table)) {
        table->failed = true;
        return;
    }
    table->files[table->file_count++] =
        (struct thread_wait_file){.file = file, .events = events & table->wanted};
}

void poll_table_add_deadline(struct poll_table *table, uint64_t deadline_ns)
{
    table->timed = true;
    if (deadline_ns < table->deadline_ns)
        table->deadline_ns = deadline_ns;
}

int poll_table_sleep(struct task *task, struct poll_table *table, uint64_t deadline_ns)
{
    uint64_t until = table->deadline_ns < deadline_ns ? table->deadline_ns : deadline_ns;
    int r = table->file_count ? task_sleep_files(task, until, table->files, table->file_count)
                              : task_sleep(task, until);

    table->registered = true;
    table->deadline_ns = THREAD_WAIT_FOREVER;
    if (r > 0 || (r == -ETIMEDOUT && until < deadline_ns))
        return 0;
    return r;
}
