/* One connection: non-blocking TCP and TLS, WebSocket framing, buffers, and its end. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STANZA_MAX = 8192, MESSAGE_MAX = 16 << 20 };
enum { FRAME_CONTINUATION = 0, FRAME_TEXT = 1, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10 };

static Conn *dead;
static char read_buffer[1 << 16];

static void buffer_add(Buffer *buffer, const void *bytes, size_t len) {
    if (buffer->len + len > buffer->cap) {
        size_t cap = buffer->cap ? buffer->cap : 512;
        while (cap < buffer->len + len) cap *= 2;
        buffer->bytes = must(realloc(buffer->bytes, cap));
        buffer->cap = cap;
    }
    memcpy(buffer->bytes + buffer->len, bytes, len);
    buffer->len += len;
}

static void buffer_drop(Buffer *buffer, size_t len) {
    buffer->len -= len;
    if (buffer->len) {
        memmove(buffer->bytes, buffer->bytes + len, buffer->len);
    } else {
        free(buffer->bytes);
        *buffer = (Buffer){0};
    }
}

static void watch(Conn *conn, uint32_t events) {
    if (conn->events == events) return;
    struct epoll_event event = {.events = events, .data.ptr = conn};
    epoll_ctl(g.epoll, conn->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, conn->fd, &event);
    conn->events = events;
}

static int port_of(int index) { return index & 1 ? g.other_port : g.port; }

Conn *conn_start(int index) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(index))};
    inet_pton(AF_INET, g.host, &address.sin_addr);
    Conn *conn = must(calloc(1, sizeof *conn));
    conn->index = index;
    conn->account = &g.accounts[index];
    conn->transport = g.transport;
    conn->begun_ns = now_ns();
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        perror("socket");
        exit(2);
    }
    int one = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    g.conns[index] = conn;
    int failed = connect(conn->fd, (struct sockaddr *)&address, sizeof address);
    if (failed && errno != EINPROGRESS) {
        conn_kill(conn, "connection refused");
        return conn;
    }
    conn->ssl = must(SSL_new(g.tls));
    SSL_set_fd(conn->ssl, conn->fd);
    SSL_set_tlsext_host_name(conn->ssl, g.domain);
    static const unsigned char xmpp[] = "\x0bxmpp-client", http[] = "\x08http/1.1";
    if (conn->transport == TRANSPORT_TLS)
        SSL_set_alpn_protos(conn->ssl, xmpp, sizeof xmpp - 1);
    else
        SSL_set_alpn_protos(conn->ssl, http, sizeof http - 1);
    SSL_set_connect_state(conn->ssl);
    watch(conn, EPOLLOUT);
    return conn;
}

const char *conn_namespace(const Conn *conn) {
    return conn->transport == TRANSPORT_WSS ? " xmlns='jabber:client'" : "";
}

/* ---- output ---- */

