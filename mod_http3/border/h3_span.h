/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stretch of a file on its way out: its bytes are read when the client can take them (h3_file).
 *
 * Its descriptor is its own, one of the share that responses have (h3_descriptors). A span is of
 * the thread that holds it.
 */
#ifndef H3_SPAN_H
#define H3_SPAN_H

#include <stddef.h>
#include <sys/types.h>
#include <apr_errno.h>

typedef struct h3_span {
    int fd;
    off_t offset; /* of the next byte to be read */
    off_t left;   /* bytes that are still to be read */
    dev_t dev;
} h3_span;

/*
 * `len` bytes of file `fd` from `offset`, with a copy of the descriptor. Otherwise an errno, EMFILE
 * also where what waits has its share already; nothing is open then.
 */
apr_status_t h3_span_open(h3_span *span, int fd, off_t offset, off_t len);

/* So many of its bytes have been read. */
void h3_span_advance(h3_span *span, size_t len);

void h3_span_close(h3_span *span);

#endif /* H3_SPAN_H */
