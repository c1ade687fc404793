/* The layers of a network, described once (program.py), on the rows and maps of a frame. */
#include "program.h"

static int64_t bytes_of(int64_t kind) { return kind == FLOAT ? 4 : kind == INT16 ? 2 : 1; }

void *register_rows(Frame *frame, const Program *program, int64_t number) {
    const Register *r = &program->registers[number];
    const size_t rows = (size_t)frame->levels[r->level].n;
    if (r->kind != FLOAT && !block_take(&frame->scales[r->slot], rows * sizeof(float))) return NULL;
    return block_take(&frame->slots[r->slot], rows * (size_t)(r->width * bytes_of(r->kind)));
}

static const float *scales_of(const Frame *frame, const Register *r) {
    return r->kind == FLOAT ? NULL : frame->scales[r->slot].data;
}

static Term term_of(const Frame *frame, const Program *program, const OpTerm *from) {
    const Register *r = &program->registers[from->source];
    Term term = {.rows = frame->slots[r->slot].data, .scales = scales_of(frame, r), .stride = r->width,
                 .weights = from->weights, .volume = from->volume, .channels = from->channels, .kind = r->kind};
    if (from->map < 0) return term;
    const FrameLevel *level = &frame->levels[from->map / 3];
    switch (from->map % 3) {
    case 0: term.in = level->same_in, term.out = level->same_out, term.starts = level->same_starts; break;
    case 1: term.in = level->down_in, term.out = level->down_out, term.starts = level->down_starts; break;
    /* Within an offset children and parents are in the same order: the other way round is the same list. */
    default: term.in = level->down_out, term.out = level->down_in, term.starts = level->down_starts; break;
    }
    return term;
}

static int convolve(Frame *frame, const Program *program, const Op *op) {
    const Register *out = &program->registers[op->out];
    Term terms[MAX_TERMS];
    for (int64_t t = 0; t < op->terms_count; t++) terms[t] = term_of(frame, program, &op->terms[t]);
    Convolution conv = {.terms = terms, .terms_count = op->terms_count, .outputs = frame->levels[out->level].n,
                        .width = out->width, .column_scale = op->column_scale, .bias = op->bias, .relu = op->relu,
                        .residual_after_relu = op->residual_after_relu, .out = frame->slots[out->slot].data,
                        .out_scale = (float *)scales_of(frame, out), .out_stride = out->width, .out_kind = out->kind,
                        .level = frame->isa, .threads = frame->threads};
    if (op->residual >= 0) {
        const Register *r = &program->registers[op->residual];
        conv.residual = frame->slots[r->slot].data;
        conv.residual_scale = scales_of(frame, r);
        conv.residual_stride = r->width;
        conv.residual_kind = r->kind;
    }
    return sparse_convolve(&conv);
}

static int run(Frame *frame, const Program *program, const Op *op) {
    const Register *out = &program->registers[op->out], *in = &program->registers[op->terms[0].source];
    if (!(op->code == INTERPOLATE && op->add) && !register_rows(frame, program, op->out)) return -1;
    if (op->code == CONVOLVE) return convolve(frame, program, op);
    const FrameLevel *points = &frame->levels[op->points];
    if (op->code == INTERPOLATE) {
        sparse_interpolate(in->kind, frame->slots[in->slot].data, scales_of(frame, in), in->width, points->corners,
                           points->weights, frame->levels[0].n, in->width, frame->slots[out->slot].data, out->width,
                           op->add, frame->isa, frame->threads);
        return 0;
    }
    return sparse_point_mean(frame->slots[in->slot].data, in->width, points->order, points->order_starts, points->n,
                             in->width, frame->slots[out->slot].data, (float *)scales_of(frame, out), out->width,
                             out->kind, frame->isa, frame->threads);
}

int frame_compute(Frame *frame, const Program *program) {
    for (int64_t i = 0; i < program->ops_count; i++)
        if (run(frame, program, &program->ops[i])) return -1;
    return 0;
}
