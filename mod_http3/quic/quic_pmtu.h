/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a path still carry what it once did? The library's probes find out how large packets may be,
 * and never ask again; this notices when they vanish (RFC 8899 section 4.3, RFC 9000 section 14.3).
 *
 * It counts bytes of packets that are larger than what every path has to carry. What has been sent
 * of them and is neither lost nor in flight has been acknowledged: at least so much, because
 * smaller packets, too, are lost and in flight. Without such news for three probe timeouts the path
 * is taken for a black hole, and packets stay small on it.
 *
 * Part of its quic_out, on the I/O thread. No system call, no library.
 */
#ifndef QUIC_PMTU_H
#define QUIC_PMTU_H

#include <stddef.h>
#include <stdint.h>

/* RFC 9000 section 14: a path that does not carry this in UDP is none for QUIC. */
#define QUIC_PMTU_BASE 1200
/* A client that is busy for a moment on a fast path is no black hole. */
#define QUIC_PMTU_PATIENCE 300000000ull /* nanoseconds */

typedef struct quic_pmtu {
    int is_black_hole; /* packets are to have QUIC_PMTU_BASE bytes at most */
    unsigned waiting;  /* large packets that have been sent since the last news */
    uint64_t since;    /* when that was, nanoseconds */
    uint64_t sent;     /* bytes of large packets in all */
    int64_t acked;     /* at least so many of them had been acknowledged then */
} quic_pmtu;

/* A new path, whose probes begin at the bottom. */
void quic_pmtu_init(quic_pmtu *m);

/* A packet of `len` bytes that is no probe was sent. */
void quic_pmtu_sent(quic_pmtu *m, size_t len);

/*
 * After something has come or a timer has run, before more is sent. `lost` is the total of bytes
 * that the connection has lost, `in_flight` what is on its way now, `pto` the probe timeout without
 * backoff, in nanoseconds. 1: the path has just become a black hole.
 */
int quic_pmtu_check(quic_pmtu *m, uint64_t lost, uint64_t in_flight, uint64_t pto, uint64_t now);

#endif /* QUIC_PMTU_H */
