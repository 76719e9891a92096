/* Just enough XML to cut a server's stream into stanzas: tags, quotes, comments and CDATA.
 * It trusts the server to send well-formed XML and looks only for what the load needs. */
#define _GNU_SOURCE
#include "loadgen.h"

#include <ctype.h>
#include <string.h>

/* The end of the tag that starts at text[at]: one past its '>', or 0 when it is not all there. */
static size_t tag_end(Span text, size_t at) {
    char quote = 0;
    for (size_t i = at + 1; i < text.len; i++) {
        char c = text.at[i];
        if (quote) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            return i + 1;
        }
    }
    return 0;
}

/* Skips a declaration, comment or CDATA section at text[at]; returns 0 when it is not all there,
 * `at` when there is none. */
static size_t skip_special(Span text, size_t at) {
    static const struct {
        const char *open, *close;
    } kinds[] = {{"<?", "?>"}, {"<!--", "-->"}, {"<![CDATA[", "]]>"}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t open = strlen(kinds[k].open), close = strlen(kinds[k].close);
        if (text.len - at < open || memcmp(text.at + at, kinds[k].open, open) != 0) continue;
        const char *end = memmem(text.at + at + open, text.len - at - open, kinds[k].close, close);
        return end ? (size_t)(end - text.at) + close : 0;
    }
    return at;
}

/* One past the end of the element that starts at text[at], or 0. */
static size_t element_end(Span text, size_t at) {
    int depth = 0;
    for (;;) {
        const char *open = memchr(text.at + at, '<', text.len - at);
        if (!open) return 0;
        at = (size_t)(open - text.at);
        size_t after = skip_special(text, at);
        if (after != at) {
            if (!after) return 0;
            at = after;
            continue;
        }
        size_t end = tag_end(text, at);
        if (!end) return 0;
        if (text.at[at + 1] == '/')
            depth--;
        else if (text.at[end - 2] != '/')
            depth++;
        if (depth <= 0) return end;
        at = end;
    }
}

Span xml_name(Span element) {
    size_t from = element.len > 1 && element.at[1] == '/' ? 2 : 1, to = from;
    while (to < element.len && !strchr(" \t\r\n/>", element.at[to])) {
        if (element.at[to] == ':') from = to + 1;
        to++;
    }
    return (Span){element.at + from, to > from ? to - from : 0};
}

enum cut xml_cut(Span text, Span *unit, size_t *used) {
    size_t at = 0;
    for (;;) {
        while (at < text.len && isspace((unsigned char)text.at[at])) at++;
        if (at >= text.len) {
            *used = at;
            return CUT_INCOMPLETE;
        }
        size_t after = skip_special(text, at);
        if (after == at) break;
        if (!after) return *used = 0, CUT_INCOMPLETE;
        at = after;
    }
    *used = 0;
    size_t end = tag_end(text, at);
    if (!end) return CUT_INCOMPLETE;
    *unit = (Span){text.at + at, end - at};
    *used = end;
    Span name = xml_name(*unit);
    if (span_is(name, "open")) return CUT_STREAM_OPEN;
    if (span_is(name, "close")) return CUT_STREAM_CLOSE;
    if (span_is(name, "stream")) return text.at[at + 1] == '/' ? CUT_STREAM_CLOSE : CUT_STREAM_OPEN;
    end = element_end(text, at);
    *used = end;
    unit->len = end ? end - at : 0;
    return end ? CUT_STANZA : CUT_INCOMPLETE;
}

Span xml_attribute(Span element, const char *name) {
    size_t name_len = strlen(name), end = tag_end(element, 0);
    for (size_t i = 1; i < end;) {
        while (i < end && !isspace((unsigned char)element.at[i])) i++;
        while (i < end && isspace((unsigned char)element.at[i])) i++;
        size_t key = i;
        while (i < end && !strchr("= \t\r\n>", element.at[i])) i++;
        bool ours = i - key == name_len && memcmp(element.at + key, name, name_len) == 0;
        while (i < end && element.at[i] != '"' && element.at[i] != '\'') i++;
        if (i >= end) break;
        const char *close = memchr(element.at + i + 1, element.at[i], end - i - 1);
        if (!close) break;
        if (ours) return (Span){element.at + i + 1, (size_t)(close - element.at) - i - 1};
        i = (size_t)(close - element.at) + 1;
    }
    return (Span){"", 0};
}

Span xml_find(Span element, const char *name) {
    size_t at = 0;
    while (at < element.len) {
        const char *open = memchr(element.at + at, '<', element.len - at);
        if (!open) break;
        at = (size_t)(open - element.at);
        Span rest = {element.at + at, element.len - at};
        size_t end = tag_end(rest, 0);
        if (!end) break;
        if (open[1] != '/' && span_is(xml_name(rest), name)) return rest;
        at += end;
    }
    return (Span){"", 0};
}

Span xml_text(Span element, const char *name) {
    Span found = xml_find(element, name);
    size_t end = found.len ? tag_end(found, 0) : 0;
    if (!end || found.at[end - 2] == '/') return (Span){"", 0};
    const char *text = found.at + end, *stop = memchr(text, '<', found.len - end);
    return (Span){text, stop ? (size_t)(stop - text) : 0};
}

bool span_is(Span span, const char *text) {
    return strlen(text) == span.len && memcmp(span.at, text, span.len) == 0;
}

bool span_has(Span span, const char *needle) {
    return memmem(span.at, span.len, needle, strlen(needle)) != NULL;
}

bool span_hex(Span span, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < span.len; i++) {
        char c = span.at[i];
        if (!isxdigit((unsigned char)c)) return false;
        *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return span.len > 0;
}
