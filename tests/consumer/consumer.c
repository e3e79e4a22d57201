/* consumer_c POTENTIAL STRUCTURE CFLENGTH CFENERGY: a MD code in miniature, with ghost atoms and a neighbour
 * list by brute force. Prints energy and virial, then energy and force of each atom (forces of ghosts carried
 * back to their atoms); after these the energy from the library's own list, and what it says of an element
 * that does not exist. The structure is that of consumer.cpp. */

#include <math.h>
#include <sitewise/c_api.h>
#include <stdio.h>
#include <stdlib.h>

enum { most = 20000, images = 3 };

static int species[most], owner[most], row[1000000], periodic[3];
static double position[most][3], force[most][3], energies[most], vectors[1000000][3], cell[3][3];
static size_t first[most + 1];

static int fail(void) {
    fprintf(stderr, "error: %s\n", sitewise_error());
    return 2;
}

static double square_of_distance(size_t i, size_t j, double r[3]) {
    double square = 0.0;
    for (int a = 0; a < 3; ++a) {
        r[a] = position[j][a] - position[i][a];
        square += r[a] * r[a];
    }
    return square;
}

static int near(size_t ghost, size_t n, double reach) {
    double r[3];
    for (size_t i = 0; i < n; ++i)
        if (square_of_distance(i, ghost, r) < reach * reach) return 1;
    return 0;
}

static size_t add_ghosts(size_t n, double reach) {
    size_t all = n;
    const int most_of[3] = {periodic[0] * images, periodic[1] * images, periodic[2] * images};
    for (int x = -most_of[0]; x <= most_of[0]; ++x)
        for (int y = -most_of[1]; y <= most_of[1]; ++y)
            for (int z = -most_of[2]; z <= most_of[2]; ++z)
                for (size_t i = 0; i < n && (x || y || z); ++i) {
                    for (int a = 0; a < 3; ++a)
                        position[all][a] = position[i][a] + x * cell[0][a] + y * cell[1][a] + z * cell[2][a];
                    if (!near(all, n, reach)) continue;
                    species[all] = species[i];
                    owner[all++] = (int)i;
                }
    return all;
}

static void make_list(size_t n, size_t all, double reach) {
    size_t entries = 0;
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < all; ++j) {
            double r[3];
            if (j == i || square_of_distance(i, j, r) >= reach * reach) continue;
            row[entries] = (int)j;
            for (int a = 0; a < 3; ++a) vectors[entries][a] = r[a];
            ++entries;
        }
        first[i + 1] = entries;
    }
}

static int read_structure(const char* path, size_t* n) {
    FILE* file = fopen(path, "r");
    if (!file || fscanf(file, "%zu", n) != 1) return 0;
    for (int a = 0; a < 9; ++a)
        if (fscanf(file, "%lf", &cell[a / 3][a % 3]) != 1) return 0;
    if (fscanf(file, "%d %d %d", &periodic[0], &periodic[1], &periodic[2]) != 3) return 0;
    for (size_t i = 0; i < *n; ++i) {
        double* r = position[i];
        owner[i] = (int)i;
        if (fscanf(file, "%d %lf %lf %lf", &species[i], &r[0], &r[1], &r[2]) != 4) return 0;
    }
    fclose(file);
    return 1;
}

int main(int argc, char** argv) {
    size_t n;
    double energy = 0.0, own = 0.0, virial[9] = {0};
    if (argc != 5 || !read_structure(argv[2], &n)) return 1;
    sitewise_potential* potential = sitewise_load(argv[1], atof(argv[3]), atof(argv[4]));
    if (!potential) return fail();
    const double reach = sitewise_cutoff(potential) + 0.3;
    const size_t all = add_ghosts(n, reach);
    make_list(n, all, reach);
    sitewise_output out = {&energy, energies, force[0], virial};
    if (sitewise_compute_list(potential, all, species, n, first, row, vectors[0], out)) return fail();
    for (size_t i = n; i < all; ++i)
        for (int a = 0; a < 3; ++a) force[owner[i]][a] += force[i][a];
    printf("%.17g", energy);
    for (int a = 0; a < 9; ++a) printf(" %.17g", virial[a]);
    for (size_t i = 0; i < n; ++i)
        printf("\n%.17g %.17g %.17g %.17g", energies[i], force[i][0], force[i][1], force[i][2]);
    sitewise_output only = {&own};
    if (sitewise_compute(potential, n, species, position[0], cell[0], periodic, only)) return fail();
    printf("\n%.17g\n", own);
    species[0] = 99;
    if (!sitewise_compute(potential, n, species, position[0], cell[0], periodic, only)) return 1;
    printf("%s\n", sitewise_error());
    sitewise_free(potential);
    return 0;
}
