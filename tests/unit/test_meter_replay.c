/* SPDX-License-Identifier: MIT */
/* Traces: what is accepted, what is refused and where, and what a replayed sensor answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platforms/meters/meter.h"
#include "platforms/meters/replay.h"

#define HEADER "time_s,domain,quantity,unit,scope,value\n"

struct open_meter {
    const struct jb_meter *meter;
    struct jb_meter_state *state;
    const struct jb_domain *domains;
    uint32_t n_domains;
    char path[64];
};

static void write_file(char *ret_path, const char *text)
{
    memcpy(ret_path, "jb-trace-XXXXXX", 16);
    const int fd = mkstemp(ret_path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static enum jb_status open_trace(struct open_meter *m, const char *text, const char *options)
{
    char arg[128];
    write_file(m->path, text);
    m->meter = jb_meter_find("replay");
    assert_non_null(m->meter);
    m->state = calloc(1, m->meter->state_size);
    assert_non_null(m->state);
    (void)snprintf(arg, sizeof arg, "%s%s", m->path, options);
    const enum jb_status status = m->meter->open(m->state, &(struct jb_meter_args){.arg = arg});
    (void)remove(m->path);
    if (status != JB_OK) {
        free(m->state);
        m->state = NULL;
        return status;
    }
    m->n_domains = m->meter->domains(m->state, &m->domains);
    return JB_OK;
}

static void close_trace(struct open_meter *m)
{
    m->meter->close(m->state);
    free(m->state);
}

static double value_at(struct open_meter *m, double time_s, uint32_t domain)
{
    struct jb_reading reading;
    jb_replay_set_time(time_s);
    assert_int_equal(m->meter->read(m->state, &reading), JB_OK);
    assert_true(reading.time_s == time_s);
    return reading.values[domain];
}

#define assert_value(m, time_s, domain, expected)                                                  \
    assert_true(fabs(value_at(m, time_s, domain) - (expected)) < 1e-9)
#define assert_missing(m, time_s, domain) assert_true(jb_is_missing(value_at(m, time_s, domain)))

static void test_values_hold_until_the_next_line(void **state)
{
    (void)state;
    struct open_meter m;
    assert_int_equal(open_trace(&m,
                                HEADER "10,package-0,energy,mJ,package,500000\n"
                                       "10.5,gpu-0/power,power,W,board,70\n"
                                       "11,package-0,energy,mJ,package,507000\n"
                                       "12,package-0,energy,mJ,package,507000\n",
                                ",clock=manual"),
                     JB_OK);
    assert_int_equal(m.n_domains, 2);
    assert_string_equal(m.domains[0].name, "package-0");
    assert_string_equal(m.domains[0].unit, "J");
    assert_int_equal(m.domains[0].scope, JB_SCOPE_PACKAGE);
    assert_true(m.domains[0].is_in_total);
    assert_false(m.domains[1].is_in_total);
    assert_true(jb_is_missing(m.domains[0].update_period_s));
    assert_missing(&m, 9.9, 0);
    assert_value(&m, 10, 0, 0);
    assert_missing(&m, 10.4, 1);
    assert_value(&m, 10.5, 1, 70);
    assert_value(&m, 10.999, 0, 0);
    assert_value(&m, 11, 0, 7);
    /* The counter did not move: the same value again, so exactly 0 J. */
    assert_value(&m, 12, 0, 7);
    assert_value(&m, 10.2, 0, 0);
    close_trace(&m);
}

static void test_end_of_trace_is_a_lost_device(void **state)
{
    (void)state;
    struct open_meter m;
    struct jb_reading reading = {.time_s = -1};
    assert_int_equal(
        open_trace(&m, HEADER "0,a,power,W,board,1\n2,a,power,W,board,3\n", ",clock=manual"),
        JB_OK);
    jb_replay_set_time(2.001);
    assert_int_equal(m.meter->read(m.state, &reading), JB_E_DEVICE);
    assert_non_null(strstr(jb_reason(), "ends at 2 s"));
    assert_true(reading.time_s == -1);
    close_trace(&m);
}

