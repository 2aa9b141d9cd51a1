//! `one_hot_hierarchy`: which ancestors a code has.

use dualk_sdk::data::hierarchy::{Icd, ancestors};
use dualk_sdk::prelude::*;
use std::collections::BTreeMap;

options! {
    /// Options of `one_hot_hierarchy`.
    pub struct HierarchyOptions {
        /// Edition of the codes: `icd9` or `icd10`.
        pub edition: Icd = Icd::Icd9,
        /// Whether a code has a column of its own beside those of its ancestors. Codes that share all ancestors start
        /// equal without it.
        pub own: bool = true,
    }
}

impl Component for HierarchyOptions {
    const NAME: &'static str = "one_hot_hierarchy";
    const ABOUT: &'static str = "Ones for a code and for its ancestors: subcategories, category and chapter.";
}

/// x_i,c = 1 when c is code i or stands above it in the ICD. As wide as there are codes and ancestors; columns are in the
/// order of their names. The padding node has zeros.
#[derive(Debug)]
struct Hierarchy {
    edition: Icd,
    own: bool,
}

impl BuildNodeInit for HierarchyOptions {
    fn build(self) -> Result<Box<dyn NodeInit>> {
        Ok(Box::new(Hierarchy { edition: self.edition, own: self.own }))
    }
}

impl NodeInit for Hierarchy {
    fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
        let of = |code: &String| {
            let own = (self.own && !code.is_empty()).then(|| code.clone());
            ancestors(code, self.edition).into_iter().chain(own).collect::<Vec<_>>()
        };
        let names: Vec<Vec<String>> = context.codes.iter().map(of).collect();
        let mut columns: BTreeMap<&str, usize> = names.iter().flatten().map(|name| (name.as_str(), 0)).collect();
        columns.values_mut().zip(0..).for_each(|(column, i)| *column = i);
        let width = columns.len();
        if width == 0 {
            return Err(Error::user("no code has an ancestor")
                .at_key("edition")
                .help("the codes are perhaps of the other edition; or write own = true"));
        }
        let mut values = vec![0f32; names.len() * width];
        for (row, names) in values.chunks_exact_mut(width).zip(&names) {
            names.iter().for_each(|name| row[columns[name.as_str()]] = 1.0);
        }
        let alone = context.codes.iter().skip(1).filter(|code| ancestors(code, self.edition).is_empty()).count();
        let features = Tensor::from_data(TensorData::new(values, [names.len(), width]), context.device);
        let notes = vec![
            ("columns of the hierarchy".to_owned(), width as u64),
            ("codes without ancestors".to_owned(), alone as u64),
        ];
        Ok(NodeFeatures { features, notes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(own: bool, codes: &[&str]) -> Result<NodeFeatures> {
        let codes: Vec<String> = codes.iter().map(|c| c.to_string()).collect();
        let init = HierarchyOptions { own, ..Default::default() }.build()?;
        init.init(&NodeInitContext { codes: &codes, device: &Device::flex() })
    }

    #[test]
    fn codes_share_the_columns_of_their_ancestors() {
        let codes = ["", "428", "428.21", "V10"];
        // 390-459, 428, 428.2, 428.21, V01-V91, V10
        let expected = [[0f32; 6], [1., 1., 0., 0., 0., 0.], [1., 1., 1., 1., 0., 0.], [0., 0., 0., 0., 1., 1.]];
        let out = init(true, &codes).unwrap();
        out.features.into_data().assert_eq(&TensorData::from(expected), true);
        assert_eq!(out.notes.iter().map(|n| n.1).collect::<Vec<_>>(), [6, 0]);
        // 390-459, 428, 428.2, V01-V91
        let expected = [[0f32; 4], [1., 0., 0., 0.], [1., 1., 1., 0.], [0., 0., 0., 1.]];
        init(false, &codes).unwrap().features.into_data().assert_eq(&TensorData::from(expected), true);
    }

    #[test]
    fn codes_without_ancestors_are_counted_or_refused() {
        assert_eq!(init(true, &["", "XYZW", "428"]).unwrap().notes[1].1, 1);
        let error = init(false, &["", "XYZW"]).unwrap_err().to_string();
        assert!(error.starts_with("`edition`"), "{error}");
    }
}
