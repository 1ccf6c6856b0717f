/* The three loops of a pre-screen that numpy cannot run in one pass. Each has a numpy twin, which it must equal. */
#ifndef METAMODEL_KERNELS_H
#define METAMODEL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define MOST_LENGTHS 64

/* Where the C library picks one of several versions of a function at load time, wide registers are used if present. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WITH_WIDE_REGISTERS __attribute__((target_clones("avx2", "default")))
#else
#define WITH_WIDE_REGISTERS
#endif

/* Which n-grams of one kind of symbol are hashed; lengths rise. */
typedef struct {
    int n_lengths;
    uint32_t lengths[MOST_LENGTHS];
    uint64_t salt;
} ngram_lengths;

/* Growing columns of the different buckets of texts. */
typedef struct {
    int32_t *buckets;
    int32_t *counts;
    size_t size;
    size_t capacity;
} bucket_counts;

/* Memory that one text after the other uses. */
typedef struct {
    uint64_t *characters; /* [t] hash of each code point, then of n-grams */
    uint64_t *lowered;    /* [t] the same with ASCII letters in lower case */
    uint64_t *words;      /* [t] hash of each word */
    uint32_t *keys;       /* [keys] bucket of each n-gram */
    uint32_t *sorted;     /* [keys] */
} text_memory;

/* Entries of `text_memory` for a text of so many code points, marks included. */
size_t most_keys(size_t n_points, const ngram_lengths *of_words, const ngram_lengths *of_characters);

/* Append one text's different buckets, rising, and how often each is hit. Returns 0, or -1 where memory is lacking.
   `points` begins and ends with a mark. */
int count_text(const uint32_t *points, size_t n_points, uint32_t n_buckets, const ngram_lengths *of_words,
               const ngram_lengths *of_characters, text_memory *memory, bucket_counts *found);

/* How a bag weighs buckets. */
typedef struct {
    const int32_t *column_of;    /* [n_buckets] -1 for a bucket that is left out */
    const float *idf;            /* [n_columns] */
    const float *count_weights;  /* [n_weights] 1 + ln(count) of the counts from 1 on; of larger ones it is computed */
    size_t n_buckets, n_columns, n_weights;
} bag_weights;

/* Keep the buckets that have columns and write each one's column and weight; texts are scaled to norm 1. Returns
   how many are kept, or -1 where something points outside. */
int64_t weigh_buckets(const int64_t *offsets, size_t n, const int32_t *buckets, const int32_t *counts, size_t n_entries,
                      const bag_weights *bag, int64_t *kept_offsets, int32_t *columns, float *weights);

/* Write into sums [n, width] each row's weighted sum of rows of a table [n_rows, width]. Returns 0, or -1 where offsets
   or columns point outside. */
int sum_rows(const int64_t *offsets, size_t n, const int32_t *columns, const double *weights, size_t n_entries,
             const float *table, size_t n_rows, size_t width, double *sums);

typedef struct {
    const int64_t *roots;    /* [t] */
    const int64_t *reads;    /* [v] */
    const double *numbers;   /* [v] */
    const int64_t *children; /* [2 v] */
    const double *baseline;  /* [o] */
    size_t n_trees, n_nodes, n_scores, depth;
} forest;

/* Write into scores [n, o] the sums of the leaves that each row of inputs [n, width] falls into, tree by tree. Returns
   0, or -1 where a node points outside. */
int walk_trees(const forest *trees, const double *inputs, size_t n, size_t width, double *scores);

#endif