static void flush_out(Conn *conn) {
    while (conn->out.len) {
        ERR_clear_error();
        int wrote = SSL_write(conn->ssl, conn->out.bytes, (int)conn->out.len);
        if (wrote > 0) {
            buffer_drop(&conn->out, (size_t)wrote);
            continue;
        }
        int error = SSL_get_error(conn->ssl, wrote);
        if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) conn_kill(conn, "write failed");
        break;
    }
    if (conn->state != STATE_DEAD) watch(conn, conn->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_raw(Conn *conn, const char *bytes, size_t len) {
    if (conn->state == STATE_DEAD) return;
    if (conn->out.len == 0) {
        ERR_clear_error();
        int wrote = SSL_write(conn->ssl, bytes, (int)len);
        if (wrote == (int)len) return;
        if (wrote > 0) bytes += wrote, len -= (size_t)wrote;
    }
    buffer_add(&conn->out, bytes, len);
    flush_out(conn);
}

/* RFC 6455 section 5: a client's frames are masked. */
static void send_frame(Conn *conn, int opcode, const char *text, size_t len) {
    char frame[STANZA_MAX + 16];
    unsigned char mask[4];
    uint32_t key = random_next();
    memcpy(mask, &key, 4);
    if (len > STANZA_MAX) {
        conn_kill(conn, "stanza too long for this client");
        return;
    }
    size_t at = 0;
    frame[at++] = (char)(0x80 | opcode);
    if (len < 126) {
        frame[at++] = (char)(0x80 | len);
    } else {
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(len >> 8);
        frame[at++] = (char)len;
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < len; i++) frame[at + i] = (char)(text[i] ^ (char)mask[i & 3]);
    send_raw(conn, frame, at + len);
}

void conn_send(Conn *conn, const char *text, size_t len) {
    if (conn->transport == TRANSPORT_WSS)
        send_frame(conn, FRAME_TEXT, text, len);
    else
        send_raw(conn, text, len);
}

void conn_printf(Conn *conn, const char *format, ...) {
    char text[STANZA_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof text) {
        conn_kill(conn, "stanza too long for this client");
        return;
    }
    conn_send(conn, text, (size_t)len);
}

/* ---- input ---- */

static void take_units(Conn *conn, Span text, size_t *taken) {
    *taken = 0;
    while (*taken < text.len && conn->state != STATE_DEAD) {
        Span unit, rest = {text.at + *taken, text.len - *taken};
        size_t used;
        enum cut kind = xml_cut(rest, &unit, &used);
        *taken += used;
        if (kind == CUT_INCOMPLETE) return;
        login_on_unit(conn, kind, unit);
    }
}

static void take_frame(Conn *conn, int opcode, bool last, Span payload) {
    size_t taken;
    if (opcode == FRAME_PING) {
        send_frame(conn, FRAME_PONG, payload.at, payload.len);
    } else if (opcode == FRAME_CLOSE) {
        send_frame(conn, FRAME_CLOSE, payload.at, payload.len < 2 ? payload.len : 2);
        conn_kill(conn, conn->state == STATE_CLOSING ? NULL : "the server closed the WebSocket");
    } else if (opcode == FRAME_TEXT && last && !conn->frame.len) {
        take_units(conn, payload, &taken);
    } else if (opcode == FRAME_TEXT || opcode == FRAME_CONTINUATION) {
        buffer_add(&conn->frame, payload.at, payload.len);
        if (last) {
            Buffer whole = conn->frame;
            conn->frame = (Buffer){0};
            take_units(conn, (Span){whole.bytes, whole.len}, &taken);
            free(whole.bytes);
        }
    }
}

static void take_frames(Conn *conn, Span bytes, size_t *taken) {
    *taken = 0;
    while (conn->state != STATE_DEAD) {
        const unsigned char *head = (const unsigned char *)bytes.at + *taken;
        size_t left = bytes.len - *taken, at = 2;
        if (left < 2) return;
        uint64_t len = head[1] & 127;
        size_t extra = len == 126 ? 2 : len == 127 ? 8 : 0;
        if (left < at + extra) return;
        if (extra) len = 0;
        for (size_t i = 0; i < extra; i++) len = len << 8 | head[at++];
        if (len > MESSAGE_MAX) {
            conn_kill(conn, "a frame too long for this client");
            return;
        }
        if (left < at + len) return;
        *taken += at + len;
        take_frame(conn, head[0] & 15, head[0] & 128, (Span){(const char *)head + at, len});
    }
}

static void take_upgrade(Conn *conn, Span bytes, size_t *taken) {
    const char *end = memmem(bytes.at, bytes.len, "\r\n\r\n", 4);
    *taken = 0;
    if (!end) return;
    char head[2048];
    size_t len = (size_t)(end - bytes.at);
    snprintf(head, sizeof head, "%.*s", (int)len, bytes.at);
    const char *protocol = strcasestr(head, "\r\nsec-websocket-protocol:");
    if (protocol) protocol = strchr(protocol, ':') + 1, protocol += strspn(protocol, " \t");
    if (!strstr(head, " 101 ") || !protocol || strncmp(protocol, "xmpp", 4) != 0) {
        head[strcspn(head, "\r\n")] = 0;
        conn_kill(conn, protocol ? head : "the server chose no WebSocket subprotocol xmpp");
        return;
    }
    *taken = len + 4;
    login_on_transport_ready(conn);
}

/* Understands as much of `bytes` as is complete; says how much that was. */
static size_t take(Conn *conn, Span bytes) {
    size_t taken = 0;
    if (conn->state == STATE_UPGRADING) {
        take_upgrade(conn, bytes, &taken);
        if (conn->state == STATE_UPGRADING || conn->state == STATE_DEAD) return taken;
        return taken + take(conn, (Span){bytes.at + taken, bytes.len - taken});
    }
    if (conn->transport == TRANSPORT_WSS)
        take_frames(conn, bytes, &taken);
    else
        take_units(conn, bytes, &taken);
    return taken;
}

static void receive(Conn *conn, const char *bytes, size_t len) {
    if (conn->in.len == 0) {
        size_t taken = take(conn, (Span){bytes, len});
        if (taken < len && conn->state != STATE_DEAD) buffer_add(&conn->in, bytes + taken, len - taken);
        return;
    }
    buffer_add(&conn->in, bytes, len);
    size_t taken = take(conn, (Span){conn->in.bytes, conn->in.len});
    if (conn->state != STATE_DEAD && taken) buffer_drop(&conn->in, taken);
}

static void read_all(Conn *conn) {
    while (conn->state != STATE_DEAD) {
        ERR_clear_error();
        int got = SSL_read(conn->ssl, read_buffer, sizeof read_buffer);
        if (got > 0) {
            receive(conn, read_buffer, (size_t)got);
            continue;
        }
        int error = SSL_get_error(conn->ssl, got);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
        conn_kill(conn, conn->state == STATE_CLOSING ? NULL : "the server closed the connection");
    }
}

static void handshake(Conn *conn) {
    ERR_clear_error();
    int done = SSL_do_handshake(conn->ssl);
    if (done == 1) {
        watch(conn, EPOLLIN);
        if (conn->transport == TRANSPORT_TLS) {
            login_on_transport_ready(conn);
            return;
        }
        char request[512];
        int len = snprintf(request, sizeof request,
                           "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Protocol: xmpp\r\n\r\n",
                           g.path, g.domain, port_of(conn->index));
        conn->state = STATE_UPGRADING;
        send_raw(conn, request, (size_t)len);
        return;
    }
    int error = SSL_get_error(conn->ssl, done);
    if (error == SSL_ERROR_WANT_READ)
        watch(conn, EPOLLIN);
    else if (error == SSL_ERROR_WANT_WRITE)
        watch(conn, EPOLLOUT);
    else
        conn_kill(conn, "TLS handshake failed");
}

void conn_on_event(Conn *conn, uint32_t events) {
    if (conn->state == STATE_DEAD) return;
    if (conn->state == STATE_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            conn_kill(conn, strerror(error));
            return;
        }
        conn->state = STATE_HANDSHAKE;
    }
    if (conn->state == STATE_HANDSHAKE) {
        handshake(conn);
        return;
    }
    if (events & EPOLLOUT) flush_out(conn);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_all(conn);
}

