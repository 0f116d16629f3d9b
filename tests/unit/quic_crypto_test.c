/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of RFC 9001 appendix A and, for the labels, RFC 9369 appendix A;
 * HMAC and HKDF of RFC 4231, 5869 and 8448; AES of FIPS 197. Includes the source:
 * keys and masks are private to it.
 */
#include "../../mod_http3/quic_crypto.c"

#include "tap.h"

#define DCID "8394c8f03e515708"

/* RFC 9001 section A.2 */
static const char client_hello[] =
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c0000041301"
    "1302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d00170018"
    "00100007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fed"
    "ba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408"
    "050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801"
    "100104800075300901100f088394c8f03e51570806048000ffff";
static const char client_header[] = "c300000001088394c8f03e5157080000449e00000002";
static const char client_packet[] =
    "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"
    "d242b123dc9bd8bab936b47d92ec356c0bab7df5976d27cd449f63300099f399"
    "1c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cadb8e7378c"
    "8eb7539ec4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df6212"
    "30c83711b39343fa028cea7f7fb5ff89eac2308249a02252155e2347b63d58c5"
    "457afd84d05dfffdb20392844ae812154682e9cf012f9021a6f0be17ddd0c208"
    "4dce25ff9b06cde535d0f920a2db1bf362c23e596d11a4f5a6cf3948838a3aec"
    "4e15daf8500a6ef69ec4e3feb6b1d98e610ac8b7ec3faf6ad760b7bad1db4ba3"
    "485e8a94dc250ae3fdb41ed15fb6a8e5eba0fc3dd60bc8e30c5c4287e53805db"
    "059ae0648db2f64264ed5e39be2e20d82df566da8dd5998ccabdae053060ae6c"
    "7b4378e846d29f37ed7b4ea9ec5d82e7961b7f25a9323851f681d582363aa5f8"
    "9937f5a67258bf63ad6f1a0b1d96dbd4faddfcefc5266ba6611722395c906556"
    "be52afe3f565636ad1b17d508b73d8743eeb524be22b3dcbc2c7468d54119c74"
    "68449a13d8e3b95811a198f3491de3e7fe942b330407abf82a4ed7c1b311663a"
    "c69890f4157015853d91e923037c227a33cdd5ec281ca3f79c44546b9d90ca00"
    "f064c99e3dd97911d39fe9c5d0b23a229a234cb36186c4819e8b9c5927726632"
    "291d6a418211cc2962e20fe47feb3edf330f2c603a9d48c0fcb5699dbfe58964"
    "25c5bac4aee82e57a85aaf4e2513e4f05796b07ba2ee47d80506f8d2c25e50fd"
    "14de71e6c418559302f939b0e1abd576f279c4b2e0feb85c1f28ff18f58891ff"
    "ef132eef2fa09346aee33c28eb130ff28f5b766953334113211996d20011a198"
    "e3fc433f9f2541010ae17c1bf202580f6047472fb36857fe843b19f5984009dd"
    "c324044e847a4f4a0ab34f719595de37252d6235365e9b84392b061085349d73"
    "203a4a13e96f5432ec0fd4a1ee65accdd5e3904df54c1da510b0ff20dcc0c77f"
    "cb2c0e0eb605cb0504db87632cf3d8b4dae6e705769d1de354270123cb11450e"
    "fc60ac47683d7b8d0f811365565fd98c4c8eb936bcab8d069fc33bd801b03ade"
    "a2e1fbc5aa463d08ca19896d2bf59a071b851e6c239052172f296bfb5e724047"
    "90a2181014f3b94a4e97d117b438130368cc39dbb2d198065ae3986547926cd2"
    "162f40a29f0c3c8745c0f50fba3852e566d44575c29d39a03f0cda721984b6f4"
    "40591f355e12d439ff150aab7613499dbd49adabc8676eef023b15b65bfc5ca0"
    "6948109f23f350db82123535eb8a7433bdabcb909271a6ecbcb58b936a88cd4e"
    "8f2e6ff5800175f113253d8fa9ca8885c2f552e657dc603f252e1a8e308f76f0"
    "be79e2fb8f5d5fbbe2e30ecadd220723c8c0aea8078cdfcb3868263ff8f09400"
    "54da48781893a7e49ad5aff4af300cd804a6b6279ab3ff3afb64491c85194aab"
    "760d58a606654f9f4400e8b38591356fbf6425aca26dc85244259ff2b19c41b9"
    "f96f3ca9ec1dde434da7d2d392b905ddf3d1f9af93d1af5950bd493f5aa731b4"
    "056df31bd267b6b90a079831aaf579be0a39013137aac6d404f518cfd4684064"
    "7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241"
    "e221af44860018ab0856972e194cd934";

