/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mod_ssl's settings of a virtual host come to for HTTP/3: a reason to stay off, or the plan
 * of what quic_tls needs for its certificates.
 *
 * By the parent, in check_config and post_config.
 */
#ifndef H3_SSL_PLAN_H
#define H3_SSL_PLAN_H

#include "httpd.h"
#include "conf/h3_ssl_config.h"
#include "tls/quic_tls.h"

/* check_config, before the others: fills in the groups of every virtual host. */
void h3_ssl_plan_complete(server_rec *main_server, apr_pool_t *pconf);

/*
 * Why HTTP/3 cannot honour the SSL* settings of `s`, in `p`, or NULL. *culprit is the directive, or
 * NULL where none is to blame.
 */
const char *h3_ssl_plan_off_reason(const server_rec *s, apr_pool_t *p,
                                   const h3_ssl_setting **culprit);

/*
 * What quic_tls_host_make needs for this virtual host, but for ticket keys; in `p`. Fills in the
 * policy. With `final` (post_config, after mod_md) certificates that other modules bring are
 * included. APR_ENOENT: there is no certificate; APR_EGENERAL: only a fallback one, with which
 * mod_ssl answers 503.
 */
apr_status_t h3_ssl_plan_make(quic_tls_host_plan *plan, server_rec *s, int final, apr_pool_t *p);

#endif /* H3_SSL_PLAN_H */
