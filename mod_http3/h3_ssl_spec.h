/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mod_ssl's settings of a virtual host come to for HTTP/3: a reason to stay
 * off, or what quic_tls needs for its certificates.
 *
 * By the parent, while it reads and checks the configuration.
 */
#ifndef H3_SSL_SPEC_H
#define H3_SSL_SPEC_H

#include "httpd.h"
#include "h3_ssl_config.h"
#include "quic_tls.h"

/* check_config: fills in the groups of every virtual host. */
void h3_ssl_spec_complete(server_rec *main_server, apr_pool_t *pconf);

/*
 * Why HTTP/3 cannot honour the SSL* settings of `s`, or NULL. *culprit is the
 * directive, or NULL where none is to blame. In `p`.
 */
const char *h3_ssl_spec_off_reason(const server_rec *s, apr_pool_t *p,
                                   const h3_ssl_setting **culprit);

/*
 * What quic_tls_host_make needs for this virtual host; in `p`. Fills policy in. With `final`
 * (post_config, after mod_md) certificates that other modules bring are included. APR_ENOENT:
 * there is no certificate; APR_EGENERAL: only a fallback one, which mod_ssl answers with 503.
 */
apr_status_t h3_ssl_spec_make(quic_tls_host_spec *spec, server_rec *s, int final, apr_pool_t *p);

#endif /* H3_SSL_SPEC_H */
