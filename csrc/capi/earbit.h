/* libearbit: C interface for speech features and labels from a packed program.
 *
 * An open program is immutable, and any number of threads may run it at the same time.  A function
 * that can fail returns a status, and earbit_error() returns the message of the last failure in the
 * calling thread.  No function ends the process, prints, or throws a C++ exception.
 *
 * Resources kept after a call: an open program keeps up to 256 MiB of the memory of its runs for
 * later runs, even after a run that failed for lack of memory, until it is closed.  Threads that a
 * run has started, at most EARBIT_MAX_THREADS - 1 per process, sleep until another run needs them
 * and end with the process, so dlclose does not unload the library. */
#ifndef EARBIT_H
#define EARBIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define EARBIT_API __attribute__((visibility("default")))
#else
#define EARBIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A program, in memory. */
typedef struct earbit_program earbit_program;

typedef enum {
  EARBIT_OK = 0,
  EARBIT_BAD_FILE = 1,     /* cannot be read, is damaged, foreign or of another version; from a run:
                              values of the program do not fit each other */
  EARBIT_BAD_AUDIO = 2,    /* too short, too long, or not finite */
  EARBIT_BAD_ARGUMENT = 3, /* a null pointer, a number out of range, an unknown EARBIT_ISA */
  EARBIT_NO_MEMORY = 4,
  EARBIT_BUG = 5 /* of this library; please report it */
} earbit_status;

/* Samples of audio that can be run: 25 ms, which is one frame, to 4 h at 16 kHz. */
#define EARBIT_MIN_SAMPLES 400
#define EARBIT_MAX_SAMPLES 230400000
#define EARBIT_MAX_THREADS 256

/* Opens a file that `earbit export` wrote.  On success *program is to be closed by earbit_close, on
 * failure it is null.  The file is not needed afterwards. */
EARBIT_API earbit_status earbit_open(const char* path, earbit_program** program);

/* The same for a file of `size` bytes that is in memory, at any address; it is only read, and not
 * needed afterwards. */
EARBIT_API earbit_status earbit_open_memory(const void* data, size_t size,
                                            earbit_program** program);

/* Frees a program that no thread runs any more, and the memory that it kept; null is allowed. */
EARBIT_API void earbit_close(earbit_program* program);

/* Values of a frame: the width of every hidden state.  0 for null. */
EARBIT_API int earbit_width(const earbit_program* program);

/* Hidden states: the encoder's input and the output of every layer.  0 for null. */
EARBIT_API int earbit_n_states(const earbit_program* program);

/* Frames that n_samples give, one per 20 ms; 0 when so many cannot be run, and earbit_error() says
 * why. */
EARBIT_API int64_t earbit_n_frames(const earbit_program* program, int64_t n_samples);

/* Runs on mono audio at 16 kHz, floats in [-1, 1], with up to n_threads threads; results depend
 * neither on how many nor on how the caller rounds, or whether it flushes denormal numbers to 0;
 * that is put back.  Writes the last hidden state, (frames, width) row by row, to `features`,
 * which has room for n_floats floats; they must be exactly frames * width. */
EARBIT_API earbit_status earbit_run(const earbit_program* program, const float* samples,
                                    int64_t n_samples, int n_threads, float* features,
                                    int64_t n_floats);

/* The same for all hidden states, (states, frames, width), the encoder's input first. */
EARBIT_API earbit_status earbit_run_states(const earbit_program* program, const float* samples,
                                           int64_t n_samples, int n_threads, float* features,
                                           int64_t n_floats);

/* Labels of the head of a program, as `earbit export --head` gives it one; 0 without a head and for
 * null. */
EARBIT_API int earbit_n_labels(const earbit_program* program);

/* Label i, UTF-8, as long as the program is open; null when i is not below earbit_n_labels, and
 * earbit_error() says so. */
EARBIT_API const char* earbit_label(const earbit_program* program, int i);

/* Runs the model and its head: writes a score for each label to `scores`, which has room for
 * n_floats floats; they must be exactly earbit_n_labels.  The largest is of the likeliest label; a
 * softmax makes probabilities of them.  EARBIT_BAD_ARGUMENT for a head that gives a text. */
EARBIT_API earbit_status earbit_scores(const earbit_program* program, const float* samples,
                                       int64_t n_samples, int n_threads, float* scores,
                                       int64_t n_floats);

/* What was wrong in the last call of this thread that failed, one line of UTF-8; valid until the
 * next call in this thread. */
EARBIT_API const char* earbit_error(void);

/* The version of the library, "major.minor.patch"; that of the package earbit for Python. */
EARBIT_API const char* earbit_version(void);

#ifdef __cplusplus
}
#endif

#endif
