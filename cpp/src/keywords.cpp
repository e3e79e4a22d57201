#include "keywords.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "text.hpp"

namespace sitewise {
namespace {

constexpr auto used = KeywordStatus::used;
constexpr auto without_effect = KeywordStatus::without_effect;
constexpr auto refused = KeywordStatus::refused;
constexpr auto n2p2 = KeywordOwner::n2p2;
constexpr auto runner = KeywordOwner::runner;
constexpr auto both = KeywordOwner::both;
constexpr auto none = KeywordOwner::none;

struct KeywordGroup {
    KeywordStatus status;
    KeywordOwner owner;
    const char* names;
    const char* reason;
};

constexpr KeywordGroup groups[] = {
    {used, both, "number_of_elements elements", "the elements"},
    {used, both, "atom_energy", "energies of free atoms, added to the networks' output"},
    {used, runner, "remove_atom_energies",
     "without it RuNNer does not add atom_energy, n2p2 always does; a file with other keywords of RuNNer "
     "alone and an atom_energy that is not 0 needs it"},
    {used, both, "cutoff_type",
     "number of the cutoff function and, as n2p2 has it, alpha; 1 where it is missing"},
    {used, runner, "cutoff_alpha",
     "the inner cutoff divided by the cutoff, as the second value of cutoff_type"},
    {used, both, "symfunction_short", "a symmetry function; RuNNer's type 1 is read as type 2 with eta = 0"},
    {used, n2p2, "symfunction", "n2p2's other name of symfunction_short"},
    {used, runner, "element_symfunction_short",
     "a symmetry function of one element for all neighbour elements or pairs of them"},
    {used, runner, "global_symfunction_short global_symfunction_short_atomic", "the same for all elements"},
    {used, both, "scale_symmetry_functions center_symmetry_functions", "the scaling of symmetry functions"},
    {used, n2p2, "scale_symmetry_functions_sigma", "n2p2's scaling by the standard deviation"},
    {used, both, "scale_min_short scale_max_short",
     "the range of scaled symmetry functions, 0 to 1 if missing"},
    {used, runner, "scale_min_short_atomic scale_max_short_atomic", "RuNNer's names of the same"},
    {used, both, "global_hidden_layers_short global_nodes_short global_activation_short",
     "the shape of the networks"},
    {used, runner, "global_nodes_short_atomic", "RuNNer's other name of global_nodes_short"},
    {used, both, "element_hidden_layers_short element_nodes_short element_activation_short",
     "the shape of one element's network: a number for each layer (n2p2) or a layer and its number (RuNNer)"},
    {used, both, "normalize_nodes", "sums at the nodes are divided by the number of nodes before them"},
    {used, n2p2, "mean_energy conv_energy conv_length", "n2p2's normalisation of the data"},
    {used, n2p2, "normalize_data_set",
     "weights that were trained with it need mean_energy, conv_energy and conv_length, which n2p2 writes"},
    {used, n2p2, "nnp_type nnp_generation nnp_type_gen",
     "2 alone, potentials of short range; 3 and 4 are refused"},
    {used, both, "nnp_gen", "2 alone, potentials of short range; 3 and 4 are refused"},
    {used, runner, "nn_type_short nn_type", "1 alone, networks of atoms; 2, networks of pairs, is refused"},
    {used, runner, "use_short_nn", "must not be switched off"},
    {used, both, "committee_mode committee_size",
     "in the folder of an ensemble, whose numbered subfolders are the members"},
    {used, none, "baseline_zbl",
     "the screened repulsion of nuclei that the networks are added to, with the distances between which it "
     "is switched off; only sitewise knows it, LAMMPS's pair_style zbl adds the same"},
    {used, none, "baseline_table",
     "two elements whose pair potential in baseline.table the networks are added to; only sitewise knows it, "
     "LAMMPS's pair_style table adds the same"},

    {refused, runner, "use_electrostatics",
     "electrostatic energies are not computed: evaluate this potential with RuNNer; if it was trained "
     "without them, remove the keyword"},
    {refused, runner, "electrostatic_type use_electrostatic_nn use_fixed_charges",
     "it belongs to use_electrostatics, and electrostatic energies are not computed: evaluate this potential "
     "with RuNNer; if it was trained without them, remove the keyword"},
    {refused, runner,
     "use_vdw use_vdW remove_vdw_energies vdw_type vdW_type nn_type_vdw vdw_coefficient vdW_coefficient "
     "vdw_screening vdW_screening vdw_param cutoff_vdw",
     "dispersion energies are not computed: evaluate this potential with RuNNer; if it was trained without "
     "them, remove the keyword"},
    {refused, runner, "use_hamiltonian nn_type_nntb",
     "networks of Hamiltonians are not computed: evaluate this potential with RuNNer"},
    {refused, runner, "node_activation_short",
     "networks have one activation function for each layer: name it with global_activation_short if all "
     "nodes of a layer share it"},
    {refused, runner,
     "global_output_nodes_short global_output_nodes_electrostatic global_output_nodes_pair "
     "global_output_nodes_ham",
     "networks have one output: remove the keyword, as RuNNer asks too"},

    {without_effect, runner, "nn_type_elec fixed_charge enforce_totcharge",
     "kind of electrostatics, which use_electrostatics alone, a refused keyword, switches on"},
    {without_effect, both,
     "screen_electrostatics global_hidden_layers_electrostatic global_nodes_electrostatic "
     "global_activation_electrostatic element_hidden_layers_electrostatic element_nodes_electrostatic "
     "element_activation_electrostatic",
     "electrostatics, which nnp_type 4 or use_electrostatics, both refused, switch on"},
    {without_effect, n2p2,
     "fixed_gausswidth initial_hardness ewald_truncation_error_method ewald_prec four_pi_epsilon conv_charge",
     "electrostatics, which nnp_type 4, a refused value, switches on"},
    {without_effect, runner,
     "use_gausswidth ewald_alpha ewald_cutoff ewald_kmax symfunction_electrostatic "
     "element_symfunction_electrostatic global_symfunction_electrostatic global_symfunction_elec "
     "scale_min_elec scale_max_elec use_atom_charges",
     "electrostatics, which use_electrostatics, a refused keyword, switches on"},
    {without_effect, runner,
     "pairsymfunction_short element_pairsymfunction_short global_pairsymfunction_short "
     "global_symfunction_short_pair global_hidden_layers_pair global_nodes_pair global_nodes_short_pair "
     "global_activation_pair element_hidden_layers_pair element_nodes_pair element_activation_pair "
     "scale_min_short_pair scale_max_short_pair",
     "networks of pairs, which nn_type_short 2, a refused value, switches on"},
    {without_effect, runner,
     "global_hidden_layers_ham global_nodes_ham global_activation_ham element_hidden_layers_ham "
     "element_nodes_ham element_activation_ham element_hamsymfunction global_symfunction_nntb_Hpair "
     "global_symfunction_nntb_Hatomic global_symfunction_nntb_Hext global_symfunction_nntb_S "
     "symfunction_nntb_Hatomic scale_min_ham scale_max_ham basis",
     "networks of Hamiltonians, which use_hamiltonian, a refused keyword, switches on"},
    {without_effect, both,
     "random_seed test_fraction epochs use_short_forces charge_fraction use_old_weights_short "
     "use_old_weights_charge weights_min weights_max nguyen_widrow_weights_short precondition_weights "
     "repeated_energy_update kalman_epsilon kalman_lambda_short kalman_nue_short kalman_q0 kalman_qtau "
     "kalman_qmin short_energy_error_threshold short_force_error_threshold short_energy_fraction "
     "short_force_fraction parallel_mode write_trainpoints write_trainforces write_traincharges "
     "write_weights_epoch",
     "training, its output and its speed"},
    {without_effect, n2p2,
     "rmse_threshold rmse_threshold_energy rmse_threshold_force rmse_threshold_charge rmse_threshold_trials "
     "rmse_threshold_trials_energy rmse_threshold_trials_force rmse_threshold_trials_charge energy_fraction "
     "force_fraction force_energy_ratio nguyen_widrow_weights_charge main_error_metric write_neuronstats "
     "write_trainlog updater_type jacobian_mode update_strategy selection_mode selection_mode_energy "
     "selection_mode_force selection_mode_charge task_batch_size_energy task_batch_size_force "
     "task_batch_size_charge gradient_type gradient_eta gradient_adam_eta gradient_adam_beta1 "
     "gradient_adam_beta2 gradient_adam_epsilon kalman_type kalman_eta kalman_etatau kalman_etamax "
     "memorize_symfunc_results force_weight",
     "n2p2's training, its output and its speed"},
    {without_effect, runner,
     "runner_mode parallel_run points_in_memory nblock use_omp_mkl use_atom_energies bond_threshold "
     "energy_threshold force_threshold max_energy max_force fitmode fitting_unit mix_all_points "
     "optmode_short_energy optmode_short_force optmode_charge kalman_lambda_charge "
     "kalman_lambda_charge_constraint kalman_nue_charge kalman_nue_charge_constraint kalman_damp_short "
     "kalman_damp_force kalman_damp_charge steepest_descent_step_energy_short "
     "steepest_descent_step_force_short steepest_descent_step_charge scale_energy scale_force "
     "short_force_group short_energy_group energy_group force_group charge_group force_update_scaling "
     "charge_update_scaling charge_error_threshold total_charge_error_threshold "
     "fixed_short_energy_error_threshold fixed_short_force_error_threshold force_grouping_by_structure "
     "charge_grouping_by_structure dynamic_force_grouping dynforcegroup_start dynforcegroup_step "
     "joint_energy_force_update separate_kalman_short element_decoupled_kalman element_decoupled_forces_v2 "
     "reset_kalman save_kalman_matrices read_kalman_matrices restart_old_fit use_noisematrix noise_energy "
     "noise_force noise_charge use_damping weight_constraint weighte_constraint restrict_weights fix_weights "
     "shuffle_weights_short_atomic use_systematic_weights_short use_systematic_weights_electrostatic "
     "regularize_fit_param separate_bias_ini_short biasweights_min biasweights_max weightse_min weightse_max "
     "nguyen_widrow_weights_ewald number_of_short_weights update_single_element update_worst_short_energies "
     "update_worst_short_forces update_worst_charges use_charge_constraint use_old_scaling growth_mode "
     "grow_mode initialization_only random_number_type random_order_training do_gridsearch worst_points "
     "saturation_threshold detect_saturation finalforce_threshold calculate_final_force "
     "enforce_max_num_neighbors_atomic",
     "RuNNer's training, its data and its speed"},
    {without_effect, runner,
     "analyze_composition analyze_error analyze_error_energy_step analyze_error_force_step "
     "analyze_error_charge_step calculate_forces calculate_stress calculate_hessian calculate_frequencies "
     "calculate_normalmodes atom_mass check_forces check_input_forces data_clustering debug_mode "
     "detailed_timing detailed_timing_epoch enable_on_the_fly_input environment_analysis find_contradictions "
     "ion_forces_only maxnum_extrapolation_warnings md_mode mode_detailed prepare_md print_all_deshortdw "
     "print_all_dfshortdw print_all_electrostatic_weights print_all_short_weights print_convergence_vector "
     "print_date_and_time print_force_components print_mad print_sensitivity read_unformatted silent_mode "
     "symfunction_correlation weight_analysis write_binding_energy_only write_fit_statistics write_pdb "
     "write_pov write_pwscf write_symfunctions write_temporary_weights write_unformatted "
     "write_weightse_epoch write_xyz",
     "what else RuNNer computes, checks and writes"},
};

std::vector<Keyword> every_keyword() {
    std::vector<Keyword> all;
    for (const KeywordGroup& group : groups)
        for (const std::string& name : split(group.names))
            all.push_back({name, group.status, group.owner, group.reason});
    return all;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
        }
    }
    return row[b.size()];
}

}  // namespace

