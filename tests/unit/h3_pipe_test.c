/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "h3_pipe.h"
#include "tap.h"

#define LIMIT (64 * 1024)
#define STEP 4096
#define LONG_TIME (60 * APR_USEC_PER_SEC)
#define SHORT_TIME (50 * 1000)
#define BULK (4 * 1024 * 1024)

static h3_bell bell;

static int bell_rings(int wait_ms)
{
    struct pollfd pfd = { bell.fd, POLLIN, 0 };
    uint64_t n;

    if (poll(&pfd, 1, wait_ms) <= 0) {
        return 0;
    }
    return read(bell.fd, &n, sizeof(n)) == sizeof(n);
}

static void free_news(h3_pipe_news *news)
{
    while (news->pieces) {
        h3_piece *piece = news->pieces;

        news->pieces = piece->next;
        h3_piece_destroy(piece);
    }
    while (news->heads) {
        h3_pipe_head *head = news->heads;

        news->heads = head->next;
        h3_head_destroy(head->head);
        free(head);
    }
}

static void the_bell(void)
{
    h3_pipe a, b;
    h3_pipe *first;

    h3_pipe_init(&a, &bell, "a", LIMIT, STEP);
    h3_pipe_init(&b, &bell, "b", LIMIT, STEP);
    h3_pipe_w_write(&a, "x", 1, LONG_TIME);
    is_int(h3_bell_sleep(&bell), 1, "a few bytes do not ring");
    h3_pipe_w_flush(&a);
    ok(bell_rings(0), "a flush wakes the I/O thread that sleeps");
    h3_pipe_w_leave(&b);
    h3_pipe_w_leave(&a);
    ok(!bell_rings(0), "once for all that ring before it looks");
    first = h3_bell_take(&bell);
    ok(first == &a && first->taken_next == &b && !b.taken_next, "each stands on the bell once");
    ok(h3_bell_take(&bell) == NULL, "taken");
    h3_pipe_w_flush(&a);
    ok(h3_bell_take(&bell) == NULL, "a flush of nothing does not ring");
    h3_pipe_destroy(&a);
    h3_pipe_destroy(&b);
}

/* What rings while the I/O thread goes through those it has taken does not cut them off. */
static void rings_again(void)
{
    h3_pipe a, b, c;
    h3_pipe *first;

    h3_pipe_init(&a, &bell, "a", LIMIT, STEP);
    h3_pipe_init(&b, &bell, "b", LIMIT, STEP);
    h3_pipe_init(&c, &bell, "c", LIMIT, STEP);
    h3_pipe_w_write(&a, "x", 1, LONG_TIME);
    h3_pipe_w_flush(&a);
    h3_pipe_w_write(&b, "x", 1, LONG_TIME);
    h3_pipe_w_flush(&b);
    h3_pipe_w_leave(&c);
    first = h3_bell_take(&bell);
    h3_pipe_w_write(&b, "y", 1, LONG_TIME);
    h3_pipe_w_flush(&b);
    h3_pipe_w_leave(&a);
    ok(first == &a && a.taken_next == &b && b.taken_next == &c && !c.taken_next,
       "all that were taken are still there");
    first = h3_bell_take(&bell);
    ok(first == &b && b.taken_next == &a && !a.taken_next, "and those that rang again come again");
    h3_pipe_destroy(&a);
    h3_pipe_destroy(&b);
    h3_pipe_destroy(&c);
}

static void what_is_said(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    h3_pipe_w_write(&p, "x", 1, LONG_TIME);
    h3_pipe_w_flush(&p);
    h3_bell_take(&bell);
    h3_pipe_w_end(&p, 0);
    h3_pipe_w_leave(&p);
    /* The I/O thread works on the first ring while the second is rung. */
    h3_pipe_io_take(&p, &news);
    ok(news.pieces && news.end && news.error == 0, "bytes and the end are seen at once");
    is_int(news.left, 0, "that httpd has left is heard with its own ring only");
    free_news(&news);
    ok(h3_bell_take(&bell) == &p, "the second ring");
    h3_pipe_io_take(&p, &news);
    is_int(news.left, 1, "now it is heard");
    h3_pipe_destroy(&p);
}

static void never_ended(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    h3_pipe_w_leave(&p);
    h3_bell_take(&bell);
    h3_pipe_io_take(&p, &news);
    ok(news.end && news.error != 0, "a response that nobody ended is reset, not finished");
    h3_pipe_destroy(&p);
}

