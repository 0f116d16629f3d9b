/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_dispatch.h"

#include <string.h>
#include "quic/quic_conn.h"
#include "quic/quic_env.h"
#include "quic/quic_route.h"

/* RFC 9000 section 14.1: smaller datagrams with an Initial are discarded. */
#define MIN_INITIAL_DATAGRAM 1200
/*
 * How long one odd client costs the others GRO. Then it is tried again, at the price of one message
 * of that client's datagrams.
 */
#define GRO_PAUSE (10 * NGTCP2_SECONDS)

static quic_dispatch_verdict judge_short(const quic_datagram *dg, quic_dispatch_owner owner);
static quic_dispatch_verdict judge_initial(const quic_datagram *dg,
                                           const quic_dispatch_facts *facts, ngtcp2_pkt_hd *hd);
static quic_dispatch_owner owner_of(const quic_env *env, const ngtcp2_version_cid *vc);
static int is_full(const quic_env *env);
static void begin_conn(quic_dispatch *d, quic_listener *l, const quic_datagram *dg,
                       const ngtcp2_pkt_hd *hd);
static void recv_held(quic_dispatch *d, const ngtcp2_cid *dcid, const quic_addr *remote);
static void foreign(const quic_env *env, quic_listener *l, const quic_datagram *dg);
static void drop(const quic_env *env);

void quic_dispatch_init(quic_dispatch *d, quic_env *env)
{
    memset(d, 0, sizeof(*d));
    d->env = env;
    quic_answer_init(&d->answer, env);
}

/* ---- the verdict ---- */

static int is_short(const quic_datagram *dg)
{
    return !(dg->data[0] & 0x80);
}

int quic_dispatch_decode(ngtcp2_version_cid *vc, const quic_datagram *dg)
{
    if (dg->len == 0) {
        return NGTCP2_ERR_INVALID_ARGUMENT; /* ngtcp2 asserts that there is a byte */
    }
    return ngtcp2_pkt_decode_version_cid(vc, dg->data, dg->len, QUIC_CID_LEN);
}

quic_dispatch_verdict quic_dispatch_judge(const quic_datagram *dg, int decoded,
                                          const ngtcp2_version_cid *vc,
                                          const quic_dispatch_facts *facts, ngtcp2_pkt_hd *hd)
{
    if (decoded != 0 && decoded != NGTCP2_ERR_VERSION_NEGOTIATION) {
        return QUIC_DISPATCH_DROP;
    }
    if (facts->has_conn && decoded == 0) {
        return QUIC_DISPATCH_CONN;
    }
    if (quic_answer_is_reflector(dg)) {
        return QUIC_DISPATCH_DROP;
    }
    if (is_short(dg)) {
        return judge_short(dg, facts->owner);
    }
    if (decoded == NGTCP2_ERR_VERSION_NEGOTIATION || vc->version != NGTCP2_PROTO_VER_V1) {
        /* Never to a Version Negotiation packet: that would go on for ever. */
        return dg->len >= MIN_INITIAL_DATAGRAM && vc->version != 0 ? QUIC_DISPATCH_VERSION
                                                                   : QUIC_DISPATCH_DROP;
    }
    return judge_initial(dg, facts, hd);
}

/*
 * An ID of ours without a connection. If its owner is certainly gone, the client need not wait for
 * its idle timeout. RFC 9000 sections 10.3 and 21.11
 */
static quic_dispatch_verdict judge_short(const quic_datagram *dg, quic_dispatch_owner owner)
{
    if (owner == QUIC_OWNER_NOBODY || dg->len <= 1 + QUIC_CID_LEN) {
        return QUIC_DISPATCH_DROP;
    }
    if (owner == QUIC_OWNER_CHILD || owner == QUIC_OWNER_NO_SLOT) {
        return QUIC_DISPATCH_FOREIGN;
    }
    return quic_answer_reset_len(dg->len) ? QUIC_DISPATCH_RESET : QUIC_DISPATCH_DROP;
}

/*
 * An ID of a connection that another child has, or that we had, is in no client's first Initial.
 * One of 65,536 IDs that clients make up has our mark; most of these name a slot that there is not.
 */
static quic_dispatch_verdict judge_initial(const quic_datagram *dg,
                                           const quic_dispatch_facts *facts, ngtcp2_pkt_hd *hd)
{
    if (facts->owner == QUIC_OWNER_US) {
        return QUIC_DISPATCH_DROP;
    }
    if (facts->owner == QUIC_OWNER_CHILD) {
        return QUIC_DISPATCH_FOREIGN;
    }
    if (dg->len < MIN_INITIAL_DATAGRAM || ngtcp2_accept(hd, dg->data, dg->len) != 0) {
        return QUIC_DISPATCH_DROP;
    }
    return facts->is_full ? QUIC_DISPATCH_REFUSE : QUIC_DISPATCH_ACCEPT;
}

