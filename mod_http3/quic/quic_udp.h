/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams in and out of a UDP socket: recvmmsg with GRO, sendmsg with GSO, and with each datagram
 * its local address (PKTINFO) and ECN bits.
 *
 * On the I/O thread, or whichever one thread has the socket. The socket is non-blocking; its
 * options are quic_listener's.
 */
#ifndef QUIC_UDP_H
#define QUIC_UDP_H

#include <stddef.h>
#include <stdint.h>
#include <apr_pools.h>
#include "quic/quic_addr.h"
#include "quic/quic_datagram.h"

/* Receive buffers of one I/O thread. */
typedef struct quic_udp_batch quic_udp_batch;
quic_udp_batch *quic_udp_batch_create(apr_pool_t *pool);

/*
 * Reads what waits on `fd`, by one recvmmsg, and splits GRO's messages. Returns the number of
 * datagrams (0: none waits), *out points to them until the next call with this batch. `port` is the
 * socket's own port, host order. Errors that belong to single datagrams (ICMP) are swallowed.
 * Datagrams of no bytes are delivered: the caller's budget counts them.
 */
int quic_udp_recv(quic_udp_batch *batch, int fd, uint16_t port, const quic_datagram **out);

typedef enum {
    QUIC_UDP_SENT,   /* all sent, or lost as a network may lose (EMSGSIZE, unreachable ...) */
    QUIC_UDP_BLOCKED /* the socket is full; *sent bytes went; try again when it is writable */
} quic_udp_result;

/*
 * Sends `len` bytes as datagrams of `segsize` bytes (the last one may be shorter) from `local` to
 * `remote` with these ECN bits. Uses GSO where the kernel has it (at most 64 segments and 65,487
 * bytes in a call); EIO switches it off for the process. Never blocks. *sent counts the bytes of
 * whole segments that the kernel has taken, or that were given up.
 */
quic_udp_result quic_udp_send(int fd, const quic_addr *local, const quic_addr *remote, uint8_t ecn,
                              const uint8_t *data, size_t len, size_t segsize, size_t *sent);

#endif /* QUIC_UDP_H */
