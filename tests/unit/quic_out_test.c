/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_out: who is in line, who waits for a socket, and what is sent then. Sockets and the log are
 * played here.
 */
#include "quic/quic_conn.h"
#include "quic/quic_out.h"
#include "quic/quic_udp.h"
#include "tap.h"

#define CONNS 5
#define SEGMENT 1000

static quic_out_queue queue;
static quic_stats stats;
static quic_conn conns[CONNS];
static int fds[2] = { 10, 11 };
static quic_listener one = { .fd = fds }, other = { .fd = fds };

static size_t room; /* bytes that the sockets still take */
static uint8_t wire[65536];
static size_t wire_len;
static int wire_fd;

/* In the place of quic_udp's: whole segments, as far as there is room. */
quic_udp_result quic_udp_send(int fd, const quic_addr *local, const quic_addr *remote, uint8_t ecn,
                              const uint8_t *data, size_t len, size_t segsize, size_t *sent)
{
    size_t n = len <= room ? len : room / segsize * segsize;

    (void)local, (void)remote, (void)ecn;
    memcpy(wire + wire_len, data, n);
    wire_len += n;
    wire_fd = fd;
    room -= n;
    *sent = n;
    return n == len ? QUIC_UDP_SENT : QUIC_UDP_BLOCKED;
}

int quic_log_is_on(const quic_log *log, int level)
{
    (void)log, (void)level;
    return 0;
}

void quic_log_line(const quic_log *log, const char *file, int line, int level, apr_status_t status,
                   const char *no, const char *fmt, ...)
{
    (void)log, (void)file, (void)line, (void)level, (void)status, (void)no, (void)fmt;
}

static void begin(void)
{
    int i;

    memset(&queue, 0, sizeof(queue));
    memset(&stats, 0, sizeof(stats));
    queue.slot = 1;
    queue.stats = &stats;
    one.full = other.full = 0;
    room = wire_len = 0;
    for (i = 0; i < CONNS; i++) {
        quic_out_init(&conns[i].out, &queue, &conns[i], NULL);
    }
}

/* The connections in line, as digits, taken off it. */
static const char *line(void)
{
    static char digits[CONNS + 1];
    struct quic_conn *conn;
    int n = 0;

    while ((conn = quic_out_next(&queue)) && n < CONNS) {
        digits[n++] = (char)('0' + (conn - conns));
    }
    digits[n] = '\0';
    return digits;
}

static void all_want(void)
{
    int i;

    for (i = 0; i < CONNS; i++) {
        quic_out_wants(&conns[i].out);
    }
}

static void in_line(void)
{
    begin();
    is_str(line(), "", "nobody is in line");
    all_want();
    quic_out_wants(&conns[0].out);
    is_str(line(), "01234", "each once, in the order in which they came");
    quic_out_wants(&conns[2].out);
    quic_out_wants(&conns[1].out);
    is_str(line(), "21", "and again");
}

static void leaving(void)
{
    begin();
    all_want();
    quic_out_destroy(&conns[0].out);
    quic_out_destroy(&conns[2].out);
    quic_out_destroy(&conns[4].out);
    is_str(line(), "13", "the first, one in the middle and the last have left");
    quic_out_wants(&conns[1].out);
    quic_out_destroy(&conns[1].out);
    is_str(line(), "", "the only one has left");
    quic_out_wants(&conns[3].out);
    is_str(line(), "3", "and the line is in order");
}

static void waiting(void)
{
    begin();
    quic_out_wait(&conns[0].out, &one);
    quic_out_wait(&conns[1].out, &other);
    quic_out_wait(&conns[2].out, &one);
    one.full = other.full = 1;
    all_want();
    is_str(line(), "34", "those that wait for a socket are not in line");
    one.full = 0;
    quic_out_unblock(&queue);
    is_str(line(), "20", "those that waited for this one are");
    quic_out_destroy(&conns[1].out);
    other.full = 0;
    quic_out_unblock(&queue);
    is_str(line(), "", "one that has left waits no more");
}

static void batch(int n, quic_out_batch *b, size_t len, quic_listener *l)
{
    memset(queue.tx, 'a' + n, len);
    *b = (quic_out_batch){ .path = { .listener = l }, .len = len, .segsize = SEGMENT };
}

static void pending(void)
{
    quic_out_batch b;

    begin();
    room = 100 * SEGMENT;
    batch(0, &b, 2 * SEGMENT + 1, &one);
    is_int(quic_out_send(&conns[0].out, &b), 1, "a batch is sent");
    ok(wire_len == 2 * SEGMENT + 1 && wire_fd == fds[1], "whole, with the slot's socket");
    is_int(stats.datagrams_out, 3, "three datagrams");

    room = SEGMENT;
    wire_len = 0;
    batch(1, &b, 3 * SEGMENT, &one);
    is_int(quic_out_send(&conns[1].out, &b), 0, "a batch is too much for the socket");
    ok(one.full && wire_len == SEGMENT, "a part of it has gone");
    memset(queue.tx, 0, sizeof(queue.tx));
    quic_out_unblock(&queue);
    is_int(wire_len, SEGMENT, "nothing more while the socket is full");
    one.full = 0;
    room = SEGMENT;
    quic_out_unblock(&queue);
    ok(wire_len == 2 * SEGMENT && one.full, "another part");
    is_str(line(), "", "it still waits");
    one.full = 0;
    room = SEGMENT;
    quic_out_unblock(&queue);
    is_int(wire_len, 3 * SEGMENT, "all of it");
    ok(wire[0] == 'b' && memcmp(wire, wire + 1, 3 * SEGMENT - 1) == 0, "as it was written");
    is_str(line(), "1", "and it is in line again");
    is_int(stats.datagrams_out, 6, "nothing is counted twice");
}

static void one_datagram(void)
{
    quic_path path = { .listener = &one };

    begin();
    room = 5;
    quic_out_datagram(&queue, &path, 0, (const uint8_t *)"hello", 5);
    quic_out_datagram(&queue, &path, 0, (const uint8_t *)"world", 5);
    is_int(wire_len, 5, "a single datagram that does not fit is lost");
    ok(!one.full, "and nobody waits for that");
}

int main(void)
{
    in_line();
    leaving();
    waiting();
    pending();
    one_datagram();
    return done_testing();
}
