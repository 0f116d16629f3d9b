/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_bucket.h"
#include "tap.h"

#define SECOND 1000000000ull
#define RATE 300
/* Two years after boot: rates are not multiplied with the whole clock. */
#define LATE (2ull * 366 * 86400 * SECOND)

static int take(quic_bucket *b, uint64_t now, int tries)
{
    int got = 0;

    while (tries-- > 0) {
        got += quic_bucket_take(b, now, RATE);
    }
    return got;
}

static void burst(void)
{
    quic_bucket b = { 0 };

    is_int(take(&b, LATE, 1000), RATE, "a burst of a second's tokens");
    is_int(take(&b, LATE, 1000), 0, "then none");
    is_int(take(&b, LATE + SECOND / 2, 1000), RATE / 2, "half a second later half of them");
    is_int(take(&b, LATE + 3600 * SECOND, 1000), RATE, "an hour saves up no more than a burst");
}

/* What is asked for in small steps is not lost by rounding. */
static void steady(void)
{
    quic_bucket b = { 0 };
    uint64_t now = LATE;
    int got;

    take(&b, now, RATE);
    for (got = 0; now < LATE + 10 * SECOND; now += SECOND / 200) {
        got += take(&b, now, 10);
    }
    ok(got >= 10 * RATE - 5 && got <= 10 * RATE, "%d in ten seconds", got);
}

static void young_clock(void)
{
    quic_bucket b = { 0 };

    is_int(take(&b, 0, 10), 0, "at boot it is empty");
    is_int(take(&b, SECOND / 10, 1000), RATE / 10, "and fills from there");
}

static void kinds(void)
{
    quic_bucket a = { 0 }, b = { 0 };

    take(&a, LATE, 1000);
    is_int(take(&b, LATE, 1), 1, "one bucket empties no other");
}

int main(void)
{
    burst();
    steady();
    young_clock();
    kinds();
    return done_testing();
}
