/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "path_link.h"
#include "tap.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define LEN 1250 /* bytes: 10000 bits, a millisecond at 10 Mbit/s */
#define MANY 100000
#define FULL 1500

static const uint8_t bytes[FULL];

static void begin(path_link *link, const path_link_conf *conf)
{
    path_link_init(link, conf, 2 * conf->delay, 7, SECOND);
}

static int offer(path_link *link, uint64_t now)
{
    return path_link_offer(link, bytes, LEN, now, now);
}

/* The length of the next packet at that time, 0: none is due. */
static size_t take(path_link *link, uint64_t now)
{
    path_packet *p = path_link_take(link, now);
    size_t len = p ? p->len : 0;

    free(p);
    return len;
}

static uint64_t take_all(path_link *link)
{
    uint64_t n = 0;

    while (path_link_next(link) != PATH_LINK_NEVER) {
        n += take(link, path_link_next(link)) > 0;
    }
    return n;
}

static int adds_up(const path_link *link)
{
    const path_link_stat *st = &link->stat;

    return st->packets + st->duplicated
           == st->delivered + st->lost + st->dropped_queue + st->dropped_mtu
                  + path_link_under_way(link);
}

static void delay_and_rate(void)
{
    path_link_conf conf = { .rate = 10, .delay = 5, .queue = 1e6 };
    path_link link;
    uint64_t t = SECOND;

    begin(&link, &conf);
    is_int(path_link_next(&link), PATH_LINK_NEVER, "nothing is under way");
    offer(&link, t);
    offer(&link, t);
    is_int(path_link_next(&link), t + 6 * MS, "a millisecond of sending, five of delay");
    is_int(take(&link, t + 6 * MS - 1), 0, "not earlier");
    is_int(take(&link, t + 6 * MS), LEN, "but then");
    is_int(take(&link, t + 6 * MS), 0, "the second one had to wait");
    is_int(take(&link, t + 7 * MS), LEN, "for the first one's bits");
    is_int(link.stat.max_queue, 2 * LEN, "both were queued");
    is_int(link.stat.max_late, 0, "nobody was late");
    offer(&link, t + 20 * MS);
    is_int(path_link_next(&link), t + 26 * MS, "time without packets is not saved up");
    is_int(take(&link, t + 28 * MS), LEN, "late");
    ok(link.stat.late == 1 && link.stat.max_late == 2 * MS, "and this is counted");
    ok(adds_up(&link), "all adds up");
    path_link_free(&link);
}

/* A reader that was asleep gives the wire the time back, and the packet its whole delay. */
static void read_late(void)
{
    path_link_conf conf = { .rate = 10, .delay = 5, .queue = 1e6 };
    path_link link;
    uint64_t t = SECOND;

    begin(&link, &conf);
    path_link_offer(&link, bytes, LEN, t, t + 3 * MS);
    path_link_offer(&link, bytes, LEN, t, t + 3 * MS);
    is_int(take(&link, t + 8 * MS - 1), 0, "no delay is shortened");
    is_int(take(&link, t + 8 * MS), LEN, "the first one's bits were sent meanwhile");
    is_int(take(&link, t + 8 * MS), LEN, "the second one's as well");
    path_link_free(&link);
}

static void queue_limit(void)
{
    path_link_conf conf = { .rate = 10, .delay = 5, .queue = 4 * LEN };
    path_link link;
    int i, refused = 0;

    begin(&link, &conf);
    for (i = 0; i < 10; ++i) {
        refused += offer(&link, SECOND) != 0;
    }
    is_int(refused, 6, "four fit");
    is_int(link.stat.dropped_queue, 6, "the others are counted");
    is_int(offer(&link, SECOND + MS), 0, "one has left");
    is_int(offer(&link, SECOND + MS), -1, "one, not two");
    is_int(take_all(&link), 5, "five arrive");
    ok(adds_up(&link), "all adds up");
    path_link_free(&link);
    conf.queue = -2;
    conf.delay = 50;
    begin(&link, &conf);
    is_int(link.queue_limit, 250000, "two bandwidth-delay products of 10 Mbit/s and 100 ms");
    conf.delay = 1;
    begin(&link, &conf);
    is_int(link.queue_limit, PATH_LINK_QUEUE_MIN, "a factor gives room for a first flight");
}

