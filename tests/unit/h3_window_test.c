/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_window.h"
#include "tap.h"

#define MS 1000000ull
#define KIB 1024ull

/* A client at full speed over `rtt`: it gets back a window per round trip, in eighths. */
static uint64_t rounds(h3_window *w, int n, uint64_t rtt, uint64_t takes)
{
    uint64_t now = w->since, more;
    int i;

    for (i = 0; i < 8 * n; i++) {
        now += takes / 8;
        more = h3_window_used(w, w->size / 8, now, rtt);
        h3_window_grow(w, more);
    }
    return w->size;
}

static void grows(void)
{
    h3_window w;

    h3_window_init(&w, 256 * KIB, 8192 * KIB, 1000);
    is_int(h3_window_used(&w, 1000, 1000 + MS, 100 * MS), 0, "a few bytes say nothing yet");
    is_int(h3_window_used(&w, 64 * KIB, 2 * MS, 100 * MS), 256 * KIB, "a quarter, and at once");
    is_int(w.size, 256 * KIB, "it grows when it is granted");
    ok(rounds(&w, 1, 100 * MS, 100 * MS) > 256 * KIB, "a window per round trip");
    is_int(rounds(&w, 20, 100 * MS, 100 * MS), 8192 * KIB, "up to its bound");
    is_int(rounds(&w, 20, 100 * MS, 100 * MS), 8192 * KIB, "and no further");
}

static void stays(void)
{
    h3_window w;

    h3_window_init(&w, 256 * KIB, 8192 * KIB, 1000);
    is_int(rounds(&w, 20, 10 * MS, 41 * MS), 256 * KIB, "turned over slowly, it is large enough");
    h3_window_init(&w, 256 * KIB, 8192 * KIB, 1000);
    ok(rounds(&w, 1, 10 * MS, 39 * MS) > 256 * KIB, "within four round trips, it is not");
}

static void bound(void)
{
    h3_window w;

    h3_window_init(&w, 256 * KIB, 300 * KIB, 1000);
    is_int(rounds(&w, 20, 100 * MS, 50 * MS), 300 * KIB, "a bound that is no double");
    h3_window_init(&w, 16 * KIB, 16 * KIB, 1000);
    is_int(rounds(&w, 20, 100 * MS, 50 * MS), 16 * KIB, "it begins at its bound");
    h3_window_init(&w, 256 * KIB, 1 << 30, 1000);
    is_int(rounds(&w, 100, 100 * MS, 0), 1 << 30, "no time at all");
}

static void to_send(void)
{
    ok(h3_window_to_send(0) >= 16 * KIB, "something is always written ahead");
    ok(h3_window_to_send(1000000) >= 2000000, "twice what may be in flight");
}

int main(void)
{
    grows();
    stays();
    bound();
    to_send();
    return done_testing();
}
