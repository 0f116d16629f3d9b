/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "border/h3_descriptors.h"
#include "border/h3_pipe.h"
#include "tap.h"

#define LIMIT (64 * 1024)
#define STEP 4096
#define LONG_TIME (60 * APR_USEC_PER_SEC)
#define SHORT_TIME (50 * 1000)
#define BULK (4 * 1024 * 1024)

static h3_bell bell;
static h3_budget budget = { 1024 * 1024 * 1024, 0 };

static int bell_rings(int wait_ms)
{
    struct pollfd pfd = { bell.fd, POLLIN, 0 };
    uint64_t n;

    if (poll(&pfd, 1, wait_ms) <= 0) {
        return 0;
    }
    return read(bell.fd, &n, sizeof(n)) == sizeof(n);
}

/* The first pipe that has rung. */
static h3_pipe *take(h3_bell *b)
{
    h3_bell_entry *e = h3_bell_take(b);

    return e ? h3_pipe_of(e) : NULL;
}

static void the_bell(void)
{
    h3_pipe a, b;
    h3_bell_entry *first;

    h3_pipe_init(&a, &bell, &budget, LIMIT, STEP);
    h3_pipe_init(&b, &bell, &budget, LIMIT, STEP);
    h3_pipe_w_write(&a, "x", 1, LONG_TIME);
    is_int(h3_bell_sleep(&bell), 1, "a few bytes do not ring");
    h3_pipe_w_flush(&a);
    ok(bell_rings(0), "a flush wakes the I/O thread that sleeps");
    h3_pipe_w_leave(&b);
    h3_pipe_w_leave(&a);
    ok(!bell_rings(0), "once for all that ring before it looks");
    first = h3_bell_take(&bell);
    ok(h3_pipe_of(first) == &a && h3_pipe_of(first->taken_next) == &b && !b.entry.taken_next,
       "each stands on the bell once");
    ok(take(&bell) == NULL, "taken");
    h3_pipe_w_flush(&a);
    ok(take(&bell) == NULL, "a flush of nothing does not ring");
    h3_pipe_destroy(&a);
    h3_pipe_destroy(&b);
}

/* A handler that passes a little and waits: it is heard when the I/O thread has nothing else. */
static void passes(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    h3_pipe_w_pass(&p);
    ok(!take(&bell), "nothing was passed");
    h3_pipe_w_write(&p, "a", 1, LONG_TIME);
    h3_pipe_w_pass(&p);
    ok(take(&bell) == &p, "the first bytes ring");
    h3_pipe_io_take(&p, &news);
    h3_pipe_io_drop(&news);
    h3_pipe_w_write(&p, "b", 1, LONG_TIME);
    h3_pipe_w_pass(&p);
    ok(!take(&bell), "more do not while the I/O thread has the first");
    h3_pipe_io_idle(&p);
    ok(take(&bell) == &p, "it finds them when it is through");
    h3_pipe_io_take(&p, &news);
    ok(news.pieces.first && !news.pieces.first->next && news.pieces.first->chunk->len == 1,
       "with all that is there");
    h3_pipe_io_drop(&news);
    h3_pipe_io_idle(&p);
    ok(!take(&bell), "and hears nothing when there is nothing");
    h3_pipe_w_write(&p, "c", 1, LONG_TIME);
    h3_pipe_w_pass(&p);
    ok(take(&bell) == &p, "the next bytes ring again");
    h3_pipe_io_take(&p, &news);
    h3_pipe_io_drop(&news);
    h3_pipe_destroy(&p);
}

static void what_is_said(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    h3_pipe_w_write(&p, "x", 1, LONG_TIME);
    h3_pipe_w_flush(&p);
    h3_bell_take(&bell);
    h3_pipe_w_end(&p, 0);
    h3_pipe_w_leave(&p);
    /* The I/O thread works on the first ring while the second is rung. */
    h3_pipe_io_take(&p, &news);
    ok(news.pieces.first && news.end && news.error == 0, "bytes and the end are seen at once");
    is_int(news.left, 0, "that httpd has left is heard with its own ring only");
    h3_pipe_io_drop(&news);
    ok(take(&bell) == &p, "the second ring");
    h3_pipe_io_take(&p, &news);
    is_int(news.left, 1, "now it is heard");
    h3_pipe_destroy(&p);
}

