/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_dispatch: each kind of datagram and its verdict, and what a verdict leads to, with
 * connections and sockets that only note what reaches them.
 */
#include <arpa/inet.h>
#include "quic/quic_conn.h"
#include "quic/quic_dispatch.h"
#include "quic/quic_env.h"
#include "quic/quic_route.h"
#include "tap.h"

#define NOW (1000 * NGTCP2_SECONDS)
#define DROP QUIC_DISPATCH_DROP
#define FOREIGN QUIC_DISPATCH_FOREIGN
#define CONN QUIC_DISPATCH_CONN
#define VERSION QUIC_DISPATCH_VERSION
#define RESET QUIC_DISPATCH_RESET
#define REFUSE QUIC_DISPATCH_REFUSE
#define ACCEPT QUIC_DISPATCH_ACCEPT

static uint8_t bytes[1500];

/* ---- in the place of quic_conn and quic_out ---- */

static quic_conn the_conn;
static int created, received, retry, sent;
static size_t sent_len;

quic_conn *quic_conn_create(quic_env *env, quic_listener *listener, const quic_datagram *dg,
                            const ngtcp2_pkt_hd *hd)
{
    (void)listener, (void)dg;
    created++;
    quic_cid_table_add(env->table, hd->dcid.data, hd->dcid.datalen, &the_conn);
    return &the_conn;
}

int quic_conn_recv(quic_conn *conn, quic_listener *listener, const quic_datagram *dg)
{
    (void)conn, (void)listener, (void)dg;
    received++;
    return retry ? NGTCP2_ERR_RETRY : 0;
}

void quic_out_datagram(quic_out_queue *queue, const quic_path *path, uint8_t ecn,
                       const uint8_t *data, size_t len)
{
    (void)queue, (void)path, (void)ecn, (void)data;
    sent++;
    sent_len = len;
}

/* ---- datagrams ---- */

static quic_datagram of_client(size_t len)
{
    quic_datagram dg = { .data = bytes, .len = len };

    dg.remote.in.sin_family = dg.local.in.sin_family = AF_INET;
    dg.remote.in.sin_port = htons(50000);
    dg.local.in.sin_port = htons(443);
    dg.remote.in.sin_addr.s_addr = htonl(0xc0000201);
    dg.local.in.sin_addr.s_addr = htonl(0xc0000202);
    return dg;
}

static quic_datagram short_packet(const uint8_t *cid, size_t len)
{
    memset(bytes, 0x55, sizeof(bytes));
    bytes[0] = 0x40;
    memcpy(bytes + 1, cid, QUIC_CID_LEN);
    return of_client(len);
}

/* An Initial for as much as ngtcp2_accept looks at. */
static quic_datagram initial(uint32_t version, const uint8_t *cid, size_t cid_len, size_t len)
{
    uint8_t *p = bytes;

    memset(bytes, 0x55, sizeof(bytes));
    *p++ = 0xc0;
    version = htonl(version);
    memcpy(p, &version, sizeof(version));
    p += sizeof(version);
    *p++ = (uint8_t)cid_len;
    memcpy(p, cid, cid_len);
    p += cid_len;
    *p++ = 0; /* no source id */
    *p++ = 0; /* no token */
    *p++ = 0x44;
    *p++ = 0x00; /* 1,024 bytes follow */
    return of_client(len);
}

static int verdict(const quic_datagram *dg, int has_conn, quic_dispatch_owner owner, int is_full)
{
    quic_dispatch_facts facts = { has_conn, is_full, owner };
    ngtcp2_version_cid vc = { 0 };
    ngtcp2_pkt_hd hd;
    int decoded = quic_dispatch_decode(&vc, dg);

    return quic_dispatch_judge(dg, decoded, &vc, &facts, &hd);
}

/* ---- verdicts ---- */

static const uint8_t cid[20] = "an id of twenty byte";

