/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "border/h3_descriptors.h"
#include "border/h3_piece.h"
#include "tap.h"

#define KIB 1024

static char data[64 * KIB];

static h3_span open_span(void)
{
    h3_span span = { -1, 0, 0, 0 };

    if (h3_span_open(&span, 0, 7, 100) != APR_SUCCESS) {
        fail("a span of standard input");
    }
    return span;
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void bytes(void)
{
    h3_piece_list list = { 0 };
    h3_chunk *c;
    int i;

    is_int(h3_piece_append_bytes(&list, "ab", 2), 2, "two bytes");
    for (i = 0; i < 100; i++) {
        h3_piece_append_bytes(&list, "c", 1);
    }
    ok(list.first == list.last && list.first->chunk->len == 102, "small writes share a chunk");
    is_int(h3_piece_append_bytes(&list, data, sizeof(data)), KIB - 102, "which a large one fills");
    is_int(h3_piece_append_bytes(&list, data, sizeof(data)), 16 * KIB, "the next has 16 KiB");
    is_int(h3_piece_append_bytes(&list, data, 5000), 5000, "or as many as there are");
    is_int(list.last->chunk->cap, 5000, "and no room to spare");
    c = h3_piece_pop_chunk(&list);
    is_mem(c->data, "abccc", 5, "the first comes out first");
    free(c);
    h3_piece_clear(&list);
    ok(!list.first && !list.last, "cleared");
}

static void spans(void)
{
    h3_piece_list list = { 0 };
    h3_span span = open_span();
    h3_piece *piece;

    ok(span.fd > 0 && span.offset == 7 && span.left == 100, "a span has a descriptor of its own");
    h3_span_advance(&span, 40);
    ok(span.offset == 47 && span.left == 60, "and moves on as it is read");
    h3_piece_append_bytes(&list, "before", 6);
    is_int(h3_piece_append_span(&list, &span), 0, "after bytes");
    h3_piece_append_bytes(&list, "after", 5);
    ok(list.first->chunk && !list.first->next->chunk && list.last->chunk, "and bytes after it");
    is_int(list.last->chunk->len, 5, "are not put before it");
    free(h3_piece_pop_chunk(&list));
    piece = h3_piece_pop(&list);
    is_int(piece->span.offset, 47, "it comes out as it went in");
    ok(is_open(piece->span.fd), "open");
    h3_piece_destroy(piece);
    ok(!is_open(span.fd), "and is closed with its piece");
    h3_piece_clear(&list);
}

static void joined(void)
{
    h3_piece_list a = { 0 }, b = { 0 };
    h3_span span = open_span();

    h3_piece_append_list(&a, &b);
    ok(!a.first && !a.last, "nothing joined to nothing");
    h3_piece_append_bytes(&b, "1", 1);
    h3_piece_append_list(&a, &b);
    ok(a.first && a.last == a.first && !b.first && !b.last, "all of it has moved");
    h3_piece_append_span(&b, &span);
    h3_piece_append_bytes(&b, "2", 1);
    h3_piece_append_list(&a, &b);
    ok(a.first->chunk && !a.first->next->chunk && a.first->next->next == a.last, "to the end");
    h3_piece_append_list(&a, &b);
    h3_piece_append_bytes(&a, "3", 1);
    is_int(a.last->chunk->len, 2, "where the list goes on");
    h3_piece_clear(&a);
    ok(!is_open(span.fd), "clearing closes spans");
    ok(!h3_piece_pop(&a), "nothing is left");
}

int main(void)
{
    h3_descriptors_share(0);
    bytes();
    spans();
    joined();
    return done_testing();
}
