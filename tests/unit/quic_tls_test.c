/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes in memory between two ngtcp2_conn, one with an SSL of quic_tls, one
 * a client of BoringSSL: host and certificate by what the client says, ALPN,
 * tickets, refusals by their QUIC error. Then what certificate files may be,
 * and what SSL_SERVER_* tells of them. Keys and certificates are made here.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/aead.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tls/quic_crypto.h"
#include "tls/quic_keys.h"
#include "tls/quic_tls.h"

#include "tap.h"

#define CRYPTO_ERROR 0x100 /* RFC 9001 section 4.8, plus the alert */

static apr_pool_t *pool;
static char dir[] = "/tmp/quic_tls_test.XXXXXX";

/* ---- keys, certificates, files ---- */

static const char *path_of(const char *name)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

static EVP_PKEY *make_ec(int curve)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve);

    EC_KEY_generate_key(ec);
    EVP_PKEY_assign_EC_KEY(key, ec);
    return key;
}

static EVP_PKEY *make_rsa(void)
{
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();

    BN_set_word(e, RSA_F4);
    RSA_generate_key_ex(rsa, 2048, e, NULL);
    BN_free(e);
    EVP_PKEY_assign_RSA(key, rsa);
    return key;
}

static EVP_PKEY *make_ed25519(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    EVP_PKEY *key = NULL;

    EVP_PKEY_keygen_init(ctx);
    EVP_PKEY_keygen(ctx, &key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void add_name(X509_NAME *name, const char *type, const char *value)
{
    X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0);
}

static X509 *make_cert(EVP_PKEY *key, const char *cn)
{
    X509 *x509 = X509_new();
    BIGNUM *serial = NULL;
    ASN1_TIME *time = ASN1_TIME_new();
    X509_NAME *name = X509_NAME_new();
    X509_EXTENSION *san;

    X509_set_version(x509, 2);
    BN_hex2bn(&serial, "0a1b2c3d4e5f60718293");
    BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x509));
    BN_free(serial);
    ASN1_TIME_set_string(time, "20261102071805Z");
    X509_set1_notBefore(x509, time);
    ASN1_TIME_set_string(time, "20490102030405Z");
    X509_set1_notAfter(x509, time);
    ASN1_TIME_free(time);
    add_name(name, "C", "DE");
    add_name(name, "O", "B\xc3\xa4r, Sons");
    add_name(name, "OU", "first");
    add_name(name, "OU", "second");
    add_name(name, "CN", cn);
    X509_set_subject_name(x509, name);
    X509_set_issuer_name(x509, name);
    X509_NAME_free(name);
    X509_set_pubkey(x509, key);
    san = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name,
                               apr_psprintf(pool, "DNS:%s,email:post@%s,DNS:www.%s", cn, cn, cn));
    X509_add_ext(x509, san, -1);
    X509_EXTENSION_free(san);
    X509_sign(x509, key, EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256());
    return x509;
}

/* Writes what is not NULL into one file, in this order, and returns its path. */
static const char *write_pem(const char *file, const char *before, X509 *cert, X509 *chain,
                             EVP_PKEY *key, char *passphrase)
{
    const char *path = path_of(file);
    BIO *bio = BIO_new_file(path, "w");

    if (before) {
        BIO_puts(bio, before);
    }
    if (cert) {
        PEM_write_bio_X509(bio, cert);
    }
    if (chain) {
        PEM_write_bio_X509(bio, chain);
    }
    if (key) {
        PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase ? EVP_aes_256_cbc() : NULL, passphrase,
                                      passphrase ? (int)strlen(passphrase) : 0, NULL, NULL);
    }
    BIO_free(bio);
    return path;
}

/* What all tests use: one certificate of each kind, key in the same file but for the RSA one. */
static struct {
    EVP_PKEY *rsa_key, *ec_key, *ed_key;
    X509 *rsa, *ec, *ed, *other;
    const char *rsa_cert_file, *rsa_key_file, *ec_file, *ed_file, *other_file;
} pki;

static void make_pki(void)
{
    EVP_PKEY *other = make_ec(NID_X9_62_prime256v1);

    pki.rsa_key = make_rsa();
    pki.ec_key = make_ec(NID_X9_62_prime256v1);
    pki.ed_key = make_ed25519();
    pki.rsa = make_cert(pki.rsa_key, "a.example");
    pki.ec = make_cert(pki.ec_key, "a.example");
    pki.ed = make_cert(pki.ed_key, "a.example");
    pki.other = make_cert(other, "b.example");
    pki.rsa_cert_file = write_pem("rsa.crt", NULL, pki.rsa, NULL, NULL, NULL);
    pki.rsa_key_file = write_pem("rsa.key", NULL, NULL, NULL, pki.rsa_key, NULL);
    pki.ec_file = write_pem("ec.pem", NULL, pki.ec, NULL, pki.ec_key, NULL);
    pki.ed_file = write_pem("ed.pem", NULL, pki.ed, NULL, pki.ed_key, NULL);
    pki.other_file = write_pem("other.pem", NULL, pki.other, NULL, other, NULL);
    EVP_PKEY_free(other);
}

static void free_pki(void)
{
    X509_free(pki.rsa);
    X509_free(pki.ec);
    X509_free(pki.ed);
    X509_free(pki.other);
    EVP_PKEY_free(pki.rsa_key);
    EVP_PKEY_free(pki.ec_key);
    EVP_PKEY_free(pki.ed_key);
}

