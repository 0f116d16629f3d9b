/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which virtual hosts have HTTP/3, why the others have not, and the
 * certificates of those that have.
 *
 * By the parent: check_config finds out all that can be known without running,
 * post_config loads for good.
 */
#ifndef H3_HOSTS_H
#define H3_HOSTS_H

#include "h3_config.h"

/*
 * check_config: sets wants_h3 and off_reason of every host, logs a warning for
 * each setting that keeps one off, an error for each mistake (a key that is not the certificate's
 * ...), which makes the whole configuration invalid as it would be for mod_ssl at the start.
 */
apr_status_t h3_hosts_check(server_rec *main_server, apr_pool_t *pconf, apr_pool_t *ptemp);

/*
 * post_config, after mod_ssl and mod_md: loads certificates and ticket keys. A host
 * that turns out to have none gets an off_reason.
 */
void h3_hosts_load(server_rec *main_server, h3_retained *retained, apr_pool_t *pconf);

/* Takes "h3" out of core's lists, which would offer it in Upgrade fields over TCP. */
void h3_hosts_hide_protocol(server_rec *main_server);

/* Does anybody have HTTP/3? */
int h3_hosts_any(const server_rec *main_server);

/* "www.example.org:443", for messages. */
const char *h3_hosts_name(const server_rec *s, apr_pool_t *p);

/* Loads the certificates for a look at them only, in `p`. As quic_tls_host_make. */
apr_status_t h3_hosts_try(const quic_tls_host **host, server_rec *s, apr_pool_t *p,
                          const char **whose_fault);

#endif /* H3_HOSTS_H */
