/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection IDs of our own making, and the table that finds a connection by
 * them.
 *
 * An id is QUIC_CID_LEN bytes: a 32-bit word W, a random 32-bit word R, and 64
 * more random bits. W xor mask(R, secret) = mark (16 bits) | slot (8) | epoch
 * (8). The mask keeps an observer from reading slot and epoch off the wire; it
 * is no encryption (the steering program has to compute it): who collects many
 * ids of a server can tell that two belong to one child. docs say so.
 * RFC 9000 sections 5.1 and 9.5
 */
#ifndef QUIC_CID_H
#define QUIC_CID_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>

#define QUIC_CID_LEN 16
#define QUIC_CID_MARK 0x6833u /* "h3" */
#define QUIC_SLOTS_MAX 128    /* slot numbers fit the id's 8 bits */

/* Secrets that ids and reset tokens are made with; by the parent, kept over restarts. */
typedef struct quic_cid_secret {
    uint32_t mask_add, mask_mul; /* mask = f(R); mask_mul is odd */
    uint8_t reset_key[32];       /* stateless-reset tokens */
} quic_cid_secret;

void quic_cid_secret_make(quic_cid_secret *secret);

/* The mask of an id with random word R (host order); quic_route compiles the same steps. */
uint32_t quic_cid_mask(const quic_cid_secret *secret, uint32_t r);

/* A fresh id for this slot and epoch. */
void quic_cid_make(ngtcp2_cid *cid, const quic_cid_secret *secret, uint8_t slot, uint8_t epoch);

/* 1 if the bytes carry our mark, with slot and epoch; 0 for a foreign id or less than 8 bytes. */
int quic_cid_parse(const uint8_t *cid, size_t len, const quic_cid_secret *secret, uint8_t *slot,
                   uint8_t *epoch);

/* The stateless-reset token of an id (RFC 9000 section 10.3.2): HMAC of the id. */
void quic_cid_reset_token(uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN],
                          const quic_cid_secret *secret, const uint8_t *cid, size_t len);

/*
 * id -> connection, for one I/O thread. Keyed hash (SipHash or the like with a
 * random key per table), so that ids chosen by clients cannot collide by
 * design. Values are the caller's.
 */
typedef struct quic_cid_table quic_cid_table;
quic_cid_table *quic_cid_table_create(void);
void quic_cid_table_destroy(quic_cid_table *t);
/* 0; -1 if the id is there already (nothing changes) or memory is out. */
int quic_cid_table_add(quic_cid_table *t, const uint8_t *cid, size_t len, void *conn);
void quic_cid_table_remove(quic_cid_table *t, const uint8_t *cid, size_t len);
void *quic_cid_table_find(const quic_cid_table *t, const uint8_t *cid, size_t len);
size_t quic_cid_table_count(const quic_cid_table *t);

#endif /* QUIC_CID_H */
