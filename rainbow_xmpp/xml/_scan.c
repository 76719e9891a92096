/* The compiled engine: views of plain XML, stamping and boundaries. See `_scan.pyi` for what it offers and
 * `scanner.h` for what it accepts; what it does not know goes to the judge that `setup` was given. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "scanner.h"

typedef struct {
    PyObject *core_type, *view_type, *child_type, *judge, *escape_attr, *default_limits, *no_text;
    PyObject *other_limits; /* the last that were not the default ones, or NULL */
    limits_t limits, other;
} state_t;

/* One top-level element. The spans are as in `rainbow_xmpp.xml.model.Marks`. */
typedef struct {
    PyObject_HEAD
    PyObject *data, *name, *ns;
    PyObject *attrs;
    PyObject *children; /* NULL until asked for */
    pos_t name_end;
    span_t from, to;
    int has_xmlns;
    uint64_t hints;
    char has_body;
} view_t;

static struct PyModuleDef module_def;
static const limits_t no_limits = {PTRDIFF_MAX, MAX_DEPTH, PTRDIFF_MAX, MAX_ATTRIBUTES, PTRDIFF_MAX, PTRDIFF_MAX, PTRDIFF_MAX};

#define BYTES(object) ((const uint8_t *)PyBytes_AS_STRING(object))

/* ---- strings ---- */

/* Names that nearly every stanza has are made once. Peers' other names are never interned. */
static const char *const common_texts[] = {"message", "presence", "iq",   "jabber:client", "to",   "from",     "type",
                                           "id",      "xml:lang", "body", "a",             "r",    "chat",     "h"};
#define COMMON (sizeof common_texts / sizeof *common_texts)
static PyObject *common[COMMON];

static PyObject *text_of(const uint8_t *s, span_t span)
{
    pos_t length = span.end - span.start;
    for (size_t k = 0; k < COMMON; k++) {
        PyObject *known = common[k];
        if (PyUnicode_GET_LENGTH(known) == length && !memcmp(s + span.start, common_texts[k], (size_t)length))
            return Py_NewRef(known);
    }
    return PyUnicode_DecodeUTF8((const char *)s + span.start, length, NULL);
}

/* The value of an attribute that the scanner accepted, its references resolved. */
static PyObject *value_of(const uint8_t *s, span_t span)
{
    pos_t length = span.end - span.start;
    if (!memchr(s + span.start, '&', (size_t)length))
        return text_of(s, span);
    char *text = PyMem_Malloc((size_t)length), *out = text;
    if (!text)
        return PyErr_NoMemory();
    for (pos_t i = span.start; i < span.end;) {
        uint32_t c;
        int step = s[i] == '&' ? reference(s, i, span.end, &c) : 0;
        if (!step) {
            *out++ = (char)s[i++];
            continue;
        }
        i += step;
        /* A reference is never shorter than the UTF-8 of its character: `&#9;` 4, `&#x10000;` 9 bytes. */
        if (c < 0x80)
            *out++ = (char)c;
        else if (c < 0x800) {
            *out++ = (char)(0xC0 | c >> 6);
            *out++ = (char)(0x80 | (c & 0x3F));
        }
        else {
            if (c < 0x10000)
                *out++ = (char)(0xE0 | c >> 12);
            else {
                *out++ = (char)(0xF0 | c >> 18);
                *out++ = (char)(0x80 | (c >> 12 & 0x3F));
            }
            *out++ = (char)(0x80 | (c >> 6 & 0x3F));
            *out++ = (char)(0x80 | (c & 0x3F));
        }
    }
    PyObject *value = PyUnicode_DecodeUTF8(text, out - text, NULL);
    PyMem_Free(text);
    return value;
}

/* ---- the view ---- */

static state_t *state_of(PyObject *view)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(view), &module_def);
    return module ? PyModule_GetState(module) : NULL;
}

