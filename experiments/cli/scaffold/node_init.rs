//@ gives the nodes of the disease graph their first features
//@ node_init = { type = "@NAME@", dim = 32 }
//! A node initialiser: codes → first node features, which are then trained.

use dualk_sdk::prelude::*;

// What a manifest can set, each with its default: `node_init = { type = "@NAME@", dim = 128 }`.
options! {
    /// Options of `@NAME@`.
    pub struct Options {
        /// Width of a vector.
        #[schemars(range(min = 1))]
        pub dim: usize = 64,
        /// What each beginning of a code adds to its vector.
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 100.0))]
        pub scale: f64 = 0.3,
    }
}

impl Component for Options {
    const NAME: &'static str = "@NAME@";
    const ABOUT: &'static str = "Codes that begin alike have alike vectors: each beginning sets one place.";
}

/// Vectors from the texts of codes: 428.0 and 428.1 share the places of 4, 42, 428 and 428., and differ in one.
#[derive(Debug)]
pub struct Beginnings {
    dim: usize,
    scale: f32,
}

impl BuildNodeInit for Options {
    fn build(self) -> Result<Box<dyn NodeInit>> {
        Ok(Box::new(Beginnings { dim: self.dim, scale: self.scale as f32 }))
    }
}

impl NodeInit for Beginnings {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        let nodes = context.codes.len();
        let mut values = vec![0f32; nodes * self.dim];
        // Code 0 is the empty text of the padding node, which keeps zeros.
        for (row, code) in values.chunks_mut(self.dim).zip(context.codes) {
            let ends = code.char_indices().map(|(start, c)| start + c.len_utf8());
            ends.for_each(|end| row[place(&code[..end], self.dim)] += self.scale);
        }
        let features = Tensor::from_data(TensorData::new(values, [nodes, self.dim]), context.device); // [nodes, dim]
        Ok(NodeFeatures { features, notes: vec![("codes with a vector from their text".into(), nodes as u64 - 1)] })
    }
}

/// A place that is the same in every run: FNV-1a of the text.
fn place(text: &str, dim: usize) -> usize {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash % dim as u64) as usize
}

export_plugin! { node_init: Options }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_begin_alike_are_near() {
        let codes = ["", "428.0", "428.1", "250.0"].map(String::from);
        let context = NodeInitContext { codes: &codes, device: &Device::flex() };
        let features = Options::default().build().unwrap().init(&context).unwrap().features;
        assert_eq!(features.dims(), [4, 64]);
        let values: Vec<f32> = features.into_data().iter::<f32>().collect();
        let product = |a: usize, b: usize| (0..64).map(|i| values[a * 64 + i] * values[b * 64 + i]).sum::<f32>();
        assert!(product(0, 0) == 0.0 && product(1, 2) > product(1, 3));
    }

    // Shapes, unknown codes, wrong options: `cargo test` says what is wrong with any of it.
    #[test]
    fn it_is_sound() {
        dualk_sdk::testing::check_node_init(Options::default());
    }
}
