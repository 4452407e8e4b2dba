/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h -- the part of the interface of Check that our unit tests use, for builds for which there
 * is no Check library: cross-compiled ones. Header only, no fork, same summary line.
 *
 * Invariants: a failed assertion ends its test by longjmp, as in Check with CK_FORK=no.
 */
#ifndef MINICHECK_H
#define MINICHECK_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum print_output { CK_SILENT, CK_MINIMAL, CK_NORMAL, CK_VERBOSE, CK_ENV };
enum fork_status { CK_FORK_GETENV, CK_FORK, CK_NOFORK };

typedef void (*minicheck_fn)(int _i);
typedef void (*minicheck_fixture)(void);

typedef struct {
    const char *name;
    minicheck_fn fn;
} TTest;

struct minicheck_run {
    const TTest *test;
    int begin;
    int end;
};

typedef struct {
    const char *name;
    struct minicheck_run runs[128];
    int run_count;
    minicheck_fixture setup;
    minicheck_fixture teardown;
} TCase;

typedef struct {
    const char *name;
    TCase *cases[32];
    int case_count;
} Suite;

typedef struct {
    Suite *suites[16];
    int suite_count;
    int failed;
} SRunner;

static jmp_buf minicheck_escape;

#define START_TEST(name_)                                                                          \
    static void name_##_fn(int _i);                                                                \
    static const TTest name_##_ttest = {#name_, name_##_fn};                                       \
    static const TTest *name_ = &name_##_ttest;                                                    \
    static void name_##_fn(int _i)                                                                 \
    {                                                                                              \
        (void)_i;
#define END_TEST }

#define ck_abort_msg(...)                                                                          \
    do {                                                                                           \
        printf("%s:%d: ", __FILE__, __LINE__);                                                     \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        longjmp(minicheck_escape, 1);                                                              \
    } while (0)
#define ck_assert_msg(x, ...)                                                                      \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            ck_abort_msg(__VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)
#define ck_assert(x) ck_assert_msg(x, "Assertion '%s' failed", #x)

#define minicheck_int(a, op, b)                                                                    \
    do {                                                                                           \
        intmax_t a_ = (a);                                                                         \
        intmax_t b_ = (b);                                                                         \
        ck_assert_msg(a_ op b_, "'%s %s %s' failed: %jd, %jd", #a, #op, #b, a_, b_);               \
    } while (0)
#define minicheck_uint(a, op, b)                                                                   \
    do {                                                                                           \
        uintmax_t a_ = (a);                                                                        \
        uintmax_t b_ = (b);                                                                        \
        ck_assert_msg(a_ op b_, "'%s %s %s' failed: %ju, %ju", #a, #op, #b, a_, b_);               \
    } while (0)
#define ck_assert_int_eq(a, b) minicheck_int(a, ==, b)
#define ck_assert_int_ne(a, b) minicheck_int(a, !=, b)
#define ck_assert_int_lt(a, b) minicheck_int(a, <, b)
#define ck_assert_int_le(a, b) minicheck_int(a, <=, b)
#define ck_assert_int_gt(a, b) minicheck_int(a, >, b)
#define ck_assert_int_ge(a, b) minicheck_int(a, >=, b)
#define ck_assert_uint_eq(a, b) minicheck_uint(a, ==, b)
#define ck_assert_uint_ne(a, b) minicheck_uint(a, !=, b)
#define ck_assert_uint_lt(a, b) minicheck_uint(a, <, b)
#define ck_assert_uint_le(a, b) minicheck_uint(a, <=, b)
#define ck_assert_uint_gt(a, b) minicheck_uint(a, >, b)
#define ck_assert_uint_ge(a, b) minicheck_uint(a, >=, b)
#define ck_assert_str_eq(a, b)                                                                     \
    do {                                                                                           \
        const char *a_ = (a);                                                                      \
        const char *b_ = (b);                                                                      \
        ck_assert_msg(strcmp(a_, b_) == 0, "'%s == %s' failed: \"%s\", \"%s\"", #a, #b, a_, b_);   \
    } while (0)
#define ck_assert_str_ne(a, b) ck_assert_msg(strcmp((a), (b)) != 0, "'%s != %s' failed", #a, #b)
#define ck_assert_mem_eq(a, b, size)                                                               \
    ck_assert_msg(memcmp((a), (b), (size)) == 0, "'%s == %s' failed", #a, #b)
#define ck_assert_mem_ne(a, b, size)                                                               \
    ck_assert_msg(memcmp((a), (b), (size)) != 0, "'%s != %s' failed", #a, #b)
#define ck_assert_ptr_eq(a, b)                                                                     \
    ck_assert_msg((const void *)(a) == (const void *)(b), "'%s == %s' failed", #a, #b)
#define ck_assert_ptr_ne(a, b)                                                                     \
    ck_assert_msg((const void *)(a) != (const void *)(b), "'%s != %s' failed", #a, #b)
#define ck_assert_ptr_null(a) ck_assert_msg((a) == NULL, "'%s == NULL' failed", #a)
#define ck_assert_ptr_nonnull(a) ck_assert_msg((a) != NULL, "'%s != NULL' failed", #a)

static inline Suite *suite_create(const char *name)
{
    Suite *suite = (Suite *)calloc(1, sizeof(*suite));
    suite->name = name;
    return suite;
}

static inline TCase *tcase_create(const char *name)
{
    TCase *tcase = (TCase *)calloc(1, sizeof(*tcase));
    tcase->name = name;
    return tcase;
}

static inline void suite_add_tcase(Suite *suite, TCase *tcase)
{
    suite->cases[suite->case_count++] = tcase;
}

static inline void tcase_add_loop_test(TCase *tcase, const TTest *test, int begin, int end)
{
    struct minicheck_run run = {test, begin, end};
    tcase->runs[tcase->run_count++] = run;
}

static inline void tcase_add_test(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, 1);
}

static inline void tcase_add_checked_fixture(TCase *tcase, minicheck_fixture setup,
                                             minicheck_fixture teardown)
{
    tcase->setup = setup;
    tcase->teardown = teardown;
}

static inline void tcase_set_timeout(TCase *tcase, double seconds)
{
    (void)tcase;
    (void)seconds;
}

static inline SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = (SRunner *)calloc(1, sizeof(*runner));
    runner->suites[runner->suite_count++] = suite;
    return runner;
}

static inline void srunner_add_suite(SRunner *runner, Suite *suite)
{
    runner->suites[runner->suite_count++] = suite;
}

static inline void srunner_set_fork_status(SRunner *runner, enum fork_status status)
{
    (void)runner;
    (void)status;
}

static inline int minicheck_one(const TCase *tcase, const struct minicheck_run *run, int i)
{
    if (setjmp(minicheck_escape) != 0) {
        printf("%s:%s failed\n", tcase->name, run->test->name);
        return 1;
    }
    if (tcase->setup != NULL) {
        tcase->setup();
    }
    run->test->fn(i);
    if (tcase->teardown != NULL) {
        tcase->teardown();
    }
    return 0;
}

static inline void srunner_run_all(SRunner *runner, enum print_output mode)
{
    int checks = 0;
    (void)mode;
    for (int s = 0; s < runner->suite_count; s++) {
        for (int c = 0; c < runner->suites[s]->case_count; c++) {
            const TCase *tcase = runner->suites[s]->cases[c];
            for (int r = 0; r < tcase->run_count; r++) {
                for (int i = tcase->runs[r].begin; i < tcase->runs[r].end; i++) {
                    runner->failed += minicheck_one(tcase, &tcase->runs[r], i);
                    checks++;
                }
            }
        }
    }
    printf("%d%%: Checks: %d, Failures: %d, Errors: 0\n",
           checks > 0 ? (checks - runner->failed) * 100 / checks : 0, checks, runner->failed);
}

static inline int srunner_ntests_failed(const SRunner *runner)
{
    return runner->failed;
}

static inline void srunner_free(SRunner *runner)
{
    for (int s = 0; s < runner->suite_count; s++) {
        for (int c = 0; c < runner->suites[s]->case_count; c++) {
            free(runner->suites[s]->cases[c]);
        }
        free(runner->suites[s]);
    }
    free(runner);
}

#endif
