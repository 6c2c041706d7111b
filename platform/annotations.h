/*
 * annotations.h: attribute macros, nothing else.
 *
 * MAKES_TOKEN(destroy, n): the function returns a linear token that the n-th argument of `destroy`
 *                          consumes.
 * TAKES_TOKEN(n):          the function consumes the token that is its n-th argument.
 *
 * GCC (-fanalyzer) knows the pair by malloc(destroy, n); Clang's analyzer by its ownership
 * attributes, and only under the class name "malloc" (Clang 14), so it can't tell the wrong
 * destroy function.
 */
#ifndef PALIMPSEST_PLATFORM_ANNOTATIONS_H
#define PALIMPSEST_PLATFORM_ANNOTATIONS_H

#define MUST_USE __attribute__((warn_unused_result))
#define NO_RETURN __attribute__((noreturn))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define UNUSED __attribute__((unused))

#if defined(__clang__)
#define MAKES_TOKEN(destroy, n) MUST_USE __attribute__((ownership_returns(malloc)))
#define TAKES_TOKEN(n) __attribute__((ownership_takes(malloc, n)))
#elif defined(__GNUC__) && __GNUC__ >= 11
#define MAKES_TOKEN(destroy, n) MUST_USE __attribute__((malloc(destroy, n)))
#define TAKES_TOKEN(n)
#else
#define MAKES_TOKEN(destroy, n) MUST_USE
#define TAKES_TOKEN(n)
#endif

#endif
