/* SPDX-License-Identifier: Apache-2.0 */
#include "quic_accept.h"

#include <string.h>
#include "http_config.h"

APLOG_USE_MODULE(http3);

/* RFC 9000 section 14.1: smaller datagrams with an Initial are discarded. */
#define MIN_INITIAL_DATAGRAM 1200
/*
 * A stateless reset is as long as this, or a byte shorter than a small datagram that triggered it;
 * so two servers do not reset each other for ever. RFC 9000 sections 10.3, 10.3.3
 */
#define RESET_LEN 42
#define RESET_LEN_MIN 21
/* Answers to datagrams of nobody, per second and child; with a burst of as many. */
#define ANSWERS_PER_SECOND 300
/*
 * So long one odd client costs the others GRO. Then it is tried again, at the price of that
 * client's datagrams of one message.
 */
#define GRO_PAUSE (10 * NGTCP2_SECONDS)

static void answer(quic_env *env, quic_listener *l, const quic_datagram *dg, const uint8_t *data,
                   size_t len)
{
    size_t sent;

    quic_udp_send(l->fd[env->slot], &dg->local, &dg->remote, 0, data, len, len, &sent);
    QUIC_STATS_ADD(env->stats, datagrams_out, 1);
}

static void drop(quic_env *env)
{
    QUIC_STATS_ADD(env->stats, dropped, 1);
}

/* A token bucket for what a forged source address could make us send. */
static int may_answer(quic_env *env)
{
    uint64_t fresh = (env->now - env->reset_at) * ANSWERS_PER_SECOND / NGTCP2_SECONDS;

    if (fresh > 0) {
        env->reset_at = env->now;
        env->reset_tokens += fresh;
        if (env->reset_tokens > ANSWERS_PER_SECOND) {
            env->reset_tokens = ANSWERS_PER_SECOND;
        }
    }
    if (!env->reset_tokens) {
        return 0;
    }
    env->reset_tokens--;
    return 1;
}

/*
 * Sources that no client has: port 0, ourselves, and services that answer
 * whatever they get, for whom we would be the attacker. RFC 9000 section 21.5
 */
static int is_reflector(const quic_datagram *dg)
{
    static const uint16_t ports[] = { 0,   7,   13,  17,  19,   53,   69,   111,  123,
                                      137, 161, 389, 500, 1900, 3702, 5353, 11211 };
    uint16_t port = quic_addr_port(&dg->remote);
    size_t i;

    for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (port == ports[i]) {
            return 1;
        }
    }
    return quic_addr_equal(&dg->remote, &dg->local);
}

/* RFC 9000 section 6.1, RFC 8999 section 6 */
static void negotiate_version(quic_env *env, quic_listener *l, const quic_datagram *dg,
                              const ngtcp2_version_cid *vc)
{
    uint8_t buf[7 + 255 + 255 + 2 * sizeof(uint32_t)], random[4];
    uint32_t versions[2];
    ngtcp2_ssize n;

    /* Never to a Version Negotiation packet: that would go on for ever. */
    if (dg->len < MIN_INITIAL_DATAGRAM || vc->version == 0 || !may_answer(env)) {
        drop(env);
        return;
    }
    quic_crypto_rand(random, sizeof(random));
    /* RFC 9000 section 15: reserved versions keep clients tolerant. */
    versions[0] = 0x0a0a0a0au | ((uint32_t)(random[0] & 0xf0) << 24)
                  | ((uint32_t)(random[1] & 0xf0) << 16) | ((uint32_t)(random[2] & 0xf0) << 8)
                  | (uint32_t)(random[3] & 0xf0);
    versions[1] = NGTCP2_PROTO_VER_V1;
    n = ngtcp2_pkt_write_version_negotiation(buf, sizeof(buf), random[0] ^ random[3], vc->scid,
                                             vc->scidlen, vc->dcid, vc->dcidlen, versions, 2);
    if (n > 0) {
        QUIC_STATS_ADD(env->stats, version_negotiations, 1);
        answer(env, l, dg, buf, (size_t)n);
    }
}

/*
 * An id of ours without a connection. If its owner is certainly gone, the
 * client shall not wait for its idle timeout. RFC 9000 sections 10.3, 21.11
 */
