/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a restart: sockets, slots, secrets, ticket keys and counters, in httpd's retained
 * data.
 *
 * Written by the parent only, in pre_config, open_logs and post_config, which have no threads. A
 * child inherits it by fork; there any thread may read it.
 */
#ifndef H3_RETAINED_H
#define H3_RETAINED_H

#include "quic/quic_group.h"
#include "quic/quic_stats.h"
#include "tls/quic_tls.h"
#include "border/h3_stats.h"

/* The counters of a slot: of the child that has it, and the totals of those that had it before. */
typedef struct h3_retained_stats {
    quic_stats quic;
    h3_stats h3;
} h3_retained_stats;

/*
 * Raise the number whenever the layout of anything below changes, also of what is pointed to:
 * another mod_http3.so may be loaded at a restart, and finds what this one has left. It takes over
 * what has its own layout; the rest this one gives back (h3_retained_release_unclaimed).
 */
#define H3_RETAINED_LAYOUT "mod_http3 layout 6"
typedef struct h3_retained {
    char layout[32]; /* stays the first member */
    quic_group group;
    quic_tls_ticket_keys ticket_keys;
    h3_retained_stats *stats; /* shared memory, one for each slot of the route */
    int generation;           /* of the configuration, raised in each post_config */
    int claimed;              /* AP_SQ_CONFIG_GEN of the last configuration that had the module */
} h3_retained;

/* NULL before anything has been served, and where it has another layout. Any thread. */
h3_retained *h3_retained_get(void);

/*
 * What there is, or else a new one with fresh secrets, a route and counters for `nslots`, and no
 * listeners. NULL: no shared memory, errno says why.
 */
h3_retained *h3_retained_create(int nslots);

/* How many children accept connections now. Any thread. */
int h3_retained_live(void);

/* By the parent: this child has ended, so its slot is free. */
void h3_retained_child_ended(pid_t pid);

/* pre_config: this configuration has the module. */
void h3_retained_claim(void);

/*
 * In each open_logs. If the next configuration is read without the module, or with one of another
 * layout, listeners are closed and all else is given back. A client of a server without HTTP/3 then
 * hears from the kernel that nobody is there, as soon as the old children have ended.
 */
void h3_retained_release_unclaimed(apr_pool_t *plog);

#endif /* H3_RETAINED_H */