const std::vector<Keyword>& keywords() {
    static const std::vector<Keyword> all = every_keyword();
    return all;
}

const Keyword* find_keyword(const std::string& name) {
    static const auto index = [] {
        std::map<std::string, const Keyword*> places;
        for (const Keyword& k : keywords()) places.emplace(k.name, &k);
        return places;
    }();
    const auto found = index.find(name);
    return found == index.end() ? nullptr : found->second;
}

const std::string& canonical(const std::string& name) {
    static const std::map<std::string, std::string> others{
        {"symfunction", "symfunction_short"},
        {"global_symfunction_short_atomic", "global_symfunction_short"},
        {"global_nodes_short_atomic", "global_nodes_short"},
        {"scale_min_short_atomic", "scale_min_short"},
        {"scale_max_short_atomic", "scale_max_short"},
        {"nnp_generation", "nnp_type"},
        {"nnp_type_gen", "nnp_type"},
        {"nnp_gen", "nnp_type"},
        {"nn_type", "nn_type_short"}};
    const auto found = others.find(name);
    return found == others.end() ? name : found->second;
}

std::string nearest_keyword(const std::string& word) {
    std::string nearest;
    std::size_t least = 4;  // further away is no typing mistake
    if (word.size() > 60) return nearest;
    for (const Keyword& known : keywords()) {
        const std::size_t length = known.name.size();
        if (length >= word.size() + least || word.size() >= length + least) continue;
        if (const std::size_t d = edit_distance(word, known.name); d < least) {
            least = d;
            nearest = known.name;
        }
    }
    return nearest;
}

}  // namespace sitewise
