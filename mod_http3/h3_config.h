/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives as rows, their merged values per virtual host, and what the parent
 * keeps over restarts.
 *
 * Configurations are read-only once check_config is over and may be read on
 * every thread. h3_retained is written by the parent (open_logs, post_config) only.
 */
#ifndef H3_CONFIG_H
#define H3_CONFIG_H

#include "httpd.h"
#include "http_config.h"
#include "quic_cid.h"
#include "quic_route.h"
#include "quic_stats.h"
#include "quic_tls.h"
#include "quic_udp.h"

extern module AP_MODULE_DECLARE_DATA http3_module;

/* One H3Listen. */
typedef struct h3_listen {
    const char *addr;    /* as written, NULL: all addresses */
    apr_port_t port;     /* UDP */
    apr_port_t tcp_port; /* whose virtual hosts it stands for */
    const ap_directive_t *directive; /* for messages with file and line */
} h3_listen;

/* Values of one server or virtual host, merged and with defaults filled in by check_config. */
typedef struct h3_config {
    server_rec *server;
    int max_session_streams;    /* H3MaxSessionStreams */
    apr_int64_t window_size;    /* H3WindowSize, bytes */
    apr_int64_t conn_window_size; /* H3ConnWindowSize, bytes */
    apr_int64_t stream_max_mem; /* H3StreamMaxMemSize, bytes */
    int min_workers, max_workers; /* H3MinWorkers, H3MaxWorkers; 0: from the MPM */
    apr_int64_t max_worker_idle_secs; /* H3MaxWorkerIdleSeconds */
    apr_interval_time_t idle_timeout; /* H3IdleTimeout, microseconds as the next two */
    apr_interval_time_t handshake_timeout;
    apr_interval_time_t graceful_timeout;
    int max_connections;        /* H3MaxConnections, per child */
    int socket_buffer_size;     /* H3SocketBufferSize, bytes */
    const char *qlog_dir;       /* H3QlogDir, absolute, or NULL */
    apr_array_header_t *listens; /* h3_listen *, main server only; empty: mirror TCP */

    struct h3_ssl_config *ssl;  /* the SSL* directives, h3_ssl_config.h */

    int wants_h3;               /* "h3" stood in Protocols */
    const char *off_reason;     /* why HTTP/3 is off, NULL: it is on */
    const quic_tls_host *tls_host; /* certificates; NULL where HTTP/3 is off */
} h3_config;

h3_config *h3_config_get(const server_rec *s);

extern const command_rec h3_config_cmds[];
void *h3_config_create_server(apr_pool_t *p, server_rec *s);
void *h3_config_merge_server(apr_pool_t *p, void *base, void *add);

/* What survives restarts in the parent, and what children inherit by fork. */
typedef struct h3_retained {
    quic_route *route;             /* NULL until the first socket is opened */
    quic_cid_secret cid_secret;
    quic_tls_ticket_keys ticket_keys;
    quic_listener **listeners;     /* malloc'ed array */
    int nlisteners;
    quic_stats *stats;             /* shared memory, [slots] */
    int generation;                /* of the configuration, raised in each post_config */
} h3_retained;

h3_retained *h3_retained_get(void);

#endif /* H3_CONFIG_H */
