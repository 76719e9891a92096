/* A load client for XMPP servers: many real sessions in one thread, over WebSocket or direct TLS.
 *
 * xml.c    cuts stanzas out of received bytes and looks into them
 * scram.c  SASL SCRAM (RFC 5802, RFC 7677), the costly part done once per account
 * conn.c   one connection: TCP, TLS, WebSocket frames (RFC 6455, RFC 7395), buffers
 * login.c  from the TLS handshake to the first presence, and the replies a client owes
 * resume.c sessions that come back after a lost connection (XEP-0198), also inline (XEP-0388) and with a token
 *          (XEP-0484)
 * work.c   the kinds of load, each with its counters
 * main.c   the event loop and the commands read from standard input
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- text ---- */

typedef struct {
    const char *at;
    size_t len;
} Span;

enum cut { CUT_INCOMPLETE, CUT_STREAM_OPEN, CUT_STREAM_CLOSE, CUT_STANZA };

/* Finds the first complete unit in `text`: leading white space and declarations belong to it.
 * `unit` is the unit itself, `used` how many bytes to drop. A WebSocket's <open/> and <close/>
 * count as the opening and closing of the stream. */
enum cut xml_cut(Span text, Span *unit, size_t *used);
/* The local name of the element that starts at the beginning of `element`. */
Span xml_name(Span element);
/* The raw (still escaped) value of an attribute of the start tag; len 0 when absent. */
Span xml_attribute(Span element, const char *name);
/* The raw text right after the start tag of the first element called `name`. */
Span xml_text(Span element, const char *name);
/* From the start tag of the first element called `name` to the end of `element`; len 0 when there is none. */
Span xml_find(Span element, const char *name);
bool span_is(Span span, const char *text);
bool span_has(Span span, const char *needle);
/* Reads hexadecimal digits; false when there is something else. */
bool span_hex(Span span, uint64_t *value);

/* ---- accounts and SASL ---- */

enum { SCRAM_KEY_MAX = 32, SCRAM_TEXT_MAX = 512 };

typedef struct {
    char user[64];
    char password[64];
    /* What PBKDF2 gave for this (hash, salt, iterations), so that it runs once per account. */
    const EVP_MD *known_hash;
    unsigned char known_salt[64];
    int known_salt_len, known_iterations;
    unsigned char client_key[SCRAM_KEY_MAX], stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
    /* Of its session, escaped as received; NULL: it has none that could be resumed. */
    char *resume_id, *resume_jid;
    uint32_t handled; /* stanzas of that session that came from the server */
    char *token;      /* of XEP-0484; NULL: it has none */
} Account;

typedef struct {
    const EVP_MD *hash;
    char first_bare[SCRAM_TEXT_MAX];
    char nonce[33];
    unsigned char server_signature[SCRAM_KEY_MAX];
} Scram;

/* Each writes base64 text to `out` (SCRAM_TEXT_MAX * 2 bytes are enough). */
void plain_initial(const Account *account, char *out);
void scram_first(Scram *scram, const EVP_MD *hash, const Account *account, char *out);
bool scram_final(Scram *scram, Account *account, Span challenge, char *out);
/* `name` is the element in which the server's last word stands. */
bool scram_server_is_right(const Scram *scram, Span success, const char *name);
/* HT-SHA-256-NONE (draft-schmaus-kitten-sasl-ht). */
void hashed_token_initial(const Account *account, char *out);
bool hashed_token_server_is_right(const Account *account, Span success);

/* ---- connections ---- */

enum transport { TRANSPORT_WSS, TRANSPORT_TLS };

enum state {
    STATE_CONNECTING,
    STATE_HANDSHAKE,
    STATE_UPGRADING,
    STATE_WAIT_FEATURES,
    STATE_WAIT_CHALLENGE,
    STATE_WAIT_SUCCESS,
    STATE_WAIT_BIND_FEATURES,
    STATE_WAIT_BIND,
    STATE_WAIT_SESSION,
    STATE_WAIT_ENABLED,
    STATE_WAIT_RESUMED,
    STATE_WAIT_ROSTER,
    STATE_ONLINE,
    STATE_CLOSING,
    STATE_DEAD,
};