static void no_packet(void)
{
    quic_datagram dg = of_client(0);

    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "an empty datagram");
    dg = short_packet(cid, QUIC_CID_LEN);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "a short header without a whole id");
    dg = initial(NGTCP2_PROTO_VER_V1, cid, 8, 9);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "a long header without a whole id");
}

static void short_headers(void)
{
    quic_datagram dg = short_packet(cid, 40);

    is_int(verdict(&dg, 1, QUIC_OWNER_US, 0), CONN, "short header: a connection's");
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "an id that nobody made");
    is_int(verdict(&dg, 0, QUIC_OWNER_US, 0), RESET, "of a connection that we have no more");
    is_int(verdict(&dg, 0, QUIC_OWNER_GONE, 0), RESET, "of a child that is gone");
    is_int(verdict(&dg, 0, QUIC_OWNER_CHILD, 0), FOREIGN, "of a child that lives");
    is_int(verdict(&dg, 0, QUIC_OWNER_NO_SLOT, 0), FOREIGN, "of nobody knows whom");
    dg = short_packet(cid, 21);
    is_int(verdict(&dg, 0, QUIC_OWNER_GONE, 0), DROP, "too short for a stateless reset");
    is_int(verdict(&dg, 0, QUIC_OWNER_CHILD, 0), FOREIGN, "but long enough to be another's");
    dg = short_packet(cid, 1 + QUIC_CID_LEN);
    is_int(verdict(&dg, 0, QUIC_OWNER_CHILD, 0), DROP, "nothing after the id");
    is_int(verdict(&dg, 1, QUIC_OWNER_US, 0), CONN, "which its connection may see");
}

static void initials(void)
{
    quic_datagram dg = initial(NGTCP2_PROTO_VER_V1, cid, 8, 1200);

    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), ACCEPT, "Initial: a first one");
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 1), REFUSE, "when the house is full");
    is_int(verdict(&dg, 1, QUIC_OWNER_US, 1), CONN, "a connection's, even then");
    is_int(verdict(&dg, 0, QUIC_OWNER_US, 0), DROP, "of a connection that we have no more");
    is_int(verdict(&dg, 0, QUIC_OWNER_CHILD, 0), FOREIGN, "of a child that lives");
    is_int(verdict(&dg, 0, QUIC_OWNER_GONE, 0), ACCEPT, "an id that looks like a dead child's");
    is_int(verdict(&dg, 0, QUIC_OWNER_NO_SLOT, 0), ACCEPT, "or like one of no slot");
    dg.len = 1199;
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "in a datagram below 1200 bytes");
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 1), DROP, "which is not even refused");
    dg = initial(NGTCP2_PROTO_VER_V1, cid, 7, 1200);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "with an id below 8 bytes");
    dg = initial(NGTCP2_PROTO_VER_V1, cid, 8, 1200);
    bytes[0] = 0xe0;
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "a Handshake packet");
    bytes[0] = 0xd0;
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "a 0-RTT packet");
}

static void versions(void)
{
    quic_datagram dg = initial(0x1a2a3a4a, cid, 8, 1200);

    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), VERSION, "an unknown version");
    is_int(verdict(&dg, 1, QUIC_OWNER_US, 0), VERSION, "for a connection's id, too");
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 1), VERSION, "also when the house is full");
    dg.len = 1199;
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "in a datagram below 1200 bytes");
    dg = initial(NGTCP2_PROTO_VER_V2, cid, 8, 1200);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), VERSION, "version 2, which only the library has");
    dg = initial(0, cid, 8, 1200);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "Version Negotiation is not answered");
    dg = initial(0x1a2a3a4a, cid, 20, 1200);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), VERSION, "with the longest id of version 1");
}

