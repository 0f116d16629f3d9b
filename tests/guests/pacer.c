/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: each time that ngtcp2 is told to pace what has been written, a line goes to the
 * file $GUEST_PACER: the bytes written, how many at most were to be, and whether the last call had
 * nothing to write.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <ngtcp2/ngtcp2.h>

/* One thread writes. */
static size_t written;
static int was_empty;

static void tell(size_t quantum)
{
    const char *path = getenv("GUEST_PACER");
    char line[64];
    int fd = path ? open(path, O_WRONLY | O_APPEND) : -1;
    int n = snprintf(line, sizeof(line), "%zu %zu %d\n", written, quantum, was_empty);

    if (fd >= 0) {
        if (write(fd, line, (size_t)n) != n) {
            abort();
        }
        close(fd);
    }
}

ngtcp2_ssize ngtcp2_conn_writev_stream_versioned(ngtcp2_conn *conn, ngtcp2_path *path, int version,
                                                 ngtcp2_pkt_info *pi, uint8_t *dest, size_t destlen,
                                                 ngtcp2_ssize *taken, uint32_t flags,
                                                 int64_t stream_id, const ngtcp2_vec *vec,
                                                 size_t cnt, ngtcp2_tstamp ts)
{
    static ngtcp2_ssize (*real)(ngtcp2_conn *, ngtcp2_path *, int, ngtcp2_pkt_info *, uint8_t *,
                                size_t, ngtcp2_ssize *, uint32_t, int64_t, const ngtcp2_vec *,
                                size_t, ngtcp2_tstamp);
    ngtcp2_ssize n;

    if (!real) {
        real = dlsym(RTLD_NEXT, "ngtcp2_conn_writev_stream_versioned");
    }
    n = real(conn, path, version, pi, dest, destlen, taken, flags, stream_id, vec, cnt, ts);
    if (n >= 0) {
        written += (size_t)n;
        was_empty = n == 0;
    }
    return n;
}

void ngtcp2_conn_update_pkt_tx_time(ngtcp2_conn *conn, ngtcp2_tstamp ts)
{
    static void (*real)(ngtcp2_conn *, ngtcp2_tstamp);

    if (!real) {
        real = dlsym(RTLD_NEXT, "ngtcp2_conn_update_pkt_tx_time");
    }
    if (written) {
        tell(ngtcp2_conn_get_send_quantum(conn));
        written = 0;
    }
    real(conn, ts);
}