static void remove_dir(void)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *d = opendir(dir);

    while (d && (entry = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    if (d) {
        closedir(d);
    }
    rmdir(dir);
}

/* ---- hosts ---- */

static apr_array_header_t *list(const char *a, const char *b, const char *c)
{
    const char *all[] = { a, b, c };
    apr_array_header_t *array = apr_array_make(pool, 3, sizeof(const char *));
    int i;

    for (i = 0; i < 3; ++i) {
        if (all[i]) {
            APR_ARRAY_PUSH(array, const char *) = all[i];
        }
    }
    return array;
}

static void default_plan(quic_tls_host_plan *plan, const quic_tls_ticket_keys *keys,
                         const char *cert)
{
    memset(plan, 0, sizeof(*plan));
    plan->name = "a.example";
    plan->cert_files = list(cert, NULL, NULL);
    plan->key_files = list(NULL, NULL, NULL);
    plan->sid_ctx = (const uint8_t *)"domain one";
    plan->sid_ctx_len = 10;
    plan->tickets = 1;
    plan->ticket_keys = keys;
    plan->server = &pki;
}

static quic_tls_host *make_host(const quic_tls_host_plan *plan)
{
    quic_tls_host *host = NULL;
    const char *whose_fault = NULL;

    if (quic_tls_host_make(&host, plan, pool, &whose_fault) != APR_SUCCESS) {
        diag(whose_fault ? whose_fault : "no reason given");
    }
    return host;
}

/* The virtual hosts of one server process, and what they were asked for. */
typedef struct hosts {
    const quic_tls_host *a, *b, *nameless;
    int asked;
    char name[300];     /* "-" for a client that names none */
    quic_crypto *limit; /* the connection that learns its limits from the host, if any */
} hosts;

static const quic_tls_host *find_host(void *baton, const char *sni)
{
    hosts *h = baton;

    ++h->asked;
    apr_cpystrn(h->name, sni ? sni : "-", sizeof(h->name));
    if (h->limit) {
        ngtcp2_transport_params params = *ngtcp2_conn_get_local_transport_params(h->limit->conn);

        params.initial_max_data = 333333;
        is_int(ngtcp2_conn_set_local_transport_params(h->limit->conn, &params), 0, "own limits");
        is_int(quic_crypto_set_local_params(h->limit), 0, "are given to TLS");
    }
    if (!sni) {
        return h->nameless;
    }
    if (strcmp(sni, "a.example") == 0) {
        return h->a;
    }
    return strcmp(sni, "b.example") == 0 ? h->b : NULL;
}

/* ---- a pair of connections ---- */

typedef struct end {
    ngtcp2_conn *conn;
    SSL *ssl;
    quic_crypto crypto;
    int error;       /* of ngtcp2_conn_read_pkt, 0 while all is well */
    uint64_t closed; /* the error code in the peer's CONNECTION_CLOSE */
    size_t received; /* stream bytes */
    int64_t stream;
} end;

typedef struct pair {
    end client, server;
    SSL_CTX *client_ctx;
    SSL_SESSION *session; /* the last ticket that the client got */
    int tickets;
    hosts *hosts;
    ngtcp2_path_storage path;
    ngtcp2_tstamp now;
} pair;

typedef struct client_options {
    const char *sni;
    const char *alpn; /* NULL: "h3"; in wire format */
    const char *groups;
    const uint16_t *schemes;
    size_t nschemes;
    SSL_SESSION *session;
    int aes256; /* wants AES-256 before AES-128 */
} client_options;

static void rand_bytes(uint8_t *dest, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void)ctx;
    quic_keys_rand(dest, len);
}

static int new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                   size_t cidlen, void *user_data)
{
    (void)conn;
    (void)user_data;
    cid->datalen = cidlen;
    quic_keys_rand(cid->data, cidlen);
    quic_keys_rand(token->data, sizeof(token->data));
    return 0;
}

static int recv_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t offset,
                            const uint8_t *data, size_t len, void *user_data, void *stream_data)
{
    end *e = user_data;

    (void)conn;
    (void)flags;
    (void)stream;
    (void)offset;
    (void)data;
    (void)stream_data;
    e->received += len;
    return 0;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    pair *p = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0);

    ++p->tickets;
    SSL_SESSION_free(p->session);
    p->session = session;
    return 1;
}

static void conn_defaults(pair *p, ngtcp2_callbacks *cb, ngtcp2_settings *settings,
                          ngtcp2_transport_params *params)
{
    memset(cb, 0, sizeof(*cb));
    quic_crypto_callbacks(cb);
    cb->rand = rand_bytes;
    cb->get_new_connection_id2 = new_cid;
    cb->recv_stream_data = recv_stream_data;
    ngtcp2_settings_default(settings);
    settings->initial_ts = p->now;
    ngtcp2_transport_params_default(params);
    params->initial_max_streams_bidi = 3;
    params->initial_max_stream_data_bidi_local = 100000;
    params->initial_max_stream_data_bidi_remote = 100000;
}

static void make_client(pair *p, const client_options *opt)
{
    ngtcp2_callbacks cb;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid dcid = { 18, { 0 } }, scid = { 8, { 0 } };
    const char *alpn = opt->alpn ? opt->alpn : "\x02h3";

    p->client_ctx = SSL_CTX_new(TLS_method());
    quic_crypto_ctx_init(p->client_ctx);
    SSL_CTX_set_ex_data(p->client_ctx, 0, p);
    SSL_CTX_set_session_cache_mode(p->client_ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(p->client_ctx, keep_session);
    if (opt->schemes) {
        SSL_CTX_set_verify_algorithm_prefs(p->client_ctx, opt->schemes, opt->nschemes);
    }
#if !defined(SSL_CURVE_CECPQ2)
    if (opt->aes256) {
        SSL_CTX_set_compliance_policy(p->client_ctx, ssl_compliance_policy_cnsa_202407);
    }
#endif
    p->client.ssl = SSL_new(p->client_ctx);
    if (opt->sni) {
        SSL_set_tlsext_host_name(p->client.ssl, opt->sni);
    }
    SSL_set_alpn_protos(p->client.ssl, (const uint8_t *)alpn, (unsigned)strlen(alpn));
    if (opt->groups) {
        SSL_set1_curves_list(p->client.ssl, opt->groups);
    }
    if (opt->session) {
        SSL_set_session(p->client.ssl, opt->session);
    }
    conn_defaults(p, &cb, &settings, &params);
    params.initial_max_data = 111111;
    quic_keys_rand(dcid.data, dcid.datalen);
    quic_keys_rand(scid.data, scid.datalen);
    ngtcp2_conn_client_new(&p->client.conn, &dcid, &scid, &p->path.path, NGTCP2_PROTO_VER_V1, &cb,
                           &settings, &params, NULL, &p->client);
    quic_crypto_attach(&p->client.crypto, p->client.conn, p->client.ssl, 0);
}

/* The server's end comes with the client's first datagram, as in the module. */
static void make_server(pair *p, const uint8_t *datagram, size_t len)
{
    ngtcp2_callbacks cb;
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_pkt_hd hd;
    ngtcp2_cid scid = { 16, { 0 } };
    const quic_tls_host *any = p->hosts->a;

    ngtcp2_accept(&hd, datagram, len);
    conn_defaults(p, &cb, &settings, &params);
    params.original_dcid = hd.dcid;
    params.original_dcid_present = 1;
    params.initial_max_data = 222222;
    quic_keys_rand(scid.data, scid.datalen);
    ngtcp2_conn_server_new(&p->server.conn, &hd.scid, &scid, &p->path.path, hd.version, &cb,
                           &settings, &params, NULL, &p->server);
    p->server.ssl = quic_tls_new(any, find_host, p->hosts);
    quic_crypto_attach(&p->server.crypto, p->server.conn, p->server.ssl, 1);
}

/* One datagram from `from` to `to`, if there is one. A failure is told to the peer. */
static int move(pair *p, end *from, end *to)
{
    uint8_t datagram[1400];
    ngtcp2_ssize len;
    ngtcp2_ccerr ccerr;
    ngtcp2_pkt_info pi;

    if (!from->conn || (from->error && from->error != NGTCP2_ERR_CRYPTO)) {
        return 0;
    }
    p->now += NGTCP2_MILLISECONDS;
    if (from->error) {
        ngtcp2_ccerr_default(&ccerr);
        ngtcp2_ccerr_set_tls_alert(&ccerr, ngtcp2_conn_get_tls_alert(from->conn), NULL, 0);
        len = ngtcp2_conn_write_connection_close(from->conn, &p->path.path, &pi, datagram,
                                                 sizeof(datagram), &ccerr, p->now);
        from->error = NGTCP2_ERR_CLOSING;
    }
    else {
        len = ngtcp2_conn_write_pkt(from->conn, &p->path.path, &pi, datagram, sizeof(datagram),
                                    p->now);
    }
    if (len <= 0) {
        from->error = (int)len;
        return 0;
    }
    if (!to->conn) {
        make_server(p, datagram, (size_t)len);
    }
    to->error = ngtcp2_conn_read_pkt(to->conn, &p->path.path, &pi, datagram, (size_t)len, p->now);
    if (to->error == NGTCP2_ERR_DRAINING) {
        to->closed = ngtcp2_conn_get_ccerr(to->conn)->error_code;
    }
    return 1;
}

static void exchange(pair *p)
{
    int moved, turns = 0;

    do {
        moved = move(p, &p->client, &p->server);
        moved += move(p, &p->server, &p->client);
    } while (moved > 0 && ++turns < 100);
}

static void handshake(pair *p, hosts *h, const client_options *opt)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = 1 };

    memset(p, 0, sizeof(*p));
    p->now = NGTCP2_SECONDS;
    p->hosts = h;
    h->asked = 0;
    h->name[0] = '\0';
    ngtcp2_path_storage_init(&p->path, (ngtcp2_sockaddr *)&addr, sizeof(addr),
                             (ngtcp2_sockaddr *)&addr, sizeof(addr), NULL);
    make_client(p, opt);
    exchange(p);
}