typedef struct {
    char *bytes;
    size_t len, cap;
} Buffer;

typedef struct conn {
    int fd;
    SSL *ssl;
    enum transport transport;
    enum state state;
    int index; /* of its account, and its place in the table of connections */
    uint32_t events;
    Account *account;
    Scram *scram; /* only while logging in */
    Buffer in;    /* received and not yet understood */
    Buffer frame; /* a WebSocket message in several frames, so far */
    Buffer out;   /* not yet taken by the socket */
    char *jid;    /* the bound full JID, escaped as received */
    uint64_t begun_ns;
    uint32_t sent, expected; /* sequence numbers of the chat with the partner */
    bool online;             /* has been available: the login is over */
    bool counts;             /* stanzas, as XEP-0198 has it */
    bool flag;               /* used by the kinds of load */
    struct conn *next_dead;
} Conn;

Conn *conn_start(int index);
void conn_on_event(Conn *conn, uint32_t events);
/* Sends one stanza: as one WebSocket text frame or as it is; one TLS record in either case. */
void conn_send(Conn *conn, const char *text, size_t len);
void conn_printf(Conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the XMPP stream; the server's answer ends the connection. */
void conn_close_stream(Conn *conn);
void conn_kill(Conn *conn, const char *why);
/* The network is gone: the socket is closed without a word, and nobody here is told. */
void conn_cut(Conn *conn);
void conn_free_dead(void);
/* " xmlns='jabber:client'" where each stanza stands alone (RFC 7395 section 3.3.3). */
const char *conn_namespace(const Conn *conn);

/* ---- protocol and load ---- */

void login_on_transport_ready(Conn *conn);
void login_on_unit(Conn *conn, enum cut kind, Span unit);
void login_go_on(Conn *conn);      /* bound: roster and presence are next */
void login_has_resumed(Conn *conn); /* online again */

/* How sessions come back: not at all, behind a login of RFC 6120, or within one of XEP-0388, by password or token. */
enum resumption { RESUMPTION_NONE, RESUMPTION_CLASSIC, RESUMPTION_INLINE, RESUMPTION_FAST };

void resume_forget(Account *account);
bool resume_is_wanted(const Conn *conn); /* its account has a session to come back to */
void resume_ask_to_enable(Conn *conn);
void resume_ask(Conn *conn);
/* Begins a login of XEP-0388, with all that is asked for inline. */
void resume_authenticate(Conn *conn, const char *mechanism, const char *initial);
/* Its success: whether the session was resumed by it. */
bool resume_on_success(Conn *conn, Span success);
bool resume_on_element(Conn *conn, Span element, Span name); /* whether it was one of XEP-0198 */

void work_on_online(Conn *conn);
void work_on_stanza(Conn *conn, Span stanza, Span name);
void work_on_gone(Conn *conn, const char *why);
/* Sends what is due; returns the nanoseconds until more is due, or -1. */
int64_t work_on_time(void);
bool work_is_done(void);
void work_begin(const char *command);
void work_print_result(void);

typedef struct {
    char host[64], domain[64], path[128];
    int port;
    int other_port; /* of every second account */
    enum transport transport;
    const char *mechanism; /* NULL: the best that is offered */
    enum resumption resumption;
    Account *accounts;
    int account_count;
    Conn **conns; /* by account, NULL when not connected */
    SSL_CTX *tls;
    int epoll;
    char negotiated[160]; /* by the newest connection: TLS version, cipher suite, SASL mechanism */
} Global;

extern Global g;

uint64_t now_ns(void);
uint32_t random_next(void);
void *must(void *pointer);

#endif
