"""docs/checks.md promises only what tests prove.

Each point of the page has its tests here, its messages and options are in the sources, and nothing else is on the page.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from sitewise.cli import app
from sitewise.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "checks.md"

# For each point, by the claim that it begins with, the tests that prove it: file and name without "test_".
PROOFS = {
    # How sitewise speaks
    "A mistake ends a command with one sentence.": """cli: missing_files bad_structures damaged_potentials
        wrong_usage_is_status_2; readers: bad_input_data""",
    "A doubt is a warning.": "label_units: evaluate_warns_and_writes_it",
    "All mistakes in RUN.toml are named together.": """config: every_mistake_is_told mistakes_name_the_key;
        cli: typo_in_run_toml""",
    "An output file appears whole or not at all.": """files: failure_keeps_the_old_file_and_leaves_nothing;
        runs: full_disk_while_writing a_device_is_not_replaced; cli: unwritable_outputs""",
    "Lost results are an error.": "runs: streams_that_are_closed_or_full",
    # Reading structures
    "A file gives the same numbers in every command.": """readers: units_in_every_command units_and_formats_agree
        a_run_reads_as_other_commands_do; labels: labels_are_converted_to_the_bit""",
    "Differences in notation do not matter.": """readers: input_data_in_every_guise extended_xyz_in_every_guise
        compressed_input_data""",
    "Values that are not finite numbers are refused.": """readers: bad_input_data bad_extended_xyz;
        dataset: nan_position bad_labels_name_file_and_structure""",
    "A file that is cut short or glued together is refused.": """dataset: files_cut_short_or_strange;
        readers: bad_input_data bad_extended_xyz""",
    "Columns that do not match their description are refused.": "readers: bad_extended_xyz",
    "Columns without a name are not read.": "readers: columns_without_names_are_said",
    "A header that ASE would misread is refused.": "readers: bad_extended_xyz periodic_directions",
    "A structure needs atoms, an atom needs an element, and a periodic structure needs a cell.": """readers:
        bad_extended_xyz""",
    "Atom types are not taken for elements.": "convert: lammps_dumps_without_elements_are_refused",
    "A LAMMPS data file may have any name.": "readers: lammps_data_by_any_name",
    "A file of no known format is refused.": "readers: files_of_no_format",
    "A file that is given twice is refused.": "readers: a_file_given_twice",
    "Two atoms at one place are refused.": """neighbors: bad_input_is_named; evaluate: bad_structures;
        training: mistakes_leave_nothing_behind; lammps: atoms_at_one_place_are_told""",
    "A total charge is ignored, with a warning.": "readers: a_total_charge_is_said_to_be_ignored",
    # Units
    "Units are printed with what was read.": "readers: units_are_said units_in_every_command units_in_a_run",
    "An unknown unit is refused.": "readers: unknown_units units_in_a_run",
    "A file that has its own units keeps them.": "readers: units_of_a_format_that_has_its_own",
    "A unit may be given only once.": "readers: units_of_convert",
    "Stress may be in GPa or kbar if you say so.": "labels: stress_units_by_option_and_by_run_toml",
    # Plausibility
    "Distances are compared with those in crystals and molecules.": """plausibility: water_in_wrong_units
        the_unit_that_may_be_meant every_command_says_it""",
    "Atoms that overlap are named.": "plausibility: one_overlapping_pair_is_named",
    "Forces are compared with the scatter of distances.": "plausibility: energies_and_forces_of_different_units",
    "Energies are compared with forces.": "plausibility: energies_and_forces_of_different_units",
    "The scatter of energies is compared with that of distances.": "plausibility: energies_without_forces",
    "A cutoff above 9 \u00c5 is doubted.": "plausibility: a_cutoff_that_may_be_in_bohr",
    # Labels
    "A name that no structure has is refused.": """labels: a_key_that_no_structure_has_is_refused keys_alike_are_named
        evaluate_refuses_a_typo""",
    "The sources of labels are counted.": "labels: sources_are_said",
    "A mixture of sources is refused.": """labels: mixtures_are_refused_unless_allowed
        mixtures_by_option_and_by_run_toml test_structures_that_are_trained_on_are_said""",
    "Unused data that look like labels are listed.": "labels: what_looks_like_a_label_is_listed_once",
    "A virial is not a stress.": """labels: a_virial_is_not_taken_unless_it_is_named
        every_convention_is_the_derivative_of_the_energy six_numbers_of_a_virial_in_extended_xyz""",
    "Stresses of atoms are not read.": "labels: stresses_of_atoms_are_no_stress",
    "Labels are compared with each other before training.": """consistency: a_label_that_does_not_fit_is_named
        energies_and_forces_alone_show_it labels_that_fit_are_not_suspected what_tells_nothing_is_passed_over
        training_warns_and_writes_it""",
    "A stress that is not symmetric is refused.": "labels: nine_numbers_that_are_not_symmetric_are_no_stress",
    "Stresses that are far too large give a warning.": """label_units:
        stresses_that_no_matter_bears_are_said_before_training a_run_warns_of_stresses""",
    "Stresses that a warning is about are not trained on by default.": """settled:
        stress_weight_is_settled_except_for_the_recipes_of_the_paper""",
    "A label of the wrong size or type is refused.": """dataset: bad_labels_name_file_and_structure;
        readers: bad_extended_xyz""",
    "Stress of a slab or cluster is ignored.": "dataset: stress_of_a_slab_is_ignored_and_told",
    "A weight for a label that no structure has is refused.": """labels:
        a_weight_for_a_label_that_no_structure_has_is_refused""",
    "Data without any label are refused, where labels are needed.": "cli: no_labels",
    # What is unknown stays unknown
    "A missing label is never written as 0.": """labels: missing_labels_stay_missing
        structures_without_any_label_come_back_without""",
    "`input.data` cannot say that a label is missing.": "labels: input_data_does_not_hold_unknown_labels",
    "A label or group that a format has no place for is named.": """labels:
        stresses_that_input_data_does_not_hold_are_said groups_that_input_data_does_not_hold_are_said;
        convert: what_a_format_does_not_hold_is_said""",
    "`diagnose` counts energies that exist.": "labels: diagnosis_counts_the_energies_that_exist",
    "Elements without any energy are named.": "labels: forces_alone_and_elements_without_energy_are_warned_of",
    "Training on forces alone gives a warning.": "labels: forces_alone_and_elements_without_energy_are_warned_of",
    "Training on energies alone is reported.": "labels: energies_alone_are_trained_on_with_a_word",
    # Outputs of DFT programs
    "Steps that did not converge are left out.": """dft_output: steps_of_vasp_that_did_not_converge
        steps_of_espresso_that_did_not_converge; readers: units_in_a_run""",
    "Steps of VASP's machine-learned force field are left out.": """dft_output: machine_learned_steps;
        readers: units_in_a_run""",
    "HDF5 is read in a layout that is known, or refused.": """hdf5: what_cannot_be_read_as_meant_is_refused
        units_of_attributes_must_be_those_that_are_given what_is_assumed_and_left_out_is_said labels_of_other_names""",
    "A file is refused if no step remains.": "dft_output: nothing_converged only_machine_learned_steps",
    "A run that was cut keeps its whole steps.": "dft_output: a_run_cut_within_a_step",
    "An output of CP2K is refused.": "readers: an_output_of_cp2k",
    # Potentials
    "Every keyword of `input.nn` is known.": """keywords: each_keyword_stands_once_with_a_reason
        keywords_without_effect_have_none; cli: damaged_potentials""",
    "A keyword for an energy that is not computed is refused.": """keywords:
        refused_keywords_say_where_and_what_to_do values_that_are_refused""",
    "The inner cutoff is used.": """keywords: the_inner_cutoff_as_keyword_and_as_argument inner_cutoffs
        cutoff_functions_that_are_refused""",
    "A file that n2p2 and RuNNer read differently is refused if it is RuNNer's.": """keywords:
        atom_energies_of_n2p2_and_runner cutoff_functions_that_are_refused
        shifts_of_angular_functions_are_n2p2s element_nodes_with_two_meanings""",
    "Assumed settings are listed.": "keywords: without_cutoff_type_it_is_the_cosine_and_info_says_so",
    "Damaged files are refused.": "cli: damaged_potentials; format: mistakes_in_the_other_files",
    "Scaling that no data can have is refused.": """format: mistakes_in_the_other_files;
        keywords: a_mean_outside_of_the_range_is_refused_where_it_is_used values_without_a_meaning""",
    "Rows of weights must have one form.": """keywords: rows_of_weights_that_are_cut_or_hold_other_numbers
        weights_with_their_places""",
    "Energies and forces must be finite.": "keywords: numbers_too_large_for_results_are_an_error",
    "Error bars belong to the weights they were made for.": """posterior: a_posterior_of_other_weights_is_not_used
        a_damaged_file_is_refused""",
    "An ensemble must be whole.": """keywords: committees_that_are_not_whole;
        ensemble: members_that_do_not_belong_together_are_refused""",
    "An element that the potential does not know is refused.": "evaluate: bad_structures",
    "Extrapolation is counted.": """cli: predict; calculator: extrapolation_is_told_once_an_interval
        extrapolation_can_stop_the_run_or_be_silent""",
    "A potential that CP2K cannot compute is not converted for it.": "foreign_readers: what_cp2k_lacks_is_told",
    "Predictions lose no digits.": "labels: predictions_are_read_to_the_bit what_is_written_is_read_by_ase_to_the_bit",
    "An output file has the name of its format.": """convert: predictions_have_the_name_of_their_format
        names_of_no_format""",
    # In LAMMPS
    "Atoms that LAMMPS excludes have no energy.": """lammps: grand_canonical_ideal_gas
        atoms_that_are_excluded_from_all_are_not_there""",
    "A run ends if a command keeps neighbours apart.": """lammps: neighbors_that_are_taken_away_are_told
        bonded_atoms_are_neighbors""",
    "Another pair style may not take pairs.": "lammps: pairs_taken_by_another_style_are_told",
    "Wrong settings are refused.": "lammps: mistakes_are_told_in_one_sentence",
    "Extrapolation is summed up.": """lammps: extrapolation_is_told_once_an_interval the_worst_atom_of_all_ranks
        too_many_extrapolations_stop_the_run""",
    "A potential file that changes during a run does not change it.": """lammps:
        a_file_that_changes_under_way_changes_nothing ranks_that_read_different_files_are_told""",
    "Code is loaded only from your own cache.": """lammps: a_plugin_that_others_can_write_is_not_loaded
        a_plugin_of_somebody_else_is_not_loaded a_link_to_a_plugin_is_not_loaded""",
    "A plugin works only in the LAMMPS that it was compiled for.": "lammps: a_plugin_for_another_lammps_stays_out",
    # Processes and threads
    "Forked processes compute.": """processes: pools_of_forked_processes_compute children_of_a_fresh_process_compute
        a_forked_process_has_one_thread""",
    "A GPU is refused after a fork.": "processes: cuda_is_refused_after_a_fork",
    "Potentials, ensembles, calculators and data can be pickled and copied.": """processes:
        copies_of_potentials_compute_the_same copies_of_ensembles_compute_the_same copies_of_calculators_go_on
        copies_of_data_are_the_same a_pickle_of_another_version_is_refused""",
    "Threads may share a calculator or neighbour list.": """processes: threads_share_a_neighbor_list
        threads_share_a_calculator""",
    "A thread cannot change what another one uses.": "processes: what_a_thread_uses_is_not_changed_by_another",
    "Impossible arrays are refused.": """processes: atomic_numbers_out_of_range_are_refused
        arrays_that_cannot_be_meant_are_refused""",
    # Files that you do not trust
    "A name is only text.": """hostile: names_in_tables_and_pictures names_in_information names_in_a_run names_of_files;
        report: names_are_no_part_of_the_page structures_turn_in_a_browser_without_network""",
    "Absurd sizes end at once.": """hostile: data_of_absurd_sizes absurd_configurations;
        keywords: absurd_files_end_in_one_sentence_at_once more_weights_than_the_file_has""",
    "A small file cannot fill the disk.": """hostile: data_that_unpack_to_gigabytes
        a_large_file_that_unpacks_too_far_is_not_unpacked_to_its_end""",
    "A file name cannot call a server.": "hostile: no_database_is_called_by_the_name_of_a_file",
    "A checkpoint that was changed is refused.": """hostile: a_flipped_byte_of_a_checkpoint
        a_checkpoint_that_another_program_made a_checkpoint_that_unpacks_to_gigabytes;
        runs: a_checkpoint_with_other_arrays_is_refused; training: damaged_checkpoint""",
    # Runs
    "A folder belongs to one run at a time.": """runs: a_folder_is_one_runs_at_a_time
        the_second_of_two_runs_ends_and_the_first_does_not_notice""",
    "A run is not overwritten.": """cli: existing_run_is_not_overwritten;
        training: interrupted_and_resumed_run_gives_the_same_numbers""",
    "Test structures that are also trained on are counted.": """labels: test_structures_that_are_trained_on_are_said;
        training: structures_in_both_sets_are_told structures_in_one_set_are_not_told""",
    "A run that was killed continues to the same numbers.": """training:
        interrupted_and_resumed_run_gives_the_same_numbers any_checkpoint_leads_to_the_same_end""",
    "Settings or data that changed are not resumed.": """runs: what_changes_numbers_is_part_of_a_runs_identity
        every_setting_is_part_of_a_runs_identity; training: another_run_cannot_be_resumed""",
    "Leftovers of killed runs are removed.": """runs: leftovers_of_killed_runs_are_removed
        only_a_dead_process_leaves_leftovers""",
    "A damaged cache is noticed.": """feature_cache: damaged_file_is_computed_anew;
        runs: a_cache_that_changes_in_use_is_noticed""",
    "Ctrl-C and SIGTERM end a command with one sentence.": """runs: a_signal_amid_the_imports
        a_signal_ends_every_command_without_leftovers; training: interrupted_and_resumed_run_gives_the_same_numbers""",
    "A lost MPI rank ends the run.": "ranks: lost_rank_ends_the_run_which_resumes mistake_is_told_once",
    "A file system without locks gives a warning.": "runs: without_locks_a_run_warns",
    "A run that diverges ends.": """training: diverging_run_names_its_place_and_keeps_the_best
        a_run_that_diverges_names_the_worst_structure""",
    "Functions without information are dropped.": "training: functions_that_tell_nothing_are_dropped",
    "A pair table must end in 0.": "pair_tables: mistakes_in_a_table",
    "The forces of a pair table must belong to its energies.": """pair_tables:
        forces_that_do_not_belong_to_the_energies""",
    "A pair table must begin below the shortest distance in the data.": "pair_tables: tables_that_do_not_fit_the_data",
    "Exact energies of free atoms must agree with the data.": "weights: free_atoms_that_cannot_be_exact",
    # After training
    "Labels of another unit or sign are recognised.": """label_units: known_factors_are_said
        evaluate_warns_and_writes_it a_run_warns_and_writes_it other_slopes_are_not_called_units""",
    "Structures that stand out are listed.": "training: outliers_are_named",
    "Wrong atomic energies give a warning even if totals are right.": """monitoring:
        the_warning_names_the_worst_point_that_counts""",
    "Undetermined energies are reported.": "labels: diagnosis_counts_the_energies_that_exist; diagnose: targets",
    "Atomic energies of another code must sum to its total energy.": """models: models_that_are_refused
        a_column_without_the_energies_of_free_atoms_is_refused""",
    "Suggestions have no overlapping atoms.": "suggestions: close_atoms_are_implausible what_is_made_is_plausible",
    # No false alarms
    "Good data are read without a warning.": """examples: data_are_read_without_a_warning;
        plausibility: no_false_alarm no_false_alarm_for_all_together no_false_alarm_for_published_data""",
    "A bad potential is not taken for a wrong unit.": """label_units: a_bad_potential_is_no_false_alarm
        other_slopes_are_not_called_units""",
    "The output of `predict` can be read as data.": "labels: predictions_are_read_without_a_word",
}

# Small inputs that once went wrong without a word, by the tests that make the like and know the right value.
CASES = {
    "unknown labels that are converted to input.data": "labels: input_data_does_not_hold_unknown_labels",
    "an inner cutoff as RuNNer's keyword": "keywords: the_inner_cutoff_as_keyword_and_as_argument inner_cutoffs",
    "elements that have forces but no energy, in diagnose": "labels: diagnosis_counts_the_energies_that_exist",
    "neighbours that neigh_modify exclude takes away": "lammps: neighbors_that_are_taken_away_are_told",
    "a process that has computed and forks": "processes: children_of_a_fresh_process_compute",
    "the number of atoms of an ideal gas in fix gcmc": "lammps: grand_canonical_ideal_gas",
    "a closing script tag in a group's name": "report: names_are_no_part_of_the_page",
    "two layers of 20000 nodes and a short file of weights": "keywords: more_weights_than_the_file_has",
    "a typo in the name of a label": """labels: a_key_that_no_structure_has_is_refused evaluate_refuses_a_typo
        a_weight_for_a_label_that_no_structure_has_is_refused""",
    "a virial named as stress": """labels: a_virial_is_not_taken_unless_it_is_named
        every_convention_is_the_derivative_of_the_energy; label_units: a_virial_taken_for_a_stress""",
    "a group named as a closing tag of the terminal's markup": "hostile: names_in_tables_and_pictures",
    "input.data in eV and Angstrom": "readers: units_and_formats_agree units_in_every_command",
}

QUOTED = re.compile("\u201c([^\u201d]+)\u201d")
SPAN = re.compile(r"`([^`]+)`")


def points() -> dict[str, str]:
    """Return the points of the page by the claims that they begin with."""
    found = {}
    for item in re.findall(r"^- (.+(?:\n  .+)*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        text = " ".join(item.split())
        claim, bold, rest = text.removeprefix("**").partition("**")
        assert text.startswith("**"), text
        assert bold, text
        assert claim not in found
        found[claim] = rest
    return found


def named_by(proof: str) -> Iterator[tuple[str, str]]:
    for part in proof.split(";"):
        file, _, names = part.partition(":")
        assert names.split(), proof
        for name in names.split():
            yield f"test_{file.strip()}.py", f"test_{name}"


@cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def strings_of_python(path: Path) -> list[str]:
    """Return all strings but docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    constants = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documented)
    return [n.value for n in constants if isinstance(n.value, str)]


