/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other modules may ask mod_http3, as optional functions (apr_optional.h).
 *
 * Retrieve them in an optional_fn_retrieve hook or later; a NULL means that
 * mod_http3 is not loaded. All are safe on any thread once post_config is over
 * and take no lock that another thread holds for long.
 */
#ifndef MOD_HTTP3_H
#define MOD_HTTP3_H

#include "httpd.h"
#include <apr_optional.h>

/*
 * The UDP port (host order) on which a client that came to TCP connection `c`
 * of virtual host `s` finds the same virtual host over HTTP/3. 0 while nothing
 * serves it: no `h3` in its Protocols, HTTP/3 off for another reason, no
 * socket that stands for the TCP address, or no child that accepts QUIC now.
 * `c` may be the HTTP/3 connection itself.
 */
APR_DECLARE_OPTIONAL_FN(apr_port_t, http3_alt_port, (const conn_rec *c, const server_rec *s));

/*
 * The UDP port that the configuration would open for virtual host `s`, 0 if
 * none. For reports made at configtest, when no socket exists yet; valid once
 * check_config is over.
 */
APR_DECLARE_OPTIONAL_FN(apr_port_t, http3_planned_port, (const server_rec *s));

/*
 * Why virtual host `s` has no HTTP/3, as half a sentence for a log line, or
 * NULL if it has. Lives as long as the configuration; valid once check_config
 * is over.
 */
APR_DECLARE_OPTIONAL_FN(const char *, http3_off_reason, (const server_rec *s));

#endif /* MOD_HTTP3_H */
