/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of RFC 9001 appendix A and, for the labels, RFC 9369 appendix A;
 * HMAC and HKDF of RFC 4231, 5869 and 8448; AES of FIPS 197. Includes the source:
 * keys and masks are private to it.
 */
#include "tls/quic_keys.c"

#include "rfc9001.h"
#include "tap.h"

/* RFC 9001 section A.2 */
static const char client_header[] = "c300000001088394c8f03e5157080000449e00000002";
/* RFC 9001 section A.3 */
static const char server_header[] = "c1000000010008f067a5502a4262b50040750001";
/* RFC 9369 section A.4 */
static const char retry_v2[] =
    "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6";

/* RFC 9001 section A.5 */
static const char chacha_secret[] =
    "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";

/* Protects one packet as RFC 9001 sections 5.3 and 5.4 say, by the callbacks alone. */
static size_t protect(uint8_t *out, const ngtcp2_callbacks *cb, const protection *p,
                      const char *header, size_t pnlen, uint32_t pn, const uint8_t *payload,
                      size_t len)
{
    ngtcp2_crypto_aead aead = { NULL, 16 };
    uint8_t nonce[IV_LEN], mask[NGTCP2_HP_SAMPLELEN];
    size_t hdlen = unhex(out, header), i;

    memcpy(nonce, p->iv, sizeof(nonce));
    for (i = 0; i < 4; ++i) {
        nonce[IV_LEN - 1 - i] ^= (uint8_t)(pn >> (8 * i));
    }
    memcpy(out + hdlen, payload, len);
    is_int(cb->encrypt(out + hdlen, &aead, &p->aead, out + hdlen, len, nonce, sizeof(nonce), out,
                       hdlen),
           0, "a packet of %zu bytes is sealed in place", hdlen + len + 16);
    cb->hp_mask(mask, NULL, &p->hp, out + hdlen + 4 - pnlen);
    out[0] ^= mask[0] & (out[0] & 0x80 ? 0x0f : 0x1f);
    for (i = 0; i < pnlen; ++i) {
        out[hdlen - pnlen + i] ^= mask[1 + i];
    }
    return hdlen + len + 16;
}

