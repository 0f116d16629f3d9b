/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an MPM does for its connections, done for ours: an id, a thread, a row in the scoreboard,
 * and the state that the event MPM looks for.
 *
 * Set up in child_init. Functions on the thread that has the connection.
 */
#ifndef H3_MPM_H
#define H3_MPM_H

#include "httpd.h"
#include "border/h3_workers.h"

/* child_init, before any thread starts. */
void h3_mpm_child_init(void);

/* The event MPM's hooks copy from its own slot of c1; all zero is what a fresh connection has. */
void h3_mpm_add_state(conn_rec *c);

/*
 * `c` is run by `w`: id, thread, scoreboard row. The row is NULL where the server has too few, or
 * where the parent has not written our number yet.
 */
void h3_mpm_identify(conn_rec *c, const h3_worker *w);

/*
 * Some modules tell by its row that a connection is a client's: one that has none gets the last,
 * for as long as it is asked about. Nothing is written there.
 */
void h3_mpm_lend_row(conn_rec *c);

#endif /* H3_MPM_H */
