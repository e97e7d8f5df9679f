/* Every way to call the functions of heads wrongly gives a status and a text, from C.
 *
 * c_head_errors PROGRAM: ends with 0 when all of them do; the program has no head, or one of any
 * kind. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earbit.h"

#define N 800
static int n_wrong = 0;

static void expect(int line, earbit_status done, earbit_status status, const char* word) {
  if (done == status && (status == EARBIT_OK || strstr(earbit_error(), word) != NULL)) return;
  fprintf(stderr, "line %d: status %d, '%s'; expected %d and '%s'\n", line, done, earbit_error(),
          status, word);
  ++n_wrong;
}
#define EXPECT(call, status, word) expect(__LINE__, call, status, word)
#define TRUE(condition)                                       \
  do {                                                        \
    if (!(condition)) {                                       \
      fprintf(stderr, "line %d: " #condition "\n", __LINE__); \
      ++n_wrong;                                              \
    }                                                         \
  } while (0)

static float samples[N];
static float out[1 << 16];
static char text[1 << 16];
static earbit_segment segments[1 << 12];

/* Every function that decodes, with good arguments. */
static earbit_status decode(earbit_kind kind, const earbit_program* program, const float* audio,
                            int64_t n, int n_threads) {
  int labels[16];
  int64_t n_found;
  switch (kind) {
    case EARBIT_CLASS:
      return earbit_likeliest(program, audio, n, n_threads, EARBIT_THRESHOLD_OF_PROGRAM, labels,
                              NULL, earbit_n_slots(program));
    case EARBIT_SEQUENCE:
      return earbit_text(program, audio, n, n_threads, text, sizeof(text));
    case EARBIT_VECTOR:
      return earbit_embedding(program, audio, n, n_threads, out, earbit_head_width(program));
    case EARBIT_SEGMENTS:
      return earbit_segments(program, audio, n, n_threads, 0.5, 11, segments, 1 << 12, &n_found);
    case EARBIT_NO_HEAD:
      break;
  }
  return earbit_scores(program, audio, n, n_threads, out,
                       earbit_head_rows(program, N) * earbit_head_width(program));
}

static void wrong_of_every_kind(const earbit_program* program) {
  const char* of_none = "no head";
  const earbit_kind own = earbit_head_kind(program);
  int i;
  for (i = EARBIT_NO_HEAD; i <= EARBIT_SEGMENTS; ++i) {
    const earbit_kind kind = (earbit_kind)i;
    EXPECT(decode(kind, NULL, samples, N, 1), EARBIT_BAD_ARGUMENT, "program is a null pointer");
    if (own == EARBIT_NO_HEAD) {
      EXPECT(decode(kind, program, samples, N, 1), EARBIT_BAD_ARGUMENT, of_none);
    } else if (kind != EARBIT_NO_HEAD && kind != own) {
      EXPECT(decode(kind, program, samples, N, 1), EARBIT_BAD_ARGUMENT, "; call earbit_");
    } else {
      EXPECT(decode(kind, program, samples, N, 1), EARBIT_OK, "");
      EXPECT(decode(kind, program, NULL, N, 1), EARBIT_BAD_ARGUMENT, "samples is a null");
      EXPECT(decode(kind, program, samples, N, 0), EARBIT_BAD_ARGUMENT, "n_threads=0");
      EXPECT(decode(kind, program, samples, 399, 1), EARBIT_BAD_AUDIO, "399 samples");
      EXPECT(decode(kind, program, samples, INT64_MAX, 1), EARBIT_BAD_AUDIO, "4 h");
      samples[7] = (float)NAN;
      EXPECT(decode(kind, program, samples, N, 1), EARBIT_BAD_AUDIO, "1 samples");
      samples[7] = 0;
    }
  }
  EXPECT(earbit_scores(program, samples, N, 1, out, -1), EARBIT_BAD_ARGUMENT,
         own == EARBIT_NO_HEAD ? of_none : "n_floats=-1");
  TRUE(earbit_head_kind(NULL) == EARBIT_NO_HEAD && earbit_head_width(NULL) == 0);
  TRUE(earbit_n_slots(NULL) == 0 && earbit_threshold(NULL) == 0);
  TRUE(earbit_head_rows(NULL, N) == 0 && earbit_text_size(NULL, N) == 0);
  TRUE(earbit_segments_size(NULL, N) == 0 && earbit_slot_size(NULL, 0) == 0);
  TRUE(earbit_head_rows(program, 399) == 0 && earbit_head_rows(program, INT64_MAX) == 0);
}

