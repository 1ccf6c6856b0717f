/* trainers.native._kernels: checks what Python gives, lets other threads run, and calls the loops. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#define BEGIN_MARK 0x110000u
#define END_MARK 0x110001u
#define MOST_BUCKETS (1l << 24)
/* Shorter work keeps the interpreter's lock: a thread that gives it away may wait milliseconds to get it back. */
#define LONG_WORK 20000

static int read_lengths(PyObject *tuple, uint64_t salt, ngram_lengths *read) {
    const Py_ssize_t n = PyTuple_Size(tuple);
    if (n < 0) return -1;
    if (n > MOST_LENGTHS) return PyErr_SetString(PyExc_ValueError, "too many lengths of n-grams"), -1;
    read->n_lengths = (int)n;
    read->salt = salt;
    for (Py_ssize_t i = 0; i < n; i++) {
        const long length = PyLong_AsLong(PyTuple_GetItem(tuple, i));
        if (length == -1 && PyErr_Occurred()) return -1;
        if (length < 1 || length > MOST_LENGTHS || (i && (uint32_t)length <= read->lengths[i - 1]))
            return PyErr_SetString(PyExc_ValueError, "lengths of n-grams must rise from 1 to 64"), -1;
        read->lengths[i] = (uint32_t)length;
    }
    return 0;
}

/* Copy the texts' code points, each text between its marks; ends[i] says where text i ends. Returns NULL on an error. */
static uint32_t *read_texts(PyObject *texts, Py_ssize_t n, size_t *ends, size_t *longest) {
    size_t n_points = 0;
    *longest = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        const Py_ssize_t length = PyUnicode_GetLength(PyList_GetItem(texts, i));
        if (length < 0) return NULL;
        n_points += (size_t)length + 2;
        ends[i] = n_points;
        if ((size_t)length + 2 > *longest) *longest = (size_t)length + 2;
    }
    uint32_t *points = malloc((n_points ? n_points : 1) * sizeof *points);
    if (!points) return PyErr_NoMemory(), NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        const size_t start = i ? ends[i - 1] : 0;
        points[start] = BEGIN_MARK;
        if (ends[i] - start > 2 &&
            !PyUnicode_AsUCS4(PyList_GetItem(texts, i), points + start + 1, (Py_ssize_t)(ends[i] - start - 2), 0))
            return free(points), NULL;
        points[ends[i] - 1] = END_MARK;
    }
    return points;
}

static int reserve_memory(text_memory *memory, size_t n_points, size_t n_keys) {
    memory->characters = malloc(n_points * sizeof(uint64_t));
    memory->lowered = malloc(n_points * sizeof(uint64_t));
    memory->words = malloc(n_points * sizeof(uint64_t));
    memory->keys = malloc(n_keys * sizeof(uint32_t));
    memory->sorted = malloc(n_keys * sizeof(uint32_t));
    return memory->characters && memory->lowered && memory->words && memory->keys && memory->sorted ? 0 : -1;
}

static void free_memory(text_memory *memory) {
    free(memory->characters);
    free(memory->lowered);
    free(memory->words);
    free(memory->keys);
    free(memory->sorted);
}

static int count_texts(const uint32_t *points, const size_t *ends, size_t n, size_t longest, uint32_t n_buckets,
                       const ngram_lengths *of_words, const ngram_lengths *of_characters, int64_t *offsets,
                       bucket_counts *found) {
    text_memory memory;
    int failed = reserve_memory(&memory, longest + 1, most_keys(longest, of_words, of_characters) + 1);
    offsets[0] = 0;
    for (size_t i = 0; i < n && !failed; i++) {
        const size_t start = i ? ends[i - 1] : 0;
        failed =
            count_text(points + start, ends[i] - start, n_buckets, of_words, of_characters, &memory, found);
        offsets[i + 1] = (int64_t)found->size;
    }
    free_memory(&memory);
    return failed;
}

