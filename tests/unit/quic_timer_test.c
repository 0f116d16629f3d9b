/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "quic/quic_timer.h"
#include "tap.h"

#define TIMERS 500
#define STEPS 20000

static quic_timer timers[TIMERS];

/* The heap's first against a search of all. */
static int first_is_right(const quic_timer_heap *ts)
{
    uint64_t min = QUIC_TIMER_NEVER;
    size_t i, set = 0;

    for (i = 0; i < TIMERS; i++) {
        if (timers[i].place) {
            set++;
            if (timers[i].at < min) {
                min = timers[i].at;
            }
        }
    }
    if (set != ts->count) {
        return 0;
    }
    return set ? quic_timer_first(ts)->at == min : quic_timer_first(ts) == NULL;
}

static void random_steps(void)
{
    quic_timer_heap ts;
    int i, wrong = 0, lost = 0;
    quic_timer *t;

    quic_timer_heap_init(&ts);
    srand(1);
    for (i = 0; i < STEPS; i++) {
        t = &timers[rand() % TIMERS];
        quic_timer_set(&ts, t, rand() % 4 ? (uint64_t)(rand() % 1000) : QUIC_TIMER_NEVER);
        wrong += !first_is_right(&ts);
    }
    is_int(wrong, 0, "the first is the earliest after each of %d random changes", STEPS);
    while ((t = quic_timer_first(&ts))) {
        uint64_t at = t->at;

        quic_timer_set(&ts, t, QUIC_TIMER_NEVER);
        lost += quic_timer_first(&ts) && quic_timer_first(&ts)->at < at;
    }
    is_int(lost, 0, "taken out in order");
    is_int(ts.count, 0, "none is left");
    quic_timer_heap_free(&ts);
}

int main(void)
{
    quic_timer_heap ts;
    quic_timer a = { 0, 0, NULL };

    quic_timer_heap_init(&ts);
    ok(quic_timer_first(&ts) == NULL, "an empty heap has no first");
    is_int(quic_timer_set(&ts, &a, QUIC_TIMER_NEVER), 0, "never, for a timer that is not set");
    ok(quic_timer_first(&ts) == NULL, "it is not in the heap");
    quic_timer_set(&ts, &a, 5);
    ok(quic_timer_first(&ts) == &a, "one timer is the first");
    quic_timer_set(&ts, &a, QUIC_TIMER_NEVER);
    ok(quic_timer_first(&ts) == NULL && a.place == 0, "taken out");
    quic_timer_heap_free(&ts);
    random_steps();
    return done_testing();
}
