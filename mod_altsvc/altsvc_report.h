/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `apachectl -D DUMP_HTTP3` says about advertising: per virtual host the value, how it is
 * sent, and the DNS record (RFC 9460) that says the same to clients before they connect at all.
 *
 * Runs in the parent, once check_config is over.
 */
#ifndef ALTSVC_REPORT_H
#define ALTSVC_REPORT_H

#include "altsvc_config.h"

/* Prints the report on stdout if the server was started with -D DUMP_HTTP3. */
void altsvc_report_print(apr_pool_t *p, server_rec *main_server);

/*
 * The last of check_config: with -D DUMP_HTTP3 but without -t httpd would go on and start. Runs the
 * reports of all modules, as -t does, and ends the process. Returns where there is nothing to do.
 */
void altsvc_report_alone(apr_pool_t *pconf, server_rec *main_server);

#endif /* ALTSVC_REPORT_H */
