/* consumer_c POTENTIAL STRUCTURE: a MD code in miniature, with ghost atoms and a neighbour list by brute
 * force. Prints the energy, the forces (those of ghosts carried back to their atoms), the virial, and the
 * energy from the library's own list. The structure is that of consumer.cpp, in a periodic cell. */

#include <math.h>
#include <sitewise/c_api.h>
#include <stdio.h>
#include <stdlib.h>

enum { most = 20000, images = 3 };

static int species[most], owner[most], row[1000000];
static double position[most][3], force[most][3], vectors[1000000][3];
static size_t first[1001];

static int fail(void) {
    fprintf(stderr, "error: %s\n", sitewise_error());
    return 2;
}

static size_t add_ghosts(size_t n, double cell[3][3]) {
    size_t all = n;
    for (int x = -images; x <= images; ++x)
        for (int y = -images; y <= images; ++y)
            for (int z = -images; z <= images; ++z)
                for (size_t i = 0; i < n && (x || y || z); ++i, ++all) {
                    species[all] = species[i];
                    owner[all] = (int)i;
                    for (int a = 0; a < 3; ++a)
                        position[all][a] = position[i][a] + x * cell[0][a] + y * cell[1][a] + z * cell[2][a];
                }
    return all;
}

static void make_list(size_t n, size_t all, double reach) {
    size_t entries = 0;
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < all; ++j) {
            double r[3], square = 0.0;
            for (int a = 0; a < 3; ++a) {
                r[a] = position[j][a] - position[i][a];
                square += r[a] * r[a];
            }
            if (j == i || square >= reach * reach) continue;
            row[entries] = (int)j;
            for (int a = 0; a < 3; ++a) vectors[entries][a] = r[a];
            ++entries;
        }
        first[i + 1] = entries;
    }
}

int main(int argc, char** argv) {
    double cell[3][3], energy = 0.0, own = 0.0, virial[9] = {0};
    const int periodic[3] = {1, 1, 1};
    size_t n;
    sitewise_potential* potential = sitewise_load(argv[1], 1.0, 1.0);
    if (!potential) return fail();
    FILE* file = fopen(argv[argc - 1], "r");
    if (!file || fscanf(file, "%zu", &n) != 1) return 1;
    for (int a = 0; a < 9; ++a)
        if (fscanf(file, "%lf", &cell[a / 3][a % 3]) != 1) return 1;
    for (size_t i = 0; i < n; ++i) {
        owner[i] = (int)i;
        if (fscanf(file, "%d %lf %lf %lf", &species[i], &position[i][0], &position[i][1], &position[i][2]) !=
            4)
            return 1;
    }
    fclose(file);
    const size_t all = add_ghosts(n, cell);
    make_list(n, all, sitewise_cutoff(potential) + 0.3);
    sitewise_output out = {&energy, NULL, force[0], virial};
    if (sitewise_compute_list(potential, all, species, n, first, row, vectors[0], out)) return fail();
    for (size_t i = n; i < all; ++i)
        for (int a = 0; a < 3; ++a) force[owner[i]][a] += force[i][a];
    printf("%.17g\n", energy);
    for (size_t i = 0; i < n; ++i) printf("%.17g %.17g %.17g\n", force[i][0], force[i][1], force[i][2]);
    for (int a = 0; a < 9; ++a) printf("%.17g ", virial[a]);
    sitewise_output only = {&own, NULL, NULL, NULL};
    if (sitewise_compute(potential, n, species, position[0], cell[0], periodic, only)) return fail();
    printf("\n%.17g\n", own);
    species[0] = 99;
    if (!sitewise_compute(potential, n, species, position[0], cell[0], periodic, only)) return 1;
    printf("%s\n", sitewise_error());
    sitewise_free(potential);
    return 0;
}
