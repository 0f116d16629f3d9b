/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of an Alt-Svc field (RFC 7838 section 3): read from what an administrator typed,
 * checked octet by octet, and written in the one spelling that the RFC allows.
 *
 * Pure: APR's pools and strings, no httpd. Any thread may call any function with a pool of its
 * own; results live as long as that pool. A function that finds a mistake returns it as the end
 * of a sentence ("the port 0 is ...") for a message that already names the directive; NULL means
 * no mistake.
 */
#ifndef ALTSVC_VALUE_H
#define ALTSVC_VALUE_H

#include <apr_pools.h>
#include <apr_tables.h>

/* Seconds up to which delta-seconds must be understood (RFC 9111 section 1.2.2). */
#define ALTSVC_VALUE_MAX_AGE 2147483647

/* One alternative service. */
typedef struct altsvc_value_alt {
    const char *protocol; /* ALPN protocol ID (RFC 7301), decoded */
    const char *host;     /* "" is the origin's own host; IPv6 in brackets */
    int port;             /* 1 to 65535 */
    int ma;               /* seconds; -1 where nothing was said */
    int persist;          /* 1, or -1 where nothing was said */
} altsvc_value_alt;

/*
 * Appends the alternatives of `text`, a list with commas (RFC 7838 section 3, without `clear`), to
 * `alts`, an array of altsvc_value_alt. After a mistake the array's content is not to be used.
 */
const char *altsvc_value_parse(apr_pool_t *p, const char *text, apr_array_header_t *alts);

/*
 * The field value of one alternative. `ma` (seconds) and `persist` (a boolean) fill in where the
 * alternative itself says nothing.
 */
const char *altsvc_value_format(apr_pool_t *p, const altsvc_value_alt *alt, int ma, int persist);

/*
 * The protocol-id that stands for an ALPN protocol ID: every octet that is no token character, and
 * the percent sign, as %XX with capital digits, and no other octet (RFC 7838 section 3).
 */
const char *altsvc_value_protocol_id(apr_pool_t *p, const char *alpn);

/* Checks `host` as the uri-host of an alternative: a DNS name, an IPv4 address, or [IPv6]. */
const char *altsvc_value_check_host(apr_pool_t *p, const char *host);

/*
 * Reads a whole decimal number between `min` and `max` (min >= 0) into `*number`. `what` names
 * it in the mistake ("the port").
 */
const char *altsvc_value_number(apr_pool_t *p, const char *what, const char *text, int min, int max,
                                int *number);

#endif /* ALTSVC_VALUE_H */
