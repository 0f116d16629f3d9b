/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user of h3load asks for: the command line, as one structure that
 * nobody changes after load_opts_parse. Lives as long as the process.
 */
#ifndef LOAD_OPTS_H
#define LOAD_OPTS_H

#include <stddef.h>
#include <stdint.h>
#include <nghttp3/nghttp3.h>
#include "../../mod_http3/quic/quic_udp.h"

#define LOAD_HEADERS_MAX 64
#define LOAD_LOCALS_MAX 64

typedef struct load_url {
    const char *text;      /* as given */
    const char *authority; /* host[:port] as given, IPv6 in brackets */
    const char *path;      /* with the query, at least "/" */
    const char *host;      /* without brackets */
    const char *port;
    nghttp3_nv *field; /* the whole request head */
    size_t nfields;
} load_url;

typedef struct load_opts {
    load_url *url;
    int nurls;

    /* the peer */
    const char *connect; /* addr:port instead of the first URL's */
    const char *peer_host, *peer_port;
    const char *sni;
    const char *cacert;
    int insecure;
    int family; /* AF_UNSPEC, AF_INET, AF_INET6 */
    quic_addr remote;
    quic_addr local[LOAD_LOCALS_MAX];
    int nlocals;
    int64_t source_port; /* 0: the kernel's choice */
    const char *session_file;

    /* how much */
    int64_t conns;
    int64_t streams;
    int64_t connecting;
    int64_t requests; /* -1: without end, until `seconds` */
    double seconds;
    double timeout;
    int handshakes_only;
    double idle; /* < 0: not asked for */
    double keep_alive;

    /* requests */
    const char *method;
    const char *header[LOAD_HEADERS_MAX];
    int nheaders;
    const char *upload_file;
    int64_t upload_size; /* -1: no body */
    const uint8_t *upload_data;
    size_t upload_data_len; /* `upload_size`, or the length of the repeated block */

    /* flow control, network */
    int64_t rate_limit;
    int64_t window, conn_window; /* 0: by default_windows() */
    int64_t rebind;
    double loss;
    int64_t seed;

    /* answers */
    int64_t verify; /* 0: any status below 400 */
    int retry_goaway;
    int sha256;
    const char *out;
    int json;
    int verbose;
} load_opts;

/*
 * Reads the command line, resolves names, builds the request heads, opens the
 * upload. 0; 1 if only help was asked for; -1 after a message on stderr.
 */
int load_opts_parse(load_opts *o, int argc, char **argv);

#endif /* LOAD_OPTS_H */