static PyObject *count_ngrams(PyObject *self, PyObject *args) {
    PyObject *texts, *word_lengths, *character_lengths, *result = NULL;
    long n_buckets;
    ngram_lengths of_words, of_characters;
    (void)self;
    if (!PyArg_ParseTuple(args, "OlOO", &texts, &n_buckets, &word_lengths, &character_lengths)) return NULL;
    if (!PyList_Check(texts)) return PyErr_SetString(PyExc_TypeError, "texts must be a list"), NULL;
    if (n_buckets < 1 || n_buckets > MOST_BUCKETS)
        return PyErr_SetString(PyExc_ValueError, "n_buckets must be from 1 to 2**24"), NULL;
    if (read_lengths(word_lengths, 2, &of_words) || read_lengths(character_lengths, 1, &of_characters)) return NULL;
    const Py_ssize_t n = PyList_Size(texts);
    size_t longest = 0, *ends = malloc(((size_t)n + 1) * sizeof *ends);
    int64_t *offsets = malloc(((size_t)n + 1) * sizeof *offsets);
    uint32_t *points = ends && offsets ? read_texts(texts, n, ends, &longest) : NULL;
    bucket_counts found = {NULL, NULL, 0, 0};
    int failed = points == NULL;
    if (!failed) {
        PyThreadState *paused = n && ends[n - 1] > LONG_WORK ? PyEval_SaveThread() : NULL;
        failed = count_texts(points, ends, (size_t)n, longest, (uint32_t)n_buckets, &of_words, &of_characters, offsets,
                             &found);
        if (paused) PyEval_RestoreThread(paused);
    }
    if (!failed)
        result = Py_BuildValue(
            "NNN", PyByteArray_FromStringAndSize((const char *)offsets, ((Py_ssize_t)n + 1) * (Py_ssize_t)sizeof *offsets),
            PyByteArray_FromStringAndSize((const char *)found.buckets, (Py_ssize_t)(found.size * sizeof *found.buckets)),
            PyByteArray_FromStringAndSize((const char *)found.counts, (Py_ssize_t)(found.size * sizeof *found.counts)));
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    free(ends);
    free(offsets);
    free(points);
    free(found.buckets);
    free(found.counts);
    return result;
}

/* A contiguous array of Python's, with how many items of the wanted size it holds. */
static int open_array(PyObject *object, Py_buffer *view, int flags, Py_ssize_t item_bytes, const char *formats) {
    if (PyObject_GetBuffer(object, view, flags | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return -1;
    if (view->itemsize == item_bytes && view->format && strlen(view->format) == 1 && strchr(formats, *view->format))
        return 0;
    PyErr_Format(PyExc_TypeError, "an array has items of type %s and %zd bytes, must be of %zd bytes and one of %s",
                 view->format ? view->format : "B", view->itemsize, item_bytes, formats);
    PyBuffer_Release(view);
    return -1;
}

typedef struct {
    Py_ssize_t item_bytes;
    const char *formats;
    int flags;
} array_type;

static const array_type INT64 = {8, "lq", PyBUF_SIMPLE}, INT32 = {4, "i", PyBUF_SIMPLE};
static const array_type FLOAT32 = {4, "f", PyBUF_SIMPLE}, FLOAT64 = {8, "d", PyBUF_SIMPLE};
static const array_type NEW_INT64 = {8, "lq", PyBUF_WRITABLE}, NEW_INT32 = {4, "i", PyBUF_WRITABLE};
static const array_type NEW_FLOAT32 = {4, "f", PyBUF_WRITABLE}, NEW_FLOAT64 = {8, "d", PyBUF_WRITABLE};

static int open_arrays(PyObject **objects, const array_type *types, Py_buffer *views, int n) {
    for (int i = 0; i < n; i++)
        if (open_array(objects[i], &views[i], types[i].flags, types[i].item_bytes, types[i].formats)) {
            while (i--) PyBuffer_Release(&views[i]);
            return -1;
        }
    return 0;
}

static PyObject *close_arrays(Py_buffer *views, int n, const char *problem) {
    for (int i = 0; i < n; i++) PyBuffer_Release(&views[i]);
    if (problem) return PyErr_SetString(PyExc_ValueError, problem), NULL;
    return Py_NewRef(Py_None);
}

static size_t items(const Py_buffer *view) { return (size_t)(view->len / view->itemsize); }

static PyObject *weigh_text_buckets(PyObject *self, PyObject *args) {
    PyObject *objects[9];
    Py_buffer views[9];
    const array_type types[9] = {INT64, INT32, INT32, INT32, FLOAT32, FLOAT32, NEW_INT64, NEW_INT32, NEW_FLOAT32};
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOOOO", objects, objects + 1, objects + 2, objects + 3, objects + 4, objects + 5,
                          objects + 6, objects + 7, objects + 8))
        return NULL;
    if (open_arrays(objects, types, views, 9)) return NULL;
    const size_t n_entries = items(&views[1]);
    const bag_weights bag = {.column_of = views[3].buf,
                             .idf = views[4].buf,
                             .count_weights = views[5].buf,
                             .n_buckets = items(&views[3]),
                             .n_columns = items(&views[4]),
                             .n_weights = items(&views[5])};
    if (!items(&views[0]) || items(&views[2]) != n_entries || !bag.n_weights ||
        items(&views[6]) != items(&views[0]) || items(&views[7]) != n_entries || items(&views[8]) != n_entries)
        return close_arrays(views, 9, "arrays differ in length");
    PyThreadState *paused = n_entries > LONG_WORK ? PyEval_SaveThread() : NULL;
    const int64_t kept = weigh_buckets(views[0].buf, items(&views[0]) - 1, views[1].buf, views[2].buf, n_entries, &bag, views[6].buf,
                                       views[7].buf, views[8].buf);
    if (paused) PyEval_RestoreThread(paused);
    return close_arrays(views, 9, kept < 0 ? "an offset, a bucket, a count or a column points outside" : NULL);
}

