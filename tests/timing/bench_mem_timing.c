/* SPDX-License-Identifier: MIT */
/* How many channel-cycles a second one core ticks: one data bus of each standard, asked at every
 * cycle, a column command at every legal cycle, the next rows opened ahead, all-bank refresh on.
 * First the timing model alone under the plainest stream, then through the FR-FCFS queue. */
#include <stdio.h>

#include "backends/simcore/mem_controller.h"
#include "backends/simcore/mem_device.h"
#include "platforms/os/os.h"

enum { N_CYCLES = 4000000 };

struct stream {
    struct jb_mem *mem;
    uint32_t n_groups, n_banks, n_columns;
    uint32_t group, column, bank, row; /* of the next read                  */
    uint32_t ahead;                    /* group whose next row is opened next */
    uint64_t refresh_due, refi;
    uint64_t n_reads;
};

static struct jb_mem_target next_row(const struct stream *s, uint32_t group)
{
    const uint32_t bank = (s->bank + 1) % s->n_banks;
    return (struct jb_mem_target){.bank = group * s->n_banks + bank,
                                  .row = s->row + (bank == 0 ? 1 : 0)};
}

static bool refresh(struct stream *s, uint64_t cycle)
{
    const struct jb_mem_target any = {.bank = 0};
    const uint32_t command = jb_mem_can(s->mem, JB_MEM_REFA, any) ? JB_MEM_REFA : JB_MEM_PREA;
    if (jb_mem_earliest(s->mem, command, any) <= cycle) {
        jb_mem_issue(s->mem, command, any, cycle);
        if (command == JB_MEM_REFA) {
            s->refresh_due += s->refi;
        }
        return true;
    }
    return false;
}

static void read_or_open(struct stream *s, uint64_t cycle)
{
    const struct jb_mem_target target = {
        .bank = s->group * s->n_banks + s->bank, .row = s->row, .column = s->column};
    const uint32_t command = jb_mem_next(s->mem, JB_MEM_RD, target);
    if (jb_mem_earliest(s->mem, command, target) > cycle) {
        return;
    }
    jb_mem_issue(s->mem, command, target, cycle);
    if (command == JB_MEM_RD) {
        s->n_reads++;
        s->group = (s->group + 1) % s->n_groups;
        s->column = (s->column + (s->group == 0 ? 1 : 0)) % s->n_columns;
        if (s->group == 0 && s->column == 0) {
            s->bank = (s->bank + 1) % s->n_banks;
            s->row += s->bank == 0 ? 1 : 0;
        }
    }
}

static void open_ahead(struct stream *s, uint64_t cycle)
{
    const struct jb_mem_target target = next_row(s, s->ahead);
    const uint32_t command = jb_mem_next(s->mem, JB_MEM_RD, target);
    if (command == JB_MEM_RD) {
        s->ahead = (s->ahead + 1) % s->n_groups;
    } else if (jb_mem_earliest(s->mem, command, target) <= cycle) {
        jb_mem_issue(s->mem, command, target, cycle);
    }
}

static void bench_timing(const char *name, const struct jb_mem_spec *spec)
{
    struct stream s = {.n_groups = spec->n_groups,
                       .n_banks = spec->n_banks,
                       .n_columns = spec->n_columns,
                       .refi = spec->t[JB_MEM_T_REFI],
                       .refresh_due = spec->t[JB_MEM_T_REFI]};
    if (jb_mem_create(spec, &s.mem) != JB_OK) {
        (void)fprintf(stderr, "%s\n", jb_reason());
        return;
    }
    const double start_s = jb_clock_s();
    for (uint64_t cycle = 0; cycle < N_CYCLES; cycle++) {
        if (cycle >= s.refresh_due) {
            (void)refresh(&s, cycle);
        } else {
            read_or_open(&s, cycle);
            open_ahead(&s, cycle);
        }
    }
    const double time_s = jb_clock_s() - start_s;
    (void)printf("%-12s timing     %7.1f M channel-cycles/s, %.3f of the peak, %llu refreshes\n",
                 name, N_CYCLES / time_s * 1e-6,
                 (double)s.n_reads * spec->t[JB_MEM_T_BL] / N_CYCLES,
                 (unsigned long long)jb_mem_count(s.mem, JB_MEM_REFA));
    jb_mem_free(s.mem);
}

static void bench_controller(const char *name, const struct jb_mem_spec *spec)
{
    const struct jb_mem_controller_options options = {.mapping =
                                                          "rank-row-bank-column-group-pseudo",
                                                      .n_queue = 32,
                                                      .refresh = JB_MEM_REFRESH_ALL_BANK};
    struct jb_mem_controller *controller = NULL;
    if (jb_mem_controller_create(spec, &options, NULL, NULL, &controller) != JB_OK) {
        (void)fprintf(stderr, "%s\n", jb_reason());
        return;
    }
    uint64_t burst = 0;
    const double start_s = jb_clock_s();
    for (uint64_t cycle = 0; cycle < N_CYCLES; cycle++) {
        while (jb_mem_controller_push(controller, burst, false, burst, cycle)) {
            burst++;
        }
        (void)jb_mem_controller_tick(controller, cycle);
    }
    const double time_s = jb_clock_s() - start_s;
    (void)printf("%-12s controller %7.1f M channel-cycles/s, %.3f of the peak\n", name,
                 N_CYCLES / time_s * 1e-6, (double)burst * spec->t[JB_MEM_T_BL] / N_CYCLES);
    jb_mem_controller_free(controller);
}

int main(void)
{
    static const char *const names[] = {"hbm2", "hbm3", "gddr6", "ddr4-3200"};
    for (int i = 0; i < 4; i++) {
        struct jb_device_file *file = NULL;
        struct jb_mem_spec spec;
        if (jb_device_open(names[i], jb_mem_device_schema, &file) != JB_OK ||
            jb_mem_spec_read(file, &spec) != JB_OK) {
            (void)fprintf(stderr, "%s\n", jb_reason());
            jb_device_close(file);
            return 1;
        }
        spec.n_pseudo = 1;
        bench_timing(names[i], &spec);
        bench_controller(names[i], &spec);
        jb_device_close(file);
    }
    return 0;
}
