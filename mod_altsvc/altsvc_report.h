/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `apachectl -t -D DUMP_HTTP3` says about advertising: per virtual host the value, how it is
 * sent, and the DNS record (RFC 9460) that says the same to clients before they connect at all.
 *
 * Runs in the parent, once check_config is over.
 */
#ifndef ALTSVC_REPORT_H
#define ALTSVC_REPORT_H

#include "altsvc_config.h"

/* Prints the report on stdout if the server was started with -D DUMP_HTTP3. */
void altsvc_report_print(apr_pool_t *p, server_rec *main_server);

#endif /* ALTSVC_REPORT_H */
