/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator reads: the line at the start, `-D DUMP_HTTP3`, and the section in
 * server-status.
 *
 * Each only reads what the configuration and the retained data say; which thread is said below.
 */
#ifndef H3_REPORT_H
#define H3_REPORT_H

#include "conf/h3_config.h"

/* The NOTICE at the start; none if no host wants HTTP/3. Parent, in post_config. */
void h3_report_notice(server_rec *main_server, apr_pool_t *p);

/* test_config: what would be served, on standard output. Parent. */
void h3_report_dump(server_rec *main_server, apr_pool_t *p);

/*
 * The last of check_config: with -D DUMP_HTTP3 but without -t httpd would go on and start. Runs the
 * reports of all modules instead, as -t does, and ends the process. Parent.
 */
void h3_report_alone(server_rec *main_server, apr_pool_t *pconf);

/* mod_status's hook: counters summed over the slots of all children. Any thread. */
int h3_report_status(request_rec *r, int flags);

#endif /* H3_REPORT_H */
