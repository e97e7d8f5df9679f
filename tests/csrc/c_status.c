/* What libearbit says of one run: its version, then the status and the text of the first call that
 * failed, "0" when none did.
 *
 * c_status PROGRAM N: N samples of silence. */
#include <stdio.h>
#include <stdlib.h>

#include "earbit.h"

int main(int argc, char** argv) {
  const int64_t n_samples = argc == 3 ? atol(argv[2]) : 0;
  float* samples = calloc((size_t)n_samples + 1, sizeof(float));
  float* features = NULL;
  int64_t n = 0;
  earbit_program* program = NULL;
  earbit_status status = EARBIT_OK;
  if (argc != 3 || samples == NULL) return 2;
  printf("%s\n", earbit_version());
  status = earbit_open(argv[1], &program);
  if (status == EARBIT_OK) {
    n = earbit_n_frames(program, n_samples) * earbit_width(program);
    features = malloc((size_t)n * sizeof(float) + 1);
    if (features == NULL) return 2;
    status = earbit_run(program, samples, n_samples, 1, features, n);
  }
  printf("%d %s\n", status, status == EARBIT_OK ? "" : earbit_error());
  earbit_close(program);
  free(features);
  free(samples);
  return 0;
}
