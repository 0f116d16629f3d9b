/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a span of a file is read without making the I/O thread wait for a disk.
 *
 * preadv2(RWF_NOWAIT) reads what is in the page cache. What is not there is read by a worker, in a
 * short job. Some file systems refuse RWF_NOWAIT: on tmpfs a plain read never waits; anywhere else
 * (overlayfs ...) a worker always reads. A device is asked once, its answer is remembered.
 *
 * The table of devices is the I/O thread's, one per child; zeroed, it is empty.
 */
#ifndef H3_FILE_H
#define H3_FILE_H

#include <stddef.h>
#include <sys/types.h>
#include "border/h3_chunk.h"
#include "border/h3_span.h"

typedef enum {
    H3_FILE_NOWAIT, /* RWF_NOWAIT works: what is in the page cache */
    H3_FILE_MEMORY, /* a plain read never waits */
    H3_FILE_WORKER  /* neither: a worker reads */
} h3_file_mode;

/* Those that refuse RWF_NOWAIT. Where there are more than fit in, the last ones are asked again. */
#define H3_FILE_DEVICES 16
typedef struct h3_file_devices {
    struct {
        dev_t dev;
        h3_file_mode mode;
    } known[H3_FILE_DEVICES];
    int n;
} h3_file_devices;

/*
 * How many bytes of the span to read now, where there is `room` for so many. 0: rather later, when
 * some of the `others` that are in memory have gone and made room. Without others a little is read
 * whatever the room: what fills it may have been written after the span.
 */
size_t h3_file_want(const h3_span *span, size_t room, int others);

typedef enum {
    H3_FILE_DONE,  /* the chunk has bytes: at least one, as a rule as many as fit in */
    H3_FILE_WAITS, /* it would have to wait: a worker is to read (h3_file_read_waiting) */
    H3_FILE_BROKEN /* the file has become shorter, or cannot be read */
} h3_file_result;

/*
 * Reads the span's next bytes into an empty chunk. The span stays as it is: it is moved on when the
 * chunk is accepted. I/O thread; never waits.
 */
h3_file_result h3_file_read(h3_file_devices *devices, const h3_span *span, h3_chunk *c);

/* The same by a worker, for as long as it takes. Never H3_FILE_WAITS. */
h3_file_result h3_file_read_waiting(const h3_span *span, h3_chunk *c);

#endif /* H3_FILE_H */
