/* Threads that have the kernel read mapped bytes just now (out.pxd). Included by out.pyx alone, whose state this is.
 *
 *     flight: +1 (seq-cst), look at Ref.kind, writev, -1 (release)
 *     fault:  Ref.kind = REF_FAILED, fence (seq-cst), wait until each place has been seen at 0 (acquire), then zeros
 *
 * So a flight that did not see REF_FAILED is over before there are zeros that it could send. A flight never waits for a fault:
 * within writev a lost page is EFAULT, and no signal.
 */
#ifndef ROBUSTMQ_FLIGHTS_H
#define ROBUSTMQ_FLIGHTS_H

#include <poll.h>
#include <stdint.h>
#include "atomic.h"

enum { FLIGHTS = 64 };              /* places; threads beyond that share them */

static struct {
    uint32_t inside;                /* atomic */
    uint32_t alone[31];             /* two cache lines: neighbours are fetched together */
} flights[FLIGHTS];
static uint32_t flight_threads;     /* atomic */
static __thread uint32_t *flight_place;

static inline void flight_begin(void) {
    if (!flight_place) flight_place = &flights[fetch_add_u32(&flight_threads, 1) % FLIGHTS].inside;
    __atomic_fetch_add(flight_place, 1, __ATOMIC_SEQ_CST);
}

static inline void flight_end(void) { __atomic_fetch_sub(flight_place, 1, __ATOMIC_RELEASE); }

/* Async-signal-safe. */
static inline void flights_await(void) {
    unsigned spins = 0;
    fence_seq_cst();
    for (int i = 0; i < FLIGHTS; i++)
        while (load_acquire_u32(&flights[i].inside)) {
            if (++spins & 1023) cpu_pause();
            else poll(0, 0, 1);     /* the flight's thread may wait for this core */
        }
}

#endif
