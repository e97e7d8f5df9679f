// Counts of one bits of a byte of a row with the same byte of 64 columns, for the NEON kernels of
// binary products, which include this in their anonymous namespaces.

struct Counts {
  uint8x16_t of[4];
};

inline Counts columns_at(const uint8_t* w) {
  return {vld1q_u8(w), vld1q_u8(w + 16), vld1q_u8(w + 32), vld1q_u8(w + 48)};
}

template <BitOp op>
[[gnu::always_inline]] inline uint8x16_t counted(uint8x16_t count, uint8x16_t x, uint8x16_t w) {
  return vaddq_u8(count, vcntq_u8(op == BitOp::exclusive_or ? veorq_u8(x, w) : vandq_u8(x, w)));
}

template <BitOp op>
[[gnu::always_inline]] inline void count_row(Counts& counts, uint8_t byte, const Counts& w) {
  const uint8x16_t x = vdupq_n_u8(byte);
  counts.of[0] = counted<op>(counts.of[0], x, w.of[0]);
  counts.of[1] = counted<op>(counts.of[1], x, w.of[1]);
  counts.of[2] = counted<op>(counts.of[2], x, w.of[2]);
  counts.of[3] = counted<op>(counts.of[3], x, w.of[3]);
}
