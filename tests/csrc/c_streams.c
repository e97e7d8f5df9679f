/* What a stream of libearbit gives, with exact numbers.
 *
 * c_streams PROGRAM SAMPLES.f32 PIECE RESULTS [WINDOW]: audio in pieces of PIECE samples, after
 * audio of another stream that is reset.  Prints features, scores or text after every piece. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "earbit.h"

#define MAX_SAMPLES 64000
#define MAX_FLOATS 4096

static float samples[MAX_SAMPLES];
static float floats[MAX_FLOATS];
static char text[MAX_FLOATS];
static const float not_finite[] = {0.5f, NAN};

static int fail(void) {
  fprintf(stderr, "%s\n", earbit_error());
  return 1;
}

static void print_rows(const char* name, int64_t n, int width) {
  int64_t i;
  for (i = 0; i < n * width; ++i) {
    if (i % width == 0) printf("%s%s", i > 0 ? "\n" : "", name);
    printf(" %a", floats[i]);
  }
  if (n > 0) printf("\n");
}

/* Everything that is new, some rows at a time. */
static int print_new(const earbit_program* program, earbit_stream* stream, int results) {
  int64_t n = 0;
  while ((results & EARBIT_STREAM_FRAMES) && earbit_stream_n_frames(stream) > 0) {
    if (earbit_stream_frames(stream, floats, 3, &n) != EARBIT_OK) return fail();
    print_rows("frame", n, earbit_width(program));
  }
  if (!(results & EARBIT_STREAM_SCORES)) return 0;
  if (earbit_head_kind(program) == EARBIT_SEQUENCE) {
    /* What does not fit is there again. */
    if (earbit_stream_text(stream, text, 1) == EARBIT_OK) return 0;
    if (earbit_stream_text(stream, text, MAX_FLOATS) != EARBIT_OK) return fail();
    printf("text %s\n", text);
    return 0;
  }
  if (earbit_stream_n_scores(stream) == 0) return 0;
  if (earbit_stream_scores(stream, floats, 100, &n) != EARBIT_OK) return fail();
  print_rows("scores", n, earbit_head_width(program));
  return 0;
}

int main(int argc, char** argv) {
  earbit_program* program = NULL;
  earbit_stream* stream = NULL;
  FILE* file = argc == 5 || argc == 6 ? fopen(argv[2], "rb") : NULL;
  int64_t n_samples, piece, at;
  int results, status;
  if (file == NULL) return 2;
  n_samples = (int64_t)fread(samples, sizeof(float), MAX_SAMPLES, file);
  fclose(file);
  piece = atoi(argv[3]);
  results = atoi(argv[4]);
  if (earbit_open(argv[1], &program) != EARBIT_OK) return fail();
  printf("latency %ld\n", (long)earbit_latency(program));
  if (earbit_stream_open(program, results, argc == 6 ? atoi(argv[5]) : 50, 1, &stream) !=
      EARBIT_OK) {
    earbit_close(program);
    return fail();
  }
  status = earbit_stream_accept(stream, samples, n_samples / 2) != EARBIT_OK ||
           earbit_stream_finish(stream) != EARBIT_OK;
  /* Audio behind the end is refused until the stream is reset. */
  if (earbit_stream_accept(stream, samples, 1) != EARBIT_BAD_ARGUMENT) status = 1;
  if (earbit_stream_reset(stream) != EARBIT_OK) status = 1;
  for (at = 0; status == 0 && at < n_samples; at += piece) {
    const int64_t n = n_samples - at < piece ? n_samples - at : piece;
    /* Audio that is refused changes nothing. */
    if (earbit_stream_accept(stream, not_finite, 2) != EARBIT_BAD_AUDIO) status = 1;
    if (earbit_stream_accept(stream, samples + at, n) != EARBIT_OK) status = fail();
    if (status == 0) status = print_new(program, stream, results);
  }
  if (status == 0 && earbit_stream_finish(stream) != EARBIT_OK) status = fail();
  if (status == 0) status = print_new(program, stream, results);
  earbit_stream_close(stream);
  /* Wrong calls. */
  if (earbit_stream_open(NULL, 1, 50, 1, &stream) != EARBIT_BAD_ARGUMENT || stream != NULL)
    return 3;
  if (earbit_stream_open(program, 0, 50, 1, &stream) != EARBIT_BAD_ARGUMENT) return 3;
  if (earbit_stream_open(program, 1, 0, 1, &stream) != EARBIT_BAD_ARGUMENT) return 3;
  if (earbit_stream_accept(NULL, samples, 1) != EARBIT_BAD_ARGUMENT) return 3;
  if (earbit_stream_n_frames(NULL) != 0 || earbit_stream_n_scores(NULL) != 0) return 3;
  earbit_stream_close(NULL);
  earbit_close(program);
  return status;
}