static void body_in(void)
{
    h3_pipe p;
    h3_pipe_news news;
    char buf[8192];
    size_t len = sizeof(buf);

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    is_int(h3_pipe_w_read(&p, buf, &len, 0, 0), APR_EAGAIN, "nothing there, not blocking");
    len = sizeof(buf);
    is_int(h3_pipe_w_read(&p, buf, &len, 1, SHORT_TIME), APR_TIMEUP, "nothing within the timeout");
    h3_pipe_io_recv(&p, (const uint8_t *)"hello ", 6);
    h3_pipe_io_recv(&p, (const uint8_t *)"world", 5);
    len = 8;
    is_int(h3_pipe_w_read(&p, buf, &len, 1, LONG_TIME), APR_SUCCESS, "read");
    is_int(len, 8, "as much as was asked for");
    is_mem(buf, "hello wo", 8, "in order");
    len = sizeof(buf);
    h3_pipe_w_read(&p, buf, &len, 1, LONG_TIME);
    is_mem(buf, "rld", 3, "the rest");
    h3_pipe_io_recv_eof(&p);
    len = sizeof(buf);
    is_int(h3_pipe_w_read(&p, buf, &len, 1, LONG_TIME), APR_EOF, "then the end");
    h3_bell_take(&bell);
    h3_pipe_io_take(&p, &news);
    is_int(news.consumed, 11, "what was read is credit");
    h3_pipe_destroy(&p);
}

static void reset_in(void)
{
    h3_pipe p;
    char buf[16];
    size_t len = 2;

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    h3_pipe_io_recv(&p, (const uint8_t *)"12345", 5);
    h3_pipe_w_read(&p, buf, &len, 1, LONG_TIME);
    is_int(h3_pipe_io_abort(&p), 5, "a reset gives back what was not read, and not yet credited");
    is_int(h3_pipe_io_abort(&p), 0, "once");
    len = sizeof(buf);
    is_int(h3_pipe_w_read(&p, buf, &len, 1, LONG_TIME), APR_ECONNABORTED,
           "a body that was reset has no end");
    is_int(h3_pipe_w_write(&p, "x", 1, LONG_TIME), APR_ECONNABORTED, "nobody wants a response");
    is_int(h3_pipe_w_file(&p, 0, 0, 1), APR_ECONNABORTED, "nor a file");
    h3_pipe_destroy(&p);
}

static void full(void)
{
    static char data[LIMIT + 1];
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    is_int(h3_pipe_w_room(&p), LIMIT, "an empty pipe has its whole limit");
    is_int(h3_pipe_w_write(&p, data, sizeof(data), SHORT_TIME), APR_TIMEUP,
           "one byte too many waits, at most for the timeout");
    is_int(h3_pipe_w_room(&p), 0, "it is full");
    ok(h3_bell_take(&bell) == &p, "who waits has rung before");
    h3_pipe_io_take(&p, &news);
    free_news(&news);
    is_int(h3_pipe_w_room(&p), 0, "sent is not acknowledged");
    h3_pipe_io_acked(&p, LIMIT);
    is_int(h3_pipe_w_room(&p), LIMIT, "acknowledged is free again");
    h3_bell_take(&bell);
    h3_pipe_destroy(&p);
}

static void files(void)
{
    h3_pipe p;
    h3_pipe_news news;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    is_int(h3_pipe_w_file(&p, -1, 0, 10), EBADF, "a descriptor that is none");
    is_int(h3_pipe_w_file(&p, fd, 100, 1 << 20), APR_SUCCESS, "a span larger than the pipe");
    is_int(h3_pipe_w_room(&p), LIMIT, "takes no room");
    h3_pipe_w_flush(&p);
    ok(h3_bell_take(&bell) == &p, "a flush announces it");
    h3_pipe_io_take(&p, &news);
    ok(news.pieces && !news.pieces->chunk && news.pieces->span.fd != fd, "with its own descriptor");
    is_int(news.pieces->span.offset, 100, "offset");
    is_int(news.pieces->span.left, 1 << 20, "length");
    close(fd);
    ok(pread(news.pieces->span.fd, &p.limit, 1, 0) == 1, "that outlives the handler's");
    free_news(&news);
    h3_pipe_destroy(&p);
}

/* A client that reads nothing of many files does not use up the descriptors of all others. */
static void files_have_a_share(void)
{
    struct rlimit before, low;
    h3_bell small;
    h3_pipe p;
    apr_status_t rv;
    int n = 0;

    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &low);
    h3_bell_init(&small);
    h3_pipe_init(&p, &small, NULL, LIMIT, STEP);
    while ((rv = h3_pipe_w_file(&p, 0, 0, 1)) == APR_SUCCESS) {
        n++;
    }
    is_int(rv, EMFILE, "no more spans");
    is_int(n, 32, "than half of the descriptors");
    h3_pipe_destroy(&p);
    h3_pipe_init(&p, &small, NULL, LIMIT, STEP);
    is_int(h3_pipe_w_file(&p, 0, 0, 1), APR_SUCCESS, "a span that is closed makes room");
    h3_pipe_destroy(&p);
    h3_bell_destroy(&small);
    setrlimit(RLIMIT_NOFILE, &before);
    is_int(h3_bell_init(&small), APR_SUCCESS, "the next child has its own limit");
    h3_bell_destroy(&small);
}

