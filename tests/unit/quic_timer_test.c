/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "quic_timer.h"
#include "tap.h"

#define TIMERS 500
#define STEPS 20000

static quic_timer timers[TIMERS];

/* The heap's first against a search of all. */
static int first_is_right(const quic_timers *ts)
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
    return set ? quic_timers_first(ts)->at == min : quic_timers_first(ts) == NULL;
}

static void random_steps(void)
{
    quic_timers ts;
    int i, wrong = 0, lost = 0;
    quic_timer *t;

    quic_timers_init(&ts);
    srand(1);
    for (i = 0; i < STEPS; i++) {
        t = &timers[rand() % TIMERS];
        quic_timer_set(&ts, t, rand() % 4 ? (uint64_t)(rand() % 1000) : QUIC_TIMER_NEVER);
        wrong += !first_is_right(&ts);
    }
    is_int(wrong, 0, "the first is the earliest after each of %d random changes", STEPS);
    while ((t = quic_timers_first(&ts))) {
        uint64_t at = t->at;

        quic_timer_set(&ts, t, QUIC_TIMER_NEVER);
        lost += quic_timers_first(&ts) && quic_timers_first(&ts)->at < at;
    }
    is_int(lost, 0, "taken out in order");
    is_int(ts.count, 0, "none is left");
    quic_timers_free(&ts);
}

int main(void)
{
    quic_timers ts;
    quic_timer a = { 0, 0, NULL };

    quic_timers_init(&ts);
    ok(quic_timers_first(&ts) == NULL, "an empty heap has no first");
    is_int(quic_timer_set(&ts, &a, QUIC_TIMER_NEVER), 0, "never, for a timer that is not set");
    ok(quic_timers_first(&ts) == NULL, "it is not in the heap");
    quic_timer_set(&ts, &a, 5);
    ok(quic_timers_first(&ts) == &a, "one timer is the first");
    quic_timer_set(&ts, &a, QUIC_TIMER_NEVER);
    ok(quic_timers_first(&ts) == NULL && a.place == 0, "taken out");
    quic_timers_free(&ts);
    random_steps();
    return done_testing();
}
