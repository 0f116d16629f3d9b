/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_answer.h"

#include "quic/quic_env.h"
#include "quic/quic_out.h"
#include "tls/quic_keys.h"

/* With a burst of as many. */
#define ANSWERS_PER_SECOND 300
#define RESET_LEN 42
#define RESET_LEN_MIN 21

static int may_answer(const quic_answer *a, quic_bucket *kind);
static void send_back(const quic_answer *a, quic_listener *l, const quic_datagram *dg,
                      const uint8_t *data, size_t len);

void quic_answer_init(quic_answer *a, quic_env *env)
{
    *a = (quic_answer){ .env = env };
}

int quic_answer_is_reflector(const quic_datagram *dg)
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

static int may_answer(const quic_answer *a, quic_bucket *kind)
{
    return quic_bucket_take(kind, a->env->now, ANSWERS_PER_SECOND);
}

static void send_back(const quic_answer *a, quic_listener *l, const quic_datagram *dg,
                      const uint8_t *data, size_t len)
{
    quic_path back = { dg->local, dg->remote, l };

    quic_out_datagram(&a->env->out, &back, 0, data, len);
}

ngtcp2_ssize quic_answer_version_packet(uint8_t packet[QUIC_ANSWER_VERSION_MAX],
                                        const ngtcp2_version_cid *vc, const uint8_t random[4])
{
    uint32_t versions[2];

    /* RFC 9000 section 15: reserved versions keep clients tolerant. */
    versions[0] = 0x0a0a0a0au | ((uint32_t)(random[0] & 0xf0) << 24)
                  | ((uint32_t)(random[1] & 0xf0) << 16) | ((uint32_t)(random[2] & 0xf0) << 8)
                  | (uint32_t)(random[3] & 0xf0);
    versions[1] = NGTCP2_PROTO_VER_V1;
    return ngtcp2_pkt_write_version_negotiation(packet, QUIC_ANSWER_VERSION_MAX,
                                                random[0] ^ random[3], vc->scid, vc->scidlen,
                                                vc->dcid, vc->dcidlen, versions, 2);
}

int quic_answer_version(quic_answer *a, quic_listener *l, const quic_datagram *dg,
                        const ngtcp2_version_cid *vc)
{
    uint8_t packet[QUIC_ANSWER_VERSION_MAX], random[4];
    ngtcp2_ssize n;

    if (!may_answer(a, &a->version_negotiations)) {
        return 0;
    }
    quic_keys_rand(random, sizeof(random));
    n = quic_answer_version_packet(packet, vc, random);
    if (n > 0) {
        QUIC_STATS_ADD(a->env->stats, version_negotiations, 1);
        send_back(a, l, dg, packet, (size_t)n);
    }
    return n > 0;
}

size_t quic_answer_reset_len(size_t len)
{
    if (len <= RESET_LEN_MIN) {
        return 0;
    }
    return len > RESET_LEN ? RESET_LEN : len - 1;
}

int quic_answer_reset(quic_answer *a, quic_listener *l, const quic_datagram *dg)
{
    size_t len = quic_answer_reset_len(dg->len);
    ngtcp2_stateless_reset_token token;
    uint8_t packet[RESET_LEN], random[RESET_LEN];
    ngtcp2_ssize n;

    if (!len || !may_answer(a, &a->stateless_resets)) {
        return 0;
    }
    quic_cid_reset_token(token.data, &a->env->group->secret, dg->data + 1, QUIC_CID_LEN);
    quic_keys_rand(random, sizeof(random));
    n = ngtcp2_pkt_write_stateless_reset2(packet, len, &token, random,
                                          len - NGTCP2_STATELESS_RESET_TOKENLEN);
    if (n > 0) {
        QUIC_STATS_ADD(a->env->stats, stateless_resets, 1);
        send_back(a, l, dg, packet, (size_t)n);
    }
    return n > 0;
}

int quic_answer_refusal(quic_answer *a, quic_listener *l, const quic_datagram *dg,
                        const ngtcp2_pkt_hd *hd)
{
    const quic_env *env = a->env;
    uint8_t packet[256];
    ngtcp2_cid scid;
    long n;

    if (!may_answer(a, &a->refusals)) {
        return 0;
    }
    quic_cid_make(&scid, &env->group->secret, env->slot, env->epoch);
    n = quic_keys_initial_close(packet, sizeof(packet), hd->version, &hd->scid, &scid, &hd->dcid,
                                NGTCP2_CONNECTION_REFUSED);
    if (n > 0) {
        send_back(a, l, dg, packet, (size_t)n);
    }
    return n > 0;
}
