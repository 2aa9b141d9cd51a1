//! Scores, loss and gradients of embedding models against those of the published code.

mod golden {
    use dualk_plugin_kge_models::{HakeOptions, ModeOptions};
    use dualk_sdk::kge::{Adam, Batch, EmbeddingModel, KgeSchedule, Parameters, Side, Stepper, Table, Triple, Unused};
    use dualk_sdk::prelude::*;
    use dualk_tests::{golden_dir, load, load_i64, metadata};

    const TOLERANCE: f32 = 1e-4;

    /// Compares numbers, relative to the largest expected one where that is above 1.
    fn close(what: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let largest = expected.iter().fold(1f32, |most, x| most.max(x.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= TOLERANCE * largest, "{what}[{i}]: {a}, expected {b}");
        }
    }

    fn check(name: &str, model: &dyn EmbeddingModel, shared: &[&str]) {
        let path = golden_dir().join("reference").join(format!("{name}.safetensors"));
        let (file, integers, metadata) = (load(&path), load_i64(&path), metadata(&path));
        let alpha = metadata["adversarial_temperature"].as_f64().unwrap() as f32;
        let table = |name: &str| {
            let (shape, values) = &file[name];
            Table::new(shape[1], values.clone())
        };
        let (entities, relations) = (table("param.entity_embedding"), table("param.relation_embedding"));
        assert_eq!((entities.width, relations.width), (model.entity_width(), model.relation_width()));
        let weights: Vec<f32> = shared.iter().map(|name| file[&format!("param.{name}")].1[0]).collect();
        let mut counts = vec![0; entities.last.len() + 1];
        let parameters = Parameters { entities, relations, shared: Table::new(weights.len(), weights) };
        let triples: Vec<Triple> = integers["positive"]
            .1
            .chunks_exact(3)
            .map(|t| Triple { head: t[0] as u32, relation: t[1] as u32, tail: t[2] as u32 })
            .collect();
        let (shape, negatives) = &integers["negative"];
        for (side, open) in [("head", Side::Head), ("tail", Side::Tail)] {
            let rows = triples.iter().zip(negatives.chunks_exact(shape[1]));
            let cells: Vec<u32> =
                rows.flat_map(|(t, n)| std::iter::once(t.sides(open).1).chain(n.iter().map(|&e| e as u32))).collect();
            let weights = file["subsampling_weight"].1.clone();
            let batch = Batch::new(0, open, triples.clone(), weights, &cells, &mut counts);
            let (schedule, unused) = (KgeSchedule::Constant, Unused::Moved);
            let adam = Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 1, schedule, unused };
            let gradients = Stepper::new(model, parameters.clone(), adam, 4, alpha).gradients(&batch);
            let of = |positive: bool| -> Vec<f32> {
                let row = |row: &[f32]| if positive { row[..1].to_vec() } else { row[1..].to_vec() };
                gradients.scores.chunks_exact(batch.candidates).flat_map(row).collect()
            };
            close("score.single", &of(true), &file["score.single"].1);
            close(&format!("score.{side}"), &of(false), &file[&format!("score.{side}")].1);
            close("loss", &[gradients.loss as f32], &file[&format!("loss.{side}")].1);
            let grad = |name: &str| file[&format!("grad.{side}.{name}")].1.clone();
            close("entities", &gradients.entities, &grad("entity_embedding"));
            close("relations", &gradients.relations, &grad("relation_embedding"));
            let expected: Vec<f32> = shared.iter().map(|name| grad(name)[0]).collect();
            close("shared", &gradients.shared, &expected);
        }
    }

    fn options(name: &str) -> (usize, f64, f64, f64) {
        let metadata = metadata(&golden_dir().join("reference").join(name));
        let number = |key: &str| metadata[key].as_f64().unwrap();
        (number("hidden_dim") as usize, number("gamma"), number("modulus_weight"), number("phase_weight"))
    }

    #[test]
    fn kge_hake() {
        let (dim, gamma, modulus_weight, phase_weight) = options("kge_hake.safetensors");
        let model = HakeOptions { dim, gamma, modulus_weight, phase_weight }.build().unwrap();
        check("kge_hake", &*model, &["phase_weight", "modulus_weight"]);
    }

    #[test]
    fn kge_mode() {
        let (dim, gamma, ..) = options("kge_mode.safetensors");
        let model = ModeOptions { dim, gamma }.build().unwrap();
        check("kge_mode", &*model, &[]);
    }
}
