/* SPDX-License-Identifier: MIT */
/* Fibers and their scheduler. x86-64, System V calls. */
#include "tests/cuda/emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <vector>

#include "tests/cuda/launch.h"

enum { STACK_BYTES = 1 << 16, WARP_LANES = 32, N_BARRIERS = 16, STUCK_PASSES = 4000 };

enum emu_state { RUNNING, IN_EXCHANGE, IN_BARRIER, POLLING, DONE };

struct emu_warp {
    uint8_t values[2][WARP_LANES * 32];
    uint32_t arrived, n_lanes;
    uint64_t generation;
};
struct emu_block {
    struct {
        uint32_t arrived;
        uint64_t generation;
    } barriers[N_BARRIERS];
    uint32_t n_live;
    std::vector<uint8_t> shared;
    uint8_t *shared_base;
};
struct emu_fiber {
    emu_place place;
    void *stack_pointer;
    emu_state state;
    uint64_t awaited; /* generation to come */
    uint32_t barrier;
    emu_warp *warp;
    emu_block *block;
};
struct emu_copy {
    void *to;
    const void *from;
    uint32_t n_bytes;
    uint64_t *barrier;
};

emu_place *emu_now;
emu_dim3 emu_grid, emu_block_dim;

static emu_fiber *current;
static void *scheduler_stack;
static uint64_t n_events;
static std::vector<emu_copy> copies;
static emu_kernel kernel;
static emu_params params;
static uint32_t seed = 1;

void emu_copied(void *to, const void *from, uint32_t n_bytes, uint64_t *barrier);

extern "C" void emu_switch(void **ret_saved, void *next);
__asm__(".text\n"
        "emu_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp, (%rdi)\n"
        "movq %rsi, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\n"
        "ret\n");

static void leave(emu_state state)
{
    emu_fiber *me = current;
    me->state = state;
    emu_switch(&me->stack_pointer, scheduler_stack);
}

void emu_event(void)
{
    n_events++;
}

void emu_poll(void)
{
    leave(POLLING);
}

const void *emu_exchange(const void *mine, size_t size)
{
    emu_fiber *me = current;
    emu_warp *w = me->warp;
    const uint64_t generation = w->generation;
    uint8_t *values = w->values[generation % 2];
    memcpy(values + 32 * (me->place.thread.x % WARP_LANES), mine, size);
    if (++w->arrived == w->n_lanes) {
        w->arrived = 0;
        w->generation++;
        n_events++;
    } else {
        me->awaited = generation + 1;
        leave(IN_EXCHANGE);
    }
    return values;
}

void emu_barrier(uint32_t id, uint32_t n_threads)
{
    emu_fiber *me = current;
    emu_block *b = me->block;
    const uint32_t needed = n_threads > 0 ? n_threads : b->n_live;
    if (++b->barriers[id].arrived == needed) {
        b->barriers[id].arrived = 0;
        b->barriers[id].generation++;
        n_events++;
        return;
    }
    me->awaited = b->barriers[id].generation + 1;
    me->barrier = id;
    leave(IN_BARRIER);
}

void emu_copy_later(void *to, const void *from, uint32_t n_bytes, uint64_t *barrier)
{
    if ((uintptr_t)to % 16 != 0 || (uintptr_t)from % 16 != 0 || n_bytes % 16 != 0 || n_bytes == 0) {
        fprintf(stderr, "emulator: a bulk copy of %u bytes that is not aligned to 16\n", n_bytes);
        abort();
    }
    copies.push_back({to, from, n_bytes, barrier});
}

uint8_t *emu_dynamic_shared(void)
{
    return current->block->shared_base;
}

static void enter(void)
{
    kernel(params);
    emu_block *b = current->block;
    b->n_live--;
    /* A thread that ended no longer holds up the whole block. */
    if (b->n_live > 0 && b->barriers[0].arrived == b->n_live) {
        b->barriers[0].arrived = 0;
        b->barriers[0].generation++;
    }
    n_events++;
    leave(DONE);
    abort();
}

static uint8_t *stack_of(size_t i)
{
    static std::vector<uint8_t *> stacks;
    while (stacks.size() <= i) {
        void *memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            fprintf(stderr, "emulator: no memory for stacks\n");
            abort();
        }
        stacks.push_back((uint8_t *)memory);
    }
    return stacks[i];
}

static void prepare(emu_fiber *f, uint8_t *stack)
{
    void **top = (void **)(stack + STACK_BYTES);
    *--top = NULL;                  /* keeps the stack aligned as after a call */
    *--top = (void *)(void (*)())enter;
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    f->stack_pointer = top;
    f->state = RUNNING;
}

