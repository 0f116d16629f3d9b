/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "border/h3_chunk.h"
#include "tap.h"

static void fills(void)
{
    h3_chunk *c = h3_chunk_create(5);

    ok(c->len == 0 && c->cap == 5, "it begins empty");
    is_int(h3_chunk_fill(c, "abc", 3), 3, "takes all that it has room for");
    is_int(h3_chunk_fill(c, "defg", 4), 2, "and of more a part");
    is_mem(c->data, "abcde", 5, "in order");
    is_int(h3_chunk_fill(c, "h", 1), 0, "nothing when it is full");
    is_int(c->len, 5, "it is full");
    free(c);
}

static void lists(void)
{
    h3_chunk *a = h3_chunk_create(1), *b = h3_chunk_create(1), *c = h3_chunk_create(1);
    h3_chunk_list list = { 0 };

    ok(!h3_chunk_pop(&list), "an empty list has no first");
    h3_chunk_append(&list, a);
    h3_chunk_append(&list, b);
    ok(list.first == a && a->next == b && list.last == b, "in order");
    ok(h3_chunk_pop(&list) == a && h3_chunk_pop(&list) == b, "and out again");
    ok(!list.first && !list.last, "then it is empty");
    h3_chunk_append(&list, a); /* which has a next one from before */
    ok(list.first == a && list.last == a && !a->next, "and can be filled anew");
    h3_chunk_append(&list, b);
    h3_chunk_append(&list, c);
    h3_chunk_clear(&list);
    ok(!list.first && !list.last, "cleared");
}

int main(void)
{
    fills();
    lists();
    return done_testing();
}
