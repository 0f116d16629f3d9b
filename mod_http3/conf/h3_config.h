/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directives as rows, and what the module keeps of each server and virtual host: their merged
 * values, and what is found out of it (h3_hosts).
 *
 * Made by the parent from the reading of the configuration up to post_config, and read-only after
 * that: any thread may read it then. It lives as long as the configuration.
 */
#ifndef H3_CONFIG_H
#define H3_CONFIG_H

#include "httpd.h"
#include "http_config.h"
#include "quic/quic_cc.h"
#include "tls/quic_tls.h"

extern module AP_MODULE_DECLARE_DATA http3_module;

/* Values are merged, and have their defaults, from check_config on. */
typedef struct h3_config {
    server_rec *server;
    int max_session_streams;          /* H3MaxSessionStreams */
    apr_int64_t window_size;          /* H3WindowSize, bytes */
    apr_int64_t conn_window_size;     /* H3ConnWindowSize, bytes */
    apr_int64_t stream_max_mem;       /* H3StreamMaxMemSize, bytes */
    apr_int64_t conn_max_mem;         /* H3ConnMaxMemSize, bytes */
    apr_int64_t max_mem;              /* H3MaxMemSize, bytes per child; 0: from the machine's */
    int min_workers, max_workers;     /* H3MinWorkers, H3MaxWorkers; 0: from the MPM */
    apr_int64_t max_worker_idle_secs; /* H3MaxWorkerIdleSeconds */
    apr_interval_time_t idle_timeout; /* H3IdleTimeout, microseconds as the next two */
    apr_interval_time_t handshake_timeout;
    apr_interval_time_t graceful_timeout;
    int congestion;              /* H3CongestionControl */
    quic_cc cc;                  /* the same with "auto" decided; from check_config on */
    const ap_directive_t *cc_at; /* where it stands, NULL: nowhere */
    int max_connections;         /* H3MaxConnections, per child */
    int socket_buffer_size;      /* H3SocketBufferSize, bytes */
    const char *qlog_dir;        /* H3QlogDir, absolute, or NULL */
    apr_array_header_t *listens; /* struct h3_listen *, main server only; empty: mirror TCP */

    struct h3_ssl_config *ssl; /* the SSL* directives, h3_ssl_config.h */

    /* Of h3_hosts. */
    int wants_h3;                  /* "h3" stood in Protocols */
    const char *off_reason;        /* why HTTP/3 is off, NULL: it is on */
    const quic_tls_host *tls_host; /* certificates; NULL where HTTP/3 is off */
} h3_config;

h3_config *h3_config_get(const server_rec *s);

/* For the module record. Neither makes `ssl`. */
h3_config *h3_config_create(apr_pool_t *p, server_rec *s);
h3_config *h3_config_merge(apr_pool_t *p, const h3_config *base, const h3_config *add);

/*
 * check_config: fills in defaults, and decides what "auto" is. H3MinWorkers above H3MaxWorkers is
 * logged and an error.
 */
apr_status_t h3_config_complete(server_rec *main_server, apr_pool_t *ptemp);

/*
 * Calls fn for each row of `s`: the directive's name, and its merged value as text, in `p`. With
 * `other` only for those that have another value there.
 */
void h3_config_each(const server_rec *s, const server_rec *other, apr_pool_t *p,
                    void (*fn)(void *baton, const char *name, const char *value), void *baton);

/* The rows for the module's command table. */
const char *h3_config_set_number(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_config_set_time(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_config_set_congestion(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_config_set_qlog_dir(cmd_parms *cmd, void *dir, const char *arg);

#define H3_CONFIG_NUMBER(name, help) \
    AP_INIT_TAKE1(name, h3_config_set_number, NULL, RSRC_CONF, help)
#define H3_CONFIG_TIME(name, help) AP_INIT_TAKE1(name, h3_config_set_time, NULL, RSRC_CONF, help)

/* clang-format off */
#define H3_CONFIG_COMMANDS                                                                         \
    H3_CONFIG_NUMBER("H3MaxSessionStreams", "request streams at once per connection"),             \
    H3_CONFIG_NUMBER("H3WindowSize", "receive window per stream, bytes"),                          \
    H3_CONFIG_NUMBER("H3ConnWindowSize", "receive window per connection, bytes"),                  \
    H3_CONFIG_NUMBER("H3StreamMaxMemSize", "response bytes buffered per stream"),                  \
    H3_CONFIG_NUMBER("H3ConnMaxMemSize", "response bytes buffered per connection"),                \
    H3_CONFIG_NUMBER("H3MaxMemSize", "bytes that a child holds for its HTTP/3 clients"),           \
    H3_CONFIG_NUMBER("H3MinWorkers", "worker threads per child, least"),                           \
    H3_CONFIG_NUMBER("H3MaxWorkers", "worker threads per child, most"),                            \
    H3_CONFIG_NUMBER("H3MaxWorkerIdleSeconds",                                                     \
                     "seconds after which an idle worker above H3MinWorkers ends"),                \
    H3_CONFIG_TIME("H3IdleTimeout", "time after which a silent connection ends"),                  \
    H3_CONFIG_TIME("H3HandshakeTimeout", "time that a client has for its handshake"),              \
    H3_CONFIG_TIME("H3GracefulTimeout",                                                            \
                   "how long requests may run on after a graceful restart or stop"),               \
    AP_INIT_TAKE1("H3CongestionControl", h3_config_set_congestion, NULL, RSRC_CONF,                \
                  "auto (as TCP), bbr, cubic or reno"),                                            \
    H3_CONFIG_NUMBER("H3MaxConnections", "connections per child"),                                 \
    H3_CONFIG_NUMBER("H3SocketBufferSize", "receive and send buffer of each UDP socket, bytes"),   \
    AP_INIT_TAKE1("H3QlogDir", h3_config_set_qlog_dir, NULL, RSRC_CONF,                            \
                  "directory for one qlog file per connection")
/* clang-format on */

#endif /* H3_CONFIG_H */
