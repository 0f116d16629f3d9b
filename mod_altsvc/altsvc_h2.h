/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ALTSVC frame of HTTP/2 (RFC 7838 section 4), and the place where it goes: right after the
 * SETTINGS frame with which every server begins (RFC 9113 section 3.4). Only a server's first
 * octets are looked at; what follows is no concern of this file.
 *
 * Works on APR brigades alone, without httpd. One scan belongs to one connection and to the thread
 * that writes it.
 */
#ifndef ALTSVC_H2_H
#define ALTSVC_H2_H

#include <apr_buckets.h>
#include <apr_pools.h>

#define ALTSVC_H2_FRAME_HEAD 9

typedef enum altsvc_h2_verdict {
    ALTSVC_H2_WAITING, /* SETTINGS is not complete yet: ask again with the next brigade */
    ALTSVC_H2_FOUND,   /* SETTINGS is complete */
    ALTSVC_H2_FOREIGN  /* these octets are no SETTINGS frame, or cannot be read */
} altsvc_h2_verdict;

/* How far the first frame has been seen; begins as zeros. */
typedef struct altsvc_h2_scanner {
    unsigned char head[ALTSVC_H2_FRAME_HEAD];
    apr_size_t have; /* octets in head */
    apr_size_t left; /* octets of the payload still to come, once head is full */
    apr_status_t rv; /* with FOREIGN: why the octets could not be read, if that is why */
} altsvc_h2_scanner;

/*
 * Looks at the next brigade of a server's output. Sets `*next` where the verdict is FOUND: what
 * goes in front of that bucket (or of the brigade's sentinel) follows SETTINGS immediately. A
 * bucket in which SETTINGS ends is split there; octets are never changed, moved or taken out.
 */
altsvc_h2_verdict altsvc_h2_scan(altsvc_h2_scanner *scan, apr_bucket_brigade *bb,
                                 apr_bucket **next);

/*
 * An ALTSVC frame on stream 0 with an Origin, for `value`, an Alt-Svc field value, in `p`. `*len`
 * is its size in octets. NULL if its payload would be more than 16384 octets, the most that every
 * client takes (RFC 9113 section 4.2).
 */
const char *altsvc_h2_frame(apr_pool_t *p, const char *origin, const char *value, apr_size_t *len);

/* "https://host" or "https://host:port", as RFC 6454 section 6.2 writes it. */
const char *altsvc_h2_origin(apr_pool_t *p, const char *host, int port);

/*
 * Does `pattern`, a dNSName of a certificate, cover `host`? A wildcard is a whole first label and
 * stands for exactly one (RFC 9525 section 6.3).
 */
int altsvc_h2_covers(const char *pattern, const char *host);

/*
 * The same for a whole certificate: `names` is its subjectAltName extension as OpenSSL prints it,
 * "DNS:h3.test, DNS:*.h3.test, IP Address:127.0.0.1".
 */
int altsvc_h2_covered(apr_pool_t *p, const char *names, const char *host);

#endif /* ALTSVC_H2_H */
