/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of an emulated path: a queue of bounded length in front of a
 * wire of bounded rate, then the wire, which delays, loses, reorders and
 * duplicates. Knows neither devices nor clocks: packets and times are given to
 * it, so that the same packets, times and seed give the same fate.
 *
 * Times are nanoseconds of one clock, and never go backwards.
 */
#ifndef PATH_LINK_H
#define PATH_LINK_H

#include <stddef.h>
#include <stdint.h>

#define PATH_LINK_NEVER UINT64_MAX
/* What a queue given as a factor has at least: ten full packets, TCP's first flight. */
#define PATH_LINK_QUEUE_MIN 15000

typedef struct path_link_conf {
    double rate;      /* Mbit/s of whole IP packets; 0: unlimited, and nothing queues */
    double delay;     /* ms */
    double queue;     /* bytes; < 0: that many bandwidth-delay products */
    double loss;      /* %, on the wire: what is lost has been through the queue */
    double burst;     /* mean number of packets lost in a row; 0: each by itself */
    double reorder;   /* % of packets that are held back ... */
    double hold;      /* ... by so many ms */
    double duplicate; /* % */
    double later;     /* from so many seconds on, ... */
    double later_mtu; /* ... longer packets vanish; 0: never */
} path_link_conf;

typedef struct path_packet {
    struct path_packet *next; /* in the queue */
    uint64_t came;
    uint64_t leaves; /* the queue, with its last bit */
    uint64_t due;    /* at the other end */
    uint64_t number; /* of those equally due, the lower goes first */
    size_t len;
    uint8_t data[];
} path_packet;

/* packets + duplicated = delivered + lost + dropped_queue + dropped_mtu + those under way */
typedef struct path_link_stat {
    uint64_t packets, bytes; /* offered */
    uint64_t delivered, delivered_bytes;
    uint64_t lost, dropped_queue, dropped_mtu;
    uint64_t reordered, duplicated;
    uint64_t max_queue;      /* bytes */
    uint64_t late, max_late; /* delivered more than 1 ms late; the latest, in nanoseconds */
} path_link_stat;

typedef struct path_link {
    path_link_conf conf;
    path_link_stat stat;
    uint64_t begun;
    uint64_t random;
    uint64_t queue_limit; /* bytes; UINT64_MAX: none */
    uint64_t queued;      /* bytes */
    path_packet *first, **last;
    uint64_t free_at;   /* when the wire has sent all that is in the queue */
    int in_burst;       /* of losses */
    path_packet **heap; /* on the wire, the next due at 0 */
    size_t nheap, heap_size;
    uint64_t held;   /* bytes of memory, of both */
    uint64_t number; /* of the last packet that left the queue */
} path_link;

/* `rtt_ms`: both directions' delay, for a queue that is given as a factor. */
void path_link_init(path_link *link, const path_link_conf *conf, double rtt_ms, uint64_t seed,
                    uint64_t now);
void path_link_free(path_link *link);

/*
 * A packet, which is copied. It arrived at `since` at the earliest: the wire
 * has not idled since then if it had something to send. Its delay counts from
 * `now`. 0 if it is in the queue, -1 if it was dropped.
 */
int path_link_offer(path_link *link, const uint8_t *data, size_t len, uint64_t since, uint64_t now);

/* When path_link_take is to be called again; PATH_LINK_NEVER: nothing is under way. */
uint64_t path_link_next(const path_link *link);

/* The next packet that is due by now, for the caller to free(); NULL: none. */
path_packet *path_link_take(path_link *link, uint64_t now);

/* How many packets are under way. */
uint64_t path_link_under_way(const path_link *link);

#endif /* PATH_LINK_H */
