/* SPDX-License-Identifier: MIT */
/* GGUF headers built byte by byte: what is read, and one refusal for each rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/workload/gguf.h"

static uint8_t bytes[4096];
static size_t size;

static void put(const void *data, size_t n)
{
    assert_true(size + n <= sizeof bytes);
    memcpy(bytes + size, data, n);
    size += n;
}

static void put_u32(uint32_t value)
{
    put(&value, sizeof value);
}

static void put_u64(uint64_t value)
{
    put(&value, sizeof value);
}

static void put_string(const char *text)
{
    put_u64(strlen(text));
    put(text, strlen(text));
}

static void begin(uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    size = 0;
    put("GGUF", 4);
    put_u32(version);
    put_u64(n_tensors);
    put_u64(n_keys);
}

static void put_key(const char *name, uint32_t type)
{
    put_string(name);
    put_u32(type);
}

static void put_tensor(const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                       uint64_t offset)
{
    put_string(name);
    put_u32(2);
    put_u64(cols);
    put_u64(rows);
    put_u32(type);
    put_u64(offset);
}

static void pad(size_t n)
{
    while (size % 32 != 0 || n > 0) {
        const uint8_t zero = 0;
        put(&zero, 1);
        n -= n > 0 ? 1 : 0;
    }
}

static struct jb_gguf parse(void)
{
    struct jb_gguf gguf = {0};
    if (jb_gguf_parse(bytes, size, "file", &gguf) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    return gguf;
}

static void refused(enum jb_status status, const char *word)
{
    struct jb_gguf gguf = {0};
    assert_int_equal(jb_gguf_parse(bytes, size, "file", &gguf), status);
    assert_null(gguf.keys);
    if (strstr(jb_reason(), word) == NULL || strncmp(jb_reason(), "file: ", 6) != 0) {
        fail_msg("'%s' lacks '%s'", jb_reason(), word);
    }
}

static void test_keys_of_each_type(void **state)
{
    (void)state;
    begin(3, 0, 7);
    put_key("a.u8", JB_GGUF_U8);
    put("\xff", 1);
    put_key("a.i16", JB_GGUF_I16);
    put("\xfe\xff", 2);
    put_key("a.f64", JB_GGUF_F64);
    put(&(double){0.5}, 8);
    put_key("a.bool", JB_GGUF_BOOL);
    put("\x01", 1);
    put_key("a.text", JB_GGUF_STRING);
    put_string("hello");
    put_key("a.list", JB_GGUF_ARRAY);
    put_u32(JB_GGUF_STRING);
    put_u64(2);
    put_string("");
    put_string("xy");
    put_key("a.u64", JB_GGUF_U64);
    put_u64(UINT64_MAX);
    struct jb_gguf gguf = parse();
    uint32_t u32 = 7;
    int32_t i32 = 7;
    float f32 = 7;
    bool is_set = false;
    struct jb_gguf_string text = {0};
    assert_int_equal(jb_gguf_u32(&gguf, "a.u8", &u32), JB_OK);
    assert_int_equal(u32, 255);
    assert_int_equal(jb_gguf_i32(&gguf, "a.i16", &i32), JB_OK);
    assert_int_equal(i32, -2);
    assert_int_equal(jb_gguf_f32(&gguf, "a.f64", &f32), JB_OK);
    assert_float_equal(f32, 0.5, 0);
    assert_int_equal(jb_gguf_f32(&gguf, "a.u8", &f32), JB_OK);
    assert_float_equal(f32, 255, 0);
    assert_int_equal(jb_gguf_bool(&gguf, "a.bool", &is_set), JB_OK);
    assert_true(is_set);
    assert_int_equal(jb_gguf_string(&gguf, "a.text", &text), JB_OK);
    assert_true(jb_gguf_string_is(text, "hello"));
    const struct jb_gguf_key *list = jb_gguf_find(&gguf, "a.list");
    const uint8_t *at = list->data;
    assert_int_equal(list->count, 2);
    assert_int_equal(jb_gguf_next_string(&at).size, 0);
    assert_true(jb_gguf_string_is(jb_gguf_next_string(&at), "xy"));
    assert_null(jb_gguf_find(&gguf, "a.lis"));
    u32 = 9;
    assert_int_equal(jb_gguf_u32(&gguf, "absent", &u32), JB_OK);
    assert_int_equal(u32, 9);
    assert_int_equal(jb_gguf_u32(&gguf, "a.i16", &u32), JB_E_FORMAT);
    assert_int_equal(jb_gguf_u32(&gguf, "a.u64", &u32), JB_E_FORMAT);
    assert_int_equal(jb_gguf_u32(&gguf, "a.text", &u32), JB_E_FORMAT);
    assert_int_equal(jb_gguf_bool(&gguf, "a.u8", &is_set), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "a.u8"));
    assert_int_equal(u32, 9);
    jb_gguf_free(&gguf);
}

static void test_tensors_are_placed(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        begin(version, 2, 1);
        put_key("general.alignment", JB_GGUF_U32);
        put_u32(64);
        put_tensor("b", 32, 3, 2, 64); /* Q4_0: 54 bytes */
        put_tensor("a", 5, 2, 0, 0);   /* F32: 40 bytes  */
        while (size % 64 != 0) {
            put("", 1);
        }
        const size_t data = size;
        pad(64 + 64);
        struct jb_gguf gguf = parse();
        const struct jb_gguf_tensor *b = jb_gguf_find_tensor(&gguf, "b");
        assert_int_equal(b->n_bytes, 54);
        assert_int_equal(b->offset, data + 64);
        assert_ptr_equal(b->data, bytes + data + 64);
        assert_int_equal(jb_gguf_find_tensor(&gguf, "a")->n_bytes, 40);
        assert_null(jb_gguf_find_tensor(&gguf, "c"));
        jb_gguf_free(&gguf);
    }
}

