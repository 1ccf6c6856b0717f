/* Boosted trees, row by row and tree by tree: the order of trainers/heads/tree_walk.py, so that sums are equal to the
   last bit. */
#include "kernels.h"

int walk_trees(const forest *trees, const double *inputs, size_t n, size_t width, double *scores) {
    for (size_t row = 0; row < n; row++) {
        const double *input = inputs + row * width;
        double *score = scores + row * trees->n_scores;
        for (size_t place = 0; place < trees->n_scores; place++) score[place] = trees->baseline[place];
        for (size_t tree = 0, place = 0; tree < trees->n_trees; tree++) {
            uint64_t node = (uint64_t)trees->roots[tree];
            for (size_t step = 0; step <= trees->depth; step++) {
                if (node >= trees->n_nodes || (uint64_t)trees->reads[node] >= width) return -1;
                const uint64_t next = 2 * node + (input[trees->reads[node]] > trees->numbers[node]);
                if (step == trees->depth || (uint64_t)trees->children[next] == node) break; /* a leaf names itself */
                node = (uint64_t)trees->children[next];
            }
            score[place] += trees->numbers[node];
            if (++place == trees->n_scores) place = 0;
        }
    }
    return 0;
}