static void test_repeat_goes_on_counting(void **state)
{
    (void)state;
    struct open_meter m;
    assert_int_equal(open_trace(&m,
                                HEADER "0,a,energy,J,package,100\n0,p,power,W,board,5\n"
                                       "1,a,energy,J,package,130\n2,a,energy,J,package,140\n",
                                ",repeat,clock=manual"),
                     JB_OK);
    assert_value(&m, 1.5, 0, 30);
    assert_value(&m, 2, 0, 40);
    assert_value(&m, 2.5, 0, 40);
    assert_value(&m, 3.5, 0, 70);
    assert_value(&m, 5.5, 0, 110);
    assert_value(&m, 5.5, 1, 5);
    close_trace(&m);
}

static void test_fall_and_gap_are_missing(void **state)
{
    (void)state;
    struct open_meter m;
    assert_int_equal(open_trace(&m,
                                HEADER "0,a,energy,J,package,100\n1,a,energy,J,package,130\n"
                                       "2,a,energy,J,package,5\n3,a,energy,J,package,900\n"
                                       "0,b,count,1,process,\n1,b,count,1,process,10\n"
                                       "2,b,count,1,process,\n3,b,count,1,process,25\n",
                                ",clock=manual"),
                     JB_OK);
    assert_value(&m, 1, 0, 30);
    assert_missing(&m, 2, 0);
    assert_missing(&m, 3, 0);
    assert_missing(&m, 0, 1);
    assert_value(&m, 1, 1, 0);
    assert_missing(&m, 2.5, 1);
    assert_value(&m, 3, 1, 15);
    close_trace(&m);
}

static void test_options_of_a_domain(void **state)
{
    (void)state;
    struct open_meter m;
    assert_int_equal(
        open_trace(&m,
                   "time_s,domain,quantity,unit,scope,value,evidence,in_total,update_period_s,"
                   "average_s,accuracy\n"
                   "0,psys,energy,J,system,1,,0,,,\n"
                   "0,core-0,energy,J,core,1,,,0.001,,\n"
                   "0,card,power,kW,board,0.07,nameplate,1,0.025,1,0.05\n",
                   ",clock=manual"),
        JB_OK);
    assert_int_equal(m.n_domains, 3);
    assert_false(m.domains[0].is_in_total);
    assert_false(m.domains[1].is_in_total);
    assert_true(m.domains[1].update_period_s == 0.001);
    assert_true(m.domains[2].is_in_total);
    assert_int_equal(m.domains[2].evidence, JB_CLASS_NAMEPLATE);
    assert_int_equal(m.domains[0].evidence, JB_CLASS_MEASURED);
    assert_true(m.domains[2].average_s == 1.0);
    assert_true(m.domains[2].accuracy == 0.05);
    assert_value(&m, 0, 2, 70);
    close_trace(&m);
}

static void test_real_clock_starts_at_open(void **state)
{
    (void)state;
    struct open_meter m;
    struct jb_reading reading;
    assert_int_equal(open_trace(&m, HEADER "50,a,power,W,board,7\n1000,a,power,W,board,9\n", ""),
                     JB_OK);
    assert_int_equal(m.meter->read(m.state, &reading), JB_OK);
    assert_true(reading.values[0] == 7);
    close_trace(&m);
}

static void test_probe_says_what_it_is(void **state)
{
    (void)state;
    char path[64];
    char arg[96];
    struct jb_meter_probe probe;
    const struct jb_meter *meter = jb_meter_find("replay");
    write_file(path, HEADER "0,a,power,W,board,7\n4,b,power,W,board,9\n");
    (void)snprintf(arg, sizeof arg, "%s,repeat", path);
    assert_int_equal(meter->probe(&(struct jb_meter_args){.arg = arg}, &probe), JB_OK);
    assert_non_null(strstr(probe.what, "2 domains, 4 s, repeated"));
    (void)remove(path);
    assert_int_equal(meter->probe(&(struct jb_meter_args){.arg = arg}, &probe), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), path));
    assert_int_equal(meter->probe(&(struct jb_meter_args){0}, &probe), JB_E_INVAL);
    assert_non_null(strstr(jb_reason(), "replay:"));
}