static void losses(double burst, int least_runs, int most_runs)
{
    path_link_conf conf = { .loss = 2, .burst = burst };
    path_link link;
    int i, runs = 0, lost, was_lost = 0;

    begin(&link, &conf);
    for (i = 0; i < MANY; ++i) {
        offer(&link, SECOND);
        lost = !take(&link, SECOND);
        runs += lost && !was_lost;
        was_lost = lost;
    }
    /* Bursts of eight spread eight times as wide. */
    ok(link.stat.lost > MANY / 50 * 8 / 10 && link.stat.lost < MANY / 50 * 12 / 10,
       "about 2 %% of losses: %d", (int)link.stat.lost);
    ok(runs > least_runs && runs < most_runs, "in %d runs", runs);
    ok(adds_up(&link), "all adds up");
    path_link_free(&link);
}

static void same_luck(void)
{
    path_link_conf plain = { .loss = 10 }, more = { .loss = 10, .reorder = 20, .duplicate = 20 };
    path_link a, b;
    int i, same = 0;

    begin(&a, &plain);
    begin(&b, &more);
    for (i = 0; i < 1000; ++i) {
        offer(&a, SECOND);
        offer(&b, SECOND);
        take_all(&a);
        take_all(&b);
        same += a.stat.lost == b.stat.lost;
    }
    is_int(same, 1000, "one seed: the same packets are lost, whatever else is asked for");
    path_link_free(&a);
    path_link_free(&b);
}

static void reordered_and_duplicated(void)
{
    path_link_conf conf = { .delay = 5, .reorder = 100, .hold = 3 };
    path_link link;

    begin(&link, &conf);
    offer(&link, SECOND);
    is_int(take(&link, SECOND), 0, "a packet is on the wire");
    link.conf.reorder = 0;
    path_link_offer(&link, bytes, FULL, SECOND + MS, SECOND + MS);
    is_int(take(&link, SECOND + 6 * MS), FULL, "the second one overtakes");
    is_int(take(&link, SECOND + 8 * MS - 1), 0, "the first one is held back");
    is_int(take(&link, SECOND + 8 * MS), LEN, "and then let go");
    is_int(link.stat.reordered, 1, "one was");
    link.conf.duplicate = 100;
    offer(&link, SECOND + 10 * MS);
    is_int(take_all(&link), 2, "twice the same");
    is_int(link.stat.duplicated, 1, "one was");
    ok(adds_up(&link), "all adds up");
    path_link_free(&link);
}

static void smaller_later(void)
{
    path_link_conf conf = { .later = 1, .later_mtu = 1400 };
    path_link link;

    begin(&link, &conf);
    is_int(path_link_offer(&link, bytes, FULL, SECOND, SECOND), 0, "long ones pass at first");
    is_int(path_link_offer(&link, bytes, FULL, 2 * SECOND, 2 * SECOND), -1, "then no more");
    is_int(path_link_offer(&link, bytes, 1400, 2 * SECOND, 2 * SECOND), 0, "shorter ones do");
    is_int(link.stat.dropped_mtu, 1, "it is counted");
    is_int(take_all(&link), 2, "two arrive");
    ok(adds_up(&link), "all adds up");
    path_link_free(&link);
}

int main(void)
{
    delay_and_rate();
    read_late();
    queue_limit();
    losses(0, 1800, 2200);
    losses(8, 200, 310);
    same_luck();
    reordered_and_duplicated();
    smaller_later();
    return done_testing();
}
