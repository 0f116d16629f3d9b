/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_cid.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "tls/quic_keys.h"

/* One place of the table, 32 bytes. It is free if len is 0, which no ID has that is looked up. */
typedef struct {
    void *conn;
    uint8_t len;
    uint8_t cid[NGTCP2_MAX_CIDLEN];
} table_entry;

#define TABLE_SIZE_MIN 64

/* Open addressing with linear probing; never more than three quarters full. */
struct quic_cid_table {
    table_entry *entries;
    size_t size; /* a power of two */
    size_t count;
    uint8_t key[16];
};

static uint32_t get32(const uint8_t *p);
static void put32(uint8_t *p, uint32_t v);
static uint64_t get64_le(const uint8_t *p, size_t len);
static uint64_t rotate(uint64_t v, int bits);
static void sip_rounds(uint64_t v[4], int n);
static uint64_t siphash(const uint8_t key[16], const uint8_t *in, size_t len);
static size_t table_home(const quic_cid_table *t, const uint8_t *cid, size_t len);
static size_t table_seek(const quic_cid_table *t, const uint8_t *cid, size_t len);
static int table_grow(quic_cid_table *t);

void quic_cid_secret_make(quic_cid_secret *secret)
{
    quic_keys_rand((uint8_t *)secret, sizeof(*secret));
    secret->mask_mul |= 1;
}

uint32_t quic_cid_mask(const quic_cid_secret *secret, uint32_t r)
{
    r = r * secret->mask_mul + secret->mask_add;
    r ^= r >> 15;
    r *= secret->mask_mul;
    r ^= r >> 13;
    return r;
}

void quic_cid_make(ngtcp2_cid *cid, const quic_cid_secret *secret, uint8_t slot, uint8_t epoch)
{
    uint32_t word = (uint32_t)QUIC_CID_MARK << 16 | (uint32_t)slot << 8 | epoch;

    cid->datalen = QUIC_CID_LEN;
    quic_keys_rand(cid->data + 4, QUIC_CID_LEN - 4);
    put32(cid->data, word ^ quic_cid_mask(secret, get32(cid->data + 4)));
}

int quic_cid_parse(const uint8_t *cid, size_t len, const quic_cid_secret *secret, uint8_t *slot,
                   uint8_t *epoch)
{
    uint32_t word;

    if (len < 8) {
        return 0;
    }
    word = get32(cid) ^ quic_cid_mask(secret, get32(cid + 4));
    if (word >> 16 != QUIC_CID_MARK) {
        return 0;
    }
    *slot = (uint8_t)(word >> 8);
    *epoch = (uint8_t)word;
    return 1;
}

void quic_cid_reset_token(uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN],
                          const quic_cid_secret *secret, const uint8_t *cid, size_t len)
{
    uint8_t mac[32];

    if (quic_keys_hmac(mac, secret->reset_key, sizeof(secret->reset_key), cid, len) != 0) {
        /* No memory: a token that nobody can guess, and that no reset will carry. */
        quic_keys_rand(mac, sizeof(mac));
    }
    memcpy(token, mac, NGTCP2_STATELESS_RESET_TOKENLEN);
}

quic_cid_table *quic_cid_table_create(void)
{
    quic_cid_table *t = calloc(1, sizeof(*t));

    if (!t) {
        return NULL;
    }
    t->size = TABLE_SIZE_MIN;
    t->entries = calloc(t->size, sizeof(*t->entries));
    if (!t->entries) {
        free(t);
        return NULL;
    }
    quic_keys_rand(t->key, sizeof(t->key));
    return t;
}

void quic_cid_table_destroy(quic_cid_table *t)
{
    if (t) {
        free(t->entries);
        free(t);
    }
}

int quic_cid_table_add(quic_cid_table *t, const uint8_t *cid, size_t len, void *conn)
{
    table_entry *e;

    if (len == 0 || len > NGTCP2_MAX_CIDLEN || t->entries[table_seek(t, cid, len)].len != 0) {
        return -1;
    }
    if ((t->count + 1) * 4 > t->size * 3 && table_grow(t) != 0) {
        return -1;
    }
    e = &t->entries[table_seek(t, cid, len)];
    e->conn = conn;
    e->len = (uint8_t)len;
    memcpy(e->cid, cid, len);
    ++t->count;
    return 0;
}

void quic_cid_table_remove(quic_cid_table *t, const uint8_t *cid, size_t len)
{
    size_t mask = t->size - 1, hole, i;

    if (len == 0 || len > NGTCP2_MAX_CIDLEN) {
        return;
    }
    hole = table_seek(t, cid, len);
    if (t->entries[hole].len == 0) {
        return;
    }
    /*
     * Instead of a tombstone: an entry that follows the hole in the same run, and whose home is at
     * the hole or before it, moves into it.
     */
    for (i = (hole + 1) & mask; t->entries[i].len != 0; i = (i + 1) & mask) {
        size_t home = table_home(t, t->entries[i].cid, t->entries[i].len);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->entries[hole] = t->entries[i];
            hole = i;
        }
    }
    memset(&t->entries[hole], 0, sizeof(t->entries[hole]));
    --t->count;
}

void *quic_cid_table_find(const quic_cid_table *t, const uint8_t *cid, size_t len)
{
    if (len == 0 || len > NGTCP2_MAX_CIDLEN) {
        return NULL;
    }
    return t->entries[table_seek(t, cid, len)].conn;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* SipHash-2-4, Aumasson and Bernstein, https://www.aumasson.jp/siphash/siphash.pdf */

static uint64_t get64_le(const uint8_t *p, size_t len)
{
    uint64_t v = 0;

    memcpy(&v, p, len);
    return le64toh(v);
}

static uint64_t rotate(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t siphash(const uint8_t key[16], const uint8_t *in, size_t len)
{
    uint64_t k0 = get64_le(key, 8), k1 = get64_le(key + 8, 8), last = (uint64_t)len << 56;
    uint64_t v[4] = { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                      k1 ^ 0x7465646279746573u };

    for (; len >= 8; in += 8, len -= 8) {
        uint64_t m = get64_le(in, 8);
        v[3] ^= m;
        sip_rounds(v, 2);
        v[0] ^= m;
    }
    last |= get64_le(in, len);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t table_home(const quic_cid_table *t, const uint8_t *cid, size_t len)
{
    return (size_t)siphash(t->key, cid, len) & (t->size - 1);
}

/* The place of an ID, or the free one where it would be put. */
static size_t table_seek(const quic_cid_table *t, const uint8_t *cid, size_t len)
{
    size_t i = table_home(t, cid, len);

    while (t->entries[i].len != 0
           && (t->entries[i].len != len || memcmp(t->entries[i].cid, cid, len) != 0)) {
        i = (i + 1) & (t->size - 1);
    }
    return i;
}

static int table_grow(quic_cid_table *t)
{
    quic_cid_table bigger = *t;
    size_t i;

    bigger.size = t->size * 2;
    bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
    if (!bigger.entries) {
        return -1;
    }
    for (i = 0; i < t->size; ++i) {
        const table_entry *e = &t->entries[i];
        if (e->len != 0) {
            bigger.entries[table_seek(&bigger, e->cid, e->len)] = *e;
        }
    }
    free(t->entries);
    *t = bigger;
    return 0;
}
