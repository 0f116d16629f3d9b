/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_closing.h"
#include "tap.h"

static const uint8_t packet[60] = "CONNECTION_CLOSE";

static void doubling(void)
{
    quic_closing c = { 0 };
    unsigned i, wrong = 0, answered = 0;
    int answers;

    quic_closing_keep_packet(&c, packet, sizeof(packet));
    is_mem(c.packet, packet, sizeof(packet), "the packet is kept");
    for (i = 1; i <= 0x8000; i++) {
        answers = quic_closing_answers(&c, 1200);
        answered += (unsigned)answers;
        wrong += answers != ((i & (i - 1)) == 0);
    }
    is_int(wrong, 0, "the 1st, 2nd, 4th, 8th ... datagram is answered, and no other");
    is_int(answered, 16, "16 answers for 32768 datagrams");
    quic_closing_free(&c);
}

static void forged_address(void)
{
    quic_closing c = { 0 };

    quic_closing_keep_packet(&c, packet, sizeof(packet));
    is_int(quic_closing_answers(&c, sizeof(packet) / 3 - 1), 0,
           "no more than three times of what was received is sent");
    is_int(quic_closing_answers(&c, sizeof(packet) / 3), 1, "three times is");
    quic_closing_free(&c);
}

static void draining(void)
{
    quic_closing c = { 0 };
    int i, answered = 0;

    for (i = 0; i < 100; i++) {
        answered += quic_closing_answers(&c, 1200);
    }
    is_int(answered, 0, "without a packet there is no answer");
}

static void cids(void)
{
    quic_closing c = { 0 };
    ngtcp2_cid ids[2];

    memset(ids, 0, sizeof(ids));
    ngtcp2_cid_init(&ids[0], (const uint8_t *)"one", 3);
    ngtcp2_cid_init(&ids[1], (const uint8_t *)"other", 5);
    is_int(quic_closing_keep_cids(&c, ids, 2), 0, "ids are kept");
    is_int(c.ncids, 2, "both");
    ok(ngtcp2_cid_eq(&c.cids[1], &ids[1]) && c.cids != ids, "as a copy");
    quic_closing_free(&c);
    ok(!c.cids && !c.ncids, "until the end");
    quic_closing_free(&c);
}

static void how_long(void)
{
    is_int(quic_closing_time(NGTCP2_SECONDS), 3 * NGTCP2_SECONDS, "three probe timeouts");
    is_int(quic_closing_time(NGTCP2_MILLISECONDS), NGTCP2_SECONDS, "a second at the least");
}

int main(void)
{
    doubling();
    forged_address();
    draining();
    cids();
    how_long();
    return done_testing();
}
