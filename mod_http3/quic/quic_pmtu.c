/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_pmtu.h"

#include <string.h>

/* RFC 8899 section 5.1.2, MAX_PROBES: a single packet and the two that its first timeout sends. */
#define SILENT_PACKETS 3
#define SILENT_PTOS 3

void quic_pmtu_init(quic_pmtu *m)
{
    memset(m, 0, sizeof(*m));
}

void quic_pmtu_sent(quic_pmtu *m, size_t len)
{
    if (len > QUIC_PMTU_BASE) {
        m->sent += len;
        m->waiting++;
    }
}

int quic_pmtu_check(quic_pmtu *m, uint64_t lost, uint64_t in_flight, uint64_t pto, uint64_t now)
{
    int64_t acked = (int64_t)m->sent - (int64_t)lost - (int64_t)in_flight;
    uint64_t patience = SILENT_PTOS * pto;

    if (m->is_black_hole) {
        return 0;
    }
    if (!m->waiting || acked > m->acked + QUIC_PMTU_BASE) {
        /* Of what is still on its way some may be large, too. */
        m->waiting = m->waiting && in_flight > SILENT_PACKETS * QUIC_PMTU_BASE ? SILENT_PACKETS : 0;
        m->acked = acked;
        m->since = now;
        return 0;
    }
    if (patience < QUIC_PMTU_PATIENCE) {
        patience = QUIC_PMTU_PATIENCE;
    }
    m->is_black_hole = m->waiting >= SILENT_PACKETS && now - m->since >= patience;
    return m->is_black_hole;
}
