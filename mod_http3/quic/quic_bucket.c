/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_bucket.h"

#define SECOND 1000000000ull

int quic_bucket_take(quic_bucket *b, uint64_t now, unsigned per_second)
{
    uint64_t token = SECOND / per_second;

    /* One second's tokens are kept at most. */
    if (now > SECOND && b->spent < now - SECOND) {
        b->spent = now - SECOND;
    }
    if (b->spent + token > now) {
        return 0;
    }
    b->spent += token;
    return 1;
}
