/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_span.h"

#include <errno.h>
#include <unistd.h>
#include <sys/stat.h>
#include "border/h3_descriptors.h"

apr_status_t h3_span_open(h3_span *span, int fd, off_t offset, off_t len)
{
    struct stat st;
    apr_status_t rv;

    span->fd = h3_descriptors_dup(fd);
    if (span->fd < 0) {
        return errno;
    }
    if (fstat(span->fd, &st) < 0) {
        rv = errno;
        close(span->fd);
        return rv;
    }
    span->offset = offset;
    span->left = len;
    span->dev = st.st_dev;
    return APR_SUCCESS;
}

void h3_span_advance(h3_span *span, size_t len)
{
    span->offset += (off_t)len;
    span->left -= (off_t)len;
}

void h3_span_close(h3_span *span)
{
    close(span->fd);
}
