/* SPDX-License-Identifier: Apache-2.0 */
/* quic_answer: what is pure in it. */
#include <arpa/inet.h>
#include "quic/quic_answer.h"
#include "quic/quic_out.h"
#include "tap.h"

/* In the place of quic_out's: nothing is sent here. */
void quic_out_datagram(quic_out_queue *queue, const quic_path *path, uint8_t ecn,
                       const uint8_t *data, size_t len)
{
    (void)queue, (void)path, (void)ecn, (void)data, (void)len;
}

static quic_datagram from_port(uint16_t port)
{
    quic_datagram dg;

    memset(&dg, 0, sizeof(dg));
    dg.remote.in.sin_family = dg.local.in.sin_family = AF_INET;
    dg.remote.in.sin_addr.s_addr = dg.local.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    dg.remote.in.sin_port = htons(port);
    dg.local.in.sin_port = htons(443);
    return dg;
}

static void reflectors(void)
{
    static const uint16_t theirs[] = { 0, 7, 19, 53, 123, 161, 389, 1900, 5353, 11211 };
    static const uint16_t clients[] = { 1, 80, 442, 444, 1024, 8443, 50000, 65535 };
    quic_datagram dg;
    size_t i;

    for (i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
        dg = from_port(theirs[i]);
        ok(quic_answer_is_reflector(&dg), "nothing is said to port %d", theirs[i]);
    }
    for (i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        dg = from_port(clients[i]);
        ok(!quic_answer_is_reflector(&dg), "port %d may be a client's", clients[i]);
    }
    dg = from_port(443);
    ok(quic_answer_is_reflector(&dg), "nothing is said to ourselves");
    dg.remote.in.sin_addr.s_addr = htonl(0xc0000201);
    ok(!quic_answer_is_reflector(&dg), "another's port 443 may be a client's");
}

static void reset_lengths(void)
{
    size_t len, longer = 0, too_short = 0;

    for (len = 0; len <= 1500; len++) {
        longer += quic_answer_reset_len(len) >= len && len > 0;
        too_short += quic_answer_reset_len(len) > 0 && quic_answer_reset_len(len) < 21;
    }
    is_int(longer, 0, "a stateless reset is shorter than what it answers");
    is_int(too_short, 0, "and has 21 bytes at the least");
    is_int(quic_answer_reset_len(21), 0, "so 21 bytes get none");
    is_int(quic_answer_reset_len(22), 21, "22 bytes get one of 21");
    is_int(quic_answer_reset_len(42), 41, "42 of 41");
    is_int(quic_answer_reset_len(43), 42, "43 of 42");
    is_int(quic_answer_reset_len(1200), 42, "and so do large ones");
}

/* RFC 8999 section 6: the ids change places, the versions follow. */
static void version_packets(void)
{
    static const uint8_t random[4] = { 0x12, 0x34, 0x56, 0x78 };
    static const uint8_t versions[] = { 0x1a, 0x3a, 0x5a, 0x7a, 0, 0, 0, 1 };
    ngtcp2_version_cid vc = { .version = 0x1a2a3a4a,
                              .dcid = (const uint8_t *)"destination",
                              .dcidlen = 11,
                              .scid = (const uint8_t *)"src",
                              .scidlen = 3 };
    uint8_t packet[QUIC_ANSWER_VERSION_MAX], longest[255] = { 0 };
    ngtcp2_ssize n = quic_answer_version_packet(packet, &vc, random);

    is_int(n, 1 + 4 + 1 + 3 + 1 + 11 + 8, "Version Negotiation: its length");
    ok(packet[0] & 0x80, "a long header");
    is_mem(packet + 1, "\0\0\0\0", 4, "version 0");
    is_mem(packet + 5, "\3src\13destination", 16, "the client's ids, the other way round");
    is_mem(packet + 21, versions, 8, "a reserved version and version 1");
    vc.dcid = vc.scid = longest;
    vc.dcidlen = vc.scidlen = 255;
    is_int(quic_answer_version_packet(packet, &vc, random), QUIC_ANSWER_VERSION_MAX,
           "there is room for the longest ids");
}

int main(void)
{
    reflectors();
    reset_lengths();
    version_packets();
    return done_testing();
}