def strings_of_cpp(path: Path) -> list[str]:
    """Return all strings, adjacent ones joined, without the places of a format."""
    literal = r'"(?:[^"\\\n]|\\.)*"'
    found = re.findall(rf"{literal}(?:\s*{literal})*", path.read_text(encoding="utf-8"))
    joined = (re.sub(r'"\s*"', "", text)[1:-1].replace('\\"', '"') for text in found)
    return [part for text in joined for part in re.split(r"\{[^{}]*\}", text)]


@cache
def sources() -> list[tuple[set[str], str]]:
    """Return the strings of each source file, except single words that are no part of a sentence; also all in one."""
    files = [strings_of_python(path) for path in (ROOT / "python").rglob("*.py")]
    files += [strings_of_cpp(path) for path in (ROOT / "cpp").rglob("*pp")]
    kept = [{" ".join(s.split()) for s in strings if " " in s or not s.isalnum()} for strings in files]
    return [(strings | {s.strip(" :;,()") for s in strings}, "\0".join(strings)) for strings in kept]


def is_said(message: str) -> bool:
    """Test whether one source file has all parts of a message that are not in italics."""
    parts = [part.strip() for part in re.split(r"\*[^*]+\*|\.\.\.", message)]
    return any(all(_made_of(part, *source) for part in parts) for source in sources())


