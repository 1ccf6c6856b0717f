/* A bag of embeddings: how much each bucket of a text weighs, and the weighted sum of a table's rows. */
#include <math.h>
#include <string.h>

#include "kernels.h"

/* Rows of the table that are on their way from memory while others are added. */
#define AHEAD 8

static double sum_of_squares(const float *weights, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)(weights[i] * weights[i]);
    return sum;
}

int64_t weigh_buckets(const int64_t *offsets, size_t n, const int32_t *buckets, const int32_t *counts, size_t n_entries,
                      const bag_weights *bag, int64_t *kept_offsets, int32_t *columns, float *weights) {
    int64_t kept = 0;
    kept_offsets[0] = 0;
    for (size_t row = 0; row < n; row++) {
        const int64_t start = offsets[row], stop = offsets[row + 1], first = kept;
        if (start < 0 || stop < start || (uint64_t)stop > n_entries || kept > start) return -1;
        for (int64_t entry = start; entry < stop; entry++) {
            if (buckets[entry] < 0 || (size_t)buckets[entry] >= bag->n_buckets || counts[entry] < 1) return -1;
            const int32_t column = bag->column_of[buckets[entry]];
            if (column < 0) continue;
            if ((size_t)column >= bag->n_columns) return -1;
            const size_t count = (size_t)counts[entry];
            const float times = count <= bag->n_weights ? bag->count_weights[count - 1] : (float)(1 + log((double)count));
            columns[kept] = column;
            weights[kept++] = bag->idf[column] * times;
        }
        const float norm = (float)sqrt(sum_of_squares(weights + first, kept - first));
        if (norm > 0)
            for (int64_t entry = first; entry < kept; entry++) weights[entry] /= norm;
        kept_offsets[row + 1] = kept;
    }
    return kept;
}

WITH_WIDE_REGISTERS
int sum_rows(const int64_t *offsets, size_t n, const int32_t *columns, const double *weights, size_t n_entries,
             const float *table, size_t n_rows, size_t width, double *sums) {
    memset(sums, 0, n * width * sizeof *sums);
    for (size_t row = 0; row < n; row++) {
        const int64_t start = offsets[row], stop = offsets[row + 1];
        if (start < 0 || stop < start || (uint64_t)stop > n_entries) return -1;
        double *restrict sum = sums + row * width;
        for (int64_t entry = start; entry < stop; entry++) {
            if (columns[entry] < 0 || (size_t)columns[entry] >= n_rows) return -1;
#if defined(__GNUC__)
            if (entry + AHEAD < stop && columns[entry + AHEAD] >= 0 && (size_t)columns[entry + AHEAD] < n_rows) {
                const char *coming = (const char *)(table + (size_t)columns[entry + AHEAD] * width);
                for (size_t byte = 0; byte < width * sizeof *table; byte += 64) __builtin_prefetch(coming + byte);
            }
#endif
            const float *restrict vector = table + (size_t)columns[entry] * width;
            const double weight = weights[entry];
            for (size_t place = 0; place < width; place++) sum[place] += weight * (double)vector[place];
        }
    }
    return 0;
}
