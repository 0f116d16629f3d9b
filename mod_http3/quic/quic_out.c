/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_out.h"

#include <stdlib.h>
#include <string.h>
#include "quic/quic_udp.h"

/* ngtcp2 keeps a list of the packets it has sent; GSO takes at most 64 segments. */
#define BATCH_PACKETS 48

static void set_state(quic_out *out, quic_out_state state);
static size_t room_for(const quic_out_queue *q, ngtcp2_conn *nc);
static ngtcp2_ssize make_small(quic_out *out, quic_out_batch *batch, ngtcp2_conn *nc, size_t room,
                               ngtcp2_write_pkt write_pkt, quic_listener *listener, uint64_t now);
static void find_black_hole(quic_out *out, ngtcp2_conn *nc, uint64_t now);
static int send_pending(quic_out *out);

void quic_out_init(quic_out *out, quic_out_queue *queue, struct quic_conn *conn,
                   const quic_log *log)
{
    memset(out, 0, sizeof(*out));
    out->queue = queue;
    out->conn = conn;
    out->log = log;
    quic_pmtu_init(&out->pmtu);
}

void quic_out_destroy(quic_out *out)
{
    set_state(out, QUIC_OUT_IDLE);
    free(out->pending.data);
    out->pending.data = NULL;
}

/* ---- in line ---- */

static void unlink_out(quic_out *out)
{
    quic_out_queue *q = out->queue;

    if (out->next) {
        out->next->prev = out->prev;
    }
    else if (out->state == QUIC_OUT_QUEUED) {
        q->last = out->prev;
    }
    if (out->prev) {
        out->prev->next = out->next;
    }
    else if (out->state == QUIC_OUT_QUEUED) {
        q->first = out->next;
    }
    else {
        q->blocked = out->next;
    }
    out->next = out->prev = NULL;
}

static void append_queued(quic_out *out)
{
    quic_out_queue *q = out->queue;

    out->prev = q->last;
    if (q->last) {
        q->last->next = out;
    }
    else {
        q->first = out;
    }
    q->last = out;
}

static void prepend_blocked(quic_out *out)
{
    quic_out_queue *q = out->queue;

    out->next = q->blocked;
    if (q->blocked) {
        q->blocked->prev = out;
    }
    q->blocked = out;
}

/* The one place where the state changes. */
static void set_state(quic_out *out, quic_out_state state)
{
    if (out->state != QUIC_OUT_IDLE) {
        unlink_out(out);
    }
    out->state = state;
    if (state == QUIC_OUT_QUEUED) {
        append_queued(out);
    }
    else if (state == QUIC_OUT_BLOCKED) {
        prepend_blocked(out);
    }
}

void quic_out_wants(quic_out *out)
{
    if (out->state == QUIC_OUT_IDLE) {
        set_state(out, QUIC_OUT_QUEUED);
    }
}

struct quic_conn *quic_out_next(quic_out_queue *queue)
{
    quic_out *out = queue->first;

    if (!out) {
        return NULL;
    }
    set_state(out, QUIC_OUT_IDLE);
    return out->conn;
}

void quic_out_wait(quic_out *out, quic_listener *listener)
{
    out->pending.path.listener = listener;
    set_state(out, QUIC_OUT_BLOCKED);
}

void quic_out_unblock(quic_out_queue *queue)
{
    quic_out *out, *next;

    for (out = queue->blocked; out; out = next) {
        next = out->next;
        if (send_pending(out)) {
            set_state(out, QUIC_OUT_QUEUED);
        }
    }
}

/* ---- batches ---- */

void quic_out_new_path(quic_out *out)
{
    quic_pmtu_init(&out->pmtu);
}

ngtcp2_ssize quic_out_make(quic_out *out, quic_out_batch *batch, ngtcp2_conn *nc,
                           ngtcp2_write_pkt write_pkt, quic_listener *listener, uint64_t now)
{
    quic_out_queue *q = out->queue;
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    ngtcp2_ssize n;
    size_t room;

    find_black_hole(out, nc, now);
    room = room_for(q, nc);
    if (out->pmtu.is_black_hole) {
        n = make_small(out, batch, nc, room, write_pkt, listener, now);
    }
    else {
        ngtcp2_path_storage_zero(&ps);
        n = ngtcp2_conn_write_aggregate_pkt2(nc, &ps.path, &pi, q->tx, room, &batch->segsize,
                                             write_pkt, BATCH_PACKETS, now);
        if (n > 0) {
            quic_path_copy(&batch->path, &ps.path, listener);
            batch->ecn = (uint8_t)pi.ecn;
            batch->len = (size_t)n;
        }
    }
    batch->is_full =
        n > 0
        && (batch->len + batch->segsize > room || batch->len >= BATCH_PACKETS * batch->segsize);
    return n;
}

/* Bytes of a batch: one packet at least, of whatever size is tried. */
static size_t room_for(const quic_out_queue *q, ngtcp2_conn *nc)
{
    size_t room = ngtcp2_conn_get_send_quantum(nc);
    size_t least = ngtcp2_conn_get_max_tx_udp_payload_size(nc);

    room = room > least ? room : least;
    return room < sizeof(q->tx) ? room : sizeof(q->tx);
}

