/*
 * process_tree.h: walk all processes, pre-order from init. Under g_process_lock.
 */
#ifndef PALIMPSEST_SHIM_PROCESS_TREE_H
#define PALIMPSEST_SHIM_PROCESS_TREE_H

#include "shim/process.h"

static inline struct process *process_tree_first(void)
{
    return process_find(1);
}

static inline struct process *process_tree_next(struct process *p)
{
    if (p->children)
        return p->children;
    while (p && !p->sibling_next)
        p = p->parent;
    return p ? p->sibling_next : NULL;
}

#endif
