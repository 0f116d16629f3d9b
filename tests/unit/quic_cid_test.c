/* SPDX-License-Identifier: Apache-2.0 */
/* quic_cid: ids, reset tokens, the table. Includes the .c for its hash, which is static. */
#include "quic/quic_cid.c"

#include "tap.h"

static uint32_t random32(void)
{
    static uint32_t x = 2463534242u; /* xorshift: the same run every time */

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

/* The first rows of the vectors in the reference implementation: key 00..0f, input 00, 01, ... */
static void test_siphash(void)
{
    static const struct {
        size_t len;
        uint64_t hash;
    } vectors[] = {
        { 0, 0x726fdb47dd0e0e31u },  { 1, 0x74f839c593dc67fdu }, { 2, 0x0d6c8009d9a94f5au },
        { 3, 0x85676696d7fb7e2du },  { 4, 0xcf2794e0277187b7u }, { 5, 0x18765564cd99a68du },
        { 6, 0xcbc9466e58fee3ceu },  { 7, 0xab0200f58b01d137u }, { 8, 0x93f5f5799a932462u },
        { 15, 0xa129ca6149be45e5u },
    };
    uint8_t bytes[16];
    size_t i;

    for (i = 0; i < sizeof(bytes); ++i) {
        bytes[i] = (uint8_t)i;
    }
    for (i = 0; i < sizeof(vectors) / sizeof(*vectors); ++i) {
        ok(siphash(bytes, bytes, vectors[i].len) == vectors[i].hash, "SipHash-2-4 of %zu bytes",
           vectors[i].len);
    }
}

static void test_mask(void)
{
    /* Computed with Python from the definition. */
    const quic_cid_secret s = { .mask_add = 0x85ebca77, .mask_mul = 0x9e3779b1 };

    ok(quic_cid_mask(&s, 0) == 0xe6334e03, "mask of 0");
    ok(quic_cid_mask(&s, 1) == 0x1cbd73e2, "mask of 1");
    ok(quic_cid_mask(&s, 0xffffffff) == 0xbf6b5e3b, "mask of 2^32 - 1");
    ok(quic_cid_mask(&s, 0x12345678) == 0xc3adda25, "mask of 0x12345678");
}

static void test_secret(void)
{
    quic_cid_secret a, b;
    int i, odd = 0;

    quic_cid_secret_make(&a);
    for (i = 0; i < 20; ++i) {
        quic_cid_secret_make(&b);
        odd += b.mask_mul & 1;
    }
    is_int(odd, 20, "the factor is odd, so that the mask is a permutation");
    ok(memcmp(a.reset_key, b.reset_key, sizeof(a.reset_key)) != 0, "each secret has its own key");
    ok(a.mask_add != b.mask_add || a.mask_mul != b.mask_mul, "and its own mask");
}

static void test_ids(void)
{
    quic_cid_secret secret, other;
    ngtcp2_cid cid, again;
    uint8_t slot, epoch;
    int s, e, right = 0, lengths = 0, foreign = 0, plain = 0, random_marked = 0;

    quic_cid_secret_make(&secret);
    quic_cid_secret_make(&other);
    for (s = 0; s < 256; ++s) {
        for (e = 0; e < 256; e += 5) {
            quic_cid_make(&cid, &secret, (uint8_t)s, (uint8_t)e);
            lengths += cid.datalen == QUIC_CID_LEN;
            slot = epoch = 0;
            right += quic_cid_parse(cid.data, cid.datalen, &secret, &slot, &epoch) && slot == s
                     && epoch == e;
            foreign += quic_cid_parse(cid.data, cid.datalen, &other, &slot, &epoch);
            plain += cid.data[0] == QUIC_CID_MARK >> 8 && cid.data[1] == (QUIC_CID_MARK & 0xff);
        }
    }
    is_int(right, 256 * 52, "every slot and epoch comes back");
    is_int(lengths, 256 * 52, "all ids are %d bytes long", QUIC_CID_LEN);
    ok(foreign < 8, "ids of another secret are foreign (%d of %d)", foreign, 256 * 52);
    ok(plain < 8, "the mark is not to be seen (%d of %d)", plain, 256 * 52);

    for (s = 0; s < 10000; ++s) {
        quic_keys_rand(cid.data, QUIC_CID_LEN);
        random_marked += quic_cid_parse(cid.data, QUIC_CID_LEN, &secret, &slot, &epoch);
    }
    ok(random_marked < 8, "random ids are foreign (%d of 10000)", random_marked);

    quic_cid_make(&cid, &secret, 3, 7);
    quic_cid_make(&again, &secret, 3, 7);
    ok(memcmp(cid.data, again.data, 4) != 0, "two ids of one child do not begin alike");
    ok(memcmp(cid.data + 8, again.data + 8, 8) != 0, "nor end alike");
    ok(!quic_cid_parse(cid.data, 7, &secret, &slot, &epoch), "7 bytes are no id of ours");
    ok(quic_cid_parse(cid.data, 8, &secret, &slot, &epoch), "8 bytes tell whose it is");
    cid.data[0] ^= 0x80;
    ok(!quic_cid_parse(cid.data, 16, &secret, &slot, &epoch), "one wrong bit makes it foreign");
}

static void test_reset_token(void)
{
    quic_cid_secret secret, other;
    ngtcp2_cid cid;
    uint8_t a[NGTCP2_STATELESS_RESET_TOKENLEN], b[NGTCP2_STATELESS_RESET_TOKENLEN], mac[32];

    quic_cid_secret_make(&secret);
    quic_cid_secret_make(&other);
    quic_cid_make(&cid, &secret, 1, 2);
    quic_cid_reset_token(a, &secret, cid.data, cid.datalen);
    quic_cid_reset_token(b, &secret, cid.data, cid.datalen);
    is_mem(a, b, sizeof(a), "the token of an id is always the same");
    is_int(quic_keys_hmac(mac, secret.reset_key, 32, cid.data, cid.datalen), 0, "HMAC");
    is_mem(a, mac, sizeof(a), "it is the HMAC of the id");
    quic_cid_reset_token(b, &other, cid.data, cid.datalen);
    ok(memcmp(a, b, sizeof(a)) != 0, "with another key it is another");
    cid.data[15] ^= 1;
    quic_cid_reset_token(b, &secret, cid.data, cid.datalen);
    ok(memcmp(a, b, sizeof(a)) != 0, "of another id it is another");
}

static void test_table(void)
{
    quic_cid_table *t = quic_cid_table_create(), *t2 = quic_cid_table_create();
    const uint8_t id[21] = { 1, 2, 3, 4 };
    int x, y, z;

    ok(memcmp(t->key, t2->key, sizeof(t->key)) != 0, "each table hashes with its own key");
    quic_cid_table_destroy(t2);
    ok(!quic_cid_table_find(t, id, 16), "nothing in an empty table");
    quic_cid_table_remove(t, id, 16);
    is_int(t->count, 0, "removing what is not there changes nothing");
    is_int(quic_cid_table_add(t, id, 16, &x), 0, "add");
    is_int(quic_cid_table_add(t, id, 16, &y), -1, "not twice");
    ok(quic_cid_table_find(t, id, 16) == &x, "the first one stays");
    ok(!quic_cid_table_find(t, id, 15), "a prefix is another id");
    is_int(quic_cid_table_add(t, id, 15, &y), 0, "and may be added");
    is_int(quic_cid_table_add(t, id, 20, &z), 0, "20 bytes are the longest");
    is_int(quic_cid_table_add(t, id, 21, &z), -1, "21 are too many");
    is_int(quic_cid_table_add(t, id, 0, &z), -1, "and 0 too few");
    ok(!quic_cid_table_find(t, id, 21) && !quic_cid_table_find(t, id, 0), "nor are they found");
    quic_cid_table_remove(t, id, 0);
    quic_cid_table_remove(t, id, 21);
    is_int(t->count, 3, "three are in it");
    quic_cid_table_remove(t, id, 16);
    ok(!quic_cid_table_find(t, id, 16), "gone");
    ok(quic_cid_table_find(t, id, 15) == &y && quic_cid_table_find(t, id, 20) == &z, "others not");
    quic_cid_table_destroy(t);
}

/* Full tables, so that the search for a prefix often runs into the longer id. */
static void test_prefixes(void)
{
    uint8_t id[45][16];
    int round, i, found = 0;

    for (round = 0; round < 50; ++round) {
        quic_cid_table *t = quic_cid_table_create();

        quic_keys_rand(id[0], sizeof(id));
        for (i = 0; i < 45; ++i) {
            quic_cid_table_add(t, id[i], 16, &round);
        }
        for (i = 0; i < 45; ++i) {
            found += quic_cid_table_find(t, id[i], 15) != NULL;
        }
        quic_cid_table_destroy(t);
    }
    is_int(found, 0, "no prefix of an id is found");
}

/* Random adds and removes against a plain list; few ids at first, so that runs wrap around. */
static void test_table_model(size_t nids, int steps)
{
    struct model {
        uint8_t cid[20];
        size_t len;
        int in;
    } *m = calloc(nids, sizeof(*m));
    quic_cid_table *t = quic_cid_table_create();
    size_t i, k, in = 0;
    int step, wrong = 0;

    for (i = 0; i < nids; ++i) {
        /* Counted up, as a client might: the number makes them differ. */
        m[i].len = 8 + i % 13;
        m[i].cid[0] = (uint8_t)i;
        m[i].cid[1] = (uint8_t)(i >> 8);
        m[i].cid[2] = (uint8_t)(i >> 16);
    }
    for (step = 0; step < steps; ++step) {
        i = random32() % nids;
        if (random32() % 5 < 2) {
            quic_cid_table_remove(t, m[i].cid, m[i].len);
            in -= (size_t)m[i].in;
            m[i].in = 0;
        }
        else {
            wrong += quic_cid_table_add(t, m[i].cid, m[i].len, &m[i]) != (m[i].in ? -1 : 0);
            in += (size_t)!m[i].in;
            m[i].in = 1;
        }
        wrong += t->count != in;
        k = random32() % nids;
        wrong += quic_cid_table_find(t, m[k].cid, m[k].len) != (m[k].in ? &m[k] : NULL);
    }
    for (k = 0; k < nids; ++k) {
        wrong += quic_cid_table_find(t, m[k].cid, m[k].len) != (m[k].in ? &m[k] : NULL);
    }
    is_int(wrong, 0, "%d random steps with %zu ids: as a plain list", steps, nids);
    for (k = 0; k < nids; ++k) {
        quic_cid_table_remove(t, m[k].cid, m[k].len);
    }
    is_int(t->count, 0, "all removed");
    quic_cid_table_destroy(t);
    free(m);
}

int main(void)
{
    test_siphash();
    test_mask();
    test_secret();
    test_ids();
    test_reset_token();
    test_table();
    test_prefixes();
    test_table_model(40, 20000);
    test_table_model(5000, 100000);
    return done_testing();
}
