/* The plain cases of XML, judged without expat.
 *
 * What `scan_element` accepts is one well-formed, namespace-well-formed element within the limits. It knows ASCII
 * names, no prefix but `xml:lang`, the five entities, character references and default namespace declarations.
 * Everything else it does not refuse but leaves to expat: wrong acceptance is the only fault it can have.
 *
 * Every read is bounded by the length given. No Python in here, and no allocation.
 */
#ifndef RAINBOW_SCANNER_H
#define RAINBOW_SCANNER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef ptrdiff_t pos_t;

#define MAX_DEPTH 64
#define MAX_ATTRIBUTES 32

typedef struct {
    pos_t max_bytes, depth, elements, attributes, declarations, name_length, namespace_length;
} limits_t;

typedef struct {
    pos_t start, end;
} span_t;

/* One attribute: its name, its value without quotes, and all of it with the white space before. */
typedef struct {
    span_t name, value, whole;
} attribute_t;

/* One start tag; `xmlns` is empty when there is no such declaration. `end` is just after its `>`. */
typedef struct {
    span_t name, xmlns;
    pos_t end;
    int empty, count;
    attribute_t attributes[MAX_ATTRIBUTES];
} tag_t;

/* Told of each direct child of the top element; returns 0 to stop the scan. */
typedef int (*child_fn)(void *context, const uint8_t *s, span_t name, span_t xmlns, span_t whole);

/* ---- characters ---- */

enum { NAME_START = 1, NAME = 2, TEXT_PLAIN = 4, VALUE_PLAIN = 8, BLANK = 16 };

/* TEXT_PLAIN: stands for itself in text; VALUE_PLAIN: in an attribute's value, in either kind of quotes. */
static uint8_t char_class[256];

static void init_char_class(void)
{
    for (int c = 0; c < 128; c++) {
        uint8_t k = 0;
        int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (letter)
            k |= NAME_START | NAME;
        if ((c >= '0' && c <= '9') || c == '-' || c == '.')
            k |= NAME;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            k |= BLANK;
        if ((c >= ' ' || (k & BLANK)) && c != '<' && c != '&' && c != ']')
            k |= TEXT_PLAIN;
        /* Tabs and line ends in values would have to be normalised: left to expat. */
        if (c >= ' ' && c != '<' && c != '&' && c != '"' && c != '\'')
            k |= VALUE_PLAIN;
        char_class[c] = k;
    }
}

#define IS(c, k) (char_class[(uint8_t)(c)] & (k))

/* The length of the UTF-8 sequence at `s[i]` when it is a character that XML 1.0 allows; 0 when not. */
static inline int utf8_length(const uint8_t *s, pos_t i, pos_t n)
{
    uint8_t a = s[i];
    if (a < 0xC2 || a > 0xF4)
        return 0;
    if (a < 0xE0)
        return n - i >= 2 && (s[i + 1] & 0xC0) == 0x80 ? 2 : 0;
    if (a < 0xF0) {
        if (n - i < 3 || (s[i + 1] & 0xC0) != 0x80 || (s[i + 2] & 0xC0) != 0x80)
            return 0;
        if ((a == 0xE0 && s[i + 1] < 0xA0) || (a == 0xED && s[i + 1] > 0x9F))
            return 0; /* overlong; surrogate */
        if (a == 0xEF && s[i + 1] == 0xBF && s[i + 2] >= 0xBE)
            return 0; /* U+FFFE, U+FFFF */
        return 3;
    }
    if (n - i < 4 || (s[i + 1] & 0xC0) != 0x80 || (s[i + 2] & 0xC0) != 0x80 || (s[i + 3] & 0xC0) != 0x80)
        return 0;
    if ((a == 0xF0 && s[i + 1] < 0x90) || (a == 0xF4 && s[i + 1] > 0x8F))
        return 0;
    return 4;
}