static int completed(const pair *p)
{
    return p->server.conn && ngtcp2_conn_get_handshake_completed(p->client.conn)
           && ngtcp2_conn_get_handshake_completed(p->server.conn);
}

/* Gives the client's session away: the caller frees it. */
static SSL_SESSION *finish(pair *p)
{
    SSL_SESSION *session = p->session;

    ngtcp2_conn_del(p->client.conn);
    ngtcp2_conn_del(p->server.conn);
    SSL_free(p->client.ssl);
    quic_tls_free(p->server.ssl);
    SSL_CTX_free(p->client_ctx);
    return session;
}

/* A handshake that must fail with this QUIC error, seen by the client and known to the server. */
static void refused(hosts *h, const client_options *opt, uint64_t error, const char *name)
{
    pair p;

    handshake(&p, h, opt);
    is_int(p.client.closed, error, "%s", name);
    is_int(p.server.crypto.alert + CRYPTO_ERROR, error, "and the server knows why");
    is_int(ERR_peek_error(), 0, "no error is left in the thread's queue");
    SSL_SESSION_free(finish(&p));
}

static int presented(const pair *p, const X509 *cert)
{
    X509 *peer = SSL_get_peer_certificate(p->client.ssl);
    int same = peer && X509_cmp(peer, cert) == 0;

    X509_free(peer);
    return same;
}

/* ---- the tests ---- */

static void test_handshake(hosts *h)
{
    client_options opt = { .sni = "A.Example.", .groups = "X25519" };
    quic_tls_info info;
    const uint8_t *alpn;
    unsigned int len;
    pair p;

    handshake(&p, h, &opt);
    ok(completed(&p), "a handshake completes on both ends");
    is_int(h->asked, 1, "the host was asked for once");
    is_str(h->name, "a.example", "in lower case, without the root's dot");
    ok(quic_tls_host_of(p.server.ssl) == h->a, "the host is the SSL's");
    ok(quic_tls_host_server(h->a) == &pki, "and knows its server");
    SSL_get0_alpn_selected(p.client.ssl, &alpn, &len);
    ok(len == 2 && memcmp(alpn, "h3", 2) == 0, "ALPN h3");
    is_int(ngtcp2_conn_get_remote_transport_params(p.server.conn)->initial_max_data, 111111,
           "the server has the client's transport parameters");
    is_int(ngtcp2_conn_get_remote_transport_params(p.client.conn)->initial_max_data, 222222,
           "and the client the server's");

    quic_tls_get_info(p.server.ssl, &info, pool);
    is_str(info.protocol, "TLSv1.3", "protocol");
    is_str(info.cipher, SSL_CIPHER_standard_name(SSL_get_current_cipher(p.client.ssl)), "cipher");
    ok(strncmp(info.cipher, "TLS_", 4) == 0, "by its registered name");
    is_str(info.group, "X25519", "group");
    is_str(info.sni, "a.example", "SNI");
    is_int(info.resumed, 0, "not resumed");
    ok(info.host == h->a, "host");
    is_int(p.tickets, 2, "tickets");
    ok(SSL_get_ciphers(p.server.ssl) == NULL, "the handshake's configuration is shed");
    ok(SSL_get_session(p.server.ssl) != NULL, "but not what was negotiated");
    SSL_SESSION_free(finish(&p));
}

/* A virtual host has limits of its own, which the client must be told. */
static void test_limits_of_host(hosts *h)
{
    client_options opt = { .sni = "a.example" };
    pair p;

    h->limit = &p.server.crypto;
    handshake(&p, h, &opt);
    h->limit = NULL;
    ok(completed(&p), "a handshake whose host changes the transport parameters");
    is_int(ngtcp2_conn_get_remote_transport_params(p.client.conn)->initial_max_data, 333333,
           "as the client sees them");
    SSL_SESSION_free(finish(&p));
}

static void test_alpn(hosts *h)
{
    client_options opt = { .sni = "a.example" };
    pair p;

    opt.alpn = "\x02h2";
    refused(h, &opt, 0x178, "h2 over QUIC: no_application_protocol");
    opt.alpn = "\x03h3x\x05h3-29";
    refused(h, &opt, 0x178, "what begins with h3 is not h3");
    opt.alpn = "\x0ahq-interop\x02h3";
    handshake(&p, h, &opt);
    ok(completed(&p), "h3 is found behind another");
    SSL_SESSION_free(finish(&p));
}

