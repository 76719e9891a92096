/* The plain cases of WebSocket frames, taken apart without Python: whole, final text frames of a client.
 * What is anything else is left to `frames.py`, which knows every rule. See `_frames.pyi`. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define FINAL_TEXT 0x81
#define MASKED 0x80
#define MASK_BYTES 4

typedef struct {
    Py_ssize_t start, size; /* of the payload */
    const uint8_t *mask;
} frame_t;

/* Read the frame at `s[i]`; returns 0 when it is not plain, not whole or longer than `most`. */
static int read_frame(const uint8_t *s, Py_ssize_t i, Py_ssize_t n, Py_ssize_t most, frame_t *frame)
{
    if (n - i < 2 + MASK_BYTES || s[i] != FINAL_TEXT || s[i + 1] < MASKED)
        return 0;
    uint64_t size = s[i + 1] - MASKED;
    int width = size < 126 ? 0 : size == 126 ? 2 : 8;
    i += 2;
    if (n - i < width + MASK_BYTES)
        return 0;
    if (width) {
        size = 0;
        for (int k = 0; k < width; k++)
            size = size << 8 | s[i + k];
        if (size <= (width == 2 ? 125 : 0xFFFF))
            return 0;
        i += width;
    }
    frame->mask = s + i;
    frame->start = i + MASK_BYTES;
    if (size > (uint64_t)most || size > (uint64_t)(n - frame->start))
        return 0;
    frame->size = (Py_ssize_t)size;
    return 1;
}

/* RFC 6455 §5.3, eight bytes at a time. */
static void unmask(uint8_t *out, const uint8_t *in, Py_ssize_t size, const uint8_t *mask)
{
    uint64_t word, key;
    Py_ssize_t k = 0;
    memcpy(&key, mask, 4);
    memcpy((uint8_t *)&key + 4, mask, 4);
    for (; size - k >= 8; k += 8) {
        memcpy(&word, in + k, 8);
        word ^= key;
        memcpy(out + k, &word, 8);
    }
    for (; k < size; k++)
        out[k] = in[k] ^ mask[k & 3];
}

/* texts(data, most): the payloads of the plain frames that `data` begins with, of at most so many bytes each, and
 * where the rest begins. */
static PyObject *frames_texts(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(args[0]) || !PyLong_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "texts(data, most)");
        return NULL;
    }
    const uint8_t *s = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    Py_ssize_t n = PyBytes_GET_SIZE(args[0]), most = PyLong_AsSsize_t(args[1]), i = 0;
    if (most < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a negative limit");
        return NULL;
    }
    frame_t frame;
    PyObject *payloads = PyList_New(0);
    while (payloads && i < n && read_frame(s, i, n, most, &frame)) {
        PyObject *payload = PyBytes_FromStringAndSize(NULL, frame.size);
        if (payload)
            unmask((uint8_t *)PyBytes_AS_STRING(payload), s + frame.start, frame.size, frame.mask);
        if (!payload || PyList_Append(payloads, payload) < 0)
            Py_CLEAR(payloads);
        Py_XDECREF(payload);
        i = frame.start + frame.size;
    }
    return payloads ? Py_BuildValue("Nn", payloads, i) : NULL;
}

static PyMethodDef methods[] = {
    {"texts", (PyCFunction)(void (*)(void))frames_texts, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rainbow_xmpp.transport._frames",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__frames(void)
{
    return PyModuleDef_Init(&module_def);
}
