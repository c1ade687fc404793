/* Rows of channels from and to pictures, plane by plane; copies of rows. Part of body.h. */

static TARGET void from_planes(const Operation *op, int64_t item, const Scratch *scratch) {
    (void)scratch;
    const int64_t parts = (op->in_height + LINES - 1) / LINES, n = item / parts, first = item % parts * LINES;
    const int64_t channels = op->channels[0], plane = op->in_height * op->in_width;
    for (int64_t y = first; y < first + LINES && y < op->in_height; y++) {
        const float *in = (const float *)op->source[0] + n * channels * plane + y * op->in_width;
        E *out = (E *)op->out + ((n * op->out_height + y + op->pad_top) * op->in_pitch + op->pad_left) * op->out_stride;
        if (channels == 3)
            for (int64_t x = 0; x < op->in_width; x++, in++, out += op->out_stride)
                out[0] = TO_E(in[0]), out[1] = TO_E(in[plane]), out[2] = TO_E(in[2 * plane]);
        else
            for (int64_t x = 0; x < op->in_width; x++)
                for (int64_t c = 0; c < channels; c++) out[x * op->out_stride + c] = TO_E(in[c * plane + x]);
    }
}

static TARGET void to_planes(const Operation *op, int64_t n, const Scratch *scratch) {
    (void)scratch;
    const int64_t area = op->in_height * op->in_width, channels = op->channels[0];
    const E *in = (const E *)op->source[0] + n * area * op->stride[0];
    float *out = (float *)op->out + n * channels * area;
    for (int64_t c = 0; c < channels; c++, out += area)
        for (int64_t i = 0; i < area; i++) out[i] = FROM_E(in[i * op->stride[0] + c]);
}

static TARGET void copy(const Operation *op, int64_t n, const Scratch *scratch) {
    (void)scratch;
    const int64_t area = op->in_height * op->in_width;
    const E *in = op->source[0];
    E *out = op->out;
    for (int64_t i = n * area; i < (n + 1) * area; i++)
        memcpy(out + i * op->out_stride, in + i * op->stride[0], (size_t)op->channels[0] * sizeof(E));
}
