/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One datagram that has been received, with what the kernel says of it.
 *
 * On the I/O thread. What quic_udp_recv makes is valid until its next call with the same batch;
 * whoever keeps a datagram for longer copies its data.
 */
#ifndef QUIC_DATAGRAM_H
#define QUIC_DATAGRAM_H

#include <stddef.h>
#include <stdint.h>
#include "quic/quic_addr.h"

typedef struct quic_datagram {
    const uint8_t *data;
    size_t len;
    quic_addr remote;
    quic_addr local; /* destination address of the datagram, with the socket's port */
    uint8_t ecn;     /* the two ECN bits, NGTCP2_ECN_* */
    uint8_t merged;  /* followed another one in a GRO message: steered by that one's ID */
} quic_datagram;

#endif /* QUIC_DATAGRAM_H */
