/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection IDs of our own making, and the table that finds a connection by its IDs.
 *
 * An ID is QUIC_CID_LEN bytes: a 32-bit word W, a random 32-bit word R, and 64 more random bits.
 * W xor mask(R, secret) = mark (16 bits) | slot (8) | epoch (8). The mask keeps an observer from
 * reading slot and epoch off the wire. It is no encryption, because the steering program has to
 * compute it: somebody who collects many IDs of a server can tell that two belong to one child, as
 * the manual says. RFC 9000 sections 5.1 and 9.5
 *
 * A secret is made by the parent and read by everybody, so functions that take one are for any
 * thread. A table is one I/O thread's.
 */
#ifndef QUIC_CID_H
#define QUIC_CID_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>

#define QUIC_CID_LEN 16
#define QUIC_CID_MARK 0x6833u /* "h3" */
#define QUIC_SLOTS_MAX 128    /* a slot number fits the ID's 8 bits */

/* What IDs and reset tokens are made with; kept over restarts. */
typedef struct quic_cid_secret {
    uint32_t mask_add, mask_mul; /* mask = f(R); mask_mul is odd */
    uint8_t reset_key[32];       /* stateless-reset tokens */
} quic_cid_secret;

void quic_cid_secret_make(quic_cid_secret *secret);

/* The mask of an ID with random word R (host order); quic_route compiles the same steps. */
uint32_t quic_cid_mask(const quic_cid_secret *secret, uint32_t r);

/* A fresh ID for this slot and epoch. */
void quic_cid_make(ngtcp2_cid *cid, const quic_cid_secret *secret, uint8_t slot, uint8_t epoch);

/* 1 if the bytes bear our mark, with slot and epoch; 0 for a foreign ID or fewer than 8 bytes. */
int quic_cid_parse(const uint8_t *cid, size_t len, const quic_cid_secret *secret, uint8_t *slot,
                   uint8_t *epoch);

/* The stateless reset token of an ID, which is its HMAC. RFC 9000 section 10.3.2 */
void quic_cid_reset_token(uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN],
                          const quic_cid_secret *secret, const uint8_t *cid, size_t len);

/*
 * ID -> connection. The hash has a random key of its own in each table (SipHash), so that clients,
 * which choose some of the IDs, cannot make them collide. Values are the caller's, and not NULL.
 */
typedef struct quic_cid_table quic_cid_table;

/* NULL: no memory. */
quic_cid_table *quic_cid_table_create(void);
void quic_cid_table_destroy(quic_cid_table *t);

/* 0; -1 if the ID is there already, too long or empty, or without memory: nothing changes. */
int quic_cid_table_add(quic_cid_table *t, const uint8_t *cid, size_t len, void *conn);

/* An ID that is not there may be removed as well. */
void quic_cid_table_remove(quic_cid_table *t, const uint8_t *cid, size_t len);

/* The connection, or NULL. */
void *quic_cid_table_find(const quic_cid_table *t, const uint8_t *cid, size_t len);

#endif /* QUIC_CID_H */
