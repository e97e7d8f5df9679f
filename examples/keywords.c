/* Keywords in live audio by a packed program with a head of classes, in C.
 *
 * cc -o keywords keywords.c -learbit
 * arecord -q -t raw -f S16_LE -r 16000 -c 1 | ./keywords keywords-w1a1.safetensors
 * ffmpeg -v error -i speech.mp3 -f s16le -ac 1 -ar 16000 - | ./keywords keywords-w1a1.safetensors
 *
 * Reads 16-bit little-endian samples of one channel at 16 kHz, without a header, from standard
 * input.  Runs the program on the last second every quarter of a second, and prints the time, the
 * label and its probability whenever the label changes, as `earbit run PROGRAM --stream -` does on
 * a terminal. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "earbit.h"

#define N_WINDOW 16000
#define N_HOP 4000

/* Reads n samples, fewer at the end of the audio; returns how many. */
static int read_samples(float* samples, int n) {
  unsigned char bytes[2 * N_HOP];
  const int n_read = (int)fread(bytes, 2, (size_t)n, stdin);
  int i;
  for (i = 0; i < n_read; ++i) {
    const uint16_t value = (uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8);
    samples[i] = (float)(int16_t)value / 32768.0f;
  }
  return n_read;
}

/* Whether samples are the first bytes of a wav file. */
static int is_header(const float* samples) {
  return samples[0] == ('R' | 'I' << 8) / 32768.0f && samples[1] == ('F' | 'F' << 8) / 32768.0f;
}

/* Prints the label of a window if it is not the last one, which it becomes. */
static earbit_status look(const earbit_program* program, const float* window, int n, double seconds,
                          int* last) {
  int label;
  double probability;
  const earbit_status status =
      earbit_likeliest(program, window, n, 1, EARBIT_THRESHOLD_OF_PROGRAM, &label, &probability, 1);
  if (status != EARBIT_OK || label == *last) return status;
  *last = label;
  printf("%8.2f s  %s (%.2f)\n", seconds,
         label == EARBIT_REJECTED ? "(no keyword)" : earbit_label(program, label), probability);
  fflush(stdout);
  return status;
}

/* Results until the audio ends; returns the status of the call that failed, if one did.  A wav
 * file has no results. */
static earbit_status listen(const earbit_program* program, int* is_wav) {
  float window[N_WINDOW + N_HOP];
  int64_t n_samples = 0;
  int n_held = 0, last = EARBIT_REJECTED - 1, n;
  earbit_status status = EARBIT_OK;
  do {
    n = read_samples(window + n_held, N_HOP);
    *is_wav = n_samples == 0 && n > 1 && is_header(window);
    if (*is_wav) break;
    n_held += n;
    n_samples += n;
    if (n_held > N_WINDOW) {
      memmove(window, window + n_held - N_WINDOW, N_WINDOW * sizeof(float));
      n_held = N_WINDOW;
    }
    /* Before the window is full there is no result, except for audio that is shorter. */
    if (n == N_HOP ? n_held == N_WINDOW : n > 0 || n_held < N_WINDOW) {
      status = look(program, window, n_held, (double)n_samples / 16000, &last);
    }
  } while (n == N_HOP && status == EARBIT_OK && !ferror(stdout));
  return status;
}

int main(int argc, char** argv) {
  earbit_program* program;
  int status = 1;
  if (argc != 2) {
    fprintf(stderr, "usage: keywords PROGRAM.safetensors < SAMPLES.s16le\n");
    return 2;
  }
  if (earbit_open(argv[1], &program) != EARBIT_OK) {
    fprintf(stderr, "%s: %s\n", argv[1], earbit_error());
    return 1;
  }
  if (earbit_head_kind(program) != EARBIT_CLASS || earbit_n_slots(program) != 1) {
    fprintf(stderr, "%s: no head of one class; export one with earbit export --head\n", argv[1]);
  } else {
    int is_wav;
    const earbit_status of_run = listen(program, &is_wav);
    if (is_wav) {
      fprintf(stderr, "standard input: a wav file; give samples without its header\n");
    } else if (ferror(stdin)) {
      fprintf(stderr, "standard input: cannot be read\n");
    } else if (ferror(stdout)) {
      fprintf(stderr, "standard output: cannot be written\n");
    } else if (of_run != EARBIT_OK) {
      fprintf(stderr, "standard input: %s\n", earbit_error());
    } else {
      status = 0;
    }
  }
  earbit_close(program);
  return status;
}