static void view_dealloc(PyObject *self)
{
    view_t *view = (view_t *)self;
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(view->data);
    Py_XDECREF(view->name);
    Py_XDECREF(view->ns);
    Py_XDECREF(view->attrs);
    Py_XDECREF(view->children);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The attributes of a start tag that was accepted, without its namespace declaration. */
static PyObject *attrs_of(const uint8_t *s, const tag_t *tag)
{
    PyObject *attrs = PyDict_New();
    for (int k = 0; attrs && k < tag->count; k++) {
        const attribute_t *a = &tag->attributes[k];
        if (IS_TEXT(s, a->name, "xmlns"))
            continue;
        PyObject *name = text_of(s, a->name), *value = name ? value_of(s, a->value) : NULL;
        if (!value || PyDict_SetItem(attrs, name, value) < 0)
            Py_CLEAR(attrs);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return attrs;
}

typedef struct {
    PyObject *list, *ns;
    PyTypeObject *type;
} collecting_t;

/* A `Child` is a named tuple: filled as `tuple.__new__` does, without a call into Python. */
static int collect_child(void *context, const uint8_t *s, span_t name, span_t xmlns, span_t whole)
{
    collecting_t *into = context;
    PyObject *child = into->type->tp_alloc(into->type, 4);
    if (!child)
        return 0;
    PyTuple_SET_ITEM(child, 0, text_of(s, name));
    PyTuple_SET_ITEM(child, 1, xmlns.end ? text_of(s, xmlns) : Py_NewRef(into->ns));
    PyTuple_SET_ITEM(child, 2, PyLong_FromSsize_t(whole.start));
    PyTuple_SET_ITEM(child, 3, PyLong_FromSsize_t(whole.end));
    int ok = 1;
    for (int k = 0; k < 4; k++)
        ok &= PyTuple_GET_ITEM(child, k) != NULL;
    ok = ok && PyList_Append(into->list, child) == 0;
    Py_DECREF(child);
    return ok;
}

static PyObject *view_children(PyObject *self, void *Py_UNUSED(closure))
{
    view_t *view = (view_t *)self;
    if (view->children)
        return Py_NewRef(view->children);
    state_t *state = state_of(self);
    if (!state)
        return NULL;
    if (!state->child_type) {
        PyErr_SetString(PyExc_RuntimeError, "the module is gone");
        return NULL;
    }
    collecting_t into = {PyList_New(0), view->ns, (PyTypeObject *)state->child_type};
    tag_t top;
    if (!into.list)
        return NULL;
    if (scan_element(BYTES(view->data), PyBytes_GET_SIZE(view->data), &no_limits, &top, collect_child, &into))
        view->children = PyList_AsTuple(into.list);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_SystemError, "a view of what was never accepted");
    Py_DECREF(into.list);
    return Py_XNewRef(view->children);
}

typedef struct {
    uint64_t hints; /* as `rainbow_xmpp.xml.model.hint_of` */
    char has_body;
} glimpse_t;

static int see_child(void *context, const uint8_t *s, span_t name, span_t xmlns, span_t whole)
{
    glimpse_t *seen = context;
    (void)whole;
    seen->hints |= UINT64_C(1) << ((s[name.start] + 5 * (uint64_t)(name.end - name.start)) & 63);
    if (!xmlns.end && IS_TEXT(s, name, "body"))
        seen->has_body = 1;
    return 1;
}

static PyMemberDef view_members[] = {
    {"data", T_OBJECT_EX, offsetof(view_t, data), READONLY, NULL},
    {"name", T_OBJECT_EX, offsetof(view_t, name), READONLY, NULL},
    {"ns", T_OBJECT_EX, offsetof(view_t, ns), READONLY, NULL},
    {"attrs", T_OBJECT_EX, offsetof(view_t, attrs), READONLY, NULL},
    {"hints", T_ULONGLONG, offsetof(view_t, hints), READONLY, NULL},
    {"has_body", T_BOOL, offsetof(view_t, has_body), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef view_getters[] = {
    {"children", view_children, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot view_slots[] = {
    {Py_tp_dealloc, view_dealloc},
    {Py_tp_members, view_members},
    {Py_tp_getset, view_getters},
    {0, NULL},
};

/* Nothing for the garbage collector to visit: it holds bytes, strings and tuples and dicts of strings only. */
static PyType_Spec view_spec = {
    .name = "rainbow_xmpp.xml._scan.Core",
    .basicsize = sizeof(view_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = view_slots,
};

static view_t *new_view(state_t *state)
{
    if (!state->view_type) {
        PyErr_SetString(PyExc_RuntimeError, "setup() comes first");
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)state->view_type;
    return (view_t *)type->tp_alloc(type, 0);
}

/* view(data, name, ns, attrs, children, name_end, from_start, from_end, to_start, to_end, has_xmlns, hints) */
static PyObject *scan_view(PyObject *module, PyObject *args)
{
    PyObject *data, *name, *ns, *attrs, *children;
    pos_t name_end;
    span_t from, to;
    int has_xmlns;
    unsigned long long hints;
    if (!PyArg_ParseTuple(args, "SUUO!O!nnnnnpK", &data, &name, &ns, &PyDict_Type, &attrs, &PyTuple_Type, &children,
                          &name_end, &from.start, &from.end, &to.start, &to.end, &has_xmlns, &hints))
        return NULL;
    pos_t n = PyBytes_GET_SIZE(data);
    int from_ok = !from.end ? !from.start : from.start >= name_end && from.start < from.end && from.end <= n;
    int to_ok = !to.end ? !to.start : to.start >= name_end && to.start < to.end && to.end <= n;
    int apart = !from.end || !to.end || from.end <= to.start || to.end <= from.start;
    if (name_end < 0 || name_end > n || !from_ok || !to_ok || !apart) {
        PyErr_SetString(PyExc_ValueError, "impossible spans");
        return NULL;
    }
    view_t *view = new_view(PyModule_GetState(module));
    if (!view)
        return NULL;
    view->data = Py_NewRef(data);
    view->name = Py_NewRef(name);
    view->ns = Py_NewRef(ns);
    view->attrs = Py_NewRef(attrs);
    view->children = Py_NewRef(children);
    view->name_end = name_end;
    view->from = from;
    view->to = to;
    view->has_xmlns = has_xmlns;
    view->hints = hints;
    return (PyObject *)view;
}

/* ---- scan ---- */

static int read_limits(PyObject *object, limits_t *limits)
{
    const struct {
        const char *name;
        pos_t *value;
    } fields[] = {
        {"max_bytes", &limits->max_bytes},         {"depth", &limits->depth},
        {"elements", &limits->elements},           {"attributes", &limits->attributes},
        {"declarations", &limits->declarations},   {"name_length", &limits->name_length},
        {"namespace_length", &limits->namespace_length},
    };
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
        PyObject *value = PyObject_GetAttrString(object, fields[k].name);
        if (!value)
            return -1;
        *fields[k].value = PyLong_AsSsize_t(value);
        Py_DECREF(value);
        if (*fields[k].value == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* What a limits object says. It does not change, so the last one, which a configuration gave, is read once. */
static const limits_t *limits_of(state_t *state, PyObject *object)
{
    if (object == state->default_limits)
        return &state->limits;
    if (object != state->other_limits) {
        limits_t read;
        if (read_limits(object, &read) < 0)
            return NULL;
        state->other = read;
        Py_XSETREF(state->other_limits, Py_NewRef(object));
    }
    return &state->other;
}

/* Put positional and keyword arguments into `values` by their names; -1 when one is unknown or given twice. */
static int sort_arguments(PyObject *const *args, Py_ssize_t count, PyObject *kwnames, const char *const *names,
                          PyObject **values, Py_ssize_t size)
{
    if (count > size) {
        PyErr_Format(PyExc_TypeError, "at most %zd arguments", size);
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        values[k] = args[k];
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t k = 0; k < named; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        Py_ssize_t at = 0;
        while (at < size && PyUnicode_CompareWithASCIIString(name, names[at]))
            at++;
        if (at == size || values[at]) {
            PyErr_Format(PyExc_TypeError, "unexpected argument %R", name);
            return -1;
        }
        values[at] = args[count + k];
    }
    return 0;
}

static PyObject *plain_view(state_t *state, PyObject *data, PyObject *inherited_ns, const tag_t *top, glimpse_t seen)
{
    const uint8_t *s = BYTES(data);
    view_t *view = new_view(state);
    if (!view)
        return NULL;
    view->data = Py_NewRef(data);
    view->name = text_of(s, top->name);
    view->has_xmlns = top->xmlns.end > 0;
    view->ns = view->has_xmlns ? text_of(s, top->xmlns) : Py_NewRef(inherited_ns);
    view->name_end = top->name.end;
    view->hints = seen.hints;
    view->has_body = seen.has_body;
    for (int k = 0; k < top->count; k++) {
        const attribute_t *a = &top->attributes[k];
        if (IS_TEXT(s, a->name, "from"))
            view->from = a->whole;
        else if (IS_TEXT(s, a->name, "to"))
            view->to = a->whole;
    }
    view->attrs = attrs_of(s, top); /* everything that is routed is asked for them */
    if (!view->name || !view->ns || !view->attrs) {
        Py_DECREF(view);
        return NULL;
    }
    return (PyObject *)view;
}

static PyObject *scan_scan(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"data", "inherited_ns", "prefixes", "limits"};
    PyObject *values[4] = {NULL, NULL, NULL, NULL};
    state_t *state = PyModule_GetState(module);
    if (sort_arguments(args, count, kwnames, names, values, 4) < 0)
        return NULL;
    if (!state->judge) {
        PyErr_SetString(PyExc_RuntimeError, "setup() comes first");
        return NULL;
    }
    values[1] = values[1] ? values[1] : state->no_text;
    values[2] = values[2] ? values[2] : Py_None;
    values[3] = values[3] ? values[3] : state->default_limits;
    if (!values[0] || !PyBytes_Check(values[0]) || !PyUnicode_Check(values[1])) {
        PyErr_SetString(PyExc_TypeError, "data must be bytes, inherited_ns must be str");
        return NULL;
    }
    const limits_t *limits = limits_of(state, values[3]);
    if (!limits)
        return NULL;
    tag_t top;
    glimpse_t seen = {0, 0};
    if (scan_element(BYTES(values[0]), PyBytes_GET_SIZE(values[0]), limits, &top, see_child, &seen))
        return plain_view(state, values[0], values[1], &top, seen);
    return PyObject_Vectorcall(state->judge, values, 4, NULL);
}

/* ---- stamp ---- */

typedef struct {
    const char *text;
    pos_t length;
    PyObject *owner; /* holds the text when it had to be escaped */
} piece_t;

/* The text as the value of an attribute; the usual text needs no escaping and no copy. */
static int escaped(state_t *state, PyObject *text, piece_t *piece)
{
    if (!PyUnicode_Check(text) || PyUnicode_READY(text) < 0) {
        PyErr_SetString(PyExc_TypeError, "addresses and namespaces are str");
        return -1;
    }
    piece->owner = NULL;
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        piece->text = (const char *)PyUnicode_1BYTE_DATA(text);
        piece->length = PyUnicode_GET_LENGTH(text);
        pos_t i = 0;
        while (i < piece->length && IS(piece->text[i], VALUE_PLAIN) && piece->text[i] != '>')
            i++;
        if (i == piece->length)
            return 0;
    }
    piece->owner = PyObject_CallOneArg(state->escape_attr, text);
    if (!piece->owner)
        return -1;
    piece->text = PyUnicode_AsUTF8AndSize(piece->owner, &piece->length);
    return piece->text ? 0 : -1;
}

static char *put(char *out, const char *text, pos_t length)
{
    memcpy(out, text, (size_t)length);
    return out + length;
}

static char *put_attribute(char *out, const char *opening, const piece_t *value)
{
    out = put(out, opening, (pos_t)strlen(opening));
    out = put(out, value->text, value->length);
    *out++ = '\'';
    return out;
}

static pos_t attribute_length(const char *opening, const piece_t *value)
{
    return (pos_t)strlen(opening) + value->length + 1;
}

#define XMLNS " xmlns='"
#define FROM " from='"
#define TO " to='"

/* The stamped bytes; `ns` or `to` without text are not added. */
static PyObject *stamped(const view_t *view, const piece_t *ns, const piece_t *from, const piece_t *to)
{
    const char *s = PyBytes_AS_STRING(view->data);
    pos_t n = PyBytes_GET_SIZE(view->data);
    span_t cuts[2] = {view->from, to->text ? view->to : (span_t){0, 0}};
    if (cuts[1].end && cuts[1].start < cuts[0].start) {
        span_t first = cuts[1];
        cuts[1] = cuts[0];
        cuts[0] = first;
    }
    pos_t length = n - (cuts[0].end - cuts[0].start) - (cuts[1].end - cuts[1].start) + attribute_length(FROM, from);
    if (ns->text)
        length += attribute_length(XMLNS, ns);
    if (to->text)
        length += attribute_length(TO, to);
    PyObject *result = PyBytes_FromStringAndSize(NULL, length);
    if (!result)
        return NULL;
    char *out = put(PyBytes_AS_STRING(result), s, view->name_end);
    if (ns->text)
        out = put_attribute(out, XMLNS, ns);
    out = put_attribute(out, FROM, from);
    if (to->text)
        out = put_attribute(out, TO, to);
    pos_t at = view->name_end;
    for (int k = 0; k < 2; k++)
        if (cuts[k].end) {
            out = put(out, s + at, cuts[k].start - at);
            at = cuts[k].end;
        }
    put(out, s + at, n - at);
    return result;
}

static PyObject *scan_stamp(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    static const char *const names[] = {"view", "from_", "to"};
    PyObject *values[3] = {NULL, NULL, NULL};
    state_t *state = PyModule_GetState(module);
    if (count != 1 || sort_arguments(args, count, kwnames, names, values, 3) < 0 || !values[1]) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "stamp(view, *, from_, to=None)");
        return NULL;
    }
    if (!state->judge || !PyObject_TypeCheck(values[0], (PyTypeObject *)state->core_type)) {
        PyErr_SetString(PyExc_TypeError, "not a view of this engine");
        return NULL;
    }
    const view_t *view = (view_t *)values[0];
    piece_t ns = {NULL, 0, NULL}, from = {NULL, 0, NULL}, to = {NULL, 0, NULL};
    PyObject *result = NULL;
    if (escaped(state, values[1], &from) == 0
        && (!values[2] || values[2] == Py_None || escaped(state, values[2], &to) == 0)
        && (view->has_xmlns || !PyUnicode_GET_LENGTH(view->ns) || escaped(state, view->ns, &ns) == 0))
        result = stamped(view, &ns, &from, &to);
    Py_XDECREF(ns.owner);
    Py_XDECREF(from.owner);
    Py_XDECREF(to.owner);
    return result;
}

/* ---- boundaries ---- */

static PyObject *scan_advance(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !PyLong_Check(args[1]) || !PyLong_Check(args[2]) || !PyLong_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "advance(buffer, pos, mode, depth)");
        return NULL;
    }
    Py_buffer buffer;
    boundary_t b = {PyLong_AsSsize_t(args[1]), PyLong_AsSsize_t(args[3]), (int)PyLong_AsLong(args[2])};
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    if (b.pos < 0 || b.pos > buffer.len) {
        PyErr_SetString(PyExc_ValueError, "a position outside of the buffer");
        PyBuffer_Release(&buffer);
        return NULL;
    }
    boundary_advance(buffer.buf, buffer.len, &b);
    PyBuffer_Release(&buffer);
    return Py_BuildValue("nin", b.pos, b.mode, b.depth);
}

/* whole(data, max_bytes): the elements in `data`, or None when there is anything else or one is not finished. */
static PyObject *scan_whole(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(args[0]) || !PyLong_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "whole(data, max_bytes)");
        return NULL;
    }
    const uint8_t *s = BYTES(args[0]);
    pos_t n = PyBytes_GET_SIZE(args[0]), max_bytes = PyLong_AsSsize_t(args[1]), start = 0;
    if (max_bytes == -1 && PyErr_Occurred())
        return NULL;
    PyObject *pieces = PyList_New(0);
    while (pieces && start < n) {
        boundary_t b = {start, 0, M_TEXT};
        int plain = n - start >= 2 && s[start] == '<' && !memchr("/!?", s[start + 1], 3);
        if (plain)
            boundary_advance(s, n, &b);
        if (!plain || b.mode != M_DONE || b.pos - start > max_bytes) {
            Py_DECREF(pieces);
            Py_RETURN_NONE;
        }
        PyObject *piece = start || b.pos < n ? PyBytes_FromStringAndSize((const char *)s + start, b.pos - start)
                                             : Py_NewRef(args[0]);
        if (!piece || PyList_Append(pieces, piece) < 0)
            Py_CLEAR(pieces);
        Py_XDECREF(piece);
        start = b.pos;
    }
    return pieces;
}