static void test_heads_are_refused(void **state)
{
    (void)state;
    size = 0;
    refused(JB_E_FORMAT, "not a GGUF");
    begin(3, 0, 0);
    bytes[0] = 'g';
    refused(JB_E_FORMAT, "not a GGUF");
    begin(1, 0, 0);
    refused(JB_E_NOTSUP, "version 1");
    begin(0x03000000, 0, 0);
    refused(JB_E_NOTSUP, "big-endian");
    begin(3, 0, 0);
    size -= 3;
    refused(JB_E_FORMAT, "byte 16");
    begin(3, UINT64_MAX, 0);
    refused(JB_E_FORMAT, "tensors");
    begin(3, 0, UINT64_C(1) << 32);
    refused(JB_E_FORMAT, "keys");
}

static void test_keys_are_refused(void **state)
{
    (void)state;
    begin(3, 0, 1);
    put_u64(UINT64_MAX);
    put("abcdefgh", 8);
    refused(JB_E_FORMAT, "byte 24: a string is longer");
    begin(3, 0, 1);
    put_key("a\nb", JB_GGUF_U32);
    put_u32(1);
    refused(JB_E_FORMAT, "printable");
    begin(3, 0, 1);
    put_key("a.b", 13);
    put_u64(1);
    refused(JB_E_FORMAT, "key 'a.b': its type");
    begin(3, 0, 1);
    put_key("a.b", JB_GGUF_ARRAY);
    put_u32(JB_GGUF_ARRAY);
    put_u64(1);
    refused(JB_E_FORMAT, "array of arrays");
    begin(3, 0, 1);
    put_key("a.b", JB_GGUF_ARRAY);
    put_u32(JB_GGUF_U64);
    put_u64(UINT64_C(1) << 61);
    refused(JB_E_FORMAT, "more elements");
    begin(3, 0, 1);
    put_key("a.b", JB_GGUF_ARRAY);
    put_u32(JB_GGUF_STRING);
    put_u64(3);
    put_string("x");
    put_u64(1000);
    put_u64(0);
    refused(JB_E_FORMAT, "'a.b': a string");
    begin(3, 0, 2);
    put_key("twice", JB_GGUF_U8);
    put("\x01", 1);
    put_key("twice", JB_GGUF_U8);
    put("\x02", 1);
    refused(JB_E_FORMAT, "'twice' is there twice");
    begin(3, 0, 1);
    put_key("general.alignment", JB_GGUF_U32);
    put_u32(48);
    refused(JB_E_FORMAT, "power of two");
}

static void test_tensors_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t cols, rows;
        uint32_t type;
        uint64_t offset;
        const char *word;
    } cases[] = {
        {0, 1, 0, 0, "dimension is 0"},
        {UINT64_C(1) << 40, UINT64_C(1) << 40, 0, 0, "product"},
        {16, 1, 2, 0, "blocks"},
        {32, 1, 0, 16, "alignment"},
        {32, 1, 0, UINT64_MAX - 31, "after the end"},
        {32, 1, 0, 4096, "after the end"},
        {32, 100, 0, 0, "past the end"},
        {UINT64_C(1) << 31, UINT64_C(1) << 31, 0, 0, "past the end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(3, 1, 0);
        put_tensor("w", cases[i].cols, cases[i].rows, cases[i].type, cases[i].offset);
        pad(256);
        refused(JB_E_FORMAT, cases[i].word);
        assert_non_null(strstr(jb_reason(), "tensor 'w'"));
    }
    begin(3, 1, 0);
    put_string("w");
    put_u32(5);
    pad(64);
    refused(JB_E_FORMAT, "more than 4");
}

static void test_unknown_type_has_no_bytes(void **state)
{
    (void)state;
    begin(3, 1, 0);
    put_tensor("w", 32, 1, 6, 0); /* Q5_0 */
    pad(64);
    struct jb_gguf gguf = parse();
    assert_null(gguf.tensors[0].data);
    assert_int_equal(gguf.tensors[0].n_bytes, 0);
    jb_gguf_free(&gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_each_type),
        cmocka_unit_test(test_tensors_are_placed),
        cmocka_unit_test(test_heads_are_refused),
        cmocka_unit_test(test_keys_are_refused),
        cmocka_unit_test(test_tensors_are_refused),
        cmocka_unit_test(test_unknown_type_has_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
