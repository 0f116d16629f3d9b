/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator reads: the line at the start, `-t -D DUMP_HTTP3`, and
 * the section in server-status.
 */
#ifndef H3_REPORT_H
#define H3_REPORT_H

#include "h3_config.h"

/* The NOTICE at the start; nothing if nobody wants HTTP/3. Parent, in post_config. */
void h3_report_notice(server_rec *main_server, apr_pool_t *p);

/* test_config: what would be served, on standard output. */
void h3_report_dump(server_rec *main_server, apr_pool_t *p);

/* mod_status's hook: counters summed over the slots of all children. Any thread. */
int h3_report_status(request_rec *r, int flags);

#endif /* H3_REPORT_H */
