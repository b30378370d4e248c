/* Runs plans that are linked into it: reads cases from standard input, writes what they give.

   A case: plan, leaves, numbers, outputs, workspace bytes; sizes of leaves; numbers; sizes of
   outputs; the leaves' bytes. The answer: the status, then the outputs' bytes. Each plan runs on
   this thread and, where it shares work out, again with a pool of threads: other bytes end all. */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int64_t (*const plans[])(void *);
extern void worker(void *);
extern void pfor(void *, void *, void *, int64_t);

static int64_t words[POOL_WORDS] __attribute__((aligned(64)));

static void *thread(void *pool) {
  worker(pool);
  return NULL;
}

static void start(void) {
  pthread_t id;
  for (int i = 1; i < THREADS; i++)
    if (pthread_create(&id, NULL, thread, words)) exit(3);
  words[POOL_STATE] = 1;
}

static void get(void *to, size_t size) {
  if (fread(to, 1, size, stdin) != size) exit(4);
}

static void *memory(size_t size) {
  void *p = aligned_alloc(64, (size + 127) / 64 * 64);
  if (!p) exit(5);
  memset(p, 0xA5, size);
  return p;
}

int main(void) {
  int64_t head[5];
  words[POOL_START] = (int64_t)start;
  words[POOL_SPIN] = 100;
  while (fread(head, 8, 5, stdin) == 5) {
    int64_t leaves = head[1], numbers = head[2], outs = head[3], first = leaves + numbers;
    int64_t *sizes = malloc(8 * (leaves + outs + 1));
    int64_t *table = memory(8 * (first + outs + 3));
    char **kept = malloc(sizeof(char *) * (outs + 1));
    get(sizes, 8 * leaves);
    get(table + leaves, 8 * numbers);
    get(sizes + leaves, 8 * outs);
    for (int64_t i = 0; i < leaves; i++) {
      table[i] = (int64_t)memory(sizes[i]);
      get((void *)table[i], sizes[i]);
    }
    void *work = memory(head[4]);
    int64_t status = 0;
    for (int round = 0; round < 3; round++) {
      for (int64_t i = 0; i < outs; i++) table[first + i] = (int64_t)memory(sizes[leaves + i]);
      table[first + outs] = (int64_t)work;
      table[first + outs + 1] = round ? (int64_t)words : 0;
      table[first + outs + 2] = (int64_t)pfor;
      status = plans[head[0]](table);
      for (int64_t i = 0; i < outs; i++) {
        char *made = (char *)table[first + i];
        if (!round) {
          kept[i] = made;
          continue;
        }
        if (memcmp(made, kept[i], sizes[leaves + i])) {
          fprintf(stderr, "plan %ld: output %ld differs with threads\n", (long)head[0], (long)i);
          exit(6);
        }
        free(made);
      }
    }
    fwrite(&status, 8, 1, stdout);
    for (int64_t i = 0; i < outs; i++) {
      fwrite(kept[i], 1, sizes[leaves + i], stdout);
      free(kept[i]);
    }
    for (int64_t i = 0; i < leaves; i++) free((void *)table[i]);
    free(work), free(table), free(sizes), free(kept);
  }
  fprintf(stderr, "workers %ld\n", (long)words[POOL_ALIVE]);
  return 0;
}
