/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server grants one client: windows, streams, idle time, and what the library may hold of
 * what the client has sent. It comes from the directives of a virtual host.
 *
 * A value; for any thread.
 */
#ifndef QUIC_LIMITS_H
#define QUIC_LIMITS_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>

typedef struct quic_limits {
    uint64_t window;      /* bytes per stream */
    uint64_t conn_window; /* bytes per connection */
    uint64_t streams;     /* request streams at once */
    uint64_t idle;        /* nanoseconds */
} quic_limits;

/* Writes them into transport parameters (RFC 9000 section 18.2), whose other members stay. */
void quic_limits_fill(ngtcp2_transport_params *tp, const quic_limits *limits);

/*
 * The bytes that an ngtcp2_conn may hold because of what its client has sent, for a quic_mem: while
 * the handshake lasts, and then, with these parameters.
 */
#define QUIC_LIMITS_MEM_HALF_OPEN (128 * 1024)
size_t quic_limits_mem(const ngtcp2_transport_params *tp);
/* Of that, what `window` bytes of the connection's window count for. */
size_t quic_limits_mem_of_window(uint64_t window);

#endif /* QUIC_LIMITS_H */
