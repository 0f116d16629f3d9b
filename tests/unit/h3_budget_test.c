/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include "border/h3_budget.h"
#include "tap.h"

#define MAX 1000000

static h3_budget budget;

static void alone(void)
{
    h3_budget_init(&budget, MAX);
    is_int(h3_budget_share(&budget), MAX / 8, "an eighth of what is free");
    ok(h3_budget_take(&budget, MAX), "all of it can be taken");
    ok(!h3_budget_take(&budget, 1), "no more than that");
    is_int(h3_budget_share(&budget), 0, "then there is no share");
    h3_budget_give(&budget, 800);
    is_int(h3_budget_share(&budget), 100, "of what has come back, there is");
    ok(!h3_budget_take(&budget, 801), "all or nothing");
    ok(h3_budget_take(&budget, 800), "what is there");
    is_int(budget.held, MAX, "held");
}

/* Holders that each want as much as they may have: equal parts, and room for the next one. */
static void greedy(void)
{
    enum { HOLDERS = 100 };
    size_t has[HOLDERS] = { 0 }, least = MAX, most = 0, more;
    int round, i;

    h3_budget_init(&budget, MAX);
    for (round = 0; round < 1000; round++) {
        for (i = 0; i < HOLDERS; i++) {
            /* Those above the share give some back, as their clients acknowledge it. */
            if (has[i] > h3_budget_share(&budget)) {
                more = has[i] / 10;
                h3_budget_give(&budget, more);
                has[i] -= more;
            }
            else if (h3_budget_take(&budget, 1000)) {
                has[i] += 1000;
            }
        }
    }
    for (i = 0; i < HOLDERS; i++) {
        least = has[i] < least ? has[i] : least;
        most = has[i] > most ? has[i] : most;
    }
    ok(budget.held <= MAX, "never more than there is");
    ok(budget.held > MAX / 2, "most of it is in use");
    ok(most <= 2 * least, "in about equal parts");
    ok(h3_budget_share(&budget) > 0, "the next one gets some");
}

static void *take_and_give(void *arg)
{
    int i;

    (void)arg;
    for (i = 0; i < 100000; i++) {
        if (h3_budget_take(&budget, 300000)) {
            if (__atomic_load_n(&budget.held, __ATOMIC_RELAXED) > MAX) {
                return &budget;
            }
            h3_budget_give(&budget, 300000);
        }
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[4];
    void *failed, *any = NULL;
    int i;

    h3_budget_init(&budget, MAX);
    for (i = 0; i < 4; i++) {
        pthread_create(&t[i], NULL, take_and_give, NULL);
    }
    for (i = 0; i < 4; i++) {
        pthread_join(t[i], &failed);
        any = failed ? failed : any;
    }
    ok(!any, "four threads never hold more than there is");
    is_int(budget.held, 0, "nothing is lost");
}

int main(void)
{
    alone();
    greedy();
    threads();
    return done_testing();
}
