/* The way of one session from a ready transport to its first presence (RFC 6120, RFC 6121),
 * and the answers a client owes afterwards. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_SASL "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_SASL2 "urn:xmpp:sasl:2"

static void open_stream(Conn *conn) {
    if (conn->transport == TRANSPORT_WSS)
        conn_printf(conn, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='%s' version='1.0'/>", g.domain);
    else
        conn_printf(conn,
                    "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
                    "xmlns:stream='http://etherx.jabber.org/streams'>",
                    g.domain);
}

void login_on_transport_ready(Conn *conn) {
    conn->state = STATE_WAIT_FEATURES;
    open_stream(conn);
}

static bool offers(Span features, const char *mechanism) {
    char text[64];
    snprintf(text, sizeof text, ">%s<", mechanism);
    return span_has(features, text) && (!g.mechanism || strcmp(g.mechanism, mechanism) == 0);
}

static void authenticate(Conn *conn, Span features) {
    char initial[2 * SCRAM_TEXT_MAX];
    const char *mechanism;
    if (g.resumption == RESUMPTION_FAST && conn->account->token && resume_is_wanted(conn)) {
        hashed_token_initial(conn->account, initial);
        conn->state = STATE_WAIT_SUCCESS;
        mechanism = "HT-SHA-256-NONE";
    } else if (offers(features, mechanism = "SCRAM-SHA-256") || offers(features, mechanism = "SCRAM-SHA-1")) {
        const EVP_MD *hash = strcmp(mechanism, "SCRAM-SHA-1") ? EVP_sha256() : EVP_sha1();
        conn->scram = must(calloc(1, sizeof *conn->scram));
        scram_first(conn->scram, hash, conn->account, initial);
        conn->state = STATE_WAIT_CHALLENGE;
    } else if (offers(features, mechanism = "PLAIN")) {
        plain_initial(conn->account, initial);
        conn->state = STATE_WAIT_SUCCESS;
    } else {
        conn_kill(conn, "no SASL mechanism that this client knows");
        return;
    }
    snprintf(g.negotiated, sizeof g.negotiated, "%s %s, %s", SSL_get_version(conn->ssl), SSL_get_cipher(conn->ssl),
             mechanism);
    if (g.resumption >= RESUMPTION_INLINE)
        resume_authenticate(conn, mechanism, initial);
    else
        conn_printf(conn, "<auth xmlns='" NS_SASL "' mechanism='%s'>%s</auth>", mechanism, initial);
}

static void answer_challenge(Conn *conn, Span challenge) {
    char final[2 * SCRAM_TEXT_MAX];
    if (!scram_final(conn->scram, conn->account, xml_text(challenge, "challenge"), final)) {
        conn_kill(conn, "bad SCRAM challenge");
        return;
    }
    conn->state = STATE_WAIT_SUCCESS;
    conn_printf(conn, "<response xmlns='%s'>%s</response>", g.resumption >= RESUMPTION_INLINE ? NS_SASL2 : NS_SASL,
                final);
}

/* RFC 6120 section 6.3.2 asks for a new stream; XEP-0388 section 2.6.1 goes on in the same one. */
static void on_success(Conn *conn, Span success) {
    bool again = g.resumption < RESUMPTION_INLINE;
    if (conn->scram && !scram_server_is_right(conn->scram, success, again ? "success" : "additional-data")) {
        conn_kill(conn, "the server's SCRAM signature is wrong");
        return;
    }
    free(conn->scram);
    conn->scram = NULL;
    conn->state = STATE_WAIT_BIND_FEATURES;
    if (again)
        open_stream(conn);
    else if (resume_on_success(conn, success))
        login_has_resumed(conn);
}

static void bind_resource(Conn *conn, Span features) {
    if (resume_is_wanted(conn)) {
        resume_ask(conn);
        return;
    }
    conn->flag = span_has(features, "urn:ietf:params:xml:ns:xmpp-session") && !span_has(features, "<optional");
    conn->state = STATE_WAIT_BIND;
    conn_printf(conn, "<iq%s type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
                conn_namespace(conn));
}

