/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O thread of one child: its turns, the slot that it serves in, the drain at a graceful end.
 *
 * One per process. It owns every quic_conn and h3_session, and never blocks but in h3_poll. The
 * functions here are for other threads.
 */
#ifndef H3_CHILD_H
#define H3_CHILD_H

#include "conf/h3_config.h"

/*
 * In child_init, REALLY_LAST: starts workers and the I/O thread, which claims a slot as soon as the
 * MPM runs. Registers the drain as a pre_cleanup of pchild. An errno, or APR_ENOMEM.
 */
apr_status_t h3_child_start(apr_pool_t *pchild, server_rec *s);

/*
 * From the child_stopping hook; any thread, more than once; sets a flag and returns. Not graceful:
 * requests are cut.
 */
void h3_child_stopping(int graceful);

#endif /* H3_CHILD_H */
