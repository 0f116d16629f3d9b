/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_mpm.h"

#include <string.h>
#include <unistd.h>
#include "ap_mpm.h"
#include "http_config.h"
#include "scoreboard.h"

#define NO_CHILD (-1)

/* Of the child; set in child_init, but for its number. */
static struct {
    module *event; /* the event MPM, or NULL */
    int threads_per_child, thread_limit;
    int number; /* in the scoreboard; atomic, found out when it is first needed */
} child;

/* Larger than the event MPM's state of a connection, whose layout is its own. */
static const char event_state[4096];

static int own_number(void);
static ap_sb_handle_t *make_row(conn_rec *c, int row);

void h3_mpm_child_init(void)
{
    module **m;

    child.number = NO_CHILD;
    child.event = NULL;
    for (m = ap_loaded_modules; *m; m++) {
        if (strcmp((*m)->name, "event.c") == 0) {
            child.event = *m;
        }
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &child.threads_per_child);
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &child.thread_limit);
}

void h3_mpm_add_state(conn_rec *c)
{
    if (child.event) {
        ap_set_module_config(c->conn_config, child.event, (void *)event_state);
    }
}

void h3_mpm_identify(conn_rec *c, const h3_worker *w)
{
    int number = own_number(), row = child.threads_per_child + w->index;
    long slot = number == NO_CHILD ? (long)getpid() & 0x7fff : number;

    /*
     * mod_cgid and mod_unique_id want an id that no other running request of the
     * whole server has, in 31 bits. The MPMs' are below child times ThreadLimit,
     * mod_http2's are those shifted by 8: neither reaches bit 30.
     */
    c->id = 0x40000000L | slot << 15 | (w->index & 0x7fff);
    c->current_thread = w->thread;
    c->sbh = row < child.thread_limit ? make_row(c, row) : NULL;
}

void h3_mpm_lend_row(conn_rec *c)
{
    if (!c->sbh) {
        c->sbh = make_row(c, child.thread_limit - 1);
    }
}

static ap_sb_handle_t *make_row(conn_rec *c, int row)
{
    ap_sb_handle_t *sbh = NULL;
    int number = own_number();

    if (number != NO_CHILD) {
        ap_create_sb_handle(&sbh, c->pool, number, row);
    }
    return sbh;
}

/*
 * Our number in the scoreboard. The parent writes it there after the fork, maybe after
 * child_init. Our rows come after the MPM's, which resets only its own: whoever finds out the
 * number resets ours, which a predecessor that crashed may have left busy.
 */
static int own_number(void)
{
    int number = __atomic_load_n(&child.number, __ATOMIC_RELAXED), none = NO_CHILD, i;
    apr_proc_t me;

    if (number != NO_CHILD) {
        return number;
    }
    me.pid = getpid();
    number = ap_find_child_by_pid(&me);
    if (number >= 0
        && __atomic_compare_exchange_n(&child.number, &none, number, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED)) {
        for (i = child.threads_per_child; i < child.thread_limit; i++) {
            ap_update_child_status_from_indexes(number, i, SERVER_DEAD, NULL);
        }
    }
    return number < 0 ? NO_CHILD : number;
}
