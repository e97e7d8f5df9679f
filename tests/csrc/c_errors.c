/* Every way to call libearbit wrongly gives a status and a text, from C.
 *
 * c_errors PROGRAM: ends with 0 when all of them do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earbit.h"

static int n_wrong = 0;

/* `done` is the status of a call that must fail so, with a text that has `word` in it. */
static void expect(int line, earbit_status done, earbit_status status, const char* word) {
  if (done == status && (status == EARBIT_OK || strstr(earbit_error(), word) != NULL)) return;
  fprintf(stderr, "line %d: status %d, '%s'; expected %d and '%s'\n", line, done, earbit_error(),
          status, word);
  ++n_wrong;
}
#define EXPECT(call, status, word) expect(__LINE__, call, status, word)

static void wrong_files(const char* path) {
  earbit_program* program = NULL;
  char* bytes = NULL;
  size_t size = 0;
  FILE* file = fopen(path, "rb");
  EXPECT(earbit_open("/no/such/file", &program), EARBIT_BAD_FILE, "No such file");
  EXPECT(earbit_open("/", &program), EARBIT_BAD_FILE, "not a regular file");
  EXPECT(earbit_open("/dev/zero", &program), EARBIT_BAD_FILE, "not a regular file");
  EXPECT(earbit_open(NULL, &program), EARBIT_BAD_ARGUMENT, "path");
  EXPECT(earbit_open(path, NULL), EARBIT_BAD_ARGUMENT, "program");
  EXPECT(earbit_open_memory(NULL, 8, &program), EARBIT_BAD_ARGUMENT, "data");
  EXPECT(earbit_open_memory("", 0, &program), EARBIT_BAD_FILE, "empty file");
  if (program != NULL) ++n_wrong;
  bytes = malloc(1 << 20);
  if (file == NULL || bytes == NULL) exit(1);
  /* at an odd address: no alignment is asked for */
  size = fread(bytes + 1, 1, (1 << 20) - 1, file);
  fclose(file);
  EXPECT(earbit_open_memory(bytes + 1, size - 1, &program), EARBIT_BAD_FILE, "cut short");
  EXPECT(earbit_open_memory(bytes + 1, size, &program), EARBIT_OK, "");
  free(bytes);
  if (program == NULL || earbit_n_frames(program, 400) == 0) ++n_wrong;
  earbit_close(program);
  earbit_close(NULL);
}

static void wrong_calls(const earbit_program* program) {
  float samples[800] = {0};
  const int64_t n = earbit_n_frames(program, 800) * earbit_width(program);
  float* out = malloc((size_t)n * (size_t)earbit_n_states(program) * sizeof(float));
  if (out == NULL) exit(1);
  EXPECT(earbit_run(program, samples, 800, 1, out, n), EARBIT_OK, "");
  EXPECT(earbit_run_states(program, samples, 800, 1, out, n * earbit_n_states(program)), EARBIT_OK,
         "");
  EXPECT(earbit_run(program, samples, 800, 1, out, n - 1), EARBIT_BAD_ARGUMENT, "n_floats");
  EXPECT(earbit_run(program, samples, 800, 1, out, -1), EARBIT_BAD_ARGUMENT, "n_floats=-1");
  EXPECT(earbit_run(program, samples, 800, 0, out, n), EARBIT_BAD_ARGUMENT, "n_threads=0");
  EXPECT(earbit_run(program, samples, 800, 257, out, n), EARBIT_BAD_ARGUMENT, "n_threads=257");
  EXPECT(earbit_run(NULL, samples, 800, 1, out, n), EARBIT_BAD_ARGUMENT, "program");
  EXPECT(earbit_run(program, NULL, 800, 1, out, n), EARBIT_BAD_ARGUMENT, "samples");
  EXPECT(earbit_run(program, samples, 800, 1, NULL, n), EARBIT_BAD_ARGUMENT, "features");
  EXPECT(earbit_run(program, samples, 399, 1, out, n), EARBIT_BAD_AUDIO, "399 samples");
  EXPECT(earbit_run(program, samples, -1, 1, out, n), EARBIT_BAD_AUDIO, "-1 samples");
  samples[7] = (float)NAN;
  samples[9] = (float)INFINITY;
  EXPECT(earbit_run(program, samples, 800, 1, out, n), EARBIT_BAD_AUDIO, "2 samples");
  if (earbit_n_frames(program, 399) != 0 || strstr(earbit_error(), "399") == NULL) ++n_wrong;
  if (earbit_n_frames(program, INT64_MAX) != 0) ++n_wrong;
  if (earbit_n_frames(NULL, 800) != 0 || earbit_width(NULL) != 0) ++n_wrong;
  if (earbit_n_states(NULL) != 0) ++n_wrong;
  free(out);
}