static void reset_or_drop(quic_env *env, quic_listener *l, const quic_datagram *dg)
{
    ngtcp2_stateless_reset_token token;
    uint8_t buf[RESET_LEN], random[RESET_LEN], slot, epoch;
    const uint8_t *cid = dg->data + 1;
    ngtcp2_ssize n;
    size_t len;

    if (dg->len <= 1 + QUIC_CID_LEN
        || !quic_cid_parse(cid, QUIC_CID_LEN, env->secret, &slot, &epoch)) {
        drop(env);
        return;
    }
    if ((slot != env->slot || epoch != env->epoch)
        && !quic_route_owner_is_gone(env->route, slot, epoch)) {
        QUIC_STATS_ADD(env->stats, foreign, 1);
        if (dg->merged) {
            /* GRO has put it behind one of ours: the steering program saw that one's id only. */
            quic_listener_gro(l, env->slot, 0);
            l->gro_off_until = env->now + GRO_PAUSE;
        }
        return;
    }
    if (dg->len <= RESET_LEN_MIN || !may_answer(env)) {
        drop(env);
        return;
    }
    len = dg->len > RESET_LEN ? RESET_LEN : dg->len - 1;
    quic_cid_reset_token(token.data, env->secret, cid, QUIC_CID_LEN);
    quic_crypto_rand(random, sizeof(random));
    n = ngtcp2_pkt_write_stateless_reset2(buf, len, &token, random,
                                          len - NGTCP2_STATELESS_RESET_TOKENLEN);
    if (n > 0) {
        QUIC_STATS_ADD(env->stats, stateless_resets, 1);
        answer(env, l, dg, buf, (size_t)n);
    }
}

/* RFC 9000 section 5.2.2: CONNECTION_REFUSED for a client that finds the house full. */
static void refuse(quic_env *env, quic_listener *l, const quic_datagram *dg,
                   const ngtcp2_pkt_hd *hd)
{
    uint8_t buf[256];
    ngtcp2_cid scid;
    long n;

    QUIC_STATS_ADD(env->stats, refused, 1);
    if (!may_answer(env)) {
        return;
    }
    quic_cid_make(&scid, env->secret, env->slot, env->epoch);
    n = quic_crypto_initial_close(buf, sizeof(buf), hd->version, &hd->scid, &scid, &hd->dcid,
                                  NGTCP2_CONNECTION_REFUSED);
    if (n > 0) {
        answer(env, l, dg, buf, (size_t)n);
    }
}

/*
 * The id of a connection that another child has, or that we had: 1, it is no client's first
 * Initial. One of 65,536 ids that clients make up has our mark; most of these name a slot that
 * there is not.
 */
static int is_known_id(quic_env *env, const ngtcp2_version_cid *vc)
{
    uint8_t slot, epoch;

    if (vc->dcidlen != QUIC_CID_LEN
        || !quic_cid_parse(vc->dcid, vc->dcidlen, env->secret, &slot, &epoch)
        || slot >= quic_route_nslots(env->route)) {
        return 0;
    }
    if (slot == env->slot && epoch == env->epoch) {
        drop(env);
        return 1;
    }
    if (!quic_route_owner_is_gone(env->route, slot, epoch)) {
        QUIC_STATS_ADD(env->stats, foreign, 1);
        return 1;
    }
    return 0;
}

static void accept_initial(quic_env *env, quic_listener *l, const quic_datagram *dg,
                           const ngtcp2_version_cid *vc)
{
    ngtcp2_pkt_hd hd;
    quic_conn *conn;

    if (is_known_id(env, vc)) {
        return;
    }
    if (dg->len < MIN_INITIAL_DATAGRAM || ngtcp2_accept(&hd, dg->data, dg->len) != 0) {
        drop(env);
        return;
    }
    if (env->connections >= env->max_connections || env->half_open >= env->max_half_open) {
        refuse(env, l, dg, &hd);
        return;
    }
    conn = quic_conn_create(env, l, dg, &hd);
    if (!conn) {
        drop(env);
        return;
    }
    quic_conn_recv(conn, l, dg);
}

void quic_accept_datagram(quic_env *env, quic_listener *listener, const quic_datagram *dg)
{
    ngtcp2_version_cid vc;
    quic_conn *conn;
    int rv;

    QUIC_STATS_ADD(env->stats, datagrams_in, 1);
    if (dg->len == 0) {
        drop(env); /* ngtcp2 asserts that there is a byte */
        return;
    }
    rv = ngtcp2_pkt_decode_version_cid(&vc, dg->data, dg->len, QUIC_CID_LEN);
    if (rv != 0 && rv != NGTCP2_ERR_VERSION_NEGOTIATION) {
        drop(env);
        return;
    }
    conn = quic_cid_table_find(env->table, vc.dcid, vc.dcidlen);
    if (conn && rv == 0) {
        quic_conn_recv(conn, listener, dg);
    }
    else if (is_reflector(dg)) {
        drop(env);
    }
    else if (!(dg->data[0] & 0x80)) {
        reset_or_drop(env, listener, dg);
    }
    else if (rv == NGTCP2_ERR_VERSION_NEGOTIATION || vc.version != NGTCP2_PROTO_VER_V1) {
        negotiate_version(env, listener, dg, &vc);
    }
    else {
        accept_initial(env, listener, dg, &vc);
    }
}
