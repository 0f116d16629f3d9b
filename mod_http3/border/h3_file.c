/* SPDX-License-Identifier: Apache-2.0 */
/* preadv2 */
#define _GNU_SOURCE
#include "border/h3_file.h"

#include <errno.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/magic.h>

/* One read of a file; several are in flight within H3StreamMaxMemSize. */
#define READ_SIZE (64 * 1024)
#define READ_MIN 4096

static h3_file_mode mode_of(const h3_file_devices *devices, const h3_span *span);
static h3_file_mode learn_mode(h3_file_devices *devices, const h3_span *span);
static h3_file_result read_nowait(const h3_span *span, h3_chunk *c, int *refused);
static h3_file_result filled(h3_chunk *c, ssize_t n);

size_t h3_file_want(const h3_span *span, size_t room, int others)
{
    size_t want = READ_SIZE;

    if ((off_t)want > span->left) {
        want = (size_t)span->left;
    }
    if (room >= want) {
        return want;
    }
    if (room < READ_SIZE / 4 && others) {
        return 0;
    }
    return room > READ_MIN ? room : want < READ_MIN ? want : READ_MIN;
}

h3_file_result h3_file_read(h3_file_devices *devices, const h3_span *span, h3_chunk *c)
{
    h3_file_mode mode = mode_of(devices, span);
    h3_file_result rv = H3_FILE_WAITS;
    int refused = 0;

    if (mode == H3_FILE_NOWAIT) {
        rv = read_nowait(span, c, &refused);
        if (refused) {
            mode = learn_mode(devices, span);
        }
    }
    if (mode == H3_FILE_MEMORY) {
        rv = filled(c, pread(span->fd, c->data, c->cap, span->offset));
    }
    return rv;
}

h3_file_result h3_file_read_waiting(const h3_span *span, h3_chunk *c)
{
    ssize_t n;

    do {
        n = pread(span->fd, c->data, c->cap, span->offset);
    } while (n < 0 && errno == EINTR);
    return filled(c, n);
}

/* *refused: not this once, but always, by the file system or by the kernel. */
static h3_file_result read_nowait(const h3_span *span, h3_chunk *c, int *refused)
{
    struct iovec iov = { c->data, c->cap };
    ssize_t n = preadv2(span->fd, &iov, 1, span->offset, RWF_NOWAIT);

    *refused = n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL);
    return *refused || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? H3_FILE_WAITS
                                                                      : filled(c, n);
}

static h3_file_result filled(h3_chunk *c, ssize_t n)
{
    if (n <= 0) {
        return H3_FILE_BROKEN;
    }
    c->len = (size_t)n;
    return H3_FILE_DONE;
}

static h3_file_mode mode_of(const h3_file_devices *devices, const h3_span *span)
{
    int i;

    for (i = 0; i < devices->n; i++) {
        if (devices->known[i].dev == span->dev) {
            return devices->known[i].mode;
        }
    }
    return H3_FILE_NOWAIT;
}

static h3_file_mode learn_mode(h3_file_devices *devices, const h3_span *span)
{
    h3_file_mode mode = H3_FILE_WORKER;
    struct statfs fs;
    int i = devices->n < H3_FILE_DEVICES ? devices->n++ : H3_FILE_DEVICES - 1;

    if (fstatfs(span->fd, &fs) == 0
        && (fs.f_type == TMPFS_MAGIC || fs.f_type == (long)RAMFS_MAGIC)) {
        mode = H3_FILE_MEMORY;
    }
    devices->known[i].dev = span->dev;
    devices->known[i].mode = mode;
    return mode;
}
