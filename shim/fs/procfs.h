/*
 * procfs.h: the tables that /proc is made of; private to procfs*.c. Contents follow proc(5).
 */
#ifndef PALIMPSEST_SHIM_FS_PROCFS_H
#define PALIMPSEST_SHIM_FS_PROCFS_H

#include <stddef.h>
#include <stdint.h>

#include <linux/stat.h>

#include "shim/base/string.h"
#include "shim/fs/vfs.h"
#include "shim/process.h"

struct mm;

/* What a name in /proc is about. */
struct proc_target {
    const struct proc_entry *entry;
    int pid;           /* 0: the system */
    int tid;           /* 0: the process, by its first task */
    int fd;            /* below fd, fdinfo; else -1 */
    uint64_t start_ns; /* of the process, whose number another may have later */
};

/* A directory whose names are not in a table. next: the name after `offset` (0: first) and its target, or false. */
struct proc_dynamic {
    bool (*lookup)(const struct proc_target *dir, const char *name, struct proc_target *out);
    /* *offset becomes the position after what was found; names are decimal numbers. */
    bool (*next)(const struct proc_target *dir, uint64_t *offset, unsigned *name);
};

struct proc_entry {
    const char *name;
    uint32_t mode;                      /* with type bits */
    const struct proc_entry *children;  /* directories; ends with a NULL name; NULL: none */
    const struct proc_dynamic *dynamic; /* directories: names beyond `children`; NULL: none */
    /* Regular files: the whole text, made anew for each pass from offset 0. 0 or -errno. */
    int (*print)(struct task *task, const struct proc_target *t, struct str_buf *out);
    /* NULL: writes fail with -EACCES at open when mode has no write bit, else -EIO */
    int64_t (*write)(struct task *task, const struct proc_target *t, const char *text, size_t size);
    /* Links. follow NULL: the text of readlink is walked. */
    int (*readlink)(struct task *task, const struct proc_target *t, char *out, size_t size);
    int (*follow)(struct task *task, const struct proc_target *t, struct path *out);
    const struct file_ops *file_ops; /* regular files that are not text (mem); NULL: text */
    /* Files: only who may look into the process opens it, as ptrace(2) says. Links of a process are all like that. */
    bool guarded;
};

#define PROC_DIR(n, ...)                                                                           \
    {                                                                                              \
        .name = n, .mode = S_IFDIR | 0555, __VA_ARGS__                                             \
    }
#define PROC_TEXT(n, fn)                                                                           \
    {                                                                                              \
        .name = n, .mode = S_IFREG | 0444, .print = fn                                             \
    }
#define PROC_GUARDED_TEXT(n, bits, fn)                                                             \
    {                                                                                              \
        .name = n, .mode = S_IFREG | (bits), .print = fn, .guarded = true                          \
    }
#define PROC_LINK(n, ...)                                                                          \
    {                                                                                              \
        .name = n, .mode = S_IFLNK | 0777, __VA_ARGS__                                             \
    }

extern const struct proc_entry g_proc_root_children[]; /* procfs_system.c */
/* procfs_pid.c: the directory of a process */
extern const struct proc_entry g_proc_process;

/* Whether f is an open directory of a process in /proc; under g_process_lock, that process, or NULL: it was waited for. */
bool proc_is_process(const struct file *f);
struct process *proc_file_process(const struct file *f);
/* The target of an open file of /proc. */
const struct proc_target *proc_file_target(struct file *f);

/* Owned references to what a process is made of, taken under g_process_lock. false: gone, or a zombie. */
bool proc_get_mm(const struct proc_target *t, struct mm **mm);
bool proc_get_files(const struct proc_target *t, struct fd_table **files);
bool proc_get_fs(const struct proc_target *t, struct fs_state **fs);
void proc_put_mm(struct mm *mm);
/* Under g_process_lock. The process, task that a target names; NULL: gone. */
struct process *proc_process(const struct proc_target *t);
struct task *proc_task(const struct proc_target *t);

extern const struct proc_entry g_proc_net_children[]; /* procfs_net.c: of each process */

/* procfs_fd.c */
extern const struct proc_dynamic g_proc_fd_dynamic, g_proc_fdinfo_dynamic, g_proc_task_dynamic;
extern const struct file_ops g_proc_mem_ops; /* procfs_mem.c */
int proc_print_maps(struct task *task, const struct proc_target *t, struct str_buf *out);
int proc_print_smaps(struct task *task, const struct proc_target *t, struct str_buf *out);
int proc_print_rollup(struct task *task, const struct proc_target *t, struct str_buf *out);
int proc_print_cmdline(struct task *task, const struct proc_target *t, struct str_buf *out);
int proc_print_environ(struct task *task, const struct proc_target *t, struct str_buf *out);
int proc_print_auxv(struct task *task, const struct proc_target *t, struct str_buf *out);

#endif