static void get_roster(Conn *conn) {
    conn->flag = false;
    conn->state = STATE_WAIT_ROSTER;
    conn_printf(conn, "<iq%s type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", conn_namespace(conn));
}

void login_go_on(Conn *conn) {
    if (g.resumption != RESUMPTION_NONE && !conn->counts)
        resume_ask_to_enable(conn);
    else
        get_roster(conn);
}

static void keep_jid(Conn *conn, Span result) {
    Span jid = xml_text(result, "jid");
    if (!jid.len || memchr(jid.at, '\'', jid.len)) {
        conn_kill(conn, "no usable JID in the bind result");
        return;
    }
    conn->jid = must(strndup(jid.at, jid.len));
    if (!conn->flag) {
        login_go_on(conn);
        return;
    }
    conn->state = STATE_WAIT_SESSION;
    conn_printf(conn, "<iq%s type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
                conn_namespace(conn));
}

static void become_available(Conn *conn) {
    conn->state = STATE_ONLINE;
    conn->online = true;
    conn_printf(conn, "<presence%s/>", conn_namespace(conn));
    work_on_online(conn);
}

void login_has_resumed(Conn *conn) {
    conn->state = STATE_ONLINE;
    conn->online = true;
    work_on_online(conn);
}

/* A request to us: roster pushes and pings are acknowledged, all else is refused (RFC 6120 section 8.2.3). */
static void answer_request(Conn *conn, Span iq) {
    Span id = xml_attribute(iq, "id"), from = xml_attribute(iq, "from");
    if (memchr(id.at, '\'', id.len) || memchr(from.at, '\'', from.len)) return;
    bool known = span_has(iq, "jabber:iq:roster") || span_has(iq, "urn:xmpp:ping");
    char to[1024] = "";
    if (from.len) snprintf(to, sizeof to, " to='%.*s'", (int)from.len, from.at);
    conn_printf(conn, "<iq%s type='%s' id='%.*s'%s>%s</iq>", conn_namespace(conn), known ? "result" : "error",
                (int)id.len, id.at, to,
                known ? ""
                      : "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
                        "</error>");
}

static void on_stanza(Conn *conn, Span stanza, Span name) {
    if (conn->counts) conn->account->handled++;
    if (!span_is(name, "iq")) {
        work_on_stanza(conn, stanza, name);
        return;
    }
    Span type = xml_attribute(stanza, "type"), id = xml_attribute(stanza, "id");
    if (span_is(type, "get") || span_is(type, "set")) {
        answer_request(conn, stanza);
    } else if (conn->state == STATE_WAIT_BIND && span_is(id, "bind")) {
        keep_jid(conn, stanza);
    } else if (conn->state == STATE_WAIT_SESSION && span_is(id, "session")) {
        login_go_on(conn);
    } else if (conn->state == STATE_WAIT_ROSTER && span_is(id, "roster")) {
        if (span_is(type, "result"))
            become_available(conn);
        else
            conn_kill(conn, "no roster");
    }
}

void login_on_unit(Conn *conn, enum cut kind, Span unit) {
    if (kind == CUT_STREAM_OPEN) return;
    if (kind == CUT_STREAM_CLOSE) {
        conn_kill(conn, conn->state == STATE_CLOSING ? NULL : "the server closed the stream");
        return;
    }
    Span name = xml_name(unit);
    if (span_is(name, "error") || span_is(name, "failure")) {
        char why[200];
        snprintf(why, sizeof why, "%.*s", (int)unit.len, unit.at);
        conn_kill(conn, why);
    } else if (conn->state == STATE_WAIT_FEATURES && span_is(name, "features")) {
        authenticate(conn, unit);
    } else if (conn->state == STATE_WAIT_CHALLENGE && span_is(name, "challenge")) {
        answer_challenge(conn, unit);
    } else if (conn->state == STATE_WAIT_SUCCESS && span_is(name, "success")) {
        on_success(conn, unit);
    } else if (conn->state == STATE_WAIT_BIND_FEATURES && span_is(name, "features")) {
        bind_resource(conn, unit);
    } else if (conn->state >= STATE_WAIT_BIND && !resume_on_element(conn, unit, name)) {
        on_stanza(conn, unit, name);
    }
}
