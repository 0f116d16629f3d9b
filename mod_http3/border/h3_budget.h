/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that all clients of one child share. There are two of them: for what has been written and
 * is not acknowledged, and for what clients may send beyond the windows that each has from the
 * start. A client gives the first back as it acknowledges, the second only with its connection.
 *
 * Fair without a list of holders: nobody who holds an eighth of what is free, or more, gets any
 * more of it. So one alone gets a ninth of it all, a hundred get nearly all of it in equal parts,
 * and something is left for the next one in any case.
 *
 * Any thread, without a lock. As long as the child lives.
 */
#ifndef H3_BUDGET_H
#define H3_BUDGET_H

#include <stddef.h>

/* Bytes. `held` never exceeds `max`. */
typedef struct h3_budget {
    size_t max;
    size_t held; /* atomic */
} h3_budget;

void h3_budget_init(h3_budget *b, size_t max);

/* What all of them hold. */
size_t h3_budget_held(const h3_budget *b);

/* So much one holder may hold as things stand. */
size_t h3_budget_share(const h3_budget *b);

/* Takes `len` bytes: 1; or, where they are not there, nothing: 0. */
int h3_budget_take(h3_budget *b, size_t len);

void h3_budget_give(h3_budget *b, size_t len);

#endif /* H3_BUDGET_H */
