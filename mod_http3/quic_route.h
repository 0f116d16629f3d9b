/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which child gets a datagram: slots in shared memory and the classic BPF
 * program that picks the socket of a reuseport group.
 *
 * The shared memory is made by the parent (mmap MAP_SHARED, anonymous) and kept
 * over restarts. Slots are claimed and released under a robust mutex in it, the
 * only lock between processes: its holder may be killed. No function blocks for
 * longer than a few system calls of another process.
 *
 * Life of a slot: FREE -> LIVE (its child accepts new connections) -> DRAINING
 * (keeps its connections, no new Initial is steered there) -> FREE.
 */
#ifndef QUIC_ROUTE_H
#define QUIC_ROUTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/filter.h>
#include <apr_errno.h>
#include "quic_cid.h"
#include "quic_udp.h"

typedef enum { QUIC_SLOT_FREE, QUIC_SLOT_LIVE, QUIC_SLOT_DRAINING } quic_slot_state;

typedef struct quic_route quic_route; /* the shared memory */

/* By the parent, once; nslots <= QUIC_SLOTS_MAX is fixed for its life. NULL: errno. */
quic_route *quic_route_create(int nslots);
int quic_route_nslots(const quic_route *r);

/*
 * A child takes the slot that waiting Initials were steered to, else the lowest
 * free one, raises its epoch, makes it LIVE for `generation`, and re-attaches
 * the program. APR_EAGAIN: no slot is free (try again later).
 */
apr_status_t quic_route_claim(quic_route *r, const quic_cid_secret *secret, pid_t pid,
                              int generation, quic_listener *const *listeners, int nlisteners,
                              int *slot, uint8_t *epoch);

/* LIVE -> DRAINING: no new Initial comes here from now on. Re-attaches. */
void quic_route_drain(quic_route *r, const quic_cid_secret *secret, int slot,
                      quic_listener *const *listeners, int nlisteners);

/*
 * -> FREE, by the owner at its end, or by the parent for a child that it reaped
 * (by pid). Re-attaches, the parent also if the slot was FREE already.
 */
void quic_route_release(quic_route *r, const quic_cid_secret *secret, int slot,
                        quic_listener *const *listeners, int nlisteners);
void quic_route_release_pid(quic_route *r, const quic_cid_secret *secret, pid_t pid,
                            quic_listener *const *listeners, int nlisteners);

/*
 * Looks for owners that died without a word (pid gone, or start time of the
 * process another) and frees their slots. Each child calls it once a second.
 * Returns how many it freed.
 */
int quic_route_reap(quic_route *r, const quic_cid_secret *secret, quic_listener *const *listeners,
                    int nlisteners);

/*
 * Computes and attaches the program to every listener's group; the parent calls
 * it after opening sockets, before any fork. A listener whose group the kernel
 * refuses it keeps one socket (quic_listener_unshare), and only slot 0 can be
 * claimed from then on.
 */
void quic_route_attach(quic_route *r, const quic_cid_secret *secret,
                       quic_listener *const *listeners, int nlisteners);

/* 0 once the kernel has refused the program: then only one slot may be claimed at a time. */
int quic_route_is_steered(const quic_route *r);

/*
 * May a stateless reset be sent for an id with this slot and epoch? Only if no
 * living child can own it: the slot's epoch is another, or the slot is FREE. RFC 9000 section 21.11
 */
int quic_route_owner_is_gone(const quic_route *r, uint8_t slot, uint8_t epoch);

/* Has the slot an owner, LIVE or DRAINING? */
int quic_route_is_used(const quic_route *r, int slot);

/* How many slots are LIVE: 0 means that nothing accepts QUIC now. */
int quic_route_live(const quic_route *r);

/*
 * The pure part: writes the program for these states into prog[], at most
 * QUIC_ROUTE_PROG_MAX instructions, and returns their number. `accepting[]` is
 * the list of slots that get new Initials (LIVE ones of the newest generation,
 * or, if none is, the one slot that the next child will claim), `known[]` those
 * whose ids are steered to them (LIVE and DRAINING).
 */
#define QUIC_ROUTE_PROG_MAX (64 + 4 * QUIC_SLOTS_MAX)
int quic_route_program(struct sock_filter *prog, const quic_cid_secret *secret,
                       const uint8_t *accepting, int naccepting, const uint8_t *known, int nknown);

#endif /* QUIC_ROUTE_H */
