/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a flow-control window should be: what a client may send, and what is held for it to
 * be sent, grow with the path.
 *
 * Pure; on the I/O thread.
 */
#ifndef H3_WINDOW_H
#define H3_WINDOW_H

#include <stddef.h>
#include <stdint.h>

/* A receive window: of a stream, or of a connection (RFC 9000 section 4.1). */
typedef struct h3_window {
    uint64_t size, max; /* bytes */
    uint64_t used;      /* bytes that were given back as credit in this epoch */
    uint64_t since;     /* nanoseconds: when the epoch began */
} h3_window;

/* `size`: what the client has been granted at first; it grows up to `max`. */
void h3_window_init(h3_window *w, uint64_t size, uint64_t max, uint64_t now);

/*
 * `n` bytes are given back as credit. Returns how many more should be, 0 in most cases: a window
 * that turns over within four round trips (`rtt`, nanoseconds) bounds the client's rate, or soon
 * will, and should be twice as large. It is, when h3_window_grow is called.
 */
uint64_t h3_window_used(h3_window *w, uint64_t n, uint64_t now, uint64_t rtt);
void h3_window_grow(h3_window *w, uint64_t by);

/*
 * Bytes of responses that one connection should hold: those that are in flight, and as many to
 * follow when they are acknowledged. `cwnd`: its congestion window, bytes.
 */
size_t h3_window_to_send(uint64_t cwnd);

#endif /* H3_WINDOW_H */
