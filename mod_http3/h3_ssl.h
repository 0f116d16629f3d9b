/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mod_ssl world over HTTP/3: SSL_* variables, access checks that fail
 * closed (HTTP/3 never allows what HTTP/1.1 on the same virtual host denies),
 * the environment of scripts, and which virtual hosts may share a connection.
 *
 * The directives behind it are in h3_ssl_config. Hooks run on workers, except
 * where a comment says otherwise.
 */
#ifndef H3_SSL_H
#define H3_SSL_H

#include "httpd.h"
#include "http_config.h"
#include "h3_ssl_config.h"
#include "quic_tls.h"

void h3_ssl_register_hooks(apr_pool_t *p);

/*
 * pre_config, after mod_ssl.c and mod_log_config.c: puts our answer before
 * mod_ssl's for `Require ssl`, `Require ssl-verify-client` and the log formats
 * %{...}x and %{...}c; connections of mod_ssl go on being answered by mod_ssl.
 */
void h3_ssl_pre_config(apr_pool_t *pconf);

/*
 * May a request for virtual host `request` be served on a connection whose
 * handshake chose `handshake`? SSLVHostSNIPolicy as mod_ssl reads it; never if
 * `request` has no HTTP/3. 0: answer 421 (RFC 9110 section 15.5.20).
 * SSLStrictSNIVHostCheck (403 where no SNI came) is checked by a
 * post_read_request hook of this file.
 */
int h3_ssl_same_trust(const server_rec *handshake, const server_rec *request);

/*
 * The value of an SSL_* variable (or "HTTPS") on one of our connections, as
 * mod_ssl would give it for TLS 1.3 without a client certificate, in `p`. "" if
 * it has none; NULL if `c` is not ours. With `r`, a variable that mod_ssl could answer and we
 * cannot is remembered: the request is denied in fixups, for a negated condition
 * may have taken the emptiness for a permission.
 */
const char *h3_ssl_var(apr_pool_t *p, const conn_rec *c, request_rec *r, const char *name);

#endif /* H3_SSL_H */
