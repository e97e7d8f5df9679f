// What all kernels of softmax_b1 share; included into their anonymous namespaces.

constexpr uint16_t kHiddenCount = 0xffff;  // of keys outside of the range: above every other

// The greatest count whose share is above the limit, given how many counts from the least one on
// have such a share; one less than the least where none has.
inline int32_t greatest_count(int32_t least, int32_t n_above) {
  const int32_t greatest = least + n_above - 1;
  return greatest < kHiddenCount ? greatest : kHiddenCount - 1;
}

// How many shares of the table are above what is needed; they fall.
inline int32_t n_above(const ShareTable& table, float needed) {
  int32_t n = 0;
  for (int k = 0; k < table.size; ++k) n += table.exp[k] > needed;
  return n;
}

// Borders of the words in which keys [from, to) lie.
inline int64_t first_of(int64_t from) { return from / kWordBits * kWordBits; }
inline int64_t last_of(int64_t to) { return words_for(to) * kWordBits; }
