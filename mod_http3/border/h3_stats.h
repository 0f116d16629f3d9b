/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child counts of HTTP/3. It lies in shared memory beside quic_stats, one block per slot.
 *
 * Written by the I/O thread of the slot's owner alone (relaxed atomic stores), read by any process
 * for server-status. A child that takes a slot zeroes the gauges; the totals go on.
 */
#ifndef H3_STATS_H
#define H3_STATS_H

#include <stdint.h>

typedef struct h3_stats {
    /* gauges */
    int64_t streams;  /* request streams that exist */
    int64_t requests; /* requests handed to httpd and not finished */
    int64_t memory;   /* bytes of the child's budget that are taken; as of the last tick */
    /* totals */
    uint64_t requests_total; /* requests ever handed to httpd */
    uint64_t streams_reset;  /* request streams reset, by either side */
    uint64_t file_refills;   /* reads of files that a worker had to do */
} h3_stats;

#define H3_STATS_ADD(st, member, n) \
    __atomic_store_n(&(st)->member, (st)->member + (n), __ATOMIC_RELAXED)

#endif /* H3_STATS_H */
