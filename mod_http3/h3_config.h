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
    const char *addr;                /* numeric, NULL: all addresses */
    const char *scope;               /* of a link-local address, or NULL */
    apr_port_t port;                 /* UDP */
    apr_port_t tcp_port;             /* whose virtual hosts it stands for */
    const ap_directive_t *directive; /* for messages with file and line */
} h3_listen;

/* Values of one server or virtual host, merged and with defaults filled in by check_config. */
typedef struct h3_config {
    server_rec *server;
    int max_session_streams;          /* H3MaxSessionStreams */
    apr_int64_t window_size;          /* H3WindowSize, bytes */
    apr_int64_t conn_window_size;     /* H3ConnWindowSize, bytes */
    apr_int64_t stream_max_mem;       /* H3StreamMaxMemSize, bytes */
    int min_workers, max_workers;     /* H3MinWorkers, H3MaxWorkers; 0: from the MPM */
    apr_int64_t max_worker_idle_secs; /* H3MaxWorkerIdleSeconds */
    apr_interval_time_t idle_timeout; /* H3IdleTimeout, microseconds as the next two */
    apr_interval_time_t handshake_timeout;
    apr_interval_time_t graceful_timeout;
    int max_connections;         /* H3MaxConnections, per child */
    int socket_buffer_size;      /* H3SocketBufferSize, bytes */
    const char *qlog_dir;        /* H3QlogDir, absolute, or NULL */
    apr_array_header_t *listens; /* h3_listen *, main server only; empty: mirror TCP */

    struct h3_ssl_config *ssl; /* the SSL* directives, h3_ssl_config.h */

    int wants_h3;                  /* "h3" stood in Protocols */
    const char *off_reason;        /* why HTTP/3 is off, NULL: it is on */
    const quic_tls_host *tls_host; /* certificates; NULL where HTTP/3 is off */
} h3_config;

h3_config *h3_config_get(const server_rec *s);

h3_config *h3_config_create(apr_pool_t *p, server_rec *s);
h3_config *h3_config_merge(apr_pool_t *p, const h3_config *base, const h3_config *add);

/* check_config: fills defaults in. H3MinWorkers above H3MaxWorkers is logged and an error. */
apr_status_t h3_config_complete(server_rec *main_server);

/*
 * Calls fn for each numeric directive of `s`: its name, its merged value as
 * text. With `other` only for those whose values differ there.
 */
void h3_config_each(const server_rec *s, const server_rec *other, apr_pool_t *p,
                    void (*fn)(void *baton, const char *name, const char *value), void *baton);

/*
 * What survives restarts in the parent, and what children inherit by fork. Raise the number
 * whenever the layout of anything below changes, also of what is pointed to: another mod_http3.so
 * may be loaded at a restart, and finds what this one has left.
 */
#define H3_RETAINED_LAYOUT "mod_http3 layout 2"
typedef struct h3_retained {
    char layout[32];   /* stays the first member */
    quic_route *route; /* NULL until the first socket is opened */
    quic_cid_secret cid_secret;
    quic_tls_ticket_keys ticket_keys;
    quic_listener **listeners; /* malloc'ed array */
    int nlisteners;
    quic_stats *stats; /* shared memory, [slots] */
    int generation;    /* of the configuration, raised in each post_config */
} h3_retained;

/* NULL as long as nothing has ever been served, and where it is another version's. */
h3_retained *h3_retained_get(void);

/* Has a mod_http3.so with another layout served before this one, in this parent? */
int h3_retained_is_foreign(void);

/* By the parent, once: draws the secrets, makes the route and counters of nslots. NULL: errno. */
h3_retained *h3_retained_create(int nslots);

/* The rows for the module's command table. */
const char *h3_config_set_number(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_config_set_time(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_config_set_qlog_dir(cmd_parms *cmd, void *dir, const char *arg);
const char *h3_config_add_listen(cmd_parms *cmd, void *dir, const char *udp, const char *tcp);

#define H3_CONFIG_NUMBER(name, help) \
    AP_INIT_TAKE1(name, h3_config_set_number, NULL, RSRC_CONF, help)
#define H3_CONFIG_TIME(name, help) AP_INIT_TAKE1(name, h3_config_set_time, NULL, RSRC_CONF, help)

/* clang-format off */
#define H3_CONFIG_COMMANDS                                                                         \
    AP_INIT_TAKE12("H3Listen", h3_config_add_listen, NULL, RSRC_CONF,                              \
                   "[address:]port [tcp-port]: a UDP socket, instead of those that follow Listen"),\
    H3_CONFIG_NUMBER("H3MaxSessionStreams", "request streams at once per connection"),             \
    H3_CONFIG_NUMBER("H3WindowSize", "receive window per stream, bytes"),                          \
    H3_CONFIG_NUMBER("H3ConnWindowSize", "receive window per connection, bytes"),                  \
    H3_CONFIG_NUMBER("H3StreamMaxMemSize", "response bytes buffered per stream"),                  \
    H3_CONFIG_NUMBER("H3MinWorkers", "worker threads per child, least"),                           \
    H3_CONFIG_NUMBER("H3MaxWorkers", "worker threads per child, most"),                            \
    H3_CONFIG_NUMBER("H3MaxWorkerIdleSeconds",                                                     \
                     "seconds after which an idle worker above H3MinWorkers ends"),                \
    H3_CONFIG_TIME("H3IdleTimeout", "time after which a silent connection ends"),                  \
    H3_CONFIG_TIME("H3HandshakeTimeout", "time that a client has for its handshake"),              \
    H3_CONFIG_TIME("H3GracefulTimeout",                                                            \
                   "how long requests may run on after a graceful restart or stop"),               \
    H3_CONFIG_NUMBER("H3MaxConnections", "connections per child"),                                 \
    H3_CONFIG_NUMBER("H3SocketBufferSize", "receive and send buffer of each UDP socket, bytes"),   \
    AP_INIT_TAKE1("H3QlogDir", h3_config_set_qlog_dir, NULL, RSRC_CONF,                            \
                  "directory for one qlog file per connection")
/* clang-format on */

#endif /* H3_CONFIG_H */