/* RFC 9001 section A.3 */
static const char server_payload[] =
    "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739"
    "88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94"
    "0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304";
static const char server_header[] = "c1000000010008f067a5502a4262b50040750001";
static const char server_packet[] =
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a"
    "5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3"
    "dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
    "022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";

/* RFC 9001 section A.4, RFC 9369 section A.4 */
static const char retry_v1[] =
    "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba";
static const char retry_v2[] =
    "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6";

/* RFC 9001 section A.5 */
static const char chacha_secret[] =
    "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";

/* A test's own end of a connection: its CRYPTO data as ngtcp2 handed it over. */
typedef struct capture {
    uint8_t data[512];
    size_t len;
    ngtcp2_encryption_level level;
} capture;

static size_t unhex(uint8_t *out, const char *hex)
{
    size_t len = strlen(hex) / 2, i;
    unsigned int byte;

    for (i = 0; i < len; ++i) {
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
    return len;
}

static int is_hex(const uint8_t *got, const char *want, const char *name)
{
    uint8_t buf[2048];

    return is_mem(got, buf, unhex(buf, want), "%s", name);
}

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
    is_int(quic_crypto_hmac(out, key, len, (const uint8_t *)"Hi There", 8), 0, "HMAC works");
    is_hex(out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
           "RFC 4231, test case 1");
    quic_crypto_hmac(out, (const uint8_t *)"Jefe", 4,
                     (const uint8_t *)"what do ya want for nothing?", 28);
    is_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
           "RFC 4231, test case 2");

    /* HKDF-Extract is HMAC with the salt for a key. RFC 9001 section A.1 */
    quic_crypto_hmac(key, versions[0].salt, sizeof(versions[0].salt), data, unhex(data, DCID));
    is_hex(key, "7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44",
           "initial secret");
    is_int(quic_crypto_expand_label(out, 32, 0, key, 32, "client in"), 0, "expanded");
    is_hex(out, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
           "client initial secret");
    quic_crypto_expand_label(out, 32, 0, key, 32, "server in");
    is_hex(out, "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
           "server initial secret");

    /* RFC 8448 section 3: the server's handshake traffic secret to its key and IV */
    unhex(key, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    quic_crypto_expand_label(out, 16, 0, key, 32, "key");
    is_hex(out, "3fce516009c21727d0f2e4e86ee403bc", "RFC 8448, server handshake key");
    quic_crypto_expand_label(out, 12, 0, key, 32, "iv");
    is_hex(out, "5d313eb2671276ee13000b30", "RFC 8448, server handshake IV");

    is_int(quic_crypto_expand_label(out, 48, 1, key, 48, "quic ku"), 0, "SHA-384 works");
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

    quic_crypto_rand(secret, sizeof(secret));
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

static int capture_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
                               const uint8_t *data, size_t datalen, void *user_data)
{
    capture *c = user_data;

    (void)conn;
    if (offset + datalen > sizeof(c->data)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    memcpy(c->data + offset, data, datalen);
    c->len = offset + datalen;
    c->level = level;
    return 0;
}

static void rand_bytes(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void)ctx;
    quic_crypto_rand(dest, len);
}

