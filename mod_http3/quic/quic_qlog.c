/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/quic_qlog.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".sqlog"
#define DIR_MAX 980
#define PATH_SIZE (DIR_MAX + 1 + 2 * NGTCP2_MAX_CIDLEN + sizeof(SUFFIX))

static int make_path(char path[PATH_SIZE], const char *dir, const ngtcp2_cid *name);

/* 0: the folder's name is too long. */
static int make_path(char path[PATH_SIZE], const char *dir, const ngtcp2_cid *name)
{
    size_t i, n;

    if (strlen(dir) > DIR_MAX) {
        return 0;
    }
    n = (size_t)snprintf(path, PATH_SIZE, "%s/", dir);
    for (i = 0; i < name->datalen; i++) {
        n += (size_t)snprintf(path + n, 3, "%02x", name->data[i]);
    }
    memcpy(path + n, SUFFIX, sizeof(SUFFIX));
    return 1;
}

void quic_qlog_open(quic_qlog *q, const char *dir, const ngtcp2_cid *name, const quic_log *log)
{
    char path[PATH_SIZE];

    q->dir = dir;
    q->name = name;
    if (make_path(path, dir, name)) {
        q->file = fopen(path, "wxe");
    }
    else {
        errno = ENAMETOOLONG;
    }
    if (!q->file) {
        QUIC_LOG_NO(log, APLOG_WARNING, errno, APLOGNO(20400), "cannot write a qlog file in %s",
                    dir);
    }
}

void quic_qlog_write(quic_qlog *q, const void *data, size_t len)
{
    if (q->file) {
        fwrite(data, 1, len, q->file);
    }
}

void quic_qlog_forget(const quic_qlog *q)
{
    char path[PATH_SIZE];

    if (q->file && make_path(path, q->dir, q->name)) {
        unlink(path);
    }
}

void quic_qlog_close(quic_qlog *q)
{
    if (q->file) {
        fclose(q->file);
        q->file = NULL;
    }
}