/*
 * Small packets only. ngtcp2 makes batches of what it takes for the path's size, which is larger:
 * so the batch is made here. What goes another way (a path's challenge, other ECN bits) does not
 * belong to it, and is left in `tx` as a batch of its own.
 */
static ngtcp2_ssize make_small(quic_out *out, quic_out_batch *batch, ngtcp2_conn *nc, size_t room,
                               ngtcp2_write_pkt write_pkt, quic_listener *listener, uint64_t now)
{
    uint8_t *tx = out->queue->tx;
    ngtcp2_path_storage ps;
    ngtcp2_pkt_info pi;
    quic_path path;
    ngtcp2_ssize n;
    int i;

    batch->len = 0;
    for (i = 0; i < BATCH_PACKETS && batch->len + QUIC_PMTU_BASE <= room; i++) {
        ngtcp2_path_storage_zero(&ps);
        n = write_pkt(nc, &ps.path, &pi, tx + batch->len, QUIC_PMTU_BASE, now, out->conn);
        if (n < 0) {
            return n;
        }
        if (n == 0) {
            break;
        }
        quic_path_copy(&path, &ps.path, listener);
        if (batch->len && (pi.ecn != batch->ecn || !quic_path_equal(&path, &batch->path))) {
            n = quic_out_send(out, batch) ? n : 0;
            memmove(tx, tx + batch->len, (size_t)n);
            batch->len = 0;
        }
        if (batch->len == 0) {
            batch->path = path;
            batch->ecn = (uint8_t)pi.ecn;
            batch->segsize = (size_t)n;
        }
        batch->len += (size_t)n;
        if (n != QUIC_PMTU_BASE) {
            break;
        }
    }
    return (ngtcp2_ssize)batch->len;
}

void quic_out_wrote(quic_out *out, ngtcp2_conn *nc, size_t len)
{
    /* Larger than the path's size are probes only, which may be lost. */
    if (len <= ngtcp2_conn_get_path_max_tx_udp_payload_size(nc)) {
        quic_pmtu_sent(&out->pmtu, len);
    }
}

static void find_black_hole(quic_out *out, ngtcp2_conn *nc, uint64_t now)
{
    ngtcp2_conn_info info;

    ngtcp2_conn_get_conn_info(nc, &info);
    if (quic_pmtu_check(&out->pmtu, info.bytes_lost, info.bytes_in_flight, ngtcp2_conn_get_pto(nc),
                        now)) {
        QUIC_LOG(out->log, APLOG_DEBUG, 0,
                 "packets of %d bytes get lost, %d are the limit from now on",
                 (int)ngtcp2_conn_get_path_max_tx_udp_payload_size(nc), QUIC_PMTU_BASE);
    }
}

/* ---- to the kernel ---- */

static quic_udp_result send_on(const quic_out_queue *q, const quic_path *path, uint8_t ecn,
                               const uint8_t *data, size_t len, size_t segsize, size_t *sent)
{
    return quic_udp_send(path->listener->fd[q->slot], &path->local, &path->remote, ecn, data, len,
                         segsize, sent);
}

int quic_out_send(quic_out *out, const quic_out_batch *batch)
{
    quic_out_queue *q = out->queue;
    size_t sent = 0;

    QUIC_LOG(out->log, APLOG_TRACE2, 0, "sending %" APR_SIZE_T_FMT " bytes", batch->len);
    QUIC_STATS_ADD(q->stats, datagrams_out, (batch->len + batch->segsize - 1) / batch->segsize);
    if (send_on(q, &batch->path, batch->ecn, q->tx, batch->len, batch->segsize, &sent)
        == QUIC_UDP_SENT) {
        return 1;
    }
    out->pending.data = malloc(batch->len - sent);
    if (!out->pending.data) {
        return 1; /* lost, as a network may lose */
    }
    memcpy(out->pending.data, q->tx + sent, batch->len - sent);
    out->pending.len = batch->len - sent;
    out->pending.off = 0;
    out->pending.segsize = batch->segsize;
    out->pending.path = batch->path;
    out->pending.ecn = batch->ecn;
    batch->path.listener->full = 1;
    quic_out_wait(out, batch->path.listener);
    return 0;
}

/* 1: nothing is pending any more. */
static int send_pending(quic_out *out)
{
    quic_listener *l = out->pending.path.listener;
    size_t sent = 0;

    if (l->full) {
        return 0;
    }
    if (!out->pending.data) {
        return 1;
    }
    if (send_on(out->queue, &out->pending.path, out->pending.ecn,
                out->pending.data + out->pending.off, out->pending.len - out->pending.off,
                out->pending.segsize, &sent)
        != QUIC_UDP_SENT) {
        out->pending.off += sent;
        l->full = 1;
        return 0;
    }
    free(out->pending.data);
    out->pending.data = NULL;
    return 1;
}

void quic_out_datagram(quic_out_queue *queue, const quic_path *path, uint8_t ecn,
                       const uint8_t *data, size_t len)
{
    size_t sent;

    send_on(queue, path, ecn, data, len, len, &sent);
    QUIC_STATS_ADD(queue->stats, datagrams_out, 1);
}
