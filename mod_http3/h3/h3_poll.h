/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the I/O thread of a child waits for: datagrams at the sockets of its slot, room in those
 * that were full, the bell, and time.
 *
 * One per child, for as long as the process lives. It is made by the child's main thread and used
 * by the I/O thread only.
 */
#ifndef H3_POLL_H
#define H3_POLL_H

#include <stdint.h>
#include <apr_errno.h>
#include "border/h3_bell.h"
#include "quic/quic_endpoint.h"
#include "quic/quic_group.h"

typedef struct h3_poll h3_poll;

/* `group` and `bell` outlive it. An errno, or APR_ENOMEM; nothing is open then. */
apr_status_t h3_poll_create(h3_poll **poll, const quic_group *group, h3_bell *bell);
void h3_poll_destroy(h3_poll *poll);

/* From here on the sockets of `slot` are waited for, too. 0, or -1 with errno. */
int h3_poll_serve(h3_poll *poll, int slot);

/* Returns when something has come, or after `ns` nanoseconds, or a little later. */
void h3_poll_wait(h3_poll *poll, uint64_t ns);

/* Has the endpoint read the sockets at which something has come, and go on where one was full. */
void h3_poll_deliver(h3_poll *poll, quic_endpoint *ep);

#endif /* H3_POLL_H */
