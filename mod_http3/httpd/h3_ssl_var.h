/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSL_* variables of our connections: for expressions, ap_ssl_var_lookup (mod_rewrite, mod_headers
 * ...), log formats and the environment of scripts. mod_ssl goes on answering for its own.
 *
 * On workers; expressions are also parsed while the configuration is read.
 */
#ifndef H3_SSL_VAR_H
#define H3_SSL_VAR_H

#include "httpd.h"

void h3_ssl_var_register_hooks(apr_pool_t *p);

/* pre_config, after mod_ssl.c and mod_log_config.c: the log formats %{...}x and %{...}c. */
void h3_ssl_var_pre_config(apr_pool_t *pconf);

/*
 * The value of an SSL_* variable, or of "HTTPS", in `p`, as mod_ssl would give it for TLS 1.3
 * without a client certificate. "" if it has none; NULL if `c` is not ours or the variable is not a
 * connection's.
 *
 * With `r`, a variable that mod_ssl could answer and we cannot is remembered:
 * h3_ssl_var_unanswered() names it from then on, NULL: there was none.
 */
const char *h3_ssl_var(apr_pool_t *p, const conn_rec *c, request_rec *r, const char *name);
const char *h3_ssl_var_unanswered(const request_rec *r);

/* Fills `env` as SSLOptions +StdEnvVars and +ExportCertData do. */
void h3_ssl_var_std_env(apr_table_t *env, request_rec *r);
void h3_ssl_var_cert_env(apr_table_t *env, request_rec *r);

#endif /* H3_SSL_VAR_H */