static void reflectors(void)
{
    quic_datagram dg = initial(NGTCP2_PROTO_VER_V1, cid, 8, 1200);

    dg.remote.in.sin_port = htons(53);
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "an Initial from a name server");
    is_int(verdict(&dg, 1, QUIC_OWNER_US, 0), CONN, "a connection may have such a port");
    dg = short_packet(cid, 40);
    dg.remote.in.sin_port = 0;
    is_int(verdict(&dg, 0, QUIC_OWNER_GONE, 0), DROP, "no stateless reset to port 0");
    dg = initial(0x1a2a3a4a, cid, 8, 1200);
    dg.remote = dg.local;
    is_int(verdict(&dg, 0, QUIC_OWNER_NOBODY, 0), DROP, "no Version Negotiation to ourselves");
}

/* ---- what they lead to ---- */

static quic_group group;
static quic_stats stats;
static quic_env env;
static quic_dispatch dispatch;
static quic_listener listener;

static void begin(void)
{
    memset(&stats, 0, sizeof(stats));
    memset(&env, 0, sizeof(env));
    env.group = &group;
    env.stats = &stats;
    env.now = NOW;
    env.slot = 3;
    env.epoch = 7;
    env.max_connections = env.max_half_open = 10;
    env.table = quic_cid_table_create();
    quic_dispatch_init(&dispatch, &env);
    created = received = retry = sent = 0;
}

static void end(void)
{
    quic_cid_table_destroy(env.table);
}

static void births(void)
{
    quic_datagram dg = initial(NGTCP2_PROTO_VER_V1, cid, 8, 1200);

    begin();
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    ok(created == 1 && received == 1 && stats.accepted == 1, "an Initial begins a connection");
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    ok(created == 1 && received == 2, "which gets the next one");
    env.connections = 10;
    dg = initial(NGTCP2_PROTO_VER_V1, cid + 1, 8, 1200);
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    ok(created == 1 && stats.refused == 1 && sent == 1, "the one too many is refused");
    is_int(stats.datagrams_in, 3, "all are counted");
    end();
}

static void before_their_turn(void)
{
    quic_datagram dg = initial(NGTCP2_PROTO_VER_V1, cid, 8, 1200);

    begin();
    retry = 1;
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    quic_cid_table_remove(env.table, cid, 8); /* as the connection does that comes to nothing */
    ok(created == 1 && stats.accepted == 0 && stats.dropped == 0, "a later Initial is held");
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    ok(created == 1 && stats.dropped == 1, "once");
    retry = 0;
    bytes[100] = 1;
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    ok(created == 2 && received == 3, "the connection gets what was held");
    end();
}

static void owners(void)
{
    quic_datagram dg;
    ngtcp2_cid id;

    begin();
    quic_cid_make(&id, &group.secret, 3, 7);
    dg = short_packet(id.data, 60);
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    ok(stats.stateless_resets == 1 && sent == 1 && sent_len == 42, "our id: a stateless reset");
    quic_cid_make(&id, &group.secret, 2, 1);
    dg = short_packet(id.data, 60);
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    is_int(stats.stateless_resets, 2, "a free slot's: its child is gone");
    quic_cid_make(&id, &group.secret, 100, 1);
    dg = short_packet(id.data, 60);
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    is_int(stats.foreign, 1, "one of no slot is another server's");
    dg = short_packet(cid, 60);
    quic_dispatch_datagram(&dispatch, &listener, &dg);
    is_int(stats.dropped, 1, "a client's own is dropped");
    is_int(sent, 2, "no other was answered");
    end();
}

static void too_many_answers(void)
{
    quic_datagram dg = initial(0x1a2a3a4a, cid, 8, 1200);
    int i;

    begin();
    for (i = 0; i < 1000; i++) {
        quic_dispatch_datagram(&dispatch, &listener, &dg);
    }
    is_int(sent, 300, "300 Version Negotiation packets");
    is_int(stats.version_negotiations + stats.dropped, 1000, "the rest is dropped");
    end();
}

int main(void)
{
    no_packet();
    short_headers();
    initials();
    versions();
    reflectors();
    quic_cid_secret_make(&group.secret);
    group.route = quic_route_create(4);
    births();
    before_their_turn();
    owners();
    too_many_answers();
    quic_route_destroy(group.route);
    return done_testing();
}
