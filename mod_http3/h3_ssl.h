/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mod_ssl world over HTTP/3: the SSL* directives (registered a second time,
 * with mod_ssl's override bits), which of them HTTP/3 cannot honour, SSL_*
 * variables, and access checks that fail closed: HTTP/3 never allows what
 * HTTP/1.1 on the same virtual host denies.
 *
 * Directive handlers run while the configuration is read; hooks on workers.
 */
#ifndef H3_SSL_H
#define H3_SSL_H

#include "httpd.h"
#include "http_config.h"
#include "quic_tls.h"

typedef struct h3_ssl_config h3_ssl_config; /* per server */

h3_ssl_config *h3_ssl_create_server(apr_pool_t *p);
h3_ssl_config *h3_ssl_merge_server(apr_pool_t *p, h3_ssl_config *base, h3_ssl_config *add);
void *h3_ssl_create_dir(apr_pool_t *p, char *dir);
void *h3_ssl_merge_dir(apr_pool_t *p, void *base, void *add);

void h3_ssl_register_hooks(apr_pool_t *p);

/*
 * check_config: an error (logged, with file and line) where SSL* directives are
 * used without mod_ssl; for each virtual host that wants h3 the reason why it cannot have it (a
 * warning with directive, file and line is logged), or NULL.
 */
apr_status_t h3_ssl_check(server_rec *main_server, apr_pool_t *ptemp);
const char *h3_ssl_off_reason(const server_rec *s);
int h3_ssl_is_enabled(const server_rec *s); /* SSLEngine on */

/* post_config: what quic_tls_host_make needs for this virtual host, certificates of mod_md included. */
apr_status_t h3_ssl_host_spec(quic_tls_host_spec *spec, server_rec *s, apr_pool_t *p);

#endif /* H3_SSL_H */