static void test_names(hosts *h)
{
    static const char *const bad[] = {
        ".",         "a..example",       ".a.example", "a.example..", "a.example:443",
        "a example", "\xc3\xa4.example", "a.example/", "[::1]",       "a\x7f"
    };
    const quic_tls_host *nameless = h->nameless;
    client_options opt = { .sni = "b.example" };
    char longest[260];
    pair p;
    size_t i;

    handshake(&p, h, &opt);
    ok(completed(&p) && presented(&p, pki.other), "another name, another certificate");
    SSL_SESSION_free(finish(&p));

    opt.sni = NULL;
    handshake(&p, h, &opt);
    ok(completed(&p) && presented(&p, pki.ec), "no name: the default host");
    is_str(h->name, "-", "asked for as such");
    SSL_SESSION_free(finish(&p));

    h->nameless = NULL;
    refused(h, &opt, 0x170, "no name and no default: unrecognized_name");
    h->nameless = nameless;
    opt.sni = "c.example";
    refused(h, &opt, 0x170, "an unknown name: unrecognized_name");
    is_str(h->name, "c.example", "which was asked for");
    opt.sni = "127.0.0.1";
    refused(h, &opt, 0x170, "an address that is nobody's name: unrecognized_name");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        opt.sni = bad[i];
        refused(h, &opt, 0x170, "a name that is none: unrecognized_name");
        is_int(h->asked, 0, "without asking");
    }
    memset(longest, 'a', sizeof(longest));
    longest[254] = '\0';
    opt.sni = longest;
    refused(h, &opt, 0x170, "a label of 254 bytes");
    for (i = 50; i < 254; i += 50) {
        longest[i] = '.';
    }
    refused(h, &opt, 0x170, "a name of 254 bytes");
    is_int(h->asked, 0, "is too long to be one");
    longest[253] = '\0';
    refused(h, &opt, 0x170, "a name of 253 bytes");
    is_int(h->asked, 1, "is one");
}

/* Is `text` this certificate in PEM, and nothing else? */
static int is_pem(const char *text, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *data;
    size_t len;
    int same = PEM_write_bio_X509(bio, cert) && BIO_mem_contents(bio, &data, &len) && text
               && strlen(text) == len && memcmp(text, data, len) == 0;

    BIO_free(bio);
    return same;
}

static void test_key_types(const quic_tls_ticket_keys *keys)
{
    static const uint16_t rsa_and_ec[] = { SSL_SIGN_RSA_PSS_RSAE_SHA256,
                                           SSL_SIGN_ECDSA_SECP256R1_SHA256 };
    static const uint16_t rsa[] = { SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_ED25519 };
    static const uint16_t ed[] = { SSL_SIGN_ED25519 };
    static const uint16_t p384[] = { SSL_SIGN_ECDSA_SECP384R1_SHA384 };
    client_options opt = { .sni = "a.example", .schemes = rsa_and_ec, .nschemes = 2 };
    quic_tls_host_plan plan;
    hosts h = { .asked = 0 };
    pair p;

    default_plan(&plan, keys, pki.rsa_cert_file);
    plan.cert_files = list(pki.rsa_cert_file, pki.ec_file, NULL);
    plan.key_files = list(pki.rsa_key_file, NULL, NULL);
    h.a = make_host(&plan);
    handshake(&p, &h, &opt);
    ok(completed(&p) && presented(&p, pki.ec), "a client of both gets ECDSA");
    ok(is_pem(quic_tls_server_var(h.a, "CERT", pool), pki.ec), "in PEM, too");
    SSL_SESSION_free(finish(&p));
    opt.schemes = rsa;
    handshake(&p, &h, &opt);
    ok(completed(&p) && presented(&p, pki.rsa), "one without ECDSA gets RSA");
    ok(is_pem(quic_tls_server_var(h.a, "CERT", pool), pki.ec),
       "while the host's variables stay those of its first");
    SSL_SESSION_free(finish(&p));
    opt.schemes = p384;
    opt.nschemes = 1;
    refused(&h, &opt, 0x128, "one that takes neither: handshake_failure");

    plan.cert_files = list(pki.rsa_cert_file, pki.ed_file, NULL);
    h.a = make_host(&plan);
    opt.schemes = rsa;
    opt.nschemes = 2;
    handshake(&p, &h, &opt);
    ok(completed(&p) && presented(&p, pki.ed), "Ed25519 before RSA");
    SSL_SESSION_free(finish(&p));
    opt.schemes = ed;
    opt.nschemes = 1;
    handshake(&p, &h, &opt);
    ok(completed(&p) && presented(&p, pki.ed), "Ed25519 alone");
    SSL_SESSION_free(finish(&p));
}

/* Is `session` taken by `h` for the name `sni`? It is left alone. */
static int resumes(hosts *h, const char *sni, SSL_SESSION *session)
{
    client_options opt = { .sni = sni, .session = session };
    quic_tls_info info;
    pair p;

    memset(&info, 0, sizeof(info));
    handshake(&p, h, &opt);
    if (!ok(completed(&p), "a client with a ticket completes its handshake")) {
        return -1;
    }
    quic_tls_get_info(p.server.ssl, &info, pool);
    is_int(SSL_session_reused(p.client.ssl), info.resumed, "both ends agree on resumption");
    ok(info.host == (strcmp(sni, "a.example") == 0 ? h->a : h->b), "host by name, not by ticket");
    SSL_SESSION_free(finish(&p));
    return info.resumed;
}

static SSL_SESSION *get_ticket(hosts *h)
{
    client_options opt = { .sni = "a.example" };
    pair p;

    handshake(&p, h, &opt);
    return finish(&p);
}

/* Two hosts, made anew as each child or restart makes them. */
static void make_hosts(hosts *h, const quic_tls_ticket_keys *keys, const char *domain_of_b,
                       int tickets)
{
    quic_tls_host_plan plan;

    memset(h, 0, sizeof(*h));
    default_plan(&plan, keys, pki.ec_file);
    plan.tickets = tickets;
    h->a = h->nameless = make_host(&plan);
    default_plan(&plan, keys, pki.other_file);
    plan.name = "b.example";
    plan.sid_ctx = (const uint8_t *)domain_of_b;
    plan.sid_ctx_len = strlen(domain_of_b);
    h->b = make_host(&plan);
}

static void test_resumption(const quic_tls_ticket_keys *keys)
{
    quic_tls_ticket_keys other, rotated;
    hosts one, two;
    SSL_SESSION *ticket;

    make_hosts(&one, keys, "domain one", 1);
    make_hosts(&two, keys, "domain two", 1);
    ticket = get_ticket(&one);
    ok(ticket != NULL, "a ticket");
    is_int(resumes(&one, "a.example", ticket), 1, "resumes where it is from");
    is_int(resumes(&two, "a.example", ticket), 1, "resumes in another process with the same keys");
    is_int(resumes(&one, "b.example", ticket), 1, "resumes another host of its trust domain");
    is_int(resumes(&two, "b.example", ticket), 0, "not in another trust domain");

    quic_tls_ticket_keys_make(&other);
    ok(memcmp(&other.key[0], &keys->key[0], sizeof(other.key[0])) != 0, "keys are random");
    make_hosts(&two, &other, "domain one", 1);
    is_int(resumes(&two, "a.example", ticket), 0, "not with other keys");
    rotated = other;
    rotated.key[1] = keys->key[0];
    rotated.nkeys = 2;
    make_hosts(&two, &rotated, "domain one", 1);
    is_int(resumes(&two, "a.example", ticket), 1, "with the key that was the last before");
    rotated.key[1].hmac_key[0] ^= 1;
    is_int(resumes(&two, "a.example", ticket), 0, "not if the ticket's MAC is wrong");

    make_hosts(&two, keys, "domain one", 0);
    is_int(resumes(&two, "a.example", ticket), 0, "not where tickets are off");
    SSL_SESSION_free(ticket);
    ticket = get_ticket(&two);
    ok(ticket == NULL, "and none comes from there");
    SSL_SESSION_free(ticket);
}