/* ---- its execution ---- */

static quic_dispatch_owner owner_of(const quic_env *env, const ngtcp2_version_cid *vc)
{
    const quic_group *group = env->group;
    uint8_t slot, epoch;

    if (vc->dcidlen != QUIC_CID_LEN
        || !quic_cid_parse(vc->dcid, vc->dcidlen, &group->secret, &slot, &epoch)) {
        return QUIC_OWNER_NOBODY;
    }
    if (slot == env->slot && epoch == env->epoch) {
        return QUIC_OWNER_US;
    }
    if (slot >= quic_route_nslots(group->route)) {
        return QUIC_OWNER_NO_SLOT;
    }
    return quic_route_owner_is_gone(group->route, slot, epoch) ? QUIC_OWNER_GONE : QUIC_OWNER_CHILD;
}

static int is_full(const quic_env *env)
{
    return env->connections >= env->max_connections || env->half_open >= env->max_half_open;
}

void quic_dispatch_datagram(quic_dispatch *d, quic_listener *l, const quic_datagram *dg)
{
    const quic_env *env = d->env;
    quic_dispatch_facts facts = { 0 };
    ngtcp2_version_cid vc;
    ngtcp2_pkt_hd hd;
    quic_conn *conn = NULL;
    int decoded = quic_dispatch_decode(&vc, dg);

    QUIC_STATS_ADD(env->stats, datagrams_in, 1);
    if (decoded == 0 || decoded == NGTCP2_ERR_VERSION_NEGOTIATION) {
        conn = quic_cid_table_find(env->table, vc.dcid, vc.dcidlen);
        facts.has_conn = conn != NULL;
        facts.owner = conn ? QUIC_OWNER_US : owner_of(env, &vc);
        facts.is_full = is_full(env);
    }
    switch (quic_dispatch_judge(dg, decoded, &vc, &facts, &hd)) {
    case QUIC_DISPATCH_DROP:
        drop(env);
        break;
    case QUIC_DISPATCH_FOREIGN:
        foreign(env, l, dg);
        break;
    case QUIC_DISPATCH_CONN:
        quic_conn_recv(conn, l, dg);
        break;
    case QUIC_DISPATCH_VERSION:
        if (!quic_answer_version(&d->answer, l, dg, &vc)) {
            drop(env);
        }
        break;
    case QUIC_DISPATCH_RESET:
        if (!quic_answer_reset(&d->answer, l, dg)) {
            drop(env);
        }
        break;
    case QUIC_DISPATCH_REFUSE:
        QUIC_STATS_ADD(env->stats, refused, 1);
        quic_answer_refusal(&d->answer, l, dg, &hd);
        break;
    case QUIC_DISPATCH_ACCEPT:
        begin_conn(d, l, dg, &hd);
        break;
    }
}

static void begin_conn(quic_dispatch *d, quic_listener *l, const quic_datagram *dg,
                       const ngtcp2_pkt_hd *hd)
{
    quic_env *env = d->env;
    quic_conn *conn;

    if (quic_hold_has(&d->hold, env->now, &hd->dcid, dg)) {
        drop(env);
        return;
    }
    conn = quic_conn_create(env, l, dg, hd);
    if (!conn) {
        drop(env);
        return;
    }
    if (quic_conn_recv(conn, l, dg) == NGTCP2_ERR_RETRY) {
        QUIC_STATS_ADD(env->stats, dropped, quic_hold_put(&d->hold, env->now, &hd->dcid, l, dg));
        return;
    }
    QUIC_STATS_ADD(env->stats, accepted, 1);
    recv_held(d, &hd->dcid, &dg->remote);
}

/* What came before its turn goes to the connection that has its beginning now. */
static void recv_held(quic_dispatch *d, const ngtcp2_cid *dcid, const quic_addr *remote)
{
    quic_env *env = d->env;
    const quic_held *held;
    quic_conn *conn;

    while ((conn = quic_cid_table_find(env->table, dcid->data, dcid->datalen))
           && (held = quic_hold_take(&d->hold, env->now, dcid, remote))) {
        quic_conn_recv(conn, held->listener, &held->dg);
    }
}

static void foreign(const quic_env *env, quic_listener *l, const quic_datagram *dg)
{
    QUIC_STATS_ADD(env->stats, foreign, 1);
    if (dg->merged && is_short(dg)) {
        /* GRO has put it after one of ours: the steering program saw that one's ID only. */
        quic_listener_gro(l, env->slot, 0);
        l->gro_off_until = env->now + GRO_PAUSE;
    }
}

static void drop(const quic_env *env)
{
    QUIC_STATS_ADD(env->stats, dropped, 1);
}
