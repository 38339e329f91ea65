/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_MEM_CONTROLLER_H
#define JB_SIMCORE_MEM_CONTROLLER_H

/* Requests for bursts in front of one channel: where an address lies, which request goes next
 * (first ready, first come: a request whose row is open and whose command may go is taken before an
 * older one; among equals the oldest), and refresh when it is due.
 *
 * The caller owns the clock: it ticks, in order, every cycle at which something should happen, and
 * may leave out cycles before jb_mem_controller_next(). */

#include "backends/simcore/mem_timing.h"

enum jb_mem_page {
    JB_MEM_PAGE_OPEN,  /* rows stay open until another one is asked for          */
    JB_MEM_PAGE_CLOSED /* a bank closes with the last queued request for its row */
};

enum jb_mem_refresh { JB_MEM_REFRESH_OFF, JB_MEM_REFRESH_ALL_BANK, JB_MEM_REFRESH_PER_BANK };

/* Parts of an address in bursts, lowest first; sizes need not be powers of two. */
struct jb_mem_mapping {
    uint8_t field[6]; /* enum of the parts; see jb_mem_mapping_read() */
    uint32_t size[6];
};

struct jb_mem_controller_options {
    const char *mapping; /* highest part first: some order of "row rank bank group column pseudo"
                            joined by '-'; NULL = row-rank-bank-column-group-pseudo            */
    uint32_t n_queue;    /* requests held, 1 to 64; 0 = 32                                     */
    uint64_t age_limit_cycles; /* a request this old is not overtaken in its bank; 0 = 2000    */
    enum jb_mem_page page;
    enum jb_mem_refresh refresh;
};

/* @param cycle when the last data of the burst are on the bus. */
typedef void jb_mem_done(void *ctx, uint64_t id, uint64_t cycle);

struct jb_mem_controller;

#ifdef __cplusplus
extern "C" {
#endif

/* @return INVAL: a part is unknown, missing or given twice. */
enum jb_status jb_mem_mapping_read(const char *text, const struct jb_mem_spec *spec,
                                   struct jb_mem_mapping *ret_mapping) JB_MUST_CHECK;
/* Where burst number `burst` of the channel lies; numbers beyond the last wrap around. */
struct jb_mem_target jb_mem_mapping_find(const struct jb_mem_mapping *mapping,
                                         const struct jb_mem_spec *spec, uint64_t burst);

/* @param done is called for each request when its column command goes out; NULL = nobody asks.
 * @return INVAL: an option is out of range, or the standard has no per-bank refresh. */
enum jb_status jb_mem_controller_create(const struct jb_mem_spec *spec,
                                        const struct jb_mem_controller_options *options,
                                        jb_mem_done *done, void *ctx,
                                        struct jb_mem_controller **ret_controller) JB_MUST_CHECK;
void jb_mem_controller_free(struct jb_mem_controller *controller); /* NULL is fine */
/* The channel behind it: for counts, state times and the command log. */
struct jb_mem *jb_mem_controller_mem(struct jb_mem_controller *controller);

/* @return false if the queue is full. */
bool jb_mem_controller_push(struct jb_mem_controller *controller, uint64_t burst, bool is_write,
                            uint64_t id, uint64_t cycle);
uint32_t jb_mem_controller_n_waiting(const struct jb_mem_controller *controller);
/* Issues what may go at this cycle: one command a bus. @return commands issued. */
uint32_t jb_mem_controller_tick(struct jb_mem_controller *controller, uint64_t cycle);
/* First cycle at which a tick may do something, if nothing is pushed before. */
uint64_t jb_mem_controller_next(const struct jb_mem_controller *controller);

#ifdef __cplusplus
}
#endif
#endif