static void test_group_names(void)
{
    static const char *const rows[][2] = {
        { "X25519:prime256v1:secp384r1:P-521", "X25519:P-256:P-384:P-521" },
        { "x448:?X25519:*secp256r1", "X25519:P-256" },
        { "brainpoolP256r1", NULL },
        { "X25519/P-256", NULL },
        { "-X25519:P-256", NULL },
        { "", NULL },
    };
    quic_tls_host_plan plan;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        is_str(quic_tls_groups(rows[i][0], pool), rows[i][1], "groups '%s'", rows[i][0]);
    }
    default_plan(&plan, NULL, pki.ec_file);
    plan.groups = quic_tls_groups(rows[0][0], pool);
    ok(make_host(&plan) != NULL, "all of these names are the library's own");
}

static void test_groups(const quic_tls_ticket_keys *keys, hosts *h)
{
    client_options opt = { .sni = "a.example" };
    quic_tls_host_plan plan;
    quic_tls_host *host;
    const char *whose_fault = NULL;
    quic_tls_info info;
    hosts own;
    pair p;

    default_plan(&plan, keys, pki.ec_file);
    plan.groups = "P-256";
    own = *h;
    own.b = make_host(&plan);
    opt.sni = "b.example";
    handshake(&p, &own, &opt);
    ok(completed(&p), "HelloRetryRequest: the host's only group is not the client's first");
    quic_tls_get_info(p.server.ssl, &info, pool);
    is_str(info.group, "P-256", "group");
    is_int(own.asked, 1, "the second ClientHello asks for no host");
    SSL_SESSION_free(finish(&p));
    opt.groups = "P-384";
    refused(&own, &opt, 0x128, "no group in common: handshake_failure");
    opt.sni = "a.example";
    handshake(&p, &own, &opt);
    ok(completed(&p), "which another host takes");
    SSL_SESSION_free(finish(&p));

    /* The groups of the host that lent its context must not stick to another's connection. */
    own.a = own.b;
    own.b = h->b;
    opt.sni = "b.example";
    handshake(&p, &own, &opt);
    ok(completed(&p), "a host without groups, on an SSL of one that has them");
    SSL_SESSION_free(finish(&p));

    plan.groups = "P-256:brainpoolP256r1";
    ok(quic_tls_host_make(&host, &plan, pool, &whose_fault) != APR_SUCCESS, "unknown group");
    ok(whose_fault && strstr(whose_fault, "brainpool"), "is named");
}

/* One byte of stream data, which calls for an acknowledgement. */
static void send_byte(pair *p, end *from, end *to)
{
    static const uint8_t byte[] = { 'x' };
    ngtcp2_vec vec = { (uint8_t *)byte, 1 };
    uint8_t datagram[1400];
    ngtcp2_pkt_info pi;
    size_t before = to->received;
    ngtcp2_ssize len =
        ngtcp2_conn_writev_stream(from->conn, &p->path.path, &pi, datagram, sizeof(datagram), NULL,
                                  NGTCP2_WRITE_STREAM_FLAG_NONE, from->stream, &vec, 1, p->now);

    ok(len > 0, "a packet");
    is_int(ngtcp2_conn_read_pkt(to->conn, &p->path.path, &pi, datagram, (size_t)len, p->now), 0,
           "is read");
    is_int(to->received, before + 1, "whole");
}

/* A new key phase that `by` begins and `peer` follows. RFC 9001 section 6 */
static void update_keys(pair *p, end *by, end *peer)
{
    p->now += 10 * NGTCP2_SECONDS; /* far more than the three PTOs between two updates */
    send_byte(p, by, peer);        /* time to make the next phase's keys */
    exchange(p);
    is_int(ngtcp2_conn_initiate_key_update(by->conn, p->now), 0, "key update");
    send_byte(p, by, peer);
    send_byte(p, peer, by);
    p->now += NGTCP2_SECONDS;
    exchange(p);
}

static void test_cipher(hosts *h, const client_options *opt, const char *name, int bits)
{
    quic_tls_info info;
    pair p;

    memset(&info, 0, sizeof(info));
    handshake(&p, h, opt);
    ok(completed(&p), "a handshake with %s", name);
    quic_tls_get_info(p.server.ssl, &info, pool);
    is_str(info.cipher, name, "which was chosen");
    is_int(info.cipher_bits, bits, "bits");
    ngtcp2_conn_open_bidi_stream(p.client.conn, &p.client.stream, NULL);
    p.server.stream = p.client.stream;
    update_keys(&p, &p.client, &p.server);
    update_keys(&p, &p.server, &p.client);
    update_keys(&p, &p.client, &p.server);
    SSL_SESSION_free(finish(&p));
}

/*
 * BoringSSL prefers ChaCha20 where the processor has no AES: this program runs
 * itself again with that hidden, as far as there is a way to.
 */
static void test_chacha(const char *self)
{
#if defined(__x86_64__) || defined(__i386__)
    char line[512];
    FILE *f;

    setenv("OPENSSL_ia32cap", "~0x0200000000000002", 1); /* AES-NI and PCLMULQDQ */
    f = popen(apr_psprintf(pool, "'%s' --chacha", self), "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "ok", 2) != 0) {
            printf("#   %s", line);
        }
    }
    is_int(f ? pclose(f) : -1, 0, "all that with ChaCha20-Poly1305, in a process without AES");
    unsetenv("OPENSSL_ia32cap");
#else
    (void)self;
    skip("no way to hide the processor's AES");
#endif
}

static void test_ciphers(hosts *h, const quic_tls_ticket_keys *keys)
{
    client_options opt = { .sni = "b.example" };
    quic_tls_host_plan plan;
    hosts own = *h;

    if (EVP_has_aes_hardware()) {
        test_cipher(h, &opt, "TLS_AES_128_GCM_SHA256", 128);
    }
    else {
        skip("no AES in this processor");
    }
    default_plan(&plan, keys, pki.other_file);
#if defined(SSL_CURVE_CECPQ2)
    /* The BoringSSL of 2022 has no policies, but gives this group its equal. */
    plan.groups = opt.groups = "CECPQ2";
#endif
    opt.aes256 = 1;
    own.b = make_host(&plan);
    test_cipher(&own, &opt, "TLS_AES_256_GCM_SHA384", 256);
}

/* ---- ClientHellos that no ngtcp2 client sends ---- */

typedef struct hello {
    uint8_t data[2048];
    size_t len;
} hello;

static int keep_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data, size_t len)
{
    hello *h = SSL_get_app_data(ssl);

    (void)level;
    memcpy(h->data + h->len, data, len);
    h->len += len;
    return 1;
}

static int no_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                     const uint8_t *secret, size_t len)
{
    (void)ssl;
    (void)level;
    (void)cipher;
    (void)secret;
    (void)len;
    return 0;
}

