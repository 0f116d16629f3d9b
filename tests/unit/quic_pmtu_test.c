/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "quic/quic_pmtu.h"
#include "tap.h"

#define MS 1000000ull
#define PTO (150 * MS)
#define LARGE 1472
#define SMALL 200

static quic_pmtu m;
static uint64_t now, lost, in_flight;

static void start(void)
{
    quic_pmtu_init(&m);
    now = 1000 * MS;
    lost = in_flight = 0;
}

static int check(void)
{
    return quic_pmtu_check(&m, lost, in_flight, PTO, now);
}

static void send(size_t len)
{
    check();
    quic_pmtu_sent(&m, len);
    in_flight += len;
}

static void ack(size_t len)
{
    in_flight -= len;
}

static void lose(size_t len)
{
    in_flight -= len;
    lost += len;
}

/* The probe timeouts of a connection that hears nothing; returns after how many ms it is known. */
static int silence(size_t probe)
{
    uint64_t began = now, wait = PTO;
    int i, n;

    for (i = 0; i < 10; i++, wait *= 2) {
        now += wait;
        if (check()) {
            return (int)((now - began) / MS);
        }
        for (n = 0; n < 2; n++) {
            quic_pmtu_sent(&m, probe);
            in_flight += probe;
        }
    }
    return -1;
}

static void falls_silent(void)
{
    int i, found = 0;

    start();
    for (i = 0; i < 100; i++) {
        send(LARGE);
    }
    for (i = 0; i < 500; i++) {
        now += 10 * MS;
        ack(LARGE);
        found |= check();
        send(LARGE);
    }
    is_int(found, 0, "no black hole while they are acknowledged");
    is_int(silence(LARGE), 3 * PTO / MS, "known after three probe timeouts");
    ok(m.is_black_hole, "and stays");
    ack(LARGE);
    is_int(check(), 0, "said once");
    ok(m.is_black_hole, "whatever comes then");
}

static void one_packet(void)
{
    start();
    send(LARGE);
    is_int(silence(LARGE), 3 * PTO / MS, "a single packet and its probes");
    start();
    send(LARGE);
    now += 4 * PTO;
    is_int(check(), 0, "a single packet alone is just late");
}

static void small_ones_do_not_count(void)
{
    start();
    send(SMALL);
    is_int(silence(SMALL), -1, "silence for small packets says nothing of the path's size");
    start();
    send(QUIC_PMTU_BASE);
    is_int(silence(QUIC_PMTU_BASE), -1, "nor for those that every path carries");
}

/* Small answers come through all the while; large packets are found to be lost by them. */
static void small_ones_live_on(void)
{
    int i, found = 0;

    start();
    send(LARGE);
    now += 50 * MS;
    ack(LARGE);
    for (i = 0; i < 40 && !found; i++) {
        send(LARGE);
        send(SMALL);
        now += 50 * MS;
        ack(SMALL);
        found = check();
        lose(LARGE);
        found |= check();
    }
    ok(found && i <= 12, "known after %d round trips", i);
}

static void idle(void)
{
    int i, found = 0;

    start();
    for (i = 0; i < 20; i++) {
        send(LARGE);
        send(LARGE);
        now += 20 * MS;
        found |= check();
        ack(LARGE);
        ack(LARGE);
        found |= check();
        now += 10000 * MS;
        found |= check();
    }
    is_int(found, 0, "idle times are no silence");
}

/* Many small packets get lost between few large ones that arrive. */
static void small_ones_are_lost(void)
{
    int i, n, found = 0;

    start();
    for (i = 0; i < 50; i++) {
        for (n = 0; n < 30; n++) {
            send(SMALL);
            now += 10 * MS;
            lose(SMALL);
            found |= check();
        }
        send(LARGE);
        send(LARGE);
        now += 50 * MS;
        ack(LARGE);
        ack(LARGE);
        found |= check();
    }
    is_int(found, 0, "their loss is not that of the large ones");
}

static void lossy(int percent)
{
    int i, n, found = 0;

    start();
    srand(1);
    for (i = 0; i < 20000; i++) {
        for (n = 0; n < 10; n++) {
            send(LARGE);
        }
        now += 50 * MS;
        for (n = 0; n < 10; n++) {
            if (rand() % 100 < percent) {
                lose(LARGE);
            }
            else {
                ack(LARGE);
            }
            found |= check();
        }
    }
    is_int(found, 0, "%d %% loss is no black hole", percent);
}

static void fast_path(void)
{
    int i;

    start();
    for (i = 0; i < 10; i++) {
        send(LARGE);
    }
    now += 100 * MS;
    is_int(quic_pmtu_check(&m, lost, in_flight, 5 * MS, now), 0, "20 timeouts of a fast path");
    now += 200 * MS;
    is_int(quic_pmtu_check(&m, lost, in_flight, 5 * MS, now), 1, "are waited for all the same");
}

static void new_path(void)
{
    start();
    send(LARGE);
    silence(LARGE);
    quic_pmtu_init(&m);
    ok(!m.is_black_hole, "a new path is innocent");
    is_int(check(), 0, "whatever was lost before");
    send(LARGE);
    send(LARGE);
    now += 20 * MS;
    ack(LARGE);
    check();
    ack(LARGE);
    now += 10 * PTO;
    is_int(check(), 0, "and works");
}

int main(void)
{
    falls_silent();
    one_packet();
    small_ones_do_not_count();
    small_ones_live_on();
    idle();
    small_ones_are_lost();
    lossy(30);
    lossy(60);
    fast_path();
    new_path();
    return done_testing();
}
