/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a connection that has ended: the CONNECTION_CLOSE packet with which it answers
 * what its client still sends, and the IDs by which that is known (RFC 9000 section 10.2).
 *
 * Part of its quic_conn, on the I/O thread. All zeros is one that has no packet: it is silent, as
 * in the draining state. No system call.
 */
#ifndef QUIC_CLOSING_H
#define QUIC_CLOSING_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>

typedef struct quic_closing {
    uint8_t *packet;
    size_t len;
    unsigned received;  /* datagrams since */
    unsigned answer_at; /* the next one of them that is answered */
    ngtcp2_cid *cids;   /* IDs that still lead to the connection */
    size_t ncids;
} quic_closing;

/* Copies the packet that has been sent; without memory for it the connection is silent. */
void quic_closing_keep_packet(quic_closing *c, const uint8_t *packet, size_t len);

/* Copies the IDs. 0, or -1 without memory. */
int quic_closing_keep_cids(quic_closing *c, const ngtcp2_cid *cids, size_t n);

void quic_closing_free(quic_closing *c);

/*
 * A datagram of `len` bytes has come. 1: it is to be answered with the packet; so are the 1st, the
 * 2nd, the 4th, the 8th ... (section 10.2.1), if it is not much shorter than the packet.
 */
int quic_closing_answers(quic_closing *c, size_t len);

/* How long it stays, in nanoseconds, where `pto` is the probe timeout. */
uint64_t quic_closing_time(uint64_t pto);

#endif /* QUIC_CLOSING_H */
