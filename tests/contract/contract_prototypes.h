/*
 * contract_prototypes.h: every case as a function, SUITE_NAME.
 */
#ifndef PALIMPSEST_TESTS_CONTRACT_PROTOTYPES_H
#define PALIMPSEST_TESTS_CONTRACT_PROTOTYPES_H

#include "tests/contract/contract_report.h"
#include "tests/contract/contract_cases.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DECLARE(suite, name, ...) void suite##_##name(struct contract *c);
CONTRACT_CASES(DECLARE, DECLARE)
#undef DECLARE

#ifdef __cplusplus
}
#endif

#endif