static bool can_run(const emu_fiber *f)
{
    switch (f->state) {
    case IN_EXCHANGE:
        return f->warp->generation >= f->awaited;
    case IN_BARRIER:
        return f->block->barriers[f->barrier].generation >= f->awaited;
    default:
        return f->state != DONE;
    }
}

static void resume(emu_fiber *f)
{
    current = f;
    emu_now = &f->place;
    f->state = RUNNING;
    emu_switch(&scheduler_stack, f->stack_pointer);
}

/* Lanes of a warp take turns as long as they only wait for each other. */
static bool run_warp(emu_fiber *lanes, uint32_t n)
{
    bool is_alive = false;
    for (bool is_moving = true; is_moving;) {
        is_moving = false;
        for (uint32_t i = 0; i < n; i++) {
            if (lanes[i].state == POLLING && is_alive) {
                continue; /* once a turn */
            }
            if (can_run(&lanes[i])) {
                resume(&lanes[i]);
                is_moving |= lanes[i].state == IN_EXCHANGE || lanes[i].state == IN_BARRIER;
            }
        }
        is_alive = true;
    }
    is_alive = false;
    for (uint32_t i = 0; i < n; i++) {
        is_alive |= lanes[i].state != DONE;
    }
    return is_alive;
}

/* Copies arrive late and out of order. */
static void deliver(void)
{
    for (size_t i = 0; i < copies.size();) {
        seed = seed * 1664525U + 1013904223U;
        if (seed >> 30 == 0) {
            i++;
            continue;
        }
        const emu_copy c = copies[i];
        copies.erase(copies.begin() + (ptrdiff_t)i);
        emu_copied(c.to, c.from, c.n_bytes, c.barrier);
        n_events++;
    }
}

static void report(const std::vector<emu_fiber> &fibers)
{
    fprintf(stderr, "emulator: stuck; threads that wait:\n");
    uint32_t n = 0;
    for (const emu_fiber &f : fibers) {
        if (f.state != DONE && n++ < 20) {
            fprintf(stderr, "  block %u thread %u state %d barrier %u\n", f.place.block.x,
                    f.place.thread.x, (int)f.state, f.barrier);
        }
    }
    abort();
}

static void run_blocks(uint32_t first, uint32_t n_blocks, uint32_t n_threads, uint32_t shared_bytes)
{
    const uint32_t n_warps = (n_threads + WARP_LANES - 1) / WARP_LANES;
    std::vector<emu_block> blocks(n_blocks);
    std::vector<emu_warp> warps((size_t)n_blocks * n_warps);
    std::vector<emu_fiber> fibers((size_t)n_blocks * n_threads);
    for (uint32_t b = 0; b < n_blocks; b++) {
        blocks[b].n_live = n_threads;
        blocks[b].shared.assign(shared_bytes + 128, 0xA5);
        blocks[b].shared_base =
            (uint8_t *)(((uintptr_t)blocks[b].shared.data() + 127) / 128 * 128);
        const uint32_t number = first + b;
        for (uint32_t t = 0; t < n_threads; t++) {
            emu_fiber *f = &fibers[(size_t)b * n_threads + t];
            f->place.thread = {t, 0, 0};
            f->place.block = {number % emu_grid.x, number / emu_grid.x % emu_grid.y,
                              number / emu_grid.x / emu_grid.y};
            f->block = &blocks[b];
            f->warp = &warps[(size_t)b * n_warps + t / WARP_LANES];
            f->warp->n_lanes++;
            prepare(f, stack_of((size_t)b * n_threads + t));
        }
    }
    uint32_t n_idle = 0;
    for (bool is_alive = true; is_alive;) {
        is_alive = false;
        const uint64_t before = n_events;
        for (size_t w = 0; w < warps.size(); w++) {
            const size_t at = w / n_warps * n_threads + w % n_warps * WARP_LANES;
            const uint32_t n = std::min<uint32_t>(WARP_LANES, n_threads - w % n_warps * WARP_LANES);
            is_alive |= run_warp(&fibers[at], n);
        }
        deliver();
        n_idle = n_events == before ? n_idle + 1 : 0;
        if (n_idle > STUCK_PASSES) {
            report(fibers);
        }
    }
}

void emu_launch(const struct emu_request *request)
{
    kernel = request->kernel;
    memcpy(&params, request->params, sizeof params);
    emu_grid = {request->grid[0], request->grid[1], request->grid[2]};
    emu_block_dim = {request->n_threads, 1, 1};
    const uint32_t n_blocks = emu_grid.x * emu_grid.y * emu_grid.z;
    if (request->is_cooperative) {
        run_blocks(0, n_blocks, request->n_threads, request->shared_bytes);
        return;
    }
    for (uint32_t b = 0; b < n_blocks; b++) {
        run_blocks(b, 1, request->n_threads, request->shared_bytes);
    }
}