/* ---- the module ---- */

/* setup(view_type, child_type, judge, escape_attr, default_limits) */
static PyObject *scan_setup(PyObject *module, PyObject *args)
{
    state_t *state = PyModule_GetState(module);
    PyObject *view_type, *child_type, *judge, *escape_attr, *default_limits;
    limits_t limits;
    if (!PyArg_ParseTuple(args, "O!O!OOO", &PyType_Type, &view_type, &PyType_Type, &child_type, &judge, &escape_attr,
                          &default_limits)
        || read_limits(default_limits, &limits) < 0)
        return NULL;
    PyTypeObject *view = (PyTypeObject *)view_type, *child = (PyTypeObject *)child_type;
    /* Instances are made without their constructors: nothing may hide in a subclass that one would have to set. */
    if (!PyType_IsSubtype(view, (PyTypeObject *)state->core_type) || view->tp_basicsize != sizeof(view_t)
        || !PyType_IsSubtype(child, &PyTuple_Type)
        || child->tp_basicsize != PyTuple_Type.tp_basicsize || child->tp_itemsize != PyTuple_Type.tp_itemsize) {
        PyErr_SetString(PyExc_TypeError, "not the types of a view and its children");
        return NULL;
    }
    Py_XSETREF(state->view_type, Py_NewRef(view_type));
    Py_XSETREF(state->child_type, Py_NewRef(child_type));
    Py_XSETREF(state->judge, Py_NewRef(judge));
    Py_XSETREF(state->escape_attr, Py_NewRef(escape_attr));
    Py_XSETREF(state->default_limits, Py_NewRef(default_limits));
    state->limits = limits;
    Py_RETURN_NONE;
}

