/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagrams of RFC 9001 appendix A, read and answered by connections with the callbacks of
 * quic_crypto and quic_keys. Whole handshakes are in quic_tls_test.c.
 */
#include <openssl/ssl.h>

#include "tls/quic_crypto.h"
#include "tls/quic_keys.h"

#include "rfc9001.h"
#include "tap.h"

/* A test's own end of a connection: its CRYPTO data as ngtcp2 handed it over. */
typedef struct capture {
    uint8_t data[512];
    size_t len;
    ngtcp2_encryption_level level;
} capture;

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
    len = quic_keys_initial_close(packet, sizeof(packet), NGTCP2_PROTO_VER_V1, &dcid, &scid, &odcid,
                                  NGTCP2_CONNECTION_REFUSED);
    ok(len > 0, "an Initial with CONNECTION_CLOSE");
    is_int(ngtcp2_conn_read_pkt(c.conn, &c.path.path, NULL, packet, (size_t)len, 3),
           NGTCP2_ERR_DRAINING, "ends the client's connection");
    is_int(ngtcp2_conn_get_ccerr(c.conn)->error_code, NGTCP2_CONNECTION_REFUSED, "with its error");
    is_int(quic_keys_initial_close(packet, 20, NGTCP2_PROTO_VER_V1, &dcid, &scid, &odcid, 2), -1,
           "not in 20 bytes");
    is_int(quic_keys_initial_close(packet, sizeof(packet), 0x0a0a0a0a, &dcid, &scid, &odcid, 2), -1,
           "not in a version that we do not speak");
    free_client(&c);
}

int main(void)
{
    test_server_conn();
    test_client_initial(0);
    test_client_initial(1);
    test_client_retry(0);
    test_client_retry(1);
    test_initial_close();
    return done_testing();
}
