//! What the layers with several heads share.

use dualk_sdk::burn::module::Initializer;
use dualk_sdk::component::last_width;
use dualk_sdk::prelude::*;

/// The last width, or an error naming the key unless there are widths and `heads` divides them.
pub fn check_heads(dims: &[usize], heads: usize) -> Result<usize> {
    let width = last_width("dims", dims)?;
    match dims.iter().find(|dim| !dim.is_multiple_of(heads)) {
        None => Ok(width),
        Some(dim) => {
            let message = format!("expected a number that divides every width in `dims`, found {heads}");
            Err(Error::user(message).at_key("heads").help(format!("{dim} is not a multiple of it")))
        }
    }
}

/// A vector for each head. PyG's glorot takes the last two dimensions for fan-in and fan-out.
///
/// # Shapes
/// - output: `[1, heads, d]`
pub fn glorot_vectors(heads: usize, d: usize, device: &Device) -> Param<Tensor<3>> {
    Initializer::XavierUniform { gain: 1.0 }.init_with([1, heads, d], Some(heads), Some(d), device)
}
