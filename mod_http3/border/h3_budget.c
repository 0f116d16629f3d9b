/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_budget.h"

/* One holder's part of what is free. */
#define PART 8

void h3_budget_init(h3_budget *b, size_t max)
{
    b->max = max;
    b->held = 0;
}

size_t h3_budget_held(const h3_budget *b)
{
    return __atomic_load_n(&b->held, __ATOMIC_RELAXED);
}

size_t h3_budget_share(const h3_budget *b)
{
    return (b->max - h3_budget_held(b)) / PART;
}

int h3_budget_take(h3_budget *b, size_t len)
{
    size_t held = __atomic_load_n(&b->held, __ATOMIC_RELAXED);

    do {
        if (len > b->max - held) {
            return 0;
        }
    } while (!__atomic_compare_exchange_n(&b->held, &held, held + len, 1, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return 1;
}

void h3_budget_give(h3_budget *b, size_t len)
{
    __atomic_sub_fetch(&b->held, len, __ATOMIC_RELAXED);
}
