//! The plugins of a small experiment.

use dualk_sdk::plugin::{Registrar, Registry};

/// Adds the components of a plugin that is linked into the test.
pub type Register = fn(&mut Registrar<'_>);

/// What every experiment here needs.
const OF_ALL: [Register; 10] = [
    dualk_plugin_encoder_gat::register,
    dualk_plugin_encoder_gcn::register,
    dualk_plugin_fusion_attention::register,
    dualk_plugin_head_layers::register,
    dualk_plugin_init_codes::register,
    dualk_plugin_lab_layers::register,
    dualk_plugin_losses::register,
    dualk_plugin_objectives::register,
    dualk_plugin_patient_fusions::register,
    dualk_plugin_recipe_dualk::register,
];

/// A registry with these and further ones, such as that of a parser.
pub fn registry(further: &[Register]) -> Registry {
    OF_ALL.iter().chain(further).fold(Registry::new(), |registry, plugin| registry.with(*plugin).unwrap())
}
