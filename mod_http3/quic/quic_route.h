/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which child gets a datagram: slots in shared memory, and the classic BPF program that picks the
 * socket of a reuseport group.
 *
 * Life of a slot: FREE -> LIVE (its child accepts new connections) -> DRAINING (it keeps its
 * connections, but no new Initial is steered there) -> FREE.
 *
 * The shared memory is made by the parent (mmap MAP_SHARED, anonymous) and kept over restarts.
 * Slots are claimed and released under a robust mutex in it, which is the only lock between
 * processes: its holder may be killed. No function blocks for longer than a few system calls of
 * another process. Functions that take the route only are for any thread; those that take the
 * group are for one thread of a process, the parent's or a child's I/O thread.
 */
#ifndef QUIC_ROUTE_H
#define QUIC_ROUTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <apr_errno.h>
#include "quic/quic_group.h"

typedef enum { QUIC_SLOT_FREE, QUIC_SLOT_LIVE, QUIC_SLOT_DRAINING } quic_slot_state;

typedef struct quic_route quic_route; /* the shared memory */

/* By the parent, once; nslots, 1 to QUIC_SLOTS_MAX, stays as it is. NULL: errno. */
quic_route *quic_route_create(int nslots);

/* Gives back this process's view of it. */
void quic_route_destroy(quic_route *r);

int quic_route_nslots(const quic_route *r);

/*
 * A child takes the slot to which waiting Initials were steered, or else the lowest one that is
 * free, raises its epoch, makes it LIVE for this generation of the configuration, and attaches the
 * program anew. APR_EAGAIN: no slot is free (try again later).
 */
apr_status_t quic_route_claim(int *slot, uint8_t *epoch, const quic_group *group, pid_t pid,
                              int generation);

/* LIVE -> DRAINING: no new Initial comes here from now on. Attaches anew. */
void quic_route_drain(const quic_group *group, int slot);

/*
 * -> FREE, by the owner at its end, or by the parent for a child that it has reaped. Attaches anew,
 * also where the slot was FREE already.
 */
void quic_route_release(const quic_group *group, int slot);
void quic_route_release_pid(const quic_group *group, pid_t pid);

/*
 * Looks for owners that have died without a word (there is no such process, or it started at
 * another time) and frees their slots. Each child calls it once a second. Returns how many it has
 * freed.
 */
int quic_route_reap(const quic_group *group);

/*
 * Attaches the program to the sockets of every bound listener; the parent calls it after it has
 * opened them, before any fork. A listener for which the kernel refuses it, or would refuse it once
 * it is bound, keeps one socket (quic_listener_unshare), and only slot 0 can be claimed from then
 * on.
 */
void quic_route_attach(const quic_group *group);

/* Attaches anew: by whoever binds a listener after the fork, and whoever sees that it is bound. */
void quic_route_refresh(const quic_group *group);

/* 0 once the kernel has refused the program: only one slot may be claimed at a time then. */
int quic_route_is_steered(const quic_route *r);

/*
 * May a stateless reset be sent for an ID with this slot and epoch? Only if no living child can own
 * it: the slot has another epoch, or is FREE. RFC 9000 section 21.11
 */
int quic_route_owner_is_gone(const quic_route *r, uint8_t slot, uint8_t epoch);

/* Has the slot an owner, LIVE or DRAINING? */
int quic_route_is_used(const quic_route *r, int slot);

/* How many slots are LIVE: 0 means that nothing accepts QUIC now. */
int quic_route_live(const quic_route *r);

#endif /* QUIC_ROUTE_H */