/* A vector has no labels. */
static void no_labels(const earbit_program* program) {
  const char* said = earbit_head_kind(program) == EARBIT_NO_HEAD ? "no head" : "no labels";
  if (earbit_n_labels(program) > 0) return;
  TRUE(earbit_label(program, 9999) == NULL && strstr(earbit_error(), said) != NULL);
}

static void wrong_labels(const earbit_program* program) {
  int labels[16];
  const int n = earbit_n_slots(program);
  EXPECT(earbit_likeliest(program, samples, N, 1, 0, NULL, NULL, n), EARBIT_BAD_ARGUMENT, "labels");
  EXPECT(earbit_likeliest(program, samples, N, 1, 0, labels, NULL, n + 1), EARBIT_BAD_ARGUMENT,
         "n_slots");
  EXPECT(earbit_likeliest(program, samples, N, 1, 1, labels, NULL, n), EARBIT_BAD_ARGUMENT,
         "threshold=1;");
  EXPECT(earbit_likeliest(program, samples, N, 1, NAN, labels, NULL, n), EARBIT_BAD_ARGUMENT,
         "threshold=");
  EXPECT(earbit_likeliest(program, samples, N, 1, -0.5, labels, NULL, n), EARBIT_BAD_ARGUMENT,
         "threshold=-0.5");
  if (n > 1) {
    EXPECT(earbit_likeliest(program, samples, N, 1, 0.5, labels, NULL, n), EARBIT_BAD_ARGUMENT,
           "only a head of one slot");
  }
  TRUE(earbit_slot_size(program, n) == 0 && strstr(earbit_error(), "slot=") != NULL);
  TRUE(earbit_slot_size(program, -1) == 0);
}

static void wrong_text(const earbit_program* program) {
  EXPECT(earbit_text(program, samples, N, 1, NULL, 1), EARBIT_BAD_ARGUMENT, "text is a null");
  EXPECT(earbit_text(program, samples, N, 1, text, 0), EARBIT_BAD_ARGUMENT, "n_bytes=0");
  EXPECT(decode(EARBIT_SEQUENCE, program, samples, N, 1), EARBIT_OK, "");
  if (strlen(text) > 0) {
    const int64_t n = (int64_t)strlen(text);
    EXPECT(earbit_text(program, samples, N, 1, text, n), EARBIT_BAD_ARGUMENT, "this text takes");
    TRUE(text[0] == '\0');
    EXPECT(earbit_text(program, samples, N, 1, text, n + 1), EARBIT_OK, "");
  }
}

static void wrong_segments(const earbit_program* program) {
  int64_t n = -1;
  EXPECT(earbit_segments(program, samples, N, 1, 0.5, 1, segments, 1, NULL), EARBIT_BAD_ARGUMENT,
         "n_found");
  EXPECT(earbit_segments(program, samples, N, 1, 0.5, 1, NULL, 1, &n), EARBIT_BAD_ARGUMENT,
         "segments is a null");
  EXPECT(earbit_segments(program, samples, N, 1, 0, 1, segments, 1, &n), EARBIT_BAD_ARGUMENT,
         "threshold=0;");
  EXPECT(earbit_segments(program, samples, N, 1, 0.5, 2, segments, 1, &n), EARBIT_BAD_ARGUMENT,
         "window=2");
  EXPECT(earbit_segments(program, samples, N, 1, 0.5, 2147483647, segments, 1, &n), EARBIT_OK, "");
  TRUE(n == 0);
  EXPECT(earbit_segments(program, samples, N, 1, 1e-6, 1, segments, 1 << 12, &n), EARBIT_OK, "");
  if (n > 0) {
    const int64_t n_there = n;
    EXPECT(earbit_segments(program, samples, N, 1, 1e-6, 1, NULL, 0, &n), EARBIT_BAD_ARGUMENT,
           "n_segments=0; this audio has");
    TRUE(n == n_there);
  }
}

int main(int argc, char** argv) {
  earbit_program* program = NULL;
  int i;
  if (argc != 2 || earbit_open(argv[1], &program) != EARBIT_OK) {
    fprintf(stderr, "usage: c_head_errors PROGRAM; %s\n", earbit_error());
    return 2;
  }
  for (i = 0; i < N; ++i) samples[i] = (float)((i * 7919) % 1000) / 1000.0f - 0.5f;
  wrong_of_every_kind(program);
  no_labels(program);
  if (earbit_head_kind(program) == EARBIT_CLASS) wrong_labels(program);
  if (earbit_head_kind(program) == EARBIT_SEQUENCE) wrong_text(program);
  if (earbit_head_kind(program) == EARBIT_SEGMENTS) wrong_segments(program);
  earbit_close(program);
  return n_wrong == 0 ? 0 : 1;
}
