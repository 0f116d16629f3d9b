/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include "quic/quic_hold.h"
#include "tap.h"

#define NOW (1000 * NGTCP2_SECONDS)

static quic_hold hold;
static uint8_t bytes[QUIC_HOLD_SIZE + 1];

static ngtcp2_cid id(unsigned n)
{
    ngtcp2_cid cid;

    ngtcp2_cid_init(&cid, (const uint8_t *)&n, sizeof(n));
    return cid;
}

/* A datagram of `len` bytes that begins with `first`, from this port. */
static quic_datagram datagram(uint8_t first, size_t len, uint16_t port)
{
    quic_datagram dg = { .data = bytes, .len = len };

    bytes[0] = first;
    dg.remote.in.sin_family = AF_INET;
    dg.remote.in.sin_port = htons(port);
    return dg;
}

static int put(uint64_t now, unsigned n, uint8_t first)
{
    ngtcp2_cid cid = id(n);
    quic_datagram dg = datagram(first, 1200, 1);

    return quic_hold_put(&hold, now, &cid, NULL, &dg);
}

/* The first byte of what is taken, -1: nothing. */
static int take(uint64_t now, unsigned n, uint16_t port)
{
    ngtcp2_cid cid = id(n);
    quic_datagram dg = datagram(0, 0, port);
    const quic_held *held = quic_hold_take(&hold, now, &cid, &dg.remote);

    return held && held->dg.data == held->data ? held->dg.data[0] : -1;
}

static void start(void)
{
    memset(&hold, 0, sizeof(hold));
}

static void put_and_take(void)
{
    start();
    is_int(take(NOW, 1, 1), -1, "nothing is held");
    is_int(put(NOW, 1, 'c'), 0, "kept");
    is_int(put(NOW, 1, 'b'), 0, "another one of the same client");
    is_int(put(NOW, 2, 'x'), 0, "one of another client");
    is_int(take(NOW, 3, 1), -1, "none for a third id");
    is_int(take(NOW, 1, 2), -1, "none for another address");
    is_int(take(NOW, 1, 1), 'c', "the oldest one first");
    is_int(take(NOW, 1, 1), 'b', "then the next");
    is_int(take(NOW, 1, 1), -1, "and no more");
    is_int(take(NOW, 2, 1), 'x', "the other client's is still there");
    is_int(hold.number, 0, "all are out");
}

static void same_again(void)
{
    ngtcp2_cid cid = id(1);
    quic_datagram dg;

    start();
    put(NOW, 1, 'b');
    dg = datagram('b', 1200, 1);
    ok(quic_hold_has(&hold, NOW, &cid, &dg), "the same datagram is recognised");
    dg = datagram('c', 1200, 1);
    ok(!quic_hold_has(&hold, NOW, &cid, &dg), "other bytes are another one");
    dg = datagram('b', 1201, 1);
    ok(!quic_hold_has(&hold, NOW, &cid, &dg), "another length, too");
    dg = datagram('b', 1200, 2);
    ok(!quic_hold_has(&hold, NOW, &cid, &dg), "another address, too");
}

static void bounds(void)
{
    ngtcp2_cid cid = id(7);
    quic_datagram dg;
    unsigned i;

    start();
    for (i = 0; i < QUIC_HOLD_PER_CLIENT; i++) {
        is_int(put(NOW, 1, (uint8_t)i), 0, "%u of one client", i + 1);
    }
    is_int(put(NOW, 1, 'z'), 1, "not more");
    dg = datagram('l', QUIC_HOLD_SIZE + 1, 1);
    is_int(quic_hold_put(&hold, NOW, &cid, NULL, &dg), 1, "none that is too long");
    dg = datagram('l', QUIC_HOLD_SIZE, 1);
    is_int(quic_hold_put(&hold, NOW, &cid, NULL, &dg), 0, "the longest one");
    is_int(take(NOW, 7, 1), 'l', "it comes back");
}

static void flood(void)
{
    unsigned i, lost = 0;

    start();
    put(NOW, 1, 'a');
    for (i = 0; i < QUIC_HOLD_MAX - 1; i++) {
        lost += (unsigned)put(NOW, 100 + i, 'f');
    }
    is_int(lost, 0, "room for all");
    is_int(take(NOW, 1, 1), 'a', "the first one is there");
    is_int(put(NOW, 2, 'b'), 0, "its place is free");
    for (i = 0; i < 10 * QUIC_HOLD_MAX; i++) {
        lost += (unsigned)put(NOW, 1000 + i, 'f');
    }
    is_int(lost, 10 * QUIC_HOLD_MAX, "each of a flood displaces one");
    is_int(take(NOW, 2, 1), -1, "the oldest are gone");
    is_int(take(NOW, 1000 + 10 * QUIC_HOLD_MAX - 1, 1), 'f', "the newest is there");
    is_int(hold.number, QUIC_HOLD_MAX - 1, "and no more than there is room for");
}

static void age(void)
{
    start();
    put(NOW, 1, 'a');
    put(NOW, 2, 'b');
    is_int(take(NOW + QUIC_HOLD_TIME - 1, 1, 1), 'a', "long enough for a repetition");
    is_int(take(NOW + QUIC_HOLD_TIME, 2, 1), -1, "not for ever");
}

int main(void)
{
    put_and_take();
    same_again();
    bounds();
    flood();
    age();
    return done_testing();
}
