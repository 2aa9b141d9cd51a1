//! Node features from a table of vectors against those of the published code.

mod golden {
    use dualk_plugin_init_hake::HakeOptions;
    use dualk_sdk::prelude::*;
    use dualk_tests::{golden_dir, json, load};
    use safetensors::tensor::{Dtype, TensorView};

    /// The texts and 16-bit arrays of a pickled `dict[str, numpy.ndarray]`: enough of the pickle format for that.
    fn pickled_vectors(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let (mut at, mut key, mut found) = (0, None, Vec::new());
        while at < bytes.len() {
            let operation = bytes[at];
            let length = |n: usize| bytes[at + 1..at + 1 + n].iter().rev().fold(0usize, |l, &b| l << 8 | b as usize);
            let (prefix, body) = match operation {
                0x8c | b'C' => (1, length(1)), // text, bytes: one byte of length
                b'B' => (4, length(4)),        // bytes: four bytes of length
                0x80 | b'K' | b'h' | b'q' => (0, 1),
                b'M' => (0, 2),
                b'J' | b'j' | b'r' => (0, 4),
                0x95 => (0, 8),
                b'.' => break,
                _ => (0, 0),
            };
            let start = at + 1 + prefix;
            let body = &bytes[start..start + body];
            match operation {
                // The first text after a vector is the next key; others name types.
                0x8c if key.is_none() => key = Some(String::from_utf8(body.to_vec()).unwrap()),
                b'C' | b'B' if body.len() > 1 => found.push((key.take().unwrap(), body.to_vec())),
                _ => (),
            }
            at = start + body.len();
        }
        found
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs artifacts-a of the golden numbers")]
    fn hake_suffix_fallback() {
        let golden = golden_dir();
        let expected = load(&golden.join("artifacts-a/expected.safetensors")).remove("node_features").unwrap();
        let &[nodes, dim] = &expected.0[..] else { panic!("node_features is no matrix") };
        let table = pickled_vectors(&std::fs::read(golden.join("artifacts-a/ICD2HAKE_16.pkl")).unwrap());
        assert!(!table.is_empty() && table.iter().all(|(_, vector)| vector.len() == 2 * dim));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.safetensors");
        let (names, vectors): (Vec<String>, Vec<Vec<u8>>) = table.into_iter().unzip();
        let bytes = vectors.concat();
        let view = TensorView::new(Dtype::F16, vec![names.len(), dim], &bytes).unwrap();
        let metadata = [("codes".to_owned(), dualk_sdk::serde_json::to_string(&names).unwrap())];
        safetensors::serialize_to_file([("vectors", view)], Some(metadata.into()), &path).unwrap();

        let mut codes = vec![String::new(); nodes];
        let vocabulary = json(&golden.join("cohort-a/expected.json"));
        for (code, id) in vocabulary["code_map_pretrain"].as_object().unwrap() {
            codes[id.as_u64().unwrap() as usize] = code.clone();
        }
        let node_init = HakeOptions { path: FilePath(path), dim, ..Default::default() }.build().unwrap();
        let out = node_init.init(&NodeInitContext { codes: &codes, device: &Device::flex() }).unwrap();
        let ours: Vec<f32> = out.features.into_data().iter::<f32>().collect();
        assert!(ours == expected.1, "the features differ from the published ones");
        let zero = expected.1.chunks_exact(dim).skip(1).filter(|row| row.iter().all(|&v| v == 0.0)).count();
        let missing = out.notes.iter().find(|(note, _)| note == "codes without a vector").unwrap().1;
        assert_eq!(missing as usize, zero);
    }
}
