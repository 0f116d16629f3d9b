/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other modules say of a connection as a whole: those that count and limit connections, or
 * refuse them by their address, do so in the pre_connection and process_connection hooks.
 *
 * These hooks are also httpd's own way from a socket to a protocol. That way is not ours: what
 * httpd itself and its protocols do there is left out, and filters that are added are forgotten,
 * for no byte of a QUIC connection passes c1.
 *
 * Set up in child_init; hooks are asked on a worker.
 */
#ifndef H3_ADMIT_H
#define H3_ADMIT_H

#include "httpd.h"
#include "httpd/h3_csd.h"

/* child_init, when all hooks are there. */
void h3_admit_child_init(void);

/* There are hooks to be asked. */
int h3_admit_is_wanted(void);

/*
 * Asks them, with all that a module may want to find in `c1`; what they put into its conn_config
 * and its notes stays there, and goes with its pool. NULL, or the name of the module that refuses
 * the connection.
 */
const char *h3_admit(conn_rec *c1, h3_csd *csd);

#endif /* H3_ADMIT_H */