static int module_exec(PyObject *module)
{
    state_t *state = PyModule_GetState(module);
    init_char_class();
    for (size_t k = 0; k < COMMON; k++)
        if (!common[k] && !(common[k] = PyUnicode_InternFromString(common_texts[k])))
            return -1;
    state->no_text = PyUnicode_FromString("");
    state->core_type = PyType_FromModuleAndSpec(module, &view_spec, NULL);
    if (!state->no_text || !state->core_type)
        return -1;
    return PyModule_AddType(module, (PyTypeObject *)state->core_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    state_t *state = PyModule_GetState(module);
    Py_VISIT(state->core_type);
    Py_VISIT(state->view_type);
    Py_VISIT(state->child_type);
    Py_VISIT(state->judge);
    Py_VISIT(state->escape_attr);
    Py_VISIT(state->default_limits);
    Py_VISIT(state->other_limits);
    return 0;
}

static int module_clear(PyObject *module)
{
    state_t *state = PyModule_GetState(module);
    Py_CLEAR(state->core_type);
    Py_CLEAR(state->view_type);
    Py_CLEAR(state->child_type);
    Py_CLEAR(state->judge);
    Py_CLEAR(state->escape_attr);
    Py_CLEAR(state->default_limits);
    Py_CLEAR(state->other_limits);
    Py_CLEAR(state->no_text);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)
static PyMethodDef methods[] = {
    {"scan", (PyCFunction)(void (*)(void))scan_scan, FAST, NULL},
    {"stamp", (PyCFunction)(void (*)(void))scan_stamp, FAST, NULL},
    {"whole", (PyCFunction)(void (*)(void))scan_whole, METH_FASTCALL, NULL},
    {"advance", (PyCFunction)(void (*)(void))scan_advance, METH_FASTCALL, NULL},
    {"view", scan_view, METH_VARARGS, NULL},
    {"setup", scan_setup, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rainbow_xmpp.xml._scan",
    .m_size = sizeof(state_t),
    .m_methods = methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&module_def);
}
