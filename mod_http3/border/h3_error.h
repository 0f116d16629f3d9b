/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error codes of HTTP/3 that this server sends, by the names that RFC 9114 section 8.1 gives
 * them: in RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE.
 *
 * Constants, for any thread. They are here so that those who run a request need no HTTP/3 library;
 * h3/ asserts that its library means the same by them.
 */
#ifndef H3_ERROR_H
#define H3_ERROR_H

enum {
    H3_NO_ERROR = 0x0100,              /* nothing is wrong: a body that nobody needs any more */
    H3_INTERNAL_ERROR = 0x0102,        /* our fault: the response cannot be completed */
    H3_STREAM_CREATION_ERROR = 0x0103, /* a stream that the client may not open */
    H3_EXCESSIVE_LOAD = 0x0107,        /* the client may be trying to wear us out */
    H3_REQUEST_REJECTED = 0x010b,      /* no part of it was processed: it may be sent again */
    H3_REQUEST_CANCELLED = 0x010c,     /* it was given up while it ran */
    H3_REQUEST_INCOMPLETE = 0x010d     /* the client's stream ended, or stood still, before it */
};

#endif /* H3_ERROR_H */
