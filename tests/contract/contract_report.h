/*
 * contract_report.h: what a case and its host side share. Read by C and C++; the interface's other
 * headers are for C.
 */
#ifndef PALIMPSEST_TESTS_CONTRACT_REPORT_H
#define PALIMPSEST_TESTS_CONTRACT_REPORT_H

#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert
extern "C" {
#endif

#include "platform/front.h"

enum { CONTRACT_FAILURES_MAX = 16, CONTRACT_GAUGES = 128 };

/* What the host is asked to measure of all processes of the instance. */
struct contract_gauge {
    uint64_t memory_bytes; /* proportional set size */
    uint64_t processes;
    uint64_t files; /* open descriptors of the busiest process: carriers may share one table */
};

/*
 * In memory that the test process maps shared before the instance starts, so it outlives whatever
 * happens there.
 */
struct contract_report {
    uint32_t finished;
    uint32_t failures; /* counted; the first ones are kept */
    struct {
        char file[128];
        int line;
        char text[256];
    } failure[CONTRACT_FAILURES_MAX];
    uint32_t stdin_bytes_asked; /* the host writes as many to the instance's standard input */
    uint32_t gauge_asked, gauge_taken; /* numbers of the gauge wanted and of the last one stored */
    struct contract_gauge gauge[CONTRACT_GAUGES];
};

/*
 * Directories granted to every case that has host files: "rw" is empty, "ro" holds "file" and
 * "link" and is read-only.
 */
#define CONTRACT_RO_TEXT "what the file holds\n"

struct contract {
    struct platform *p;
    const struct platform_front *front;
    struct contract_report *report;
};

typedef void (*contract_body)(struct contract *c);

/* The blob a case's instance is started with. */
struct contract_blob {
    const struct platform_front *front;
    struct contract_report *report;
    contract_body body;
};
void contract_main(struct platform *p, void *blob, size_t size);

#ifdef __cplusplus
}
#endif

#endif