def _made_of(text: str, strings: set[str], joined: str) -> bool:
    """Test whether a text is made of whole strings, or of three or more consecutive words of one."""
    if not text:
        return True
    ends = (end for end in range(len(text), 0, -1) if not text[end - 1 : end + 1].isalnum() or end == len(text))
    return any(
        (head in strings or (head.count(" ") > 1 and head in joined)) and _made_of(text[end:].strip(), strings, joined)
        for end, head in ((end, text[:end].strip()) for end in ends)
    )


def test_each_point_of_the_page_has_its_tests() -> None:
    assert list(points()) == list(PROOFS)


def test_nothing_else_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rest = re.sub(r"^- .+(?:\n  .+)*\n|^#+ .+\n", "", text, flags=re.MULTILINE)
    assert " ".join(rest.split()).endswith("Each point is tested: `tests/test_checks_page.py` names its tests.")
    assert len(rest.strip().splitlines()) <= 3


@pytest.mark.parametrize("proof", [*PROOFS.values(), *CASES.values()], ids=[*PROOFS, *CASES])
def test_the_tests_are_there(proof: str) -> None:
    for file, name in named_by(proof):
        assert name in defined_in(file), file


@pytest.mark.parametrize(("claim", "text"), points().items(), ids=points())
def test_messages_stand_in_the_sources(claim: str, text: str) -> None:
    for message in QUOTED.findall(text):
        assert is_said(message), message


def test_a_message_that_nobody_says_is_noticed() -> None:
    assert is_said("no structure has *x*, named as *y*")
    assert not is_said("no structure has *x*, called *y*")
    assert not is_said("no structures has *x*")
    assert not is_said("did not converge, keeps atom")


def test_options_and_settings_are_those_of_sitewise() -> None:
    text = " ".join(points().values())
    commands = typer.main.get_command(app).commands.values()
    options = {name for command in commands for each in command.params for name in each.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z-]+", text))
    assert named <= options
    assert len(named) > 8
    data = Config.parse({"data": {"train": "a.xyz"}}).data.model_dump()
    settings = {span.split()[0] for span in SPAN.findall(text) if " = " in span}
    assert settings | {"length_unit", "energy_unit", "stress_unit"} <= set(data)
    assert len(settings) == 3
