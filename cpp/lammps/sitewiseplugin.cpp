// The entry point of the plugin. The layout of LAMMPS's classes differs between builds of the same date, and
// LAMMPS does not name its build to a plugin. The plugin therefore compares the build id of the library with
// that of the library that it was compiled for, and does not register itself in any other.

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "lammps.h"
#include "pair_sitewise.h"

namespace {

// The same as in LAMMPS's lammpsplugin.h, which installations do not include.
struct Plugin {
    const char *version, *style, *name, *info, *author;
    void* (*create)(void*);
    void* handle;
};

// Reads the build id of a loaded object from its note of type NT_GNU_BUILD_ID.
struct Search {
    std::uintptr_t address;  // of something in the object
    std::string build_id;
};

std::string build_id_of(const char* note, const char* end) {
    while (note + sizeof(ElfW(Nhdr)) <= end) {
        ElfW(Nhdr) head;
        std::memcpy(&head, note, sizeof head);
        const char* name = note + sizeof head;
        const char* content = name + (head.n_namesz + 3) / 4 * 4;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && !std::memcmp(name, "GNU", 4)) {
            std::string text;
            for (unsigned k = 0; k < head.n_descsz; ++k) {
                char digits[3];
                std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(content[k]));
                text += digits;
            }
            return text;
        }
        note = content + (head.n_descsz + 3) / 4 * 4;
    }
    return "";
}

int visit(dl_phdr_info* object, std::size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    bool inside = false;
    for (int k = 0; k < object->dlpi_phnum; ++k) {
        const auto& part = object->dlpi_phdr[k];
        const std::uintptr_t begin = object->dlpi_addr + part.p_vaddr;
        inside |= part.p_type == PT_LOAD && search.address >= begin && search.address < begin + part.p_memsz;
    }
    for (int k = 0; inside && search.build_id.empty() && k < object->dlpi_phnum; ++k) {
        const auto& part = object->dlpi_phdr[k];
        const auto* note = reinterpret_cast<const char*>(object->dlpi_addr + part.p_vaddr);
        if (part.p_type == PT_NOTE) search.build_id = build_id_of(note, note + part.p_memsz);
    }
    return inside;
}

void* create(void* lammps) {
    return new LAMMPS_NS::PairSitewise(static_cast<LAMMPS_NS::LAMMPS*>(lammps));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lammps,
                                                                         void* handle,
                                                                         void* registration) {
    Search search{reinterpret_cast<std::uintptr_t>(registration), ""};
    dl_iterate_phdr(visit, &search);
    if (search.build_id != SITEWISE_LAMMPS_BUILD) {
        std::fprintf(
            stderr,
            "pair_style sitewise is not available: the plugin was compiled for the LAMMPS with build id "
            "%s, this one has %s; run \"sitewise lammps\" to compile it anew\n",
            SITEWISE_LAMMPS_BUILD, search.build_id.empty() ? "none" : search.build_id.c_str());
        return;
    }
    Plugin plugin{};
    plugin.version = static_cast<LAMMPS_NS::LAMMPS*>(lammps)->version;
    plugin.style = "pair";
    plugin.name = "sitewise";
    plugin.info = "Behler-Parrinello neural network potentials of sitewise";
    plugin.author = "The sitewise developers";
    plugin.create = create;
    plugin.handle = handle;
    reinterpret_cast<void (*)(Plugin*, void*)>(registration)(&plugin, lammps);
}