/* The length of the reference at `s[i]` (an ampersand) and the character it stands for; 0 when unknown. */
static int reference(const uint8_t *s, pos_t i, pos_t n, uint32_t *character)
{
    static const struct {
        const char *text;
        int length;
        uint32_t character;
    } named[] = {{"&amp;", 5, '&'}, {"&lt;", 4, '<'}, {"&gt;", 4, '>'}, {"&apos;", 6, '\''}, {"&quot;", 6, '"'}};
    for (size_t k = 0; k < sizeof named / sizeof *named; k++)
        if (n - i >= named[k].length && !memcmp(s + i, named[k].text, (size_t)named[k].length)) {
            *character = named[k].character;
            return named[k].length;
        }
    if (n - i < 4 || s[i + 1] != '#')
        return 0;
    int hexadecimal = s[i + 2] == 'x', digits = 0;
    uint32_t value = 0;
    pos_t j = i + 2 + hexadecimal;
    for (; j < n && s[j] != ';'; j++, digits++) {
        uint8_t c = s[j];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (hexadecimal && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            digit = (c | 0x20) - 'a' + 10u;
        else
            return 0;
        if (digits == 7) /* enough for every character, too few to overflow */
            return 0;
        value = value * (hexadecimal ? 16 : 10) + digit;
    }
    if (j >= n || !digits)
        return 0;
    if (value < 0x20 && value != '\t' && value != '\n' && value != '\r')
        return 0;
    if ((value >= 0xD800 && value <= 0xDFFF) || value == 0xFFFE || value == 0xFFFF || value > 0x10FFFF)
        return 0;
    *character = value;
    return (int)(j + 1 - i);
}

/* ---- tags ---- */

static inline pos_t skip_blanks(const uint8_t *s, pos_t i, pos_t n)
{
    while (i < n && IS(s[i], BLANK))
        i++;
    return i;
}

static inline pos_t skip_name(const uint8_t *s, pos_t i, pos_t n)
{
    if (i >= n || !IS(s[i], NAME_START))
        return i;
    while (i < n && IS(s[i], NAME))
        i++;
    return i;
}

static inline int same(const uint8_t *s, span_t a, span_t b)
{
    pos_t length = a.end - a.start;
    return length == b.end - b.start && !memcmp(s + a.start, s + b.start, (size_t)length);
}

static inline int is_text(const uint8_t *s, span_t a, const char *text, pos_t length)
{
    return a.end - a.start == length && !memcmp(s + a.start, text, (size_t)length);
}

#define IS_TEXT(s, span, literal) is_text(s, span, literal, (pos_t)sizeof(literal) - 1)

/* The end of the value that begins at `s[i]`, which is the place of its closing quote; -1 when unknown. */
static inline pos_t value_end(const uint8_t *s, pos_t i, pos_t n, uint8_t quote)
{
    uint32_t ignored;
    while (i < n) {
        uint8_t c = s[i];
        int step;
        if (IS(c, VALUE_PLAIN))
            i++;
        else if (c == quote)
            return i;
        else if (c == '"' || c == '\'')
            i++;
        else if ((step = c == '&' ? reference(s, i, n, &ignored) : c >= 0x80 ? utf8_length(s, i, n) : 0))
            i += step;
        else
            return -1;
    }
    return -1;
}

/* Whether an `xmlns` value is plain: a URI of the usual kind that may be a default namespace (XML-NAMES §3).
 * Either it has no colon, or a scheme before the first one; after a double slash there is no other colon, which
 * could begin a port; and there is at most one number sign. `namespace.py` knows the whole truth. */
static int plain_namespace(const uint8_t *s, span_t v, const limits_t *limits)
{
    int colons = 0, numbers = 0, slashes = 0, scheme = IS(s[v.start], NAME_START) && s[v.start] != '_';
    if (v.end == v.start || v.end - v.start > limits->namespace_length)
        return 0;
    for (pos_t i = v.start; i < v.end; i++) {
        uint8_t c = s[i];
        if (c == ':') {
            if (!scheme)
                return 0;
            colons++;
        }
        else if (c == '/')
            slashes |= i > v.start && s[i - 1] == '/';
        else if (c == '#')
            numbers++;
        else if (!IS(c, NAME))
            return 0;
        if (!colons && (c == '_' || c == '/' || c == '#'))
            scheme = 0;
    }
    if (numbers > 1 || (slashes && colons != 1))
        return 0;
    return !IS_TEXT(s, v, "http://www.w3.org/XML/1998/namespace") && !IS_TEXT(s, v, "http://www.w3.org/2000/xmlns/");
}

/* Read the attribute that begins at `s[i]`; returns the position after it, -1 when unknown. */
static inline pos_t read_attribute(const uint8_t *s, pos_t i, pos_t n, const limits_t *limits, attribute_t *a)
{
    a->name.start = i;
    i = skip_name(s, i, n);
    if (n - i >= 5 && i - a->name.start == 3 && !memcmp(s + a->name.start, "xml:lang", 8))
        i += 5;
    a->name.end = i;
    if (i == a->name.start || i - a->name.start > limits->name_length)
        return -1;
    i = skip_blanks(s, i, n);
    if (i >= n || s[i] != '=')
        return -1;
    i = skip_blanks(s, i + 1, n);
    if (i >= n || (s[i] != '"' && s[i] != '\''))
        return -1;
    a->value.start = i + 1;
    a->value.end = value_end(s, i + 1, n, s[i]);
    if (a->value.end < 0)
        return -1;
    a->whole.end = a->value.end + 1;
    return a->whole.end;
}

/* Read the start tag at `s[i]` (its `<`); 0 when unknown. */
static inline int read_tag(const uint8_t *s, pos_t i, pos_t n, const limits_t *limits, tag_t *tag)
{
    tag->name.start = i + 1;
    i = tag->name.end = skip_name(s, i + 1, n);
    if (i == tag->name.start || i - tag->name.start > limits->name_length)
        return 0;
    tag->xmlns.start = tag->xmlns.end = 0;
    tag->count = 0;
    for (;;) {
        pos_t before = i;
        i = skip_blanks(s, i, n);
        if (i >= n)
            return 0;
        if (s[i] == '>' || s[i] == '/') {
            tag->empty = s[i] == '/';
            i += tag->empty;
            tag->end = i + 1;
            return i < n && s[i] == '>';
        }
        if (i == before || tag->count >= limits->attributes || tag->count >= MAX_ATTRIBUTES)
            return 0;
        attribute_t *a = &tag->attributes[tag->count];
        a->whole.start = before;
        i = read_attribute(s, i, n, limits, a);
        if (i < 0)
            return 0;
        for (int k = 0; k < tag->count; k++)
            if (same(s, tag->attributes[k].name, a->name))
                return 0;
        if (IS_TEXT(s, a->name, "xmlns")) {
            if (!plain_namespace(s, a->value, limits))
                return 0;
            tag->xmlns = a->value;
        }
        tag->count++;
    }
}

/* ---- elements ---- */

/* The position of the next `<` when all before it is text; -1 when unknown. */
static inline pos_t skip_text(const uint8_t *s, pos_t i, pos_t n)
{
    uint32_t ignored;
    while (i < n) {
        uint8_t c = s[i];
        int step;
        if (IS(c, TEXT_PLAIN))
            i++;
        else if (c == '<')
            return i;
        else if (c == ']') {
            if (n - i >= 3 && s[i + 1] == ']' && s[i + 2] == '>')
                return -1;
            i++;
        }
        else if ((step = c == '&' ? reference(s, i, n, &ignored) : c >= 0x80 ? utf8_length(s, i, n) : 0))
            i += step;
        else
            return -1;
    }
    return -1;
}

/* Whether `s[0..n)` is exactly one plain element; `top` becomes its start tag, children are told to `on_child`. */
static int scan_element(const uint8_t *s, pos_t n, const limits_t *limits, tag_t *top, child_fn on_child, void *context)
{
    span_t open[MAX_DEPTH];
    span_t child_name = {0, 0}, child_xmlns = {0, 0};
    pos_t i = 0, depth = 0, elements = 0, declarations = 0, child_start = 0;
    tag_t inner;
    if (n < 4 || n > limits->max_bytes || s[0] != '<')
        return 0;
    for (;;) {
        pos_t start = i; /* of the tag at `s[i]`, which is a `<` */
        int closed;
        if (n - i >= 2 && s[i + 1] == '/') {
            span_t name = {i + 2, skip_name(s, i + 2, n)};
            if (!depth || !same(s, open[depth - 1], name))
                return 0;
            i = skip_blanks(s, name.end, n);
            if (i >= n || s[i] != '>')
                return 0;
            i++;
            closed = 1;
        }
        else {
            tag_t *tag = depth ? &inner : top;
            if (depth >= limits->depth || depth >= MAX_DEPTH || ++elements > limits->elements)
                return 0;
            if (!read_tag(s, i, n, limits, tag))
                return 0;
            declarations += tag->xmlns.end > 0;
            if (declarations > limits->declarations)
                return 0;
            i = tag->end;
            if (depth == 1) {
                child_name = tag->name;
                child_xmlns = tag->xmlns;
                child_start = start;
            }
            open[depth++] = tag->name;
            closed = tag->empty;
        }
        if (closed) {
            depth--;
            if (!depth)
                return i == n;
            if (depth == 1 && on_child && !on_child(context, s, child_name, child_xmlns, (span_t){child_start, i}))
                return 0;
        }
        i = skip_text(s, i, n);
        if (i < 0)
            return 0;
    }
}

/* ---- boundaries ---- */

/* As `rainbow_xmpp.xml.boundary.Mode`. */
enum { M_TEXT, M_TAG, M_SINGLE_QUOTED, M_DOUBLE_QUOTED, M_END_TAG, M_CDATA, M_DONE, M_RESTRICTED, M_MALFORMED };

typedef struct {
    pos_t pos, depth;
    int mode;
} boundary_t;

/* The position of byte `c` at or after `i`; n when there is none. */
static inline pos_t find(const uint8_t *s, pos_t i, pos_t n, uint8_t c)
{
    const uint8_t *found = i < n ? memchr(s + i, c, (size_t)(n - i)) : NULL;
    return found ? found - s : n;
}

/* What `s[b->pos]`, a `<`, begins; returns 0 when more bytes are needed to tell or the search is over. */
static inline int boundary_markup(const uint8_t *s, pos_t n, boundary_t *b)
{
    static const char cdata[] = "<![CDATA[";
    pos_t left = n - b->pos;
    if (left < 2)
        return 0;
    if (s[b->pos + 1] == '?') {
        b->mode = M_RESTRICTED;
        return 0;
    }
    if (s[b->pos + 1] != '!') {
        b->mode = s[b->pos + 1] == '/' ? M_END_TAG : M_TAG;
        b->pos++;
        return 1;
    }
    if (memcmp(s + b->pos, cdata, (size_t)(left < 9 ? left : 9))) {
        b->mode = M_RESTRICTED;
        return 0;
    }
    if (left < 9)
        return 0;
    b->pos += 9;
    b->mode = M_CDATA;
    return 1;
}

/* Look on inside a start tag; returns 0 when it is not finished or the search is over. */
static inline int boundary_tag(const uint8_t *s, pos_t n, boundary_t *b)
{
    while (b->pos < n) {
        uint8_t c = s[b->pos];
        if (c == '<') {
            b->mode = M_MALFORMED;
            return 0;
        }
        b->pos++;
        if (c == '"' || c == '\'') {
            b->mode = c == '"' ? M_DOUBLE_QUOTED : M_SINGLE_QUOTED;
            return 1;
        }
        if (c == '>') {
            b->depth += b->pos < 2 || s[b->pos - 2] != '/';
            b->mode = b->depth <= 0 ? M_DONE : M_TEXT;
            return b->mode == M_TEXT;
        }
    }
    return 0;
}

/* As `rainbow_xmpp.xml.boundary.advance`. */
static void boundary_advance(const uint8_t *s, pos_t n, boundary_t *b)
{
    for (;;) {
        switch (b->mode) {
        case M_TEXT:
            b->pos = find(s, b->pos, n, '<');
            if (!boundary_markup(s, n, b))
                return;
            break;
        case M_TAG:
            if (!boundary_tag(s, n, b))
                return;
            break;
        case M_SINGLE_QUOTED:
        case M_DOUBLE_QUOTED:
            b->pos = find(s, b->pos, n, b->mode == M_DOUBLE_QUOTED ? '"' : '\'');
            if (b->pos == n)
                return;
            b->pos++;
            b->mode = M_TAG;
            break;
        case M_END_TAG:
            b->pos = find(s, b->pos, n, '>');
            if (b->pos == n)
                return;
            b->pos++;
            b->depth--;
            b->mode = b->depth <= 0 ? M_DONE : M_TEXT;
            if (b->mode == M_DONE)
                return;
            break;
        case M_CDATA:
            b->pos = find(s, b->pos, n, ']');
            if (n - b->pos < 3)
                return;
            if (s[b->pos + 1] == ']' && s[b->pos + 2] == '>') {
                b->pos += 3;
                b->mode = M_TEXT;
            }
            else
                b->pos++;
            break;
        default:
            return;
        }
    }
}

#endif
