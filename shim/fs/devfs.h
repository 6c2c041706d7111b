/*
 * devfs.h: /dev. devfs_root() and chrdev_open() are in vfs.h.
 */
#ifndef PALIMPSEST_SHIM_FS_DEVFS_H
#define PALIMPSEST_SHIM_FS_DEVFS_H

#include <stdint.h>

/* /dev/pts/INDEX appears, disappears. uid: the opener of /dev/ptmx. Errors: -ENOMEM. */
int devfs_add_pty(unsigned index, uint32_t uid);
void devfs_remove_pty(unsigned index);

/* Device numbers as stat(2) encodes them (small minors only). */
#define DEVFS_RDEV(major, minor) ((uint64_t)(major) << 8 | (minor))
#define DEVFS_PTS_MAJOR 136

#endif