static void test_hkdf(void)
{
    uint8_t key[128], data[128], out[64];
    size_t len;

    len = unhex(key, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    is_int(quic_keys_hmac(out, key, len, (const uint8_t *)"Hi There", 8), 0, "HMAC works");
    is_hex(out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
           "RFC 4231, test case 1");
    quic_keys_hmac(out, (const uint8_t *)"Jefe", 4, (const uint8_t *)"what do ya want for nothing?",
                   28);
    is_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
           "RFC 4231, test case 2");

    /* HKDF-Extract is HMAC with the salt for a key. RFC 9001 section A.1 */
    quic_keys_hmac(key, versions[0].salt, sizeof(versions[0].salt), data, unhex(data, DCID));
    is_hex(key, "7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44",
           "initial secret");
    is_int(expand_label(out, 32, EVP_sha256(), key, 32, "client in"), 0, "expanded");
    is_hex(out, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
           "client initial secret");
    expand_label(out, 32, EVP_sha256(), key, 32, "server in");
    is_hex(out, "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
           "server initial secret");

    /* RFC 8448 section 3: the server's handshake traffic secret to its key and IV */
    unhex(key, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    expand_label(out, 16, EVP_sha256(), key, 32, "key");
    is_hex(out, "3fce516009c21727d0f2e4e86ee403bc", "RFC 8448, server handshake key");
    expand_label(out, 12, EVP_sha256(), key, 32, "iv");
    is_hex(out, "5d313eb2671276ee13000b30", "RFC 8448, server handshake IV");

    is_int(expand_label(out, 48, EVP_sha384(), key, 48, "quic ku"), 0, "SHA-384 works");
    memset(data, 'x', sizeof(data));
    is_int(expand_label(out, 32, EVP_sha256(), key, 32,
                        "a label longer than the eight bits that its length has: ............"
                        "....................................................................."
                        "....................................................................."
                        "...................................................................."),
           -1, "an overlong label is refused");
}

/* One row of RFC 9001 A.1, A.5 or RFC 9369 A.1, A.5: what a secret becomes. */
static void test_keys(const char *what, uint32_t version, int chacha, const char *secret,
                      const char *key, const char *iv, const char *hp, const char *ku)
{
    const quic_version *v = version_of(version);
    const quic_suite *suite = &suites[chacha ? 2 : 0];
    uint8_t s[32], out[32];
    size_t keylen = strlen(key) / 2;

    diag(what);
    unhex(s, secret);
    expand_label(out, keylen, suite->md(), s, sizeof(s), v->key);
    is_hex(out, key, "key");
    expand_label(out, IV_LEN, suite->md(), s, sizeof(s), v->iv);
    is_hex(out, iv, "iv");
    expand_label(out, keylen, suite->md(), s, sizeof(s), v->hp);
    is_hex(out, hp, "header protection key");
    if (ku) {
        expand_label(out, sizeof(out), suite->md(), s, sizeof(s), v->ku);
        is_hex(out, ku, "secret of the next key phase");
    }
}

static void test_initial_packets(const ngtcp2_callbacks *cb)
{
    protection client, server;
    ngtcp2_crypto_aead aead = { NULL, 16 };
    ngtcp2_cid dcid = { 8, { 0 } };
    uint8_t payload[1200], out[1300], again[1300];
    size_t len;

    unhex(dcid.data, DCID);
    is_int(initial_new(&client, &server, version_of(NGTCP2_PROTO_VER_V1), &dcid), 0,
           "initial keys");

    memset(payload, 0, sizeof(payload));
    unhex(payload, "060040f1");
    unhex(payload + 4, client_hello);
    len = protect(out, cb, &client, client_header, 4, 2, payload, 1162);
    is_int(len, 1200, "a client's Initial fills its datagram");
    is_hex(out, client_packet, "RFC 9001 A.2, client Initial");

    len = protect(out, cb, &server, server_header, 2, 1, payload, unhex(payload, server_payload));
    is_int(len, strlen(server_packet) / 2, "length of the server's Initial");
    is_hex(out, server_packet, "RFC 9001 A.3, server Initial");

    /* And back: AAD is the header before its protection. */
    unhex(again, server_header);
    memcpy(payload, server.iv, IV_LEN);
    payload[IV_LEN - 1] ^= 1;
    is_int(cb->decrypt(again + 20, &aead, &server.aead, out + 20, len - 20, payload, IV_LEN, again,
                       20),
           0, "opens");
    is_hex(again + 20, server_payload, "to what was sealed");
    out[len - 1] ^= 1;
    is_int(cb->decrypt(again + 20, &aead, &server.aead, out + 20, len - 20, payload, IV_LEN, again,
                       20),
           NGTCP2_ERR_DECRYPT, "a forged tag does not open");
    is_int(ERR_peek_error(), 0, "and leaves no error behind");
    is_int(cb->decrypt(again, &aead, &server.aead, out, 15, payload, IV_LEN, again, 0),
           NGTCP2_ERR_DECRYPT, "less than a tag does not open");
    protection_free(&client);
    protection_free(&server);
    ok(!client.aead.native_handle && !client.hp.native_handle, "freed handles are NULL");
}

static void test_chacha_packet(const ngtcp2_callbacks *cb)
{
    protection p;
    uint8_t secret[32], out[64], payload[] = { 1 };
    size_t len;

    unhex(secret, chacha_secret);
    is_int(protection_new(&p, version_of(NGTCP2_PROTO_VER_V1), &suites[2], secret, 32), 0,
           "ChaCha20 keys");
    len = protect(out, cb, &p, "4200bff4", 3, 654360564, payload, sizeof(payload));
    is_int(len, 21, "the smallest packet");
    is_hex(out, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb", "RFC 9001 A.5, ChaCha20 packet");
    protection_free(&p);
}

/* FIPS 197 appendix C: the mask is one block of AES. */
static void test_hp_aes(const ngtcp2_callbacks *cb)
{
    static const struct {
        unsigned bits;
        const char *key, *mask;
    } rows[] = {
        { 128, "000102030405060708090a0b0c0d0e0f", "69c4e0d86a" },
        { 256, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "8ea2b7ca51" },
    };
    uint8_t key[32], sample[16], mask[NGTCP2_HP_SAMPLELEN];
    hp_key hp = { 0 };
    ngtcp2_crypto_cipher_ctx ctx = { &hp };
    size_t i;

    unhex(sample, "00112233445566778899aabbccddeeff");
    for (i = 0; i < 2; ++i) {
        unhex(key, rows[i].key);
        AES_set_encrypt_key(key, rows[i].bits, &hp.key.aes);
        is_int(cb->hp_mask(mask, NULL, &ctx, sample), 0, "mask with AES-%u", rows[i].bits);
        is_hex(mask, rows[i].mask, "as in FIPS 197");
    }
}

/* Each suite with its own hash, key lengths and header protection: what it seals, it opens. */
static void test_suites(const ngtcp2_callbacks *cb)
{
    static const size_t hash_len[] = { 32, 48, 32 };
    uint8_t secret[48], out[64], payload[16] = "sixteen bytes...", nonce[IV_LEN] = { 7 };
    ngtcp2_crypto_ctx ctx;
    protection p;
    size_t i;

    quic_keys_rand(secret, sizeof(secret));
    for (i = 0; i < 3; ++i) {
        describe_suite(&ctx, &suites[i]);
        is_int(ctx.aead.max_overhead, 16, "tag of 16 bytes");
        is_int(EVP_MD_size(ctx.md.native_handle), hash_len[i], "hash");
        ok(ctx.max_encryption >= 1 << 23 && ctx.max_decryption_failure >= 1ULL << 36, "limits");
        is_int(protection_new(&p, &versions[0], &suites[i], secret, hash_len[i]), 0, "keys");
        cb->encrypt(out, &ctx.aead, &p.aead, payload, 16, nonce, IV_LEN, nonce, 1);
        ok(memcmp(out, payload, 16) != 0, "sealed");
        is_int(cb->decrypt(out, &ctx.aead, &p.aead, out, 32, nonce, IV_LEN, nonce, 1), 0, "opened");
        is_mem(out, payload, 16, "in place");
        cb->delete_crypto_aead_ctx(NULL, &p.aead, NULL);
        cb->delete_crypto_cipher_ctx(NULL, &p.hp, NULL);
    }
}

/* RFC 9001 section 5.8: the tag seals nothing, with the pseudo-packet for associated data. */
static void test_retry_tag(const ngtcp2_callbacks *cb, uint32_t version, const char *nonce,
                           const char *packet)
{
    ngtcp2_crypto_aead aead = { (void *)EVP_aead_aes_128_gcm(), 16 };
    const quic_version *v = version_of(version);
    ngtcp2_crypto_aead_ctx ctx = { EVP_AEAD_CTX_new(
        EVP_aead_aes_128_gcm(), (const uint8_t *)v->retry_key, 16, EVP_AEAD_DEFAULT_TAG_LENGTH) };
    uint8_t pseudo[128] = { 8 }, tag[16];
    size_t len;

    unhex(pseudo + 1, DCID);
    len = unhex(pseudo + 9, packet) - sizeof(tag);
    is_int(cb->encrypt(tag, &aead, &ctx, (const uint8_t *)"", 0, (const uint8_t *)nonce, 12, pseudo,
                       9 + len),
           0, "integrity tag of a Retry of version %08x", version);
    is_mem(tag, pseudo + 9 + len, sizeof(tag), "is the sample's");
    cb->delete_crypto_aead_ctx(NULL, &ctx, NULL);
}

static void test_rand(void)
{
    uint8_t a[32], b[32];

    quic_keys_rand(a, sizeof(a));
    quic_keys_rand(b, sizeof(b));
    ok(memcmp(a, b, sizeof(a)) != 0, "random bytes differ");
}

int main(void)
{
    ngtcp2_callbacks cb;

    memset(&cb, 0, sizeof(cb));
    quic_keys_callbacks(&cb);
    test_hkdf();
    test_keys("RFC 9001 A.1, client", NGTCP2_PROTO_VER_V1, 0,
              "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
              "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c",
              "9f50449e04a0e810283a1e9933adedd2", NULL);
    test_keys("RFC 9001 A.1, server", NGTCP2_PROTO_VER_V1, 0,
              "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
              "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e",
              "c206b8d9b9f0f37644430b490eeaa314", NULL);
    test_keys("RFC 9001 A.5", NGTCP2_PROTO_VER_V1, 1, chacha_secret,
              "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8",
              "e0459b3474bdd0e44a41c144",
              "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
              "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
    test_keys("RFC 9369 A.1, client", NGTCP2_PROTO_VER_V2, 0,
              "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b",
              "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f",
              "45b95e15235d6f45a6b19cbcb0294ba9", NULL);
    test_keys("RFC 9369 A.5", NGTCP2_PROTO_VER_V2, 1, chacha_secret,
              "3bfcddd72bcf02541d7fa0dd1f5f9eeea817e09a6963a0e6c7df0f9a1bab90f2",
              "a6b5bc6ab7dafce30ffff5dd",
              "d659760d2ba434a226fd37b35c69e2da8211d10c4f12538787d65645d5d1b8e2",
              "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88");
    test_initial_packets(&cb);
    test_chacha_packet(&cb);
    test_hp_aes(&cb);
    test_suites(&cb);
    test_retry_tag(&cb, NGTCP2_PROTO_VER_V1, NGTCP2_RETRY_NONCE_V1, retry_v1);
    test_retry_tag(&cb, NGTCP2_PROTO_VER_V2, NGTCP2_RETRY_NONCE_V2, retry_v2);
    test_rand();
    return done_testing();
}
