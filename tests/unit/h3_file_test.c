/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include "border/h3_file.h"
#include "tap.h"

#define KIB 1024
#define FILE_SIZE (200 * KIB)

static char content[FILE_SIZE];

static h3_span span_of(int fd, off_t offset, off_t left)
{
    h3_span span = { fd, offset, left, 0 };
    struct stat st;

    fstat(fd, &st);
    span.dev = st.st_dev;
    return span;
}

static int file_in(const char *folder)
{
    char path[512];
    int fd;

    snprintf(path, sizeof(path), "%s/h3_file_test.XXXXXX", folder);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
        if (write(fd, content, FILE_SIZE) != FILE_SIZE) {
            close(fd);
            fd = -1;
        }
    }
    return fd;
}

/* As the I/O thread does it, a worker being asked where it has to be. */
static h3_file_result read_some(h3_file_devices *devices, const h3_span *span, h3_chunk *c,
                                int *asked)
{
    h3_file_result rv = h3_file_read(devices, span, c);

    if (rv == H3_FILE_WAITS) {
        (*asked)++;
        rv = h3_file_read_waiting(span, c);
    }
    return rv;
}

static void how_much(void)
{
    h3_span span = { -1, 0, 1000 * KIB, 0 };

    is_int(h3_file_want(&span, 1000 * KIB, 0), 64 * KIB, "one read is 64 KiB at most");
    is_int(h3_file_want(&span, 40 * KIB, 1), 40 * KIB, "less where there is less room");
    is_int(h3_file_want(&span, 16 * KIB, 1), 16 * KIB, "down to a quarter");
    is_int(h3_file_want(&span, 16 * KIB - 1, 1), 0, "below that it waits for others to go");
    is_int(h3_file_want(&span, 16 * KIB - 1, 0), 16 * KIB - 1, "unless there are none");
    is_int(h3_file_want(&span, 0, 0), 4096, "then a little goes without any room");
    is_int(h3_file_want(&span, 0, 1), 0, "and none while there are others");
    span.left = 100;
    is_int(h3_file_want(&span, 1000 * KIB, 1), 100, "never more than the span has");
    is_int(h3_file_want(&span, 100, 1), 100, "a short one that just fits is read");
    is_int(h3_file_want(&span, 99, 1), 0, "one that does not fit waits");
    is_int(h3_file_want(&span, 0, 0), 100, "or is read whole");
}

/* The whole of a file, in reads as large as the I/O thread's. */
static void whole_file(const char *what, int fd)
{
    h3_span span = span_of(fd, 0, FILE_SIZE);
    h3_file_result rv = H3_FILE_DONE;
    h3_file_devices devices = { 0 };
    int reads = 0, asked = 0, same = 1;
    h3_chunk *c;

    while (span.left && rv == H3_FILE_DONE) {
        c = h3_chunk_create(h3_file_want(&span, 1000 * KIB, 1));
        rv = read_some(&devices, &span, c, &asked);
        same = same && rv == H3_FILE_DONE && c->len <= c->cap
               && memcmp(c->data, content + span.offset, c->len) == 0;
        span.offset += (off_t)c->len;
        span.left -= (off_t)c->len;
        reads++;
        free(c);
    }
    ok(rv == H3_FILE_DONE && same && span.offset == FILE_SIZE,
       "%s: the whole file (%d reads, %d by a worker)", what, reads, asked);
    if (devices.n && devices.known[0].mode == H3_FILE_WORKER) {
        is_int(asked, reads, "%s: a worker reads always", what);
    }
    else if (devices.n) {
        is_int(asked, 0, "%s: a worker reads never", what);
    }
    else {
        ok(asked < reads, "%s: what has just been written is in the page cache", what);
    }
}

