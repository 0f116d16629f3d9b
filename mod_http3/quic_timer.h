/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When does which connection want to be looked at? A binary heap; the element
 * knows its place in it. For one I/O thread.
 */
#ifndef QUIC_TIMER_H
#define QUIC_TIMER_H

#include <stddef.h>
#include <stdint.h>

#define QUIC_TIMER_NEVER UINT64_MAX

typedef struct quic_timer {
    uint64_t at;  /* nanoseconds of CLOCK_MONOTONIC */
    size_t place; /* 1 + index in the heap, 0: not in it */
    void *owner;
} quic_timer;

typedef struct quic_timers {
    quic_timer **heap;
    size_t count, cap;
} quic_timers;

void quic_timers_init(quic_timers *ts);
void quic_timers_free(quic_timers *ts);

/* Sets or moves a timer; QUIC_TIMER_NEVER takes it out. 0, or -1 without memory. */
int quic_timer_set(quic_timers *ts, quic_timer *t, uint64_t at);

/* The earliest, or NULL. */
quic_timer *quic_timers_first(const quic_timers *ts);

#endif /* QUIC_TIMER_H */
