/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ngtcp2_conn holds because of what its client has sent: counted, and bounded.
 *
 * Flow control bounds the bytes of streams, but not what the library keeps to put them in order:
 * every gap is an object of its own, so a client that sends every other byte turns each into
 * dozens. RFC 9000 section 21.7
 *
 * Part of its quic_conn, on the I/O thread; it outlives the ngtcp2_conn.
 */
#ifndef QUIC_MEM_H
#define QUIC_MEM_H

#include <stddef.h>
#include <ngtcp2/ngtcp2.h>

typedef struct quic_mem {
    ngtcp2_mem mem; /* for ngtcp2_conn_server_new */
    size_t used;    /* bytes allocated while receiving and not freed since, overhead included */
    size_t limit;   /* of `used` */
    int receiving;  /* set by the owner round ngtcp2_conn_read_pkt */
    int exceeded;   /* something was refused because of the limit */
} quic_mem;

/*
 * Not to be moved afterwards. While receiving, an allocation beyond the limit fails, which ngtcp2
 * reports as NGTCP2_ERR_NOMEM; what is allocated at other times is not counted, it is bounded by
 * what we send.
 */
void quic_mem_init(quic_mem *m, size_t limit);

#endif /* QUIC_MEM_H */