static int new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                   size_t cidlen, void *user_data)
{
    (void)conn;
    (void)user_data;
    cid->datalen = cidlen;
    quic_crypto_rand(cid->data, cidlen);
    quic_crypto_rand(token->data, sizeof(token->data));
    return 0;
}

static void conn_defaults(ngtcp2_callbacks *cb, ngtcp2_settings *settings,
                          ngtcp2_transport_params *params)
{
    memset(cb, 0, sizeof(*cb));
    quic_crypto_callbacks(cb);
    cb->rand = rand_bytes;
    cb->get_new_connection_id2 = new_cid;
    cb->recv_crypto_data = capture_crypto_data;
    ngtcp2_settings_default(settings);
    settings->initial_ts = 1;
    ngtcp2_transport_params_default(params);
}

static void set_path(ngtcp2_path_storage *ps)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = 1 };

    ngtcp2_path_storage_init(ps, (ngtcp2_sockaddr *)&addr, sizeof(addr), (ngtcp2_sockaddr *)&addr,
                             sizeof(addr), NULL);
}

/* The sample Initial of a client, read by a server's connection. */
static void test_server_conn(void)
{
    ngtcp2_callbacks cb;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_path_storage ps;
    ngtcp2_cid client = { 0, { 0 } }, server = { 8, { 1 } };
    ngtcp2_conn *conn = NULL;
    quic_crypto qc;
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_method());
    SSL *ssl;
    capture seen = { .len = 0 };
    uint8_t packet[1500];

    quic_crypto_ctx_init(ssl_ctx);
    ssl = SSL_new(ssl_ctx);
    conn_defaults(&cb, &settings, &params);
    set_path(&ps);
    params.original_dcid_present = 1;
    params.original_dcid.datalen = unhex(params.original_dcid.data, DCID);
    is_int(ngtcp2_conn_server_new(&conn, &client, &server, &ps.path, NGTCP2_PROTO_VER_V1, &cb,
                                  &settings, &params, NULL, &seen),
           0, "server's connection");
    quic_crypto_attach(&qc, conn, ssl, 1);
    ok(ngtcp2_conn_get_tls_native_handle(conn) == &qc && SSL_get_app_data(ssl) == &qc
           && SSL_is_server(ssl),
       "tied together");
    is_int(ngtcp2_conn_read_pkt(conn, &ps.path, NULL, packet, unhex(packet, client_packet), 2), 0,
           "RFC 9001 A.2 is read");
    is_int(seen.len, strlen(client_hello) / 2, "its ClientHello comes out");
    is_hex(seen.data, client_hello, "unchanged");
    is_int(seen.level, NGTCP2_ENCRYPTION_LEVEL_INITIAL, "at its level");
    ngtcp2_conn_del(conn);
    SSL_free(ssl);
    SSL_CTX_free(ssl_ctx);
}

/* A client with the sample's connection IDs, its first datagram sent. */
typedef struct client {
    ngtcp2_conn *conn;
    SSL_CTX *ctx;
    SSL *ssl;
    quic_crypto crypto;
    ngtcp2_path_storage path;
    capture seen;
} client;

static void make_client(client *c)
{
    ngtcp2_callbacks cb;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid dcid = { 8, { 0 } }, scid = { 0, { 0 } };
    uint8_t packet[1500];

    memset(c, 0, sizeof(*c));
    c->ctx = SSL_CTX_new(TLS_method());
    quic_crypto_ctx_init(c->ctx);
    c->ssl = SSL_new(c->ctx);
    SSL_set_alpn_protos(c->ssl, (const uint8_t *)"\x02h3", 3);
    SSL_set1_curves_list(c->ssl, "X25519"); /* a ClientHello of one packet */
    conn_defaults(&cb, &settings, &params);
    set_path(&c->path);
    unhex(dcid.data, DCID);
    ngtcp2_conn_client_new(&c->conn, &dcid, &scid, &c->path.path, NGTCP2_PROTO_VER_V1, &cb,
                           &settings, &params, NULL, &c->seen);
    quic_crypto_attach(&c->crypto, c->conn, c->ssl, 0);
    is_int(ngtcp2_conn_write_pkt(c->conn, &c->path.path, NULL, packet, sizeof(packet), 2), 1200,
           "client's first datagram");
}

