/* What libearbit makes of the head of a program, with exact numbers.
 *
 * c_heads PROGRAM SAMPLES.f32 THREADS [THRESHOLD]: at most a second of float32 samples. */
#include <stdio.h>
#include <stdlib.h>

#include "earbit.h"

#define MAX_SAMPLES 16000

static float samples[MAX_SAMPLES];
static int64_t n_samples;
static int n_threads;

static int fail(void) {
  fprintf(stderr, "%s\n", earbit_error());
  return 1;
}

static int print_labels(const earbit_program* program, double threshold) {
  const int n = earbit_n_slots(program);
  int* labels = malloc((size_t)n * sizeof(int));
  double* probabilities = malloc((size_t)n * sizeof(double));
  const int is_done = earbit_likeliest(program, samples, n_samples, n_threads, threshold, labels,
                                       probabilities, n) == EARBIT_OK;
  int i;
  for (i = 0; is_done && i < n; ++i) {
    const char* label =
        labels[i] == EARBIT_REJECTED ? "rejected" : earbit_label(program, labels[i]);
    printf("%d %a %s\n", earbit_slot_size(program, i), probabilities[i], label);
  }
  free(labels);
  free(probabilities);
  return is_done ? 0 : fail();
}

static int print_text(const earbit_program* program) {
  const int64_t n_bytes = earbit_text_size(program, n_samples);
  char* text = malloc((size_t)n_bytes);
  const int is_done = n_bytes > 0 && earbit_text(program, samples, n_samples, n_threads, text,
                                                 n_bytes) == EARBIT_OK;
  if (is_done) printf("%s\n", text);
  free(text);
  return is_done ? 0 : fail();
}

static int print_vector(const earbit_program* program) {
  const int width = earbit_head_width(program);
  float* vector = malloc((size_t)width * sizeof(float));
  const int is_done =
      earbit_embedding(program, samples, n_samples, n_threads, vector, width) == EARBIT_OK;
  int i;
  for (i = 0; is_done && i < width; ++i) printf("%a\n", vector[i]);
  free(vector);
  return is_done ? 0 : fail();
}

static int print_segments(const earbit_program* program, double threshold) {
  const int64_t n = earbit_segments_size(program, n_samples);
  earbit_segment* segments = malloc((size_t)n * sizeof(earbit_segment));
  int64_t n_found = 0;
  const int is_done = n > 0 && earbit_segments(program, samples, n_samples, n_threads, threshold, 3,
                                               segments, n, &n_found) == EARBIT_OK;
  int64_t i;
  for (i = 0; is_done && i < n_found; ++i) {
    printf("%a %a %s\n", segments[i].start_s, segments[i].end_s,
           earbit_label(program, segments[i].label));
  }
  free(segments);
  return is_done ? 0 : fail();
}

int main(int argc, char** argv) {
  earbit_program* program = NULL;
  FILE* file = argc == 4 || argc == 5 ? fopen(argv[2], "rb") : NULL;
  int status = 1;
  if (file == NULL) return 2;
  n_samples = (int64_t)fread(samples, sizeof(float), MAX_SAMPLES, file);
  n_threads = atoi(argv[3]);
  fclose(file);
  if (earbit_open(argv[1], &program) != EARBIT_OK) return fail();
  printf("%d: %lld x %d\n", earbit_head_kind(program),
         (long long)earbit_head_rows(program, n_samples), earbit_head_width(program));
  switch (earbit_head_kind(program)) {
    case EARBIT_CLASS:
      status = print_labels(program, argc == 5 ? atof(argv[4]) : EARBIT_THRESHOLD_OF_PROGRAM);
      break;
    case EARBIT_SEQUENCE:
      status = print_text(program);
      break;
    case EARBIT_VECTOR:
      status = print_vector(program);
      break;
    case EARBIT_SEGMENTS:
      status = print_segments(program, argc == 5 ? atof(argv[4]) : 0.5);
      break;
    case EARBIT_NO_HEAD:
      status = 0;
      break;
  }
  earbit_close(program);
  return status;
}
