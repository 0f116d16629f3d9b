/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which virtual hosts have HTTP/3, why the others do not, and the certificates of those that do.
 *
 * By the parent: check_config finds out all that can be known without running, post_config loads
 * for good. What they find is in each server's h3_config, read-only after post_config.
 */
#ifndef H3_HOSTS_H
#define H3_HOSTS_H

#include "conf/h3_config.h"
#include "conf/h3_retained.h"

/*
 * check_config: sets wants_h3 and off_reason of every host. Logs a warning for each setting that
 * keeps one off, and an error for each mistake (a key that is not the certificate's ...), which
 * makes the whole configuration invalid, as it would be for mod_ssl at the start.
 */
apr_status_t h3_hosts_check(server_rec *main_server, apr_pool_t *pconf, apr_pool_t *ptemp);

/*
 * post_config, after mod_ssl and mod_md: loads certificates and ticket keys. A host that turns out
 * to have no certificate gets an off_reason.
 */
void h3_hosts_load(server_rec *main_server, h3_retained *retained, apr_pool_t *pconf);

/* Takes "h3" out of core's lists, which would offer it in Upgrade fields over TCP. */
void h3_hosts_hide_protocol(server_rec *main_server);

/* Does any host have HTTP/3? */
int h3_hosts_any(const server_rec *main_server);

/*
 * Settings in directories because of which HTTP/3 denies access there (const h3_ssl_setting *), of
 * hosts that have it; in `p`.
 */
apr_array_header_t *h3_hosts_denied(const server_rec *main_server, apr_pool_t *p);

/*
 * That the H3CongestionControl of `s` is not what connections to it have, and why: a sentence with
 * its place, in `p`. NULL: it is, or it was not given.
 */
const char *h3_hosts_cc_fault(server_rec *s, apr_pool_t *p);

/* "www.example.org:443", for messages. */
const char *h3_hosts_name(const server_rec *s, apr_pool_t *p);

/*
 * Loads the certificates only to look at them, in `p`. Errors are those of quic_tls_host_make;
 * APR_ENOENT: there is no certificate.
 */
apr_status_t h3_hosts_try(const quic_tls_host **host, server_rec *s, apr_pool_t *p,
                          const char **whose_fault);

#endif /* H3_HOSTS_H */