/* ---- end ---- */

void conn_close_stream(Conn *conn) {
    if (conn->state == STATE_DEAD || conn->state == STATE_CLOSING) return;
    if (conn->state < STATE_WAIT_FEATURES) {
        conn_kill(conn, NULL);
        return;
    }
    conn->state = STATE_CLOSING;
    conn_printf(conn, "%s", conn->transport == TRANSPORT_WSS ? "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
                                                             : "</stream:stream>");
}

void conn_cut(Conn *conn) {
    conn->state = STATE_DEAD;
    g.conns[conn->index] = NULL;
    close(conn->fd);
    conn->next_dead = dead;
    dead = conn;
}

/* Leaves the socket at once; `why` is NULL for an end that was wanted. */
void conn_kill(Conn *conn, const char *why) {
    if (conn->state == STATE_DEAD) return;
    if (conn->ssl && !why) SSL_shutdown(conn->ssl);
    conn_cut(conn);
    work_on_gone(conn, why);
}

/* Called between rounds of the event loop, when nobody holds a pointer to a dead connection. */
void conn_free_dead(void) {
    while (dead) {
        Conn *conn = dead;
        dead = conn->next_dead;
        SSL_free(conn->ssl);
        free(conn->in.bytes);
        free(conn->frame.bytes);
        free(conn->out.bytes);
        free(conn->scram);
        free(conn->jid);
        free(conn);
    }
}
