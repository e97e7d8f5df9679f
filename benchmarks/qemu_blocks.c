/* How often each block of instructions runs: a plugin of qemu (interface of version 1).
 *
 * cc -shared -fPIC -O2 -o blocks.so qemu_blocks.c
 * qemu-aarch64 -plugin file=blocks.so,out=blocks.txt PROGRAM
 *
 * A line of the file is how often a block runs, the number of its instructions, and their bytes in
 * hexadecimal digits.  The functions of qemu are declared here, because Debian has no package with
 * its header. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t PluginId;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { ADD_U64 = 0, MOST_BYTES = 16 /* of an instruction */ };

void qemu_plugin_register_vcpu_tb_trans_cb(PluginId, void (*)(PluginId, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
void qemu_plugin_register_atexit_cb(PluginId, void (*)(PluginId, void*), void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn*);

int qemu_plugin_version = 1;

struct Block {
  uint64_t n_runs;
  struct Block* next;
  size_t n_instructions;
  size_t n_bytes;
  unsigned char bytes[];
};

static struct Block* blocks;
static FILE* out;

static void* given(void* memory) {
  if (memory == NULL) abort();
  return memory;
}

static void add_block(PluginId id, struct qemu_plugin_tb* tb) {
  const size_t n = qemu_plugin_tb_n_insns(tb);
  struct Block* block = given(calloc(1, sizeof(*block) + n * MOST_BYTES));
  (void)id;
  block->n_instructions = n;
  for (size_t i = 0; i < n; ++i) {
    const struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(tb, i);
    const size_t n_bytes = qemu_plugin_insn_size(instruction);
    memcpy(block->bytes + block->n_bytes, qemu_plugin_insn_data(instruction), n_bytes);
    block->n_bytes += n_bytes;
  }
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &block->n_runs, 1);
}

static void write_blocks(PluginId id, void* unused) {
  (void)id;
  (void)unused;
  for (const struct Block* block = blocks; block != NULL; block = block->next) {
    if (block->n_runs == 0) continue;
    fprintf(out, "%llu %zu ", (unsigned long long)block->n_runs, block->n_instructions);
    for (size_t i = 0; i < block->n_bytes; ++i) fprintf(out, "%02x", block->bytes[i]);
    fputc('\n', out);
  }
  fclose(out);
}

int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) return 1;
  out = fopen(argv[0] + 4, "w");
  if (out == NULL) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, add_block);
  qemu_plugin_register_atexit_cb(id, write_blocks, NULL);
  return 0;
}
