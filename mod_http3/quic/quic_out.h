/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves: all datagrams that an I/O thread sends go through here. A connection that has
 * something to say stands in line, writes one batch of packets in its turn, and, where the socket
 * takes no more of it, waits until it does; nothing more is encrypted before that.
 *
 * A quic_out is part of its quic_conn, a quic_out_queue of the thread's quic_env. All of it on the
 * I/O thread.
 */
#ifndef QUIC_OUT_H
#define QUIC_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include "quic/quic_log.h"
#include "quic/quic_path.h"
#include "quic/quic_pmtu.h"
#include "quic/quic_stats.h"

struct quic_conn;
typedef struct quic_out quic_out;

/* All that want to send, of one I/O thread. All zeros but for slot and stats is empty. */
typedef struct quic_out_queue {
    uint8_t slot;           /* it sends with the sockets of this one */
    quic_stats *stats;      /* for datagrams_out */
    quic_out *first, *last; /* QUEUED */
    quic_out *blocked;      /* BLOCKED, the last one first */
    uint8_t tx[65536];      /* one batch on its way to the kernel */
} quic_out_queue;

typedef enum {
    QUIC_OUT_IDLE,
    QUIC_OUT_QUEUED, /* there may be something to send */
    QUIC_OUT_BLOCKED /* waits for a socket */
} quic_out_state;

struct quic_out {
    quic_out_queue *queue;
    struct quic_conn *conn;
    const quic_log *log;
    quic_out_state state;
    quic_out *next, *prev; /* of those in the same state */
    quic_pmtu pmtu;        /* of the path in use */
    /* While BLOCKED: for which socket, and what did not fit into it (NULL: nothing). */
    struct {
        uint8_t *data;
        size_t len, off, segsize;
        quic_path path;
        uint8_t ecn;
    } pending;
};

/* A batch as it stands in the queue's `tx`: packets of `segsize` bytes, the last may be shorter. */
typedef struct quic_out_batch {
    quic_path path;
    size_t len, segsize;
    uint8_t ecn;
    int is_full; /* it has no room for another packet: there may be more to send */
} quic_out_batch;

/* `conn` and `log` outlive it. */
void quic_out_init(quic_out *out, quic_out_queue *queue, struct quic_conn *conn,
                   const quic_log *log);

/* Takes it off its list and frees what is pending. */
void quic_out_destroy(quic_out *out);

/* There may be something to send: it stands in line, unless it waits for a socket. */
void quic_out_wants(quic_out *out);

/* Whose turn is it? Takes it off the line. NULL: nobody's. */
struct quic_conn *quic_out_next(quic_out_queue *queue);

/* Waits until `listener` takes something again. */
void quic_out_wait(quic_out *out, quic_listener *listener);

/* A socket is writable again: those that waited for it send what is pending and stand in line. */
void quic_out_unblock(quic_out_queue *queue);

/* Packets go another way, of which nothing is known yet. */
void quic_out_new_path(quic_out *out);

/*
 * Makes a batch of what `write_pkt` (ngtcp2's type) has for `nc`, not larger than what the pacer
 * sends at once (RFC 9002 section 7.7); `listener` is for paths that name none. Its length, 0:
 * there is nothing to send; or ngtcp2's error.
 */
ngtcp2_ssize quic_out_make(quic_out *out, quic_out_batch *batch, ngtcp2_conn *nc,
                           ngtcp2_write_pkt write_pkt, quic_listener *listener, uint64_t now);

/* For write_pkt: a packet of `len` bytes was written. */
void quic_out_wrote(quic_out *out, ngtcp2_conn *nc, size_t len);

/* Sends what quic_out_make has made. 1: it is on its way; 0: the rest waits for the socket. */
int quic_out_send(quic_out *out, const quic_out_batch *batch);

/* Sends one datagram; where the socket is full it is lost, as a network may lose. */
void quic_out_datagram(quic_out_queue *queue, const quic_path *path, uint8_t ecn,
                       const uint8_t *data, size_t len);

#endif /* QUIC_OUT_H */
