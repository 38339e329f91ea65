/* SPDX-License-Identifier: MIT */
/* Work without a model on the CPU: loops of every level read all there is to read, copy what is
 * there, and say how much they did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "backends/cpu/exercise.h"
#include "platforms/os/os.h"

#define SIZE 8192u

static const enum jb_simd levels[] = {JB_SIMD_SCALAR, JB_SIMD_NEON, JB_SIMD_DOTPROD, JB_SIMD_AVX2,
                                      JB_SIMD_AVX512, JB_SIMD_VNNI, JB_SIMD_BF16,    JB_SIMD_AMX};
enum { N_LEVELS = sizeof levels / sizeof levels[0] };

/* The loops of a level that runs here; NULL otherwise. */
static const struct jb_cpu_loops *loops_at(int i)
{
    return jb_simd_usable(levels[i]) ? jb_cpu_loops_for(levels[i]) : NULL;
}

static void test_every_byte_is_read_and_copied(void **state)
{
    (void)state;
    uint8_t *from = jb_pages_alloc(SIZE);
    uint8_t *to = jb_pages_alloc(SIZE);
    assert_non_null(from);
    assert_non_null(to);
    uint64_t expected = 0;
    for (uint32_t i = 0; i < SIZE; i++) {
        from[i] = (uint8_t)(i * 37 + i / 256);
    }
    for (uint32_t i = 0; i < SIZE; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, sizeof word);
        expected += word;
    }
    for (int i = 0; i < N_LEVELS; i++) {
        const struct jb_cpu_loops *loops = loops_at(i);
        if (loops == NULL) {
            continue;
        }
        assert_true(loops->level <= levels[i]);
        assert_true(loops->read(from, SIZE) == expected);
        memset(to, 0, SIZE);
        loops->copy(to, from, SIZE);
        assert_memory_equal(to, from, SIZE);
    }
    jb_pages_free(from, SIZE);
    jb_pages_free(to, SIZE);
}

static void test_products_differ_with_their_number(void **state)
{
    (void)state;
    for (int i = 0; i < N_LEVELS; i++) {
        const struct jb_cpu_loops *loops = loops_at(i);
        for (int n = 0; loops != NULL && n < JB_CPU_N_NUMBERS; n++) {
            assert_int_equal(loops->macs[n] != NULL, loops->macs_a_round[n] > 0);
            if (loops->macs[n] != NULL) {
                assert_true(loops->macs[n](1) != loops->macs[n](3)); /* sums grow with the rounds */
            }
        }
        assert_true(loops == NULL || loops->macs[JB_CPU_F32] != NULL);
        assert_true(loops == NULL || loops->macs[JB_CPU_INT8] != NULL);
    }
}

static void test_the_work_done_is_told(void **state)
{
    (void)state;
    struct jb_pool *pool = NULL;
    struct jb_cpu_arena arena = {.from = NULL};
    struct jb_op_detail detail;
    assert_int_equal(jb_pool_create(3, NULL, &pool), JB_OK);
    const struct {
        struct jb_exercise what;
        uint64_t bytes;
    } cases[] = {
        {{.kind = JB_EXERCISE_READ, .bytes = 3u << 16}, 3u << 16},
        {{.kind = JB_EXERCISE_READ, .bytes = 3u << 16, .pattern = JB_RANDOM}, 3u << 16},
        {{.kind = JB_EXERCISE_COPY, .bytes = 3u << 16}, 6u << 16},
        {{.kind = JB_EXERCISE_READ, .bytes = 1}, 3 * 512}, /* a turn of the loop a worker */
        {{.kind = JB_EXERCISE_READ, .bytes = 3u << 12, .pattern = JB_STRIDED, .stride_bytes = 100},
         3u << 12},
        {{.kind = JB_EXERCISE_READ,
          .bytes = 3u << 12,
          .pattern = JB_STRIDED,
          .stride_bytes = UINT64_C(1) << 40},
         3u << 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int again = 0; again < 2; again++) {
            assert_int_equal(jb_cpu_exercise(pool, JB_SIMD_SCALAR, &arena, &cases[i].what, &detail),
                             JB_OK);
            assert_true(detail.bytes == cases[i].bytes);
            assert_true(detail.macs == 0 && detail.cycles == 0);
        }
    }
    const struct jb_exercise macs = {.kind = JB_EXERCISE_MACS, .macs = 100000, .number = "int8"};
    assert_int_equal(jb_cpu_exercise(pool, JB_SIMD_SCALAR, &arena, &macs, &detail), JB_OK);
    assert_true(detail.macs > 90000 && detail.macs <= 100000 && detail.bytes == 0);
    jb_cpu_arena_free(&arena);
    jb_pool_free(pool);
}

static void test_what_it_lacks_it_says(void **state)
{
    (void)state;
    struct jb_pool *pool = NULL;
    struct jb_cpu_arena arena = {.from = NULL};
    struct jb_op_detail detail;
    assert_int_equal(jb_pool_create(1, NULL, &pool), JB_OK);
    static const char *const numbers[] = {"bf16", "fp8", "f64"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const struct jb_exercise macs = {.kind = JB_EXERCISE_MACS, .number = numbers[i]};
        assert_int_equal(jb_cpu_exercise(pool, JB_SIMD_SCALAR, &arena, &macs, &detail),
                         JB_E_NOTSUP);
        assert_non_null(strstr(jb_reason(), numbers[i]));
    }
    const struct jb_exercise strided = {
        .kind = JB_EXERCISE_READ, .pattern = JB_STRIDED, .bytes = 4096};
    assert_int_equal(jb_cpu_exercise(pool, JB_SIMD_SCALAR, &arena, &strided, &detail), JB_E_INVAL);
    const struct jb_exercise vast = {.kind = JB_EXERCISE_READ, .bytes = UINT64_C(1) << 46};
    assert_int_equal(jb_cpu_exercise(pool, JB_SIMD_SCALAR, &arena, &vast, &detail), JB_E_NOMEM);
    jb_cpu_arena_free(&arena);
    jb_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_is_read_and_copied),
        cmocka_unit_test(test_products_differ_with_their_number),
        cmocka_unit_test(test_the_work_done_is_told),
        cmocka_unit_test(test_what_it_lacks_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
