/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_ssl's part in a request over HTTP/3: access checks that fail closed
 * (HTTP/3 never allows what HTTP/1.1 on the same virtual host denies), https as
 * scheme, the environment of scripts, and which virtual hosts may share a
 * connection.
 *
 * The directives are h3_ssl_config's, the variables h3_ssl_var's. Hooks run on workers.
 */
#ifndef H3_SSL_H
#define H3_SSL_H

#include "httpd.h"

void h3_ssl_register_hooks(apr_pool_t *p);

/*
 * pre_config, after mod_ssl.c: our answer to `Require ssl` comes before mod_ssl's. `Require
 * ssl-verify-client` stays mod_ssl's, which denies it on our connections.
 */
void h3_ssl_pre_config(apr_pool_t *pconf);

/*
 * May a request for virtual host `request` be served on a connection whose handshake chose
 * `handshake`? SSLVHostSNIPolicy as mod_ssl reads it; never if `request` has no HTTP/3. 0: answer
 * 421 (RFC 9110 section 15.5.20). SSLStrictSNIVHostCheck (403 where no SNI came) is checked by a
 * post_read_request hook of this file.
 */
int h3_ssl_same_trust(const server_rec *handshake, const server_rec *request);

#endif /* H3_SSL_H */