/* The longest audio has as many frames as a run can hold, or none and a text. */
static void too_much_audio(const earbit_program* program) {
  const int64_t most = (int64_t)1 << 35; /* bytes */
  const int64_t n = earbit_n_frames(program, EARBIT_MAX_SAMPLES);
  if (n > most / ((int64_t)sizeof(float) * earbit_width(program))) ++n_wrong;
  if (n == 0 && strstr(earbit_error(), "larger than 32 GiB") == NULL) ++n_wrong;
}

static void wrong_scores(const earbit_program* program) {
  float samples[800] = {0};
  const int n = earbit_n_labels(program);
  float* out = malloc(((size_t)n + 1) * sizeof(float));
  if (out == NULL) exit(1);
  if (earbit_n_labels(NULL) != 0 || earbit_label(NULL, 0) != NULL) ++n_wrong;
  EXPECT(earbit_scores(NULL, samples, 800, 1, out, n), EARBIT_BAD_ARGUMENT, "program");
  if (n == 0) {
    EXPECT(earbit_scores(program, samples, 800, 1, out, 0), EARBIT_BAD_ARGUMENT, "no head");
    if (earbit_label(program, 0) != NULL || strstr(earbit_error(), "no head") == NULL) ++n_wrong;
    free(out);
    return;
  }
  EXPECT(earbit_scores(program, samples, 800, 1, out, n), EARBIT_OK, "");
  EXPECT(earbit_scores(program, samples, 800, 1, out, n - 1), EARBIT_BAD_ARGUMENT, "n_floats");
  EXPECT(earbit_scores(program, samples, 800, 1, out, n + 1), EARBIT_BAD_ARGUMENT, "n_floats");
  EXPECT(earbit_scores(program, samples, 800, 0, out, n), EARBIT_BAD_ARGUMENT, "n_threads=0");
  EXPECT(earbit_scores(program, NULL, 800, 1, out, n), EARBIT_BAD_ARGUMENT, "samples");
  EXPECT(earbit_scores(program, samples, 800, 1, NULL, n), EARBIT_BAD_ARGUMENT, "scores");
  EXPECT(earbit_scores(program, samples, 399, 1, out, n), EARBIT_BAD_AUDIO, "399 samples");
  samples[7] = (float)NAN;
  EXPECT(earbit_scores(program, samples, 800, 1, out, n), EARBIT_BAD_AUDIO, "1 samples");
  if (earbit_label(program, n) != NULL || strstr(earbit_error(), "i=") == NULL) ++n_wrong;
  if (earbit_label(program, -1) != NULL || strstr(earbit_error(), "i=-1") == NULL) ++n_wrong;
  free(out);
}

int main(int argc, char** argv) {
  earbit_program* program = NULL;
  if (argc != 2 || earbit_open(argv[1], &program) != EARBIT_OK) {
    fprintf(stderr, "usage: c_errors PROGRAM; %s\n", earbit_error());
    return 2;
  }
  wrong_files(argv[1]);
  wrong_calls(program);
  too_much_audio(program);
  wrong_scores(program);
  earbit_close(program);
  return n_wrong == 0 ? 0 : 1;
}