static void never_ended(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    h3_pipe_w_leave(&p);
    h3_bell_take(&bell);
    h3_pipe_io_take(&p, &news);
    ok(news.end && news.error != 0, "a response that nobody ended is reset, not finished");
    h3_pipe_destroy(&p);
}

static int reader_waits(h3_pipe *p)
{
    int waits;

    pthread_mutex_lock(&p->lock);
    waits = p->waiting;
    pthread_mutex_unlock(&p->lock);
    return waits;
}

static void body_in(void)
{
    h3_pipe p;
    h3_pipe_news news;
    char buf[8192];
    size_t len = sizeof(buf);

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
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

static void *read_five(void *arg)
{
    static char buf[6];
    size_t len = sizeof(buf) - 1;

    return h3_pipe_w_read(arg, buf, &len, 1, LONG_TIME) == APR_SUCCESS && len == 5 ? buf : NULL;
}

/* Many datagrams, or many streams, in one turn of the loop: a worker is woken when all are in. */
static void woken_once(void)
{
    h3_pipe p;
    pthread_t thread;
    void *got;
    int i;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    pthread_create(&thread, NULL, read_five, &p);
    for (i = 0; i < 1000 && !reader_waits(&p); i++) {
        usleep(10000);
    }
    h3_pipe_io_recv(&p, (const uint8_t *)"he", 2);
    usleep(20000);
    ok(reader_waits(&p), "the first bytes wake nobody");
    h3_pipe_io_recv(&p, (const uint8_t *)"llo", 3);
    h3_pipe_io_wake(&p);
    pthread_join(thread, &got);
    ok(got && memcmp(got, "hello", 5) == 0, "who is woken finds all of them");
    h3_pipe_destroy(&p);
}

/* What has been emptied is filled again: the same memory, and not more and more. */
static void recycled(void)
{
    static uint8_t data[LIMIT];
    static char buf[LIMIT];
    h3_pipe p;
    size_t len;
    int i, same = 0;
    const h3_chunk *before[8], *c;
    int n = 0, k;

    h3_pipe_init(&p, &bell, &budget, LIMIT, LIMIT);
    for (i = 0; i < 20; i++) {
        memset(data, i, sizeof(data));
        h3_pipe_io_recv(&p, data, 2000);
        h3_pipe_io_recv(&p, data, 12000);
        for (c = p.in.first, k = 0; c; c = c->next) {
            for (k = 0; k < n && before[k] != c; k++) {}
            same += k < n;
            if (k == n && n < 8) {
                before[n++] = c;
            }
        }
        len = sizeof(buf);
        h3_pipe_w_read(&p, buf, &len, 0, 0);
        ok(len > 0 && memcmp(buf, data, len) == 0, "the bytes are those of this round");
        while (len = sizeof(buf), h3_pipe_w_read(&p, buf, &len, 0, 0) == APR_SUCCESS) {
            ok(memcmp(buf, data, len) == 0, "all of them");
        }
    }
    ok(same >= 15 && n <= 6, "chunks come round again");
    h3_bell_take(&bell);
    h3_pipe_destroy(&p);
}

static void reset_in(void)
{
    h3_pipe p;
    char buf[16];
    size_t len = 2;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
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

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    is_int(h3_pipe_w_room(&p), LIMIT, "an empty pipe has its whole limit");
    is_int(h3_pipe_w_write(&p, data, sizeof(data), SHORT_TIME), APR_TIMEUP,
           "one byte too many waits, at most for the timeout");
    is_int(h3_pipe_w_room(&p), 0, "it is full");
    ok(take(&bell) == &p, "who waits has rung before");
    h3_pipe_io_take(&p, &news);
    h3_pipe_io_drop(&news);
    is_int(h3_pipe_w_room(&p), 0, "sent is not acknowledged");
    h3_pipe_io_acked(&p, LIMIT);
    is_int(h3_pipe_w_room(&p), LIMIT, "acknowledged is free again");
    h3_bell_take(&bell);
    h3_pipe_destroy(&p);
}

static h3_head *head_of(int status)
{
    h3_head *head = h3_head_create();

    head->status = status;
    h3_head_complete(head);
    return head;
}

static void heads(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    is_int(h3_pipe_w_head(&p, head_of(103)), APR_SUCCESS, "an interim head");
    ok(take(&bell) == &p, "rings");
    is_int(h3_pipe_w_head(&p, head_of(200)), APR_SUCCESS, "the final one");
    ok(!take(&bell), "does not");
    h3_pipe_w_flush(&p);
    ok(take(&bell) == &p, "but for a flush");
    h3_pipe_io_take(&p, &news);
    ok(news.heads && news.heads->head->status == 103 && news.heads->next->head->status == 200
           && !news.heads->next->next && !news.pieces.first && !news.end,
       "both come, in order");
    h3_pipe_io_drop(&news);
    ok(!news.heads, "dropped");
    h3_pipe_w_end(&p, 0);
    is_int(h3_pipe_w_head(&p, head_of(200)), APR_ECONNABORTED, "none comes after the end");
    is_int(h3_pipe_w_write(&p, "x", 1, LONG_TIME), APR_ECONNABORTED, "nor bytes");
    h3_pipe_destroy(&p);
    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    h3_pipe_w_head(&p, head_of(200));
    h3_pipe_destroy(&p);
}

/* What the I/O thread reads of files fills the pipe as written bytes do. */
static void files_take_room(void)
{
    h3_pipe p;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    h3_pipe_w_file(&p, 0, 0, 10 * LIMIT);
    h3_pipe_io_reserve(&p, LIMIT - 100);
    is_int(h3_pipe_io_room(&p), 100, "room for the rest");
    is_int(h3_pipe_w_room(&p), 100, "for the worker as well");
    h3_pipe_io_reserve(&p, 500);
    is_int(h3_pipe_io_room(&p), 0, "a little more than the limit is no room");
    h3_pipe_io_acked(&p, LIMIT + 400);
    is_int(h3_pipe_io_room(&p), LIMIT, "all is acknowledged");
    h3_pipe_destroy(&p);
}

static void *write_all(void *arg)
{
    static char data[3 * LIMIT];

    return h3_pipe_w_write(arg, data, sizeof(data), LONG_TIME) == APR_SUCCESS ? arg : NULL;
}

static size_t written(h3_pipe *p)
{
    size_t n;

    pthread_mutex_lock(&p->lock);
    n = p->out_len;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static int becomes_written(h3_pipe *p, size_t n)
{
    int i;

    for (i = 0; i < 1000 && written(p) != n; i++) {
        usleep(10000);
    }
    return written(p) == n;
}

static void new_limit(void)
{
    h3_pipe p;
    pthread_t thread;
    void *done;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    pthread_create(&thread, NULL, write_all, &p);
    ok(becomes_written(&p, LIMIT), "as far as the limit");
    is_int(h3_pipe_io_limit(&p, 2 * LIMIT), 2 * LIMIT, "another limit");
    ok(becomes_written(&p, 2 * LIMIT), "which its worker is woken for");
    is_int(h3_pipe_io_limit(&p, 1000), 2 * LIMIT, "what is in memory is not taken back");
    is_int(h3_pipe_io_room(&p), 0, "there is no room then");
    h3_pipe_io_limit(&p, 4 * LIMIT);
    pthread_join(thread, &done);
    ok(done != NULL, "all is written");
    is_int(budget.held, 3 * LIMIT, "and taken from the budget");
    take(&bell);
    h3_pipe_destroy(&p);
    is_int(budget.held, 0, "which has it back at the end");
}

/* Two pipes of one child; what one holds the other cannot have. */
static void small_budget(void)
{
    h3_budget shared = { 8 * LIMIT, 0 };
    h3_pipe a, b;
    pthread_t thread;
    void *done;
    char byte = 'x';
    size_t n, most = 0, acked = 0;
    int i;

    h3_pipe_init(&a, &bell, &shared, 100 * LIMIT, STEP);
    h3_pipe_init(&b, &bell, &shared, 100 * LIMIT, STEP);
    is_int(h3_pipe_w_room(&a), LIMIT, "an eighth of what is free");
    ok(h3_pipe_io_reserve(&b, 8 * LIMIT), "the other one takes all");
    ok(!h3_pipe_io_reserve(&a, 1), "so there is none for a file");
    is_int(h3_pipe_w_write(&a, &byte, 1, SHORT_TIME), APR_TIMEUP, "nor for bytes");
    pthread_create(&thread, NULL, write_all, &a);
    usleep(20000);
    is_int(written(&a), 0, "a worker waits");
    h3_pipe_io_unreserve(&b, 8 * LIMIT);
    for (i = 0; i < 1000 && acked < 3 * LIMIT; i++) {
        usleep(1000);
        n = written(&a);
        most = n > most ? n : most;
        h3_pipe_io_acked(&a, n);
        acked += n;
    }
    ok(most > 0 && most <= LIMIT, "until it is given back, then has its share");
    pthread_join(thread, &done);
    ok(done != NULL, "and writes all of it");
    take(&bell);
    h3_pipe_destroy(&a);
    h3_pipe_destroy(&b);
    is_int(shared.held, 0, "nothing is held at the end");
}

static void files(void)
{
    h3_pipe p;
    h3_pipe_news news;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    is_int(h3_pipe_w_file(&p, -1, 0, 10), EBADF, "a descriptor that is none");
    is_int(h3_pipe_w_file(&p, fd, 100, 1 << 20), APR_SUCCESS, "a span larger than the pipe");
    is_int(h3_pipe_w_room(&p), LIMIT, "takes no room");
    h3_pipe_w_flush(&p);
    ok(take(&bell) == &p, "a flush announces it");
    h3_pipe_io_take(&p, &news);
    ok(news.pieces.first && !news.pieces.first->chunk && news.pieces.first->span.fd != fd,
       "with its own descriptor");
    is_int(news.pieces.first->span.offset, 100, "offset");
    is_int(news.pieces.first->span.left, 1 << 20, "length");
    close(fd);
    ok(pread(news.pieces.first->span.fd, &p.limit, 1, 0) == 1, "that outlives the handler's");
    h3_pipe_io_drop(&news);
    h3_pipe_destroy(&p);
}

/* With so many free descriptors after those that are open. */
static void begin_child(h3_bell *b, rlim_t free_fds, struct rlimit *before)
{
    struct rlimit low;
    int own = dup(0), lowest = dup(0);

    close(own); /* for the bell */
    close(lowest);
    getrlimit(RLIMIT_NOFILE, before);
    low = *before;
    low.rlim_cur = (rlim_t)lowest + free_fds;
    setrlimit(RLIMIT_NOFILE, &low);
    h3_bell_init(b);
    h3_descriptors_share(b->fd);
}

/* A client that reads nothing of many files does not use up the descriptors of all others. */
static void files_have_a_share(void)
{
    struct rlimit before;
    h3_bell small;
    h3_pipe p;
    apr_status_t rv;
    int n = 0, other;

    begin_child(&small, 40, &before);
    h3_pipe_init(&p, &small, &budget, LIMIT, STEP);
    while ((rv = h3_pipe_w_file(&p, 0, 0, 1)) == APR_SUCCESS) {
        n++;
    }
    is_int(rv, EMFILE, "no more spans");
    is_int(n, 20, "than half of the descriptors that were free");
    ok((other = dup(0)) >= 0, "the others are there for others");
    h3_pipe_destroy(&p);
    h3_pipe_init(&p, &small, &budget, LIMIT, STEP);
    is_int(h3_pipe_w_file(&p, 0, 0, 1), APR_SUCCESS, "a span that is closed makes room");
    h3_pipe_destroy(&p);
    close(other);
    close(small.fd);
    setrlimit(RLIMIT_NOFILE, &before);
    is_int(h3_bell_init(&small), APR_SUCCESS, "the next child has its own limit");
    h3_descriptors_share(small.fd);
    close(small.fd);
}

/* Where the share is taken, a worker stays with a response that has not gone. */
static void settling(void)
{
    const apr_interval_time_t soon = apr_time_from_msec(100);
    struct rlimit before;
    apr_time_t start;
    h3_bell small;
    h3_pipe p;

    begin_child(&small, 1, &before);
    h3_pipe_init(&p, &small, &budget, LIMIT, STEP);
    h3_pipe_w_settle(&p, apr_time_from_sec(100));
    ok(1, "nothing to wait for");
    h3_pipe_w_write(&p, "abc", 3, soon);
    h3_pipe_w_end(&p, 0);
    start = apr_time_now();
    h3_pipe_w_settle(&p, soon);
    ok(apr_time_now() - start >= soon, "a client that takes nothing is waited for");
    ok(take(&small) == &p, "and the response is on its way before that");
    h3_pipe_io_acked(&p, 3);
    h3_pipe_w_settle(&p, apr_time_from_sec(100));
    ok(1, "one that has it all is not");
    h3_pipe_destroy(&p);

    h3_pipe_init(&p, &small, &budget, LIMIT, STEP);
    h3_pipe_w_write(&p, "abc", 3, soon);
    h3_pipe_w_end(&p, 0);
    h3_pipe_io_abort(&p);
    h3_pipe_w_settle(&p, apr_time_from_sec(100));
    ok(1, "nor one that has left");
    h3_pipe_destroy(&p);
    close(small.fd);
    setrlimit(RLIMIT_NOFILE, &before);
    h3_bell_init(&small);
    h3_descriptors_share(small.fd);
    h3_pipe_init(&p, &small, &budget, LIMIT, STEP);
    h3_pipe_w_write(&p, "abc", 3, soon);
    h3_pipe_w_settle(&p, apr_time_from_sec(100));
    ok(1, "nor where there are enough descriptors");
    h3_pipe_destroy(&p);
    close(small.fd);
}

static void refills(void)
{
    h3_pipe p;
    h3_pipe_news news;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
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
    h3_piece *piece;
    void *failed;
    size_t got = 0, most = 0, held;

    h3_pipe_init(&p, &bell, &budget, LIMIT, STEP);
    pthread_create(&thread, NULL, writer, &p);
    while (!news.left) {
        if (h3_bell_sleep(&bell) && !bell_rings(10000)) {
            break;
        }
        if (!take(&bell)) {
            continue;
        }
        h3_pipe_io_take(&p, &news);
        while ((piece = h3_piece_pop(&news.pieces))) {
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

    h3_pipe_init(&p, &bell, &budget, LIMIT, LIMIT / 4);
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
        h3_pipe_io_wake(&p);
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
    int fd;

    for (fd = 3; fd < 256; fd++) {
        close(fd); /* what was inherited has any number */
    }
    is_int(h3_bell_init(&bell), APR_SUCCESS, "a bell");
    h3_descriptors_share(bell.fd);
    the_bell();
    passes();
    what_is_said();
    never_ended();
    body_in();
    woken_once();
    recycled();
    reset_in();
    full();
    heads();
    new_limit();
    small_budget();
    files();
    files_take_room();
    files_have_a_share();
    settling();
    refills();
    bulk_out();
    bulk_in();
    close(bell.fd);
    return done_testing();
}