static PyObject *sum_table_rows(PyObject *self, PyObject *args) {
    PyObject *objects[5];
    Py_buffer views[5];
    Py_ssize_t width;
    const array_type types[5] = {INT64, INT32, FLOAT64, FLOAT32, NEW_FLOAT64};
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOn", objects, objects + 1, objects + 2, objects + 3, objects + 4, &width))
        return NULL;
    if (open_arrays(objects, types, views, 5)) return NULL;
    const size_t n = items(&views[0]) - (items(&views[0]) > 0), n_entries = items(&views[1]);
    if (!items(&views[0]) || items(&views[2]) != n_entries || width < 1 || items(&views[3]) % (size_t)width ||
        items(&views[4]) != n * (size_t)width)
        return close_arrays(views, 5, "arrays differ in length");
    PyThreadState *paused = n_entries > LONG_WORK ? PyEval_SaveThread() : NULL;
    const int failed = sum_rows(views[0].buf, n, views[1].buf, views[2].buf, n_entries, views[3].buf,
                                items(&views[3]) / (size_t)width, (size_t)width, views[4].buf);
    if (paused) PyEval_RestoreThread(paused);
    return close_arrays(views, 5, failed ? "an offset or a column points outside" : NULL);
}

static PyObject *walk_forest(PyObject *self, PyObject *args) {
    PyObject *objects[7];
    Py_buffer views[7];
    Py_ssize_t width, depth;
    const array_type types[7] = {INT64, INT64, FLOAT64, INT64, FLOAT64, FLOAT64, NEW_FLOAT64};
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOOnn", objects, objects + 1, objects + 2, objects + 3, objects + 4, objects + 5,
                          objects + 6, &width, &depth))
        return NULL;
    if (open_arrays(objects, types, views, 7)) return NULL;
    const forest trees = {.roots = views[0].buf,
                          .reads = views[1].buf,
                          .numbers = views[2].buf,
                          .children = views[3].buf,
                          .baseline = views[4].buf,
                          .n_trees = items(&views[0]),
                          .n_nodes = items(&views[1]),
                          .n_scores = items(&views[4]),
                          .depth = (size_t)depth};
    const size_t n = width > 0 ? items(&views[5]) / (size_t)width : 0;
    if (width < 1 || depth < 0 || items(&views[5]) % (size_t)width || items(&views[2]) != trees.n_nodes ||
        items(&views[3]) != 2 * trees.n_nodes || items(&views[6]) != n * trees.n_scores ||
        (trees.n_trees && !trees.n_scores))
        return close_arrays(views, 7, "arrays differ in length");
    PyThreadState *paused = n * trees.n_trees > LONG_WORK ? PyEval_SaveThread() : NULL;
    const int failed = walk_trees(&trees, views[5].buf, n, (size_t)width, views[6].buf);
    if (paused) PyEval_RestoreThread(paused);
    return close_arrays(views, 7, failed ? "a node points outside" : NULL);
}

static PyMethodDef methods[] = {
    {"count_ngrams", count_ngrams, METH_VARARGS, "Count hashed n-grams of texts."},
    {"weigh_buckets", weigh_text_buckets, METH_VARARGS, "Weigh the buckets of texts."},
    {"sum_rows", sum_table_rows, METH_VARARGS, "Sum weighted rows of a table."},
    {"walk_trees", walk_forest, METH_VARARGS, "Sum the leaves that rows fall into."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_doc = "Loops of a pre-screen.", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&definition); }
