/* Hashed n-grams of one text: trainers/inputs/hashing.py says what is computed and why; here it is one pass. */
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#define BASE UINT64_C(0x9E3779B97F4A7C15)
#define SPREAD UINT64_C(0xD6E8FEB86659FD93)
#define FIRST_MARK 0x110000u
/* Counters of so many digits fit into a quarter of a core's nearest cache. */
#define MOST_DIGIT_BITS 11

enum kind { OTHER, SPACE, WORD };

static inline uint64_t folded(uint64_t value) {
    value *= SPREAD;
    value ^= value >> 32;
    return value * SPREAD;
}

static inline uint64_t spread(uint64_t value) { return folded(value + 1); }

/* Of a code point whose ASCII letters are in lower case. */
static inline enum kind kind_of(uint32_t point) {
    if (point < 128) {
        if (point <= 32) return SPACE;
        return (point >= 'a' && point <= 'z') || (point >= '0' && point <= '9') ? WORD : OTHER;
    }
    if (point >= FIRST_MARK) return OTHER;
    if (point == 0x85 || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
        point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000)
        return SPACE;
    return WORD;
}

/* Return how many words there are; the hash of each is a polynomial over its characters, spread. */
static size_t hash_words(const uint32_t *points, size_t n_points, const uint64_t *lowered, uint64_t *words) {
    /* A word's first character has the power 0: its hash does not tell where it stood. */
    uint64_t hash = 0, power = 1;
    size_t n_words = 0;
    int in_run = 0;
    for (size_t i = 0; i < n_points; i++) {
        const uint32_t point = points[i] >= 'A' && points[i] <= 'Z' ? points[i] + 32 : points[i];
        const enum kind kind = kind_of(point);
        if (in_run && kind != WORD) {
            words[n_words++] = spread(hash);
            in_run = 0;
        }
        if (kind == OTHER) {
            words[n_words++] = spread(lowered[i]);
        } else if (kind == WORD) {
            if (!in_run) {
                hash = 0;
                power = 1;
                in_run = 1;
            }
            hash += lowered[i] * power;
            power *= BASE;
        }
    }
    if (in_run) words[n_words++] = spread(hash);
    return n_words;
}

/* Append the bucket of every n-gram; the symbols in `rolling` are used up. Returns where the keys end. */
WITH_WIDE_REGISTERS
static uint32_t *hash_ngrams(const uint64_t *symbols, uint64_t *rolling, size_t n, const ngram_lengths *of,
                             uint32_t n_buckets, uint32_t *keys) {
    uint32_t reached = 1;
    memcpy(rolling, symbols, n * sizeof *rolling);
    for (int k = 0; k < of->n_lengths && of->lengths[k] <= n; k++) {
        for (; reached < of->lengths[k]; reached++)
            for (size_t i = 0; i + reached < n; i++) rolling[i] = rolling[i] * BASE + symbols[i + reached];
        const uint64_t salt = of->salt * 1000 + reached + 1;
        const size_t n_ngrams = n - reached + 1;
        for (size_t i = 0; i < n_ngrams; i++)
            keys[i] = (uint32_t)(((folded(rolling[i] + salt) >> 32) * n_buckets) >> 32);
        keys += n_ngrams;
    }
    return keys;
}

/* Sort by digits, the last first; returns the one of both arrays that holds the result. */
static uint32_t *sort_keys(uint32_t *keys, uint32_t *other, size_t n, uint32_t n_buckets) {
    uint32_t starts[1u << MOST_DIGIT_BITS];
    unsigned n_bits = 0;
    while ((n_buckets - 1) >> n_bits) n_bits++;
    const unsigned n_passes = (n_bits + MOST_DIGIT_BITS - 1) / MOST_DIGIT_BITS;
    const unsigned digit_bits = n_passes ? (n_bits + n_passes - 1) / n_passes : 0;
    const uint32_t mask = (1u << digit_bits) - 1;
    for (unsigned pass = 0; pass < n_passes; pass++) {
        const unsigned shift = pass * digit_bits;
        memset(starts, 0, (mask + (size_t)1) * sizeof *starts);
        for (size_t i = 0; i < n; i++) starts[(keys[i] >> shift) & mask]++;
        uint32_t start = 0;
        for (size_t digit = 0; digit <= mask; digit++) {
            const uint32_t size = starts[digit];
            starts[digit] = start;
            start += size;
        }
        for (size_t i = 0; i < n; i++) other[starts[(keys[i] >> shift) & mask]++] = keys[i];
        uint32_t *swapped = keys;
        keys = other;
        other = swapped;
    }
    return keys;
}

static int reserve(bucket_counts *found, size_t n_more) {
    if (found->capacity - found->size >= n_more) return 0;
    size_t capacity = found->capacity * 2;
    if (capacity < found->size + n_more) capacity = found->size + n_more;
    int32_t *buckets = realloc(found->buckets, capacity * sizeof *buckets);
    if (!buckets) return -1;
    found->buckets = buckets;
    int32_t *counts = realloc(found->counts, capacity * sizeof *counts);
    if (!counts) return -1;
    found->counts = counts;
    found->capacity = capacity;
    return 0;
}

size_t most_keys(size_t n_points, const ngram_lengths *of_words, const ngram_lengths *of_characters) {
    return n_points * (size_t)(of_words->n_lengths + of_characters->n_lengths);
}

int count_text(const uint32_t *points, size_t n_points, uint32_t n_buckets, const ngram_lengths *of_words,
               const ngram_lengths *of_characters, text_memory *memory, bucket_counts *found) {
    uint32_t *end = memory->keys;
    if (of_words->n_lengths) {
        for (size_t i = 0; i < n_points; i++)
            memory->lowered[i] = spread(points[i] >= 'A' && points[i] <= 'Z' ? points[i] + 32 : points[i]);
        const size_t n_words = hash_words(points, n_points, memory->lowered, memory->words);
        end = hash_ngrams(memory->words, memory->lowered, n_words, of_words, n_buckets, end);
    }
    if (of_characters->n_lengths) {
        for (size_t i = 0; i < n_points; i++) memory->characters[i] = spread(points[i]);
        end = hash_ngrams(memory->characters, memory->lowered, n_points, of_characters, n_buckets, end);
    }
    const size_t n_keys = (size_t)(end - memory->keys);
    if (reserve(found, n_keys)) return -1;
    const uint32_t *keys = sort_keys(memory->keys, memory->sorted, n_keys, n_buckets);
    int32_t *buckets = found->buckets + found->size, *counts = found->counts + found->size;
    for (size_t i = 0; i < n_keys;) {
        size_t next = i + 1;
        while (next < n_keys && keys[next] == keys[i]) next++;
        *buckets++ = (int32_t)keys[i];
        *counts++ = (int32_t)(next - i);
        i = next;
    }
    found->size = (size_t)(buckets - found->buckets);
    return 0;
}