static void test_bad_traces_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"", "t.csv:0: the trace has no sample"},
        {HEADER, "t.csv:1: the trace has no sample"},
        {"time_s,domain\n", "t.csv:1: column 3 must be 'quantity'"},
        {"time_s,domain,quantity,unit,scope,value,colour\n", "t.csv:1: unknown column 'colour'"},
        {"time_s,domain,quantity,unit,scope,value,value\n", "t.csv:1: repeated column 'value'"},
        {HEADER "0,a,power,W,board\n", "t.csv:2: 5 cells where the header has 6"},
        {HEADER "0,a,power,W,board,1,2\n", "t.csv:2: 7 cells where the header has 6"},
        {HEADER "x,a,power,W,board,1\n", "t.csv:2: time_s is not a finite number: 'x'"},
        {HEADER "nan,a,power,W,board,1\n", "t.csv:2: time_s is not a finite number: 'nan'"},
        {HEADER "0,a,power,W,board,1e999\n", "t.csv:2: value is neither empty nor a finite"},
        {HEADER "0,a,power,W,board,0x10\n", "t.csv:2: value is neither empty nor a finite"},
        {HEADER "0,a,heat,W,board,1\n", "t.csv:2: unknown quantity 'heat'"},
        {HEADER "0,a,power,J,board,1\n", "t.csv:2: unit does not fit the quantity: 'J'"},
        {HEADER "0,a,power,W,roof,1\n", "t.csv:2: unknown scope 'roof'"},
        {HEADER "0,,power,W,board,1\n", "t.csv:2: domain name must have 1 to 47 bytes"},
        {HEADER "1,a,power,W,board,1\n\n0,a,power,W,board,1\n", "t.csv:4: time_s falls"},
        {HEADER "1,a,power,W,board,1\n2,a,power,mW,board,1\n", "t.csv:3: quantity, unit or scope"},
        {HEADER "1,a,power,W,board,1\n2,a,power,W,wall,1\n", "t.csv:3: quantity, unit or scope"},
        {HEADER "1,a,power,W,board,\"1\n", "t.csv:2: not CSV at the end"},
        {HEADER "1,a,power,W,bo\"ard,1\n", "t.csv:2: not CSV"},
        {"time_s,domain,quantity,unit,scope,value,in_total\n0,a,power,W,board,1,yes\n",
         "t.csv:2: in_total must be 0 or 1, not 'yes'"},
        {"time_s,domain,quantity,unit,scope,value,accuracy\n0,a,power,W,board,1,-1\n",
         "t.csv:2: not a number of 0 or more: '-1'"},
        {"time_s,domain,quantity,unit,scope,value,evidence\n0,a,power,W,board,1,rumour\n",
         "t.csv:2: unknown evidence 'rumour'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(jb_replay_check(cases[i].text, strlen(cases[i].text), "t.csv"),
                         JB_E_FORMAT);
        if (strncmp(jb_reason(), cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("case %zu: '%s' is not '%s'", i, jb_reason(), cases[i].reason);
        }
    }
    assert_int_equal(jb_replay_check(HEADER "0,a,power,W,\0oard,1\n", sizeof HEADER + 21, "t.csv"),
                     JB_E_FORMAT);
}

static void test_too_many_domains(void **state)
{
    (void)state;
    char text[8192] = HEADER;
    size_t n = strlen(text);
    for (int i = 0; i <= JB_METER_MAX_DOMAINS; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "0,d%d,power,W,board,1\n", i);
    }
    assert_int_equal(jb_replay_check(text, n, "t.csv"), JB_E_FORMAT);
    assert_non_null(strstr(jb_reason(), "t.csv:66: too many domains, at 'd64'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_hold_until_the_next_line),
        cmocka_unit_test(test_end_of_trace_is_a_lost_device),
        cmocka_unit_test(test_repeat_goes_on_counting),
        cmocka_unit_test(test_fall_and_gap_are_missing),
        cmocka_unit_test(test_options_of_a_domain),
        cmocka_unit_test(test_real_clock_starts_at_open),
        cmocka_unit_test(test_probe_says_what_it_is),
        cmocka_unit_test(test_bad_traces_are_refused_with_their_place),
        cmocka_unit_test(test_too_many_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
