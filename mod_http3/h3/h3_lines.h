/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the field lines of a request stream as its bytes pass by, without decoding them.
 *
 * nghttp3 drops a field that HTTP does not permit (a blank at either end of its value, a control
 * character, a bad name) and tells nobody; a request must not be served as if the field had not
 * been there. How many lines a field section has needs no decoding: frames (RFC 9114 section 7.1),
 * and in them the kinds and lengths of the representations (RFC 9204 section 4.5), are enough.
 *
 * Pure; one per stream, on the I/O thread.
 */
#ifndef H3_LINES_H
#define H3_LINES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Longer strings end the connection in nghttp3 (as lib/nghttp3_qpack.h has it, in all versions).
 * For a Huffman code the bytes that it can become count: a symbol has 5 bits at least.
 */
#define H3_LINES_NAME_MAX 256
#define H3_LINES_VALUE_MAX 65536

typedef struct h3_lines {
    uint64_t value;      /* integer that is being read */
    uint64_t frame_left; /* bytes of the present frame */
    uint64_t skip;       /* bytes of the present string */
    unsigned head;       /* lines of the first field section, as far as it has come */
    unsigned sections;   /* field sections begun: the head, then trailers */
    uint8_t state, line; /* private */
    uint8_t bits;        /* of `value`: read so far (QPACK), or bytes still to come (varint) */
    uint8_t headers;     /* the present frame is HEADERS */
    uint8_t huffman;
} h3_lines;

/*
 * Looks at the stream's next bytes, in order, before nghttp3 does; all zero is the beginning.
 * Returns how many of them nghttp3 may have: all, or as many as precede the length of a string that
 * is too long for it: it must not see any more of this stream (nghttp3_conn_shutdown_stream_read).
 * What is no valid frame or representation is nghttp3's to refuse.
 */
size_t h3_lines_feed(h3_lines *l, const uint8_t *data, size_t len);

#endif /* H3_LINES_H */
