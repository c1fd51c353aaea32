/* replay: runs a fuzz target over the files of its corpus, so that every finding stays an ordinary test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)fprintf(stderr, "%s: cannot be opened\n", path);
        return 1;
    }
    size_t cap = 1024 * 1024;
    uint8_t *data = malloc(cap);
    size_t n = data != NULL ? fread(data, 1, cap, f) : 0;
    (void)fclose(f);
    /* An exact heap block, so that a read past its end is seen. */
    uint8_t *exact = malloc(n + (n == 0));
    if (exact == NULL) abort();
    memcpy(exact, data, n);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    if (argc != 2) return 2;
    DIR *dir = opendir(argv[1]);
    if (dir == NULL) {
        (void)fprintf(stderr, "%s: no corpus\n", argv[1]);
        return 1;
    }
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        if (replay_file(path) != 0) return 1;
        count++;
    }
    (void)closedir(dir);
    (void)printf("%zu inputs replayed\n", count);
    return count > 0 ? 0 : 1; /* a corpus that is gone is a test that checks nothing */
}
