/* The calls that Python makes. */
#define _DEFAULT_SOURCE /* clock_gettime */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sweep.h"

EXPORT void *sparse_frame_new(void) { return calloc(1, sizeof(Frame)); }

EXPORT void sparse_frame_free(void *handle) {
    Frame *frame = handle;
    if (!frame) return;
    for (int i = 0; i < MAX_LEVELS * LEVEL_BLOCKS; i++) free(frame->level_blocks[i / LEVEL_BLOCKS][i % LEVEL_BLOCKS].data);
    for (int i = 0; i < FRAME_BLOCKS; i++) free(frame->blocks[i].data);
    for (int i = 0; i < MAX_SLOTS; i++) free(frame->slots[i].data), free(frame->scales[i].data);
    free(frame);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Labels and scores of a sweep's points. Returns the number of voxels, or -1 where there was no memory. */
EXPORT int64_t sparse_frame_step(void *handle, const Program *program, Sweep *sweep, int64_t isa, int64_t threads) {
    Frame *frame = handle;
    frame->isa = (int)isa;
    frame->threads = (int)(threads > MAX_THREADS ? MAX_THREADS : threads);
    Team *team = team_begin(frame->threads);
    double marks[6];
    marks[0] = now();
    int failed = frame_voxels(frame, program, sweep);
    const int64_t n = failed ? 0 : frame->levels[0].n;
    marks[1] = now();
    if (n && !failed) failed = frame_maps(frame, program);
    marks[2] = now();
    if (n && !failed) failed = frame_features(frame, program, sweep);
    marks[3] = now();
    if (n && !failed) failed = frame_compute(frame, program);
    marks[4] = now();
    if (!failed) failed = frame_labels(frame, program, sweep);
    marks[5] = now();
    team_end(team);
    for (int i = 0; i < 5; i++) sweep->seconds[i] = marks[i + 1] - marks[i];
    return failed ? -1 : n;
}

/* Maps of voxels by their sorted keys [n]. Returns 0, or -1 where there was no memory. */
EXPORT int sparse_frame_index(void *handle, const Program *program, const int64_t *keys, int64_t n, int64_t threads) {
    Frame *frame = handle;
    frame->threads = (int)(threads > MAX_THREADS ? MAX_THREADS : threads);
    frame->levels[0].n = n;
    frame->levels[0].keys = block_take(&frame->level_blocks[0][KEYS], (size_t)n * sizeof(int64_t));
    if (!frame->levels[0].keys) return -1;
    memcpy(frame->levels[0].keys, keys, (size_t)n * sizeof(int64_t));
    Team *team = team_begin(frame->threads);
    const int failed = frame_maps(frame, program);
    team_end(team);
    return failed;
}

/* Logits [n][classes] of features [n][channels] on the voxels of the last sparse_frame_index. 0, or -1. */
EXPORT int sparse_frame_compute(void *handle, const Program *program, const float *features, int64_t channels,
                                float *logits, int64_t classes, int64_t isa, int64_t threads) {
    Frame *frame = handle;
    const int64_t n = frame->levels[0].n, in = program->registers[program->input].width;
    frame->isa = (int)isa;
    frame->threads = (int)(threads > MAX_THREADS ? MAX_THREADS : threads);
    float *rows = register_rows(frame, program, program->input);
    if (!rows) return -1;
    for (int64_t i = 0; i < n; i++) {
        memcpy(rows + i * in, features + i * channels, (size_t)channels * sizeof(float));
        memset(rows + i * in + channels, 0, (size_t)(in - channels) * sizeof(float));
    }
    Team *team = team_begin(frame->threads);
    const int failed = frame_compute(frame, program);
    team_end(team);
    if (failed) return -1;
    const Register *out = &program->registers[program->output];
    for (int64_t i = 0; i < n; i++)
        memcpy(logits + i * classes, (const float *)frame->slots[out->slot].data + i * out->width,
               (size_t)classes * sizeof(float));
    return 0;
}