static void refills(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    h3_pipe_w_refilled(&p, NULL);
    h3_bell_take(&bell);
    h3_pipe_io_take(&p, &news);
    ok(news.refilled && !news.refill, "a read that failed is an answer");
    h3_pipe_w_refilled(&p, h3_chunk_create(10));
    h3_bell_take(&bell);
    h3_pipe_io_take(&p, &news);
    ok(news.refilled && news.refill, "one that did not, too");
    free(news.refill);
    h3_pipe_io_take(&p, &news);
    ok(!news.refilled, "once");
    h3_pipe_destroy(&p);
}

/* A worker that writes, and one that reads, as fast as they can. */
static void *writer(void *arg)
{
    static char block[7000];
    h3_pipe *p = arg;
    size_t left = BULK, n;

    while (left) {
        n = left < sizeof(block) ? left : sizeof(block);
        memset(block, (int)(left % 251), n);
        if (h3_pipe_w_write(p, block, n, LONG_TIME) != APR_SUCCESS) {
            return "failed";
        }
        left -= n;
    }
    h3_pipe_w_end(p, 0);
    h3_pipe_w_leave(p);
    return NULL;
}

static size_t bytes_held(h3_pipe *p)
{
    size_t held;

    pthread_mutex_lock(&p->lock);
    held = p->out_len;
    pthread_mutex_unlock(&p->lock);
    return held;
}

static void bulk_out(void)
{
    h3_pipe p;
    h3_pipe_news news = { 0 };
    pthread_t thread;
    void *failed;
    size_t got = 0, most = 0, held;

    h3_pipe_init(&p, &bell, NULL, LIMIT, STEP);
    pthread_create(&thread, NULL, writer, &p);
    while (!news.left) {
        if (h3_bell_sleep(&bell) && !bell_rings(10000)) {
            break;
        }
        if (!h3_bell_take(&bell)) {
            continue;
        }
        h3_pipe_io_take(&p, &news);
        while (news.pieces) {
            h3_piece *piece = news.pieces;

            news.pieces = piece->next;
            got += piece->chunk->len;
            held = bytes_held(&p);
            if (held > most) {
                most = held;
            }
            h3_pipe_io_acked(&p, piece->chunk->len);
            h3_piece_destroy(piece);
        }
    }
    pthread_join(thread, &failed);
    ok(!failed, "the writer could write all");
    is_int(got, BULK, "all bytes came out");
    ok(most <= LIMIT, "never more than the limit in memory");
    h3_pipe_destroy(&p);
}

static void *reader(void *arg)
{
    h3_pipe *p = arg;
    static size_t sum;
    char buf[5000];
    size_t len;

    for (sum = 0;; sum += len) {
        len = sizeof(buf);
        if (h3_pipe_w_read(p, buf, &len, 1, LONG_TIME) != APR_SUCCESS) {
            break;
        }
    }
    h3_pipe_w_leave(p);
    return &sum;
}

static void bulk_in(void)
{
    static const uint8_t datagram[1200];
    h3_pipe p;
    h3_pipe_news news = { 0 };
    pthread_t thread;
    void *sum;
    size_t sent = 0, credit = LIMIT;

    h3_pipe_init(&p, &bell, NULL, LIMIT, LIMIT / 4);
    pthread_create(&thread, NULL, reader, &p);
    while (!news.left) {
        while (sent < BULK && credit >= sizeof(datagram)) {
            h3_pipe_io_recv(&p, datagram, sizeof(datagram));
            sent += sizeof(datagram);
            credit -= sizeof(datagram);
        }
        if (sent >= BULK) {
            h3_pipe_io_recv_eof(&p);
        }
        if (h3_bell_sleep(&bell) && !bell_rings(10000)) {
            break;
        }
        if (h3_bell_take(&bell)) {
            h3_pipe_io_take(&p, &news);
            credit += news.consumed;
        }
    }
    pthread_join(thread, &sum);
    is_int(*(size_t *)sum, sent, "all bytes went in, one window at a time");
    h3_pipe_destroy(&p);
}

int main(void)
{
    is_int(h3_bell_init(&bell), APR_SUCCESS, "a bell");
    the_bell();
    rings_again();
    what_is_said();
    never_ended();
    body_in();
    reset_in();
    full();
    files();
    files_have_a_share();
    refills();
    bulk_out();
    bulk_in();
    h3_bell_destroy(&bell);
    return done_testing();
}