static void free_client(client *c)
{
    ngtcp2_conn_del(c->conn);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
}

static void test_client_initial(int damage)
{
    uint8_t packet[1500];
    size_t len = unhex(packet, server_packet);
    client c;

    make_client(&c);
    packet[len - 1] ^= (uint8_t)damage;
    is_int(ngtcp2_conn_read_pkt(c.conn, &c.path.path, NULL, packet, len, 3), 0,
           "RFC 9001 A.3 is read");
    is_int(c.seen.len, damage ? 0 : 90, damage ? "not with a wrong tag" : "its ServerHello");
    if (c.seen.len > 0) {
        is_hex(c.seen.data, server_payload + 2 * 9, "comes out unchanged");
    }
    free_client(&c);
}

static void test_client_retry(int damage)
{
    /* Version, the Retry's connection ID, none of our own, then the token. */
    static const char begin[] = "\xf0\x67\xa5\x50\x2a\x42\x62\xb5\0\x05token";
    uint8_t packet[1500];
    size_t len = unhex(packet, retry_v1);
    ngtcp2_ssize rv;
    client c;

    make_client(&c);
    packet[len - 1] ^= (uint8_t)damage;
    is_int(ngtcp2_conn_read_pkt(c.conn, &c.path.path, NULL, packet, len, 3), 0,
           "RFC 9001 A.4 is read");
    rv = ngtcp2_conn_write_pkt(c.conn, &c.path.path, NULL, packet, sizeof(packet), 4);
    if (damage) {
        is_int(rv, 0, "a Retry with a wrong tag has no effect");
    }
    else {
        is_int(rv, 1200, "a Retry makes the client begin again");
        is_mem(packet + 6, begin, sizeof(begin) - 1, "with the Retry's id and token");
    }
    free_client(&c);
}

/* The farewell of a server that keeps nothing. RFC 9000 section 5.2.2 */
static void test_initial_close(void)
{
    ngtcp2_cid dcid = { 0, { 0 } }, scid = { 8, { 9 } }, odcid = { 8, { 0 } };
    uint8_t packet[1500];
    long len;
    client c;

    unhex(odcid.data, DCID);
    make_client(&c);
    len = quic_crypto_initial_close(packet, sizeof(packet), NGTCP2_PROTO_VER_V1, &dcid, &scid,
                                    &odcid, NGTCP2_CONNECTION_REFUSED);
    ok(len > 0, "an Initial with CONNECTION_CLOSE");
    is_int(ngtcp2_conn_read_pkt(c.conn, &c.path.path, NULL, packet, (size_t)len, 3),
           NGTCP2_ERR_DRAINING, "ends the client's connection");
    is_int(ngtcp2_conn_get_ccerr(c.conn)->error_code, NGTCP2_CONNECTION_REFUSED, "with its error");
    is_int(quic_crypto_initial_close(packet, 20, NGTCP2_PROTO_VER_V1, &dcid, &scid, &odcid, 2), -1,
           "not in 20 bytes");
    is_int(quic_crypto_initial_close(packet, sizeof(packet), 0x0a0a0a0a, &dcid, &scid, &odcid, 2),
           -1, "not in a version that we do not speak");
    free_client(&c);
}

static void test_rand(void)
{
    uint8_t a[32], b[32];

    quic_crypto_rand(a, sizeof(a));
    quic_crypto_rand(b, sizeof(b));
    ok(memcmp(a, b, sizeof(a)) != 0, "random bytes differ");
}

int main(void)
{
    ngtcp2_callbacks cb;

    memset(&cb, 0, sizeof(cb));
    quic_crypto_callbacks(&cb);
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
    test_server_conn();
    test_client_initial(0);
    test_client_initial(1);
    test_client_retry(0);
    test_client_retry(1);
    test_initial_close();
    test_rand();
    return done_testing();
}
