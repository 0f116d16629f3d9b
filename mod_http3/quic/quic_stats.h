/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child counts of QUIC. It lies in shared memory, one block per slot.
 *
 * Written by the I/O thread of the slot's owner alone (relaxed atomic stores),
 * read by any process for server-status. A child that takes a slot zeroes the
 * gauges; the totals go on.
 */
#ifndef QUIC_STATS_H
#define QUIC_STATS_H

#include <stdint.h>

typedef struct quic_stats {
    /* gauges */
    int64_t connections; /* ngtcp2_conn that exist, closing and draining ones not counted */
    int64_t half_open;   /* of these: handshake not complete */
    /* totals */
    uint64_t accepted;   /* connections begun */
    uint64_t handshakes; /* handshakes completed */
    uint64_t resumed;    /* of these: by a session ticket */
    uint64_t datagrams_in;
    uint64_t datagrams_out;
    uint64_t foreign; /* datagrams that belong to another living child: dropped */
    uint64_t dropped; /* datagrams dropped for another reason */
    uint64_t version_negotiations;
    uint64_t stateless_resets;
    uint64_t refused; /* Initials refused: too many connections */
} quic_stats;

#define QUIC_STATS_ADD(st, member, n) \
    __atomic_store_n(&(st)->member, (st)->member + (n), __ATOMIC_RELAXED)

#endif /* QUIC_STATS_H */