static int no_flush(SSL *ssl)
{
    (void)ssl;
    return 1;
}

static int no_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert)
{
    (void)ssl;
    (void)level;
    (void)alert;
    return 1;
}

static void make_hello(hello *h, const uint8_t *params, size_t len)
{
    static const SSL_QUIC_METHOD method = { no_secret, no_secret, keep_data, no_flush, no_alert };
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl;

    quic_crypto_ctx_init(ctx);
    SSL_CTX_set_quic_method(ctx, &method);
    ssl = SSL_new(ctx);
    memset(h, 0, sizeof(*h));
    SSL_set_app_data(ssl, h);
    SSL_set_alpn_protos(ssl, (const uint8_t *)"\x02h3", 3);
    SSL_set_tlsext_host_name(ssl, "a.example");
    SSL_set_quic_transport_params(ssl, params, len);
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void replace(hello *h, const char *old, const char *new, size_t len)
{
    size_t i;

    for (i = 0; i + len <= h->len; ++i) {
        if (memcmp(h->data + i, old, len) == 0) {
            memcpy(h->data + i, new, len);
            return;
        }
    }
    fail("the ClientHello is as this test expects it");
}

/* What the server's connection says to these bytes at this level. */
static int server_says(pair *p, hosts *hosts, ngtcp2_encryption_level level, const hello *h)
{
    static const uint8_t initial[1200] = { 0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8 };
    ngtcp2_callbacks cb;
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = 1 };

    memset(p, 0, sizeof(*p));
    p->now = NGTCP2_SECONDS;
    p->hosts = hosts;
    ngtcp2_path_storage_init(&p->path, (ngtcp2_sockaddr *)&addr, sizeof(addr),
                             (ngtcp2_sockaddr *)&addr, sizeof(addr), NULL);
    make_server(p, initial, sizeof(initial));
    memset(&cb, 0, sizeof(cb));
    quic_crypto_callbacks(&cb);
    return cb.recv_crypto_data(p->server.conn, level, 0, h->data, h->len, NULL);
}

static void test_bad_hellos(hosts *hosts)
{
    static const uint8_t good[] = { 0x0f, 0 }; /* initial_source_connection_id, empty */
    static const uint8_t reserved[] = { 0x1b, 0 };
    static const uint8_t truncated[] = { 0x04, 8, 1 };
    static const uint8_t acks[] = { 0x0a, 1, 0x20 }; /* ack_delay_exponent 32, at most 20 */
    hello h;
    pair p;

    make_hello(&h, truncated, sizeof(truncated));
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h),
           NGTCP2_ERR_MALFORMED_TRANSPORT_PARAM, "transport parameters cut short");
    finish(&p);
    make_hello(&h, acks, sizeof(acks));
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h),
           NGTCP2_ERR_MALFORMED_TRANSPORT_PARAM, "a transport parameter out of range");
    finish(&p);
    make_hello(&h, reserved, sizeof(reserved));
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h),
           NGTCP2_ERR_REQUIRED_TRANSPORT_PARAM, "a required transport parameter missing");
    finish(&p);

    make_hello(&h, good, sizeof(good));
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, &h), NGTCP2_ERR_PROTO,
           "a ClientHello at Handshake level is a QUIC error");
    finish(&p);
    h.data[0] = 2;
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h), NGTCP2_ERR_CRYPTO,
           "a ServerHello from a client is TLS's");
    is_int(p.server.crypto.alert, SSL_AD_UNEXPECTED_MESSAGE, "unexpected_message");
    is_int(ngtcp2_conn_get_tls_alert(p.server.conn), SSL_AD_UNEXPECTED_MESSAGE,
           "which the connection knows");
    finish(&p);
    h.data[0] = 1;
    replace(&h, "\x00\x2b\x00\x03\x02\x03\x04", "\x00\x2b\x00\x03\x02\x03\x03", 7);
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h), NGTCP2_ERR_CRYPTO,
           "TLS 1.2");
    is_int(p.server.crypto.alert, SSL_AD_PROTOCOL_VERSION, "protocol_version");
    finish(&p);
    make_hello(&h, good, sizeof(good));
    replace(&h, "\x00\x10\x00\x05\x00\x03\x02h3", "\xfa\xfa\x00\x05\x00\x03\x02h3", 9);
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h), NGTCP2_ERR_CRYPTO,
           "no ALPN");
    is_int(p.server.crypto.alert, SSL_AD_NO_APPLICATION_PROTOCOL, "no_application_protocol");
    finish(&p);
    make_hello(&h, good, sizeof(good));
    replace(&h, "\x00\x39\x00\x02\x0f", "\xfa\xfa\x00\x02\x0f", 5);
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h), NGTCP2_ERR_CRYPTO,
           "no transport parameters");
    is_int(p.server.crypto.alert, SSL_AD_MISSING_EXTENSION, "missing_extension");
    finish(&p);
    make_hello(&h, good, sizeof(good));
    is_int(server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h), 0, "none of these: taken");
    finish(&p);
}

/* A length that is never reached must not make the server keep everything. */
static void test_endless_hello(hosts *hosts)
{
    hello h = { .data = { 1, 0xff, 0xff, 0xff }, .len = 1000 };
    ngtcp2_callbacks cb;
    pair p;
    int rv = server_says(&p, hosts, NGTCP2_ENCRYPTION_LEVEL_INITIAL, &h), i;

    memset(&cb, 0, sizeof(cb));
    quic_crypto_callbacks(&cb);
    for (i = 1; rv == 0 && i < 100; ++i) {
        rv = cb.recv_crypto_data(p.server.conn, NGTCP2_ENCRYPTION_LEVEL_INITIAL, 0, h.data, h.len,
                                 NULL);
    }
    is_int(rv, NGTCP2_ERR_CRYPTO, "a ClientHello of 16 MB is refused");
    ok(i <= 17, "within 16 KB");
    ok(p.server.crypto.alert != 0, "with an alert");
    finish(&p);
}

/* ---- files ---- */

/* APR_ENOTIMPL where only this TLS library has no use for a file that is whole. */
static void fault(apr_status_t status, const char *cert, const char *key, const char *chain,
                  const char *file, const char *what)
{
    quic_tls_host_plan plan;
    quic_tls_host *host = NULL;
    const char *whose_fault = NULL;

    default_plan(&plan, NULL, cert);
    plan.key_files = list(key, NULL, NULL);
    plan.chain_file = chain;
    is_int(quic_tls_host_make(&host, &plan, pool, &whose_fault), status, "refused: %s", what);
    ok(!host, "no host");
    if (!whose_fault) {
        fail("a sentence");
        return;
    }
    if (!ok(strncmp(whose_fault, "SSLCertificate", 14) == 0 && strstr(whose_fault, file)
                && strstr(whose_fault, what),
            "by a sentence that names directive, file and reason")) {
        diag(whose_fault);
    }
    is_int(ERR_peek_error(), 0, "no error is left in the queue");
}

