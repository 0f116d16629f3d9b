/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: so many a second, and a burst of as many.
 *
 * For one thread; part of what it limits. All zeros is full, except in the clock's first second.
 */
#ifndef QUIC_BUCKET_H
#define QUIC_BUCKET_H

#include <stdint.h>

typedef struct quic_bucket {
    uint64_t spent; /* nanoseconds: the moment up to which its tokens are taken */
} quic_bucket;

/* Takes a token; 0: there is none now. `now` never goes back, in nanoseconds. */
int quic_bucket_take(quic_bucket *b, uint64_t now, unsigned per_second);

#endif /* QUIC_BUCKET_H */