static void shortened(const char *what, int fd)
{
    h3_span span = span_of(fd, FILE_SIZE - 10, 100);
    h3_file_devices devices = { 0 };
    h3_chunk *c = h3_chunk_create(100);
    int asked = 0;

    is_int(read_some(&devices, &span, c, &asked), H3_FILE_DONE, "%s: a file shorter than it was",
           what);
    is_int(c->len, 10, "%s: gives what is there", what);
    span.offset += 10;
    span.left -= 10;
    is_int(read_some(&devices, &span, c, &asked), H3_FILE_BROKEN, "%s: and is then broken", what);
    free(c);
}

static void a_folder(const char *what, const char *folder)
{
    int fd = file_in(folder);

    if (fd < 0) {
        skip("no file can be written there");
        return;
    }
    whole_file(what, fd);
    shortened(what, fd);
    close(fd);
}

static void memory(void)
{
    struct statfs fs;
    h3_file_devices devices = { 0 };
    h3_chunk *c;
    h3_span span;
    int fd;

    if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC || (fd = file_in("/dev/shm")) < 0) {
        skip("/dev/shm is no tmpfs");
        return;
    }
    span = span_of(fd, 5, 100);
    c = h3_chunk_create(100);
    is_int(h3_file_read(&devices, &span, c), H3_FILE_DONE, "tmpfs is read without a worker");
    is_mem(c->data, content + 5, 100, "from the span's offset");
    ok(devices.n == 0 || devices.known[0].mode == H3_FILE_MEMORY,
       "because its kernel or its file system says so");
    is_int(h3_file_read(&devices, &span, c), H3_FILE_DONE, "nor the next time");
    ok(devices.n <= 1, "a device is learned once");
    free(c);
    close(fd);
}

/* No file of /proc can be read with RWF_NOWAIT, and none is in memory. */
static void refuses(void)
{
    h3_file_devices devices = { 0 };
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC), i, waits = 0;
    h3_span span = span_of(fd, 0, 5);
    h3_chunk *c = h3_chunk_create(5);

    is_int(h3_file_read(&devices, &span, c), H3_FILE_WAITS, "a file system that refuses");
    ok(devices.n == 1 && devices.known[0].mode == H3_FILE_WORKER
           && devices.known[0].dev == span.dev,
       "is remembered");
    is_int(c->len, 0, "the chunk is still empty");
    is_int(h3_file_read_waiting(&span, c), H3_FILE_DONE, "a worker can read it");
    is_mem(c->data, "Name:", 5, "for what it is");
    span.fd = -1;
    is_int(h3_file_read(&devices, &span, c), H3_FILE_WAITS, "it is not asked again");
    is_int(h3_file_read_waiting(&span, c), H3_FILE_BROKEN, "what cannot be read is broken");
    span.fd = fd;
    for (i = 1; i < 2 * H3_FILE_DEVICES; i++) {
        span.dev++;
        waits += h3_file_read(&devices, &span, c) == H3_FILE_WAITS;
    }
    is_int(waits, 2 * H3_FILE_DEVICES - 1, "more devices than the table has room for");
    is_int(devices.n, H3_FILE_DEVICES, "fill it and no more");
    span.dev -= 2 * H3_FILE_DEVICES - 1;
    ok(devices.known[0].dev == span.dev, "the first ones stay");
    free(c);
    close(fd);
}

static void unreadable(void)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), asked = 0;
    h3_span span = span_of(fd, 0, 100);
    h3_file_devices devices = { 0 };
    h3_chunk *c = h3_chunk_create(100);

    is_int(read_some(&devices, &span, c, &asked), H3_FILE_BROKEN, "a folder is no file");
    free(c);
    close(fd);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    size_t i;

    for (i = 0; i < sizeof(content); i++) {
        content[i] = (char)(i % 251);
    }
    how_much();
    a_folder("the folder of the tests", ".");
    a_folder("temporary folder", tmp && *tmp ? tmp : "/tmp");
    a_folder("memory", "/dev/shm");
    memory();
    refuses();
    unreadable();
    return done_testing();
}
