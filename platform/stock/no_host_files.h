/*
 * no_host_files.h: host files for a platform that reaches none. Nothing is granted and no stream is
 * open, so no handle ever exists; a call with one is a bug of the caller.
 */
#ifndef PALIMPSEST_PLATFORM_STOCK_NO_HOST_FILES_H
#define PALIMPSEST_PLATFORM_STOCK_NO_HOST_FILES_H

#include "platform/host_file.h"

extern const struct host_file_ops stock_no_host_files_ops;

#endif