static void test_faults(void)
{
    /* The public key says id-RSASSA-PSS, which TLS libraries may do without. */
    static const char pss[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIICbjCCAaOgAwIBAgIUIxfKECioc1aGqtMlxhYtPS9TVx8wQQYJKoZIhvcNAQEK\n"
                              "MDSgDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEF\n"
                              "AKIDAgFeMBYxFDASBgNVBAMMC3Bzcy5leGFtcGxlMB4XDTI2MTEyMjE4MDIxOVoX\n"
                              "DTQ2MTExNzE4MDIxOVowFjEUMBIGA1UEAwwLcHNzLmV4YW1wbGUwgZ0wCwYJKoZI\n"
                              "hvcNAQEKA4GNADCBiQKBgQDKchfnRoGZKRw8703PilVVpXEDblCMMAY8RWp0RELo\n"
                              "HvTTxOjrnaVnNbCR8BUt5fCbfUsGev/K13hLB0HfuI2MZmDg9Gna5rnQaJOpHg4Q\n"
                              "QdjldyZu3BlBfhrIo2ukScN7LHW2sMQXcYBjomil/sybBjIQ9IXjEVeKd2yW9T2B\n"
                              "UwIDAQABo1MwUTAdBgNVHQ4EFgQU14imHlh6Pl5zoO8tdt+lZysJX8kwHwYDVR0j\n"
                              "BBgwFoAU14imHlh6Pl5zoO8tdt+lZysJX8kwDwYDVR0TAQH/BAUwAwEB/zBBBgkq\n"
                              "hkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAQUAoRwwGgYJKoZIhvcNAQEIMA0GCWCG\n"
                              "SAFlAwQCAQUAogMCAV4DgYEANtcnDqbT5ioZ7nTO6VSs+LO4h9wthqdw+xfb5sCq\n"
                              "8Wy/A+FosfGGcwp3dLsIyo1CLaZBoNZlASGRYQBZC8U6i+WEQOhPy8Chv8Qa6I40\n"
                              "6tolPyJQXdGnF/44n6IUjtqR2MeTTmf22JRoL/RzAU1Nk/vgLnZZtfClfCX3SfKR\n"
                              "3aQ=\n"
                              "-----END CERTIFICATE-----\n";
    /* An Ed448 key */
    static const char ed448[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MEcCAQAwBQYDK2VxBDsEOXTIzGJ3A1dmw/8Q5vIbm+iq82nw2IHEIL0W42HoTc73\n"
                                "y0rezsEfpJDW7W6aQURUxljJIh6aog6lPw==\n"
                                "-----END PRIVATE KEY-----\n";
    static const char damaged[] = "-----BEGIN CERTIFICATE-----\nMIICbjCC\n"
                                  "-----END CERTIFICATE-----\n";
    /* Whole, whatever it is. */
    static const char odd[] = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    char passphrase[] = "geheim";
    const char *cert = pki.rsa_cert_file, *file;

    fault(APR_ENOENT, path_of("none.crt"), NULL, NULL, "none.crt", "No such file");
    fault(APR_ENOENT, cert, path_of("none.key"), NULL, "none.key", "No such file");
    fault(APR_ENOENT, cert, pki.rsa_key_file, path_of("none.chain"), "none.chain", "No such file");
    fault(APR_EGENERAL, pki.rsa_key_file, NULL, NULL, "rsa.key", "no certificate in PEM form");
    fault(APR_EGENERAL, dir, NULL, NULL, dir, "no certificate in PEM form");
    fault(APR_EGENERAL, write_pem("empty", "", NULL, NULL, NULL, NULL), NULL, NULL, "empty",
          "no certificate");
    fault(APR_EGENERAL, write_pem("damaged", damaged, NULL, NULL, NULL, NULL), NULL, NULL,
          "damaged", "certificate is damaged");
    fault(APR_EGENERAL, cert, NULL, NULL, "rsa.crt", "no SSLCertificateKeyFile goes with it");
    fault(APR_EGENERAL, cert, cert, NULL, "rsa.crt", "no private key in PEM form");
    fault(APR_EGENERAL, cert, pki.ec_file, NULL, "ec.pem", "the certificate in");
    fault(APR_EGENERAL, pki.ec_file, pki.other_file, NULL, "other.pem", "the certificate in");
    file = write_pem("secret.key", NULL, NULL, NULL, pki.rsa_key, passphrase);
    fault(APR_ENOTIMPL, cert, file, NULL, "secret.key", "the private key is encrypted");
    file = write_pem("secret.pem", NULL, pki.rsa, NULL, pki.rsa_key, passphrase);
    fault(APR_ENOTIMPL, file, NULL, NULL, "secret.pem", "the private key is encrypted");
    file = write_pem("ed448.key", ed448, NULL, NULL, NULL, NULL);
    fault(APR_ENOTIMPL, cert, file, NULL, "ed448.key", "the private key cannot be used");
    file = write_pem("pss.pem", pss, NULL, NULL, pki.rsa_key, NULL);
    fault(APR_ENOTIMPL, file, NULL, NULL, "pss.pem", "cannot be used");
    file = write_pem("odd.crt", odd, NULL, NULL, NULL, NULL);
    fault(APR_ENOTIMPL, file, pki.rsa_key_file, NULL, "odd.crt", "the certificate cannot be read");
    fault(APR_ENOTIMPL, cert, pki.rsa_key_file, file, "odd.crt", "of the chain cannot be read");
    file = write_pem("half.chain", damaged, NULL, NULL, NULL, NULL);
    fault(APR_EGENERAL, cert, pki.rsa_key_file, file, "half.chain", "of the chain is damaged");
}

static void test_unusable_curve(void)
{
    EVP_PKEY *key = make_ec(NID_secp224r1);
    X509 *cert = make_cert(key, "a.example");

    fault(APR_ENOTIMPL, write_pem("p224.pem", NULL, cert, NULL, key, NULL), NULL, NULL, "p224.pem",
          "cannot be used");
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_no_certificate(void)
{
    quic_tls_host_plan plan;
    quic_tls_host *host;
    const char *whose_fault = NULL;

    default_plan(&plan, NULL, NULL);
    ok(quic_tls_host_make(&host, &plan, pool, &whose_fault) != APR_SUCCESS, "no certificate");
    is_str(whose_fault, "a.example has no SSLCertificateFile", "is said");
}

/* Keys as older tools write them, the chain in the file or beside it, P-384. */
static void test_file_forms(const quic_tls_ticket_keys *keys)
{
    static const uint16_t p384[] = { SSL_SIGN_ECDSA_SECP384R1_SHA384 };
    static const char parameters[] = "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n"
                                     "-----END EC PARAMETERS-----\n";
    client_options opt = { .sni = "a.example", .schemes = p384, .nschemes = 1 };
    EVP_PKEY *key = make_ec(NID_secp384r1);
    X509 *cert = make_cert(key, "a.example");
    quic_tls_host_plan plan;
    hosts h = { .asked = 0 };
    BIO *bio = BIO_new_file(path_of("old.key"), "w");
    pair p;

    BIO_puts(bio, parameters);
    PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(key), NULL, NULL, 0, NULL, NULL);
    BIO_free(bio);
    default_plan(&plan, keys, write_pem("p384.crt", NULL, cert, pki.other, NULL, NULL));
    plan.key_files = list(path_of("old.key"), NULL, NULL);
    plan.chain_file = write_pem("chain", NULL, pki.other, pki.ed, NULL, NULL);
    h.a = make_host(&plan);
    handshake(&p, &h, &opt);
    ok(completed(&p) && presented(&p, cert), "P-384, its key behind EC PARAMETERS");
    is_int(sk_X509_num(SSL_get_peer_full_cert_chain(p.client.ssl)), 3,
           "the chain of both files, nothing twice");
    SSL_SESSION_free(finish(&p));
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- variables ---- */

static void test_vars(void)
{
    static const char *const rows[][2] = {
        { "M_VERSION", "3" },
        { "M_SERIAL", "0A1B2C3D4E5F60718293" },
        { "V_START", "Nov  2 07:18:05 2026 GMT" },
        { "V_END", "Jan  2 03:04:05 2049 GMT" },
        { "S_DN", "CN=a.example,OU=second,OU=first,O=B\xc3\xa4r\\, Sons,C=DE" },
        { "I_DN", "CN=a.example,OU=second,OU=first,O=B\xc3\xa4r\\, Sons,C=DE" },
        { "S_DN_CN", "a.example" },
        { "S_DN_O", "B\xc3\xa4r, Sons" },
        { "S_DN_OU", "first" },
        { "S_DN_OU_0", "first" },
        { "I_DN_OU_1", "second" },
        { "S_DN_OU_2", NULL },
        { "S_DN_CN_RAW", "a.example" },
        { "S_DN_OU_1_RAW", "second" },
        { "S_DN_Email", NULL },
        { "S_DN_", NULL },
        { "S_DN_cn", NULL },
        { "s_dn_CN", "a.example" },
        { "SAN_DNS_0", "a.example" },
        { "SAN_DNS_1", "www.a.example" },
        { "SAN_DNS_2", NULL },
        { "SAN_DNS_", NULL },
        { "SAN_DNS_00000", NULL },
        { "SAN_Email_0", "post@a.example" },
        { "SAN_OTHER_msUPN_0", NULL },
        { "A_SIG", "sha256WithRSAEncryption" },
        { "A_KEY", "rsaEncryption" },
        { "UNKNOWN", NULL },
        { "", NULL },
    };
    quic_tls_host_plan plan;
    quic_tls_host *host;
    const char *days;
    size_t i;

    default_plan(&plan, NULL, pki.rsa_cert_file);
    plan.key_files = list(pki.rsa_key_file, NULL, NULL);
    host = make_host(&plan);
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        is_str(quic_tls_server_var(host, rows[i][0], pool), rows[i][1], "%s", rows[i][0]);
    }
    ok(is_pem(quic_tls_server_var(host, "CERT", pool), pki.rsa), "CERT is the PEM text");
    days = quic_tls_server_var(host, "V_REMAIN", pool);
    ok(days && atoi(days) > 0 && strspn(days, "0123456789") == strlen(days), "days remain");

    default_plan(&plan, NULL, pki.ec_file);
    host = make_host(&plan);
    is_str(quic_tls_server_var(host, "A_SIG", pool), "ecdsa-with-SHA256", "ECDSA's signature");
    is_str(quic_tls_server_var(host, "A_KEY", pool), "id-ecPublicKey", "ECDSA's key");
}

/* ---- ticket key files ---- */

static const char *write_bytes(const char *file, size_t len)
{
    const char *path = path_of(file);
    FILE *f = fopen(path, "w");
    size_t i;

    for (i = 0; i < len; ++i) {
        fputc((int)i, f);
    }
    fclose(f);
    return path;
}

static void test_ticket_files(void)
{
    static const size_t bad[] = { 0, 47, 49, 79, 81, 200 };
    quic_tls_ticket_keys old, now, again;
    const char *whose_fault;
    hosts one, two;
    SSL_SESSION *ticket;
    size_t i;

    is_int(quic_tls_ticket_keys_load(&old, write_bytes("48", 48), pool, &whose_fault), APR_SUCCESS,
           "a key file of 48 bytes");
    is_int(old.nkeys, 1, "is one key");
    is_int(quic_tls_ticket_keys_load(&now, write_bytes("80", 80), pool, &whose_fault), APR_SUCCESS,
           "a key file of 80 bytes");
    is_mem(now.key[0].name, old.key[0].name, 16, "the name is its first 16");
    ok(memcmp(now.key[0].aes_key, old.key[0].aes_key, 32) != 0, "the rest tells them apart");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        whose_fault = NULL;
        ok(quic_tls_ticket_keys_load(&again, write_bytes("bad", bad[i]), pool, &whose_fault)
               != APR_SUCCESS,
           "not one of %zu", bad[i]);
        ok(whose_fault && strstr(whose_fault, "SSLSessionTicketKeyFile")
               && strstr(whose_fault, dir),
           "by name");
    }
    ok(quic_tls_ticket_keys_load(&again, path_of("none"), pool, &whose_fault) != APR_SUCCESS
           && strstr(whose_fault, "No such file"),
       "nor one that is not there");

    quic_tls_ticket_keys_load(&again, path_of("80"), pool, &whose_fault);
    make_hosts(&one, &now, "domain one", 1);
    make_hosts(&two, &again, "domain one", 1);
    ticket = get_ticket(&one);
    is_int(resumes(&two, "a.example", ticket), 1, "two machines with one key file");
    SSL_SESSION_free(ticket);
}

int main(int argc, char **argv)
{
    client_options opt = { .sni = "b.example" };
    quic_tls_ticket_keys keys;
    hosts h;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    make_pki();
    quic_tls_ticket_keys_make(&keys);
    make_hosts(&h, &keys, "domain one", 1);
    if (argc > 1 && strcmp(argv[1], "--chacha") == 0) {
        test_cipher(&h, &opt, "TLS_CHACHA20_POLY1305_SHA256", 256);
    }
    else {
        test_handshake(&h);
        test_limits_of_host(&h);
        test_alpn(&h);
        test_names(&h);
        test_key_types(&keys);
        test_resumption(&keys);
        test_group_names();
        test_groups(&keys, &h);
        test_ciphers(&h, &keys);
        test_chacha(argv[0]);
        test_bad_hellos(&h);
        test_endless_hello(&h);
        test_faults();
        test_unusable_curve();
        test_no_certificate();
        test_file_forms(&keys);
        test_vars();
        test_ticket_files();
    }
    free_pki();
    apr_pool_destroy(pool);
    apr_terminate();
    remove_dir();
    return done_testing();
}
