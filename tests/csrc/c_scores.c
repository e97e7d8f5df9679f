/* Scores of a program with a head, from C: a line for each label, its score in hexadecimal first.
 *
 * c_scores PROGRAM SAMPLES THREADS: SAMPLES is a file of floats, mono at 16 kHz. */
#include <stdio.h>
#include <stdlib.h>

#include "earbit.h"

#define MAX_SAMPLES 16000

int main(int argc, char** argv) {
  earbit_program* program = NULL;
  float* samples = malloc(MAX_SAMPLES * sizeof(float));
  float* scores = NULL;
  FILE* file = argc == 4 ? fopen(argv[2], "rb") : NULL;
  int64_t n_samples = 0;
  int n_labels = 0;
  int i = 0;
  if (file == NULL || samples == NULL) return 2;
  n_samples = (int64_t)fread(samples, sizeof(float), MAX_SAMPLES, file);
  fclose(file);
  if (earbit_open(argv[1], &program) == EARBIT_OK) {
    n_labels = earbit_n_labels(program);
    scores = malloc((size_t)n_labels * sizeof(float));
  }
  if (scores == NULL ||
      earbit_scores(program, samples, n_samples, atoi(argv[3]), scores, n_labels) != EARBIT_OK) {
    fprintf(stderr, "%s\n", earbit_error());
    return 1;
  }
  for (i = 0; i < n_labels; ++i) printf("%a %s\n", scores[i], earbit_label(program, i));
  free(scores);
  free(samples);
  earbit_close(program);
  return 0;
}
