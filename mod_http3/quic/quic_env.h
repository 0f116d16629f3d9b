/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all connections of one I/O thread share. For quic/ only: others ask the quic_endpoint, whose
 * part it is, or a connection.
 *
 * On the I/O thread, as long as that runs.
 */
#ifndef QUIC_ENV_H
#define QUIC_ENV_H

#include <stdint.h>
#include "quic/quic_app.h"
#include "quic/quic_cid.h"
#include "quic/quic_group.h"
#include "quic/quic_limits.h"
#include "quic/quic_log.h"
#include "quic/quic_out.h"
#include "quic/quic_stats.h"
#include "quic/quic_timer.h"

typedef struct quic_env {
    server_rec *server; /* for logs */
    const quic_group *group;
    uint8_t slot, epoch; /* the child's, part of each ID */
    quic_stats *stats;
    uint64_t now; /* nanoseconds of CLOCK_MONOTONIC, read once per turn */

    const quic_app_ops *app;
    void *app_env;                 /* the layer above's own */
    const quic_tls_host *any_host; /* for the first SSL_CTX of a connection */
    quic_limits limits;            /* until the virtual host is known */
    uint64_t handshake_timeout;    /* nanoseconds */
    unsigned max_connections, max_half_open;
    const char *qlog_dir; /* or NULL */

    unsigned connections, half_open;
    unsigned closing;      /* CLOSING or DRAINING: not among `connections` */
    struct quic_conn *all; /* every connection, closing ones too */
    quic_cid_table *table;
    quic_timer_heap timers;
    quic_out_queue out;
} quic_env;

#endif /* QUIC_ENV_H */
