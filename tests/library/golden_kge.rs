//! Scores, loss and gradients of embedding models against those of the published code, on the device that
//! `DUALK_TEST_DEVICE` names (`cpu` by default); steps and ranks of a device against those of the CPU.

mod golden {
    use dualk_plugin_kge_models::{ComplexOptions, HakeOptions, ModeOptions, RotateOptions, TranseOptions};
    use dualk_sdk::device::{self, NamedDevice};
    use dualk_sdk::kge::{
        Adam, Batch, DeviceStepper, EmbeddingModel, Gradients, KgeSchedule, KnowledgeGraph, Known, Parameters,
        SampleOptions, Sampler, Side, Stepper, Table, Trained, Trainer, Triple, Unused, ranks, ranks_on, window,
    };
    use dualk_sdk::prelude::*;
    use dualk_sdk::progress::Silent;
    use dualk_tests::{golden_dir, load, load_i64, metadata};

    fn test_device() -> NamedDevice {
        device::tested().unwrap()
    }

    /// Compares numbers, relative to the largest expected one where that is above 1.
    fn close(what: &str, found: &[f32], expected: &[f32]) {
        let tolerance = if test_device().name == "cpu" { 1e-4 } else { 1e-3 };
        assert_eq!(found.len(), expected.len(), "{what}");
        let largest = expected.iter().fold(1f32, |most, x| most.max(x.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= tolerance * largest, "{what}[{i}]: {a}, expected {b}");
        }
    }

    /// Loss and gradients of a batch, on the device to test.
    fn gradients(
        model: &dyn EmbeddingModel,
        parameters: &Parameters,
        adam: Adam,
        alpha: f32,
        batch: &Batch,
    ) -> Gradients {
        let device = test_device();
        if device.name == "cpu" {
            return Stepper::new(model, parameters.clone(), adam, 4, alpha).gradients(batch);
        }
        let formula = model.formula().unwrap();
        DeviceStepper::new(formula, parameters, adam, 4, alpha, &device.device).unwrap().gradients(batch).unwrap()
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
            let gradients = gradients(model, &parameters, adam, alpha, &batch);
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

    /// Triples among 60 entities of which some are in many, four relations, and some negatives that are known.
    fn graph() -> KnowledgeGraph {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
        let triple = |i: u32| Triple { head: (i * i) % 60, relation: i % 4, tail: (i * 7 + i / 40) % 60 };
        KnowledgeGraph {
            entities: names(60),
            relations: names(4),
            train: (0..150).map(triple).collect(),
            ..Default::default()
        }
    }

    /// Every model, with dimensions that are read one by one, and four at a time.
    fn models() -> Vec<(&'static str, Box<dyn EmbeddingModel>)> {
        vec![
            ("hake", HakeOptions { dim: 9, ..Default::default() }.build().unwrap()),
            ("hake", HakeOptions { dim: 40, ..Default::default() }.build().unwrap()),
            ("mode", ModeOptions { dim: 8, ..Default::default() }.build().unwrap()),
            ("rotate", RotateOptions { dim: 12, ..Default::default() }.build().unwrap()),
            ("transe", TranseOptions { dim: 16, ..Default::default() }.build().unwrap()),
            ("complex", ComplexOptions { dim: 5, ..Default::default() }.build().unwrap()),
        ]
    }

    // Six steps of Adam, in which rows rest, come back, are both scored and asked with, and moments are dropped at half of the
    // steps; candidates that are left out because all triples share the negatives.
    #[test]
    fn steps_as_on_the_cpu() {
        let (graph, device) = (graph(), test_device());
        let known = Known::new(&graph.train);
        for ((name, model), shared) in
            models().into_iter().flat_map(|m| [(m, false)]).chain(models().into_iter().map(|m| (m, true)))
        {
            let options = SampleOptions { batch: 24, negatives: 70, shared, subsampling: true, steps: 6, seed: 3 };
            let window = window(&options);
            let adam = || Adam {
                lr: 0.01,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                steps: 6,
                schedule: KgeSchedule::Published,
                unused: Unused::Moved,
            };
            let parameters = Parameters::new(&*model, 60, 4, 5);
            let mut plain = Stepper::new(&*model, parameters.clone(), adam(), window, 0.5);
            let trainer = || Trainer::new(&*model, parameters.clone(), adam(), window, 0.5, &device).unwrap();
            let (mut trainer, mut again) = (trainer(), trainer());
            let (mut expected, mut losses) = (Vec::new(), Vec::new());
            for batch in Sampler::new(&graph, &known, options, 0) {
                expected.push(plain.step(&batch) as f32);
                again.step(&batch, false).unwrap();
                losses.extend(trainer.step(&batch, batch.step % 3 == 2).unwrap().into_iter().map(|loss| loss as f32));
            }
            close(&format!("{name}, losses"), &losses, &expected);
            let found = trainer.into_parameters().unwrap();
            assert_eq!(found.entities.last, plain.parameters.entities.last, "{name}");
            // Every number has one owner that adds in a fixed order.
            let again = again.into_parameters().unwrap();
            let bits = |of: &[f32]| of.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            for (one, other) in [(&found.entities, &again.entities), (&found.relations, &again.relations)] {
                let (values, moments) = (bits(&one.values), bits(&one.second));
                assert!(values == bits(&other.values) && moments == bits(&other.second), "{name}: other bits");
            }
            let pairs = [
                ("entities", &found.entities, &plain.parameters.entities),
                ("relations", &found.relations, &plain.parameters.relations),
                ("shared", &found.shared, &plain.parameters.shared),
            ];
            for (what, found, expected) in pairs {
                assert_eq!(found.width, expected.width, "{name}, {what}");
                // First moments tell of every gradient; parameters follow their signs at first.
                close(&format!("{name}, {what}"), &found.first, &expected.first);
                close(&format!("{name}, {what}"), &found.second, &expected.second);
                let off = found.values.iter().zip(&expected.values).filter(|(a, b)| (*a - *b).abs() > 1e-3).count();
                assert!(
                    off * 50 <= expected.values.len(),
                    "{name}, {what}: {off} of {} parameters",
                    expected.values.len()
                );
            }
        }
    }

    // Rows rest for some 20 steps, of which a short window tells a part alone: what is left follows when they are used, and at the
    // end. ComplEx has no kinks, at which equal gradients would go apart.
    #[test]
    fn the_window_of_gaps_does_not_decide_where_rows_go() {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect();
        let triple = |i: u32| Triple { head: (i * 17) % 400, relation: i % 9, tail: (i * 31 + i / 7) % 400 };
        let train = (0..600).map(triple).collect();
        let graph = KnowledgeGraph { entities: names(400), relations: names(9), train, ..Default::default() };
        let (known, device) = (Known::new(&graph.train), test_device());
        let model = ComplexOptions { dim: 5, ..Default::default() }.build().unwrap();
        let parameters = Parameters::new(&*model, 400, 9, 5);
        let trained = |window: u32, schedule: KgeSchedule| {
            let (lr, unused) = (0.01, Unused::Moved);
            let adam = Adam { lr, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 60, schedule, unused };
            let options = SampleOptions { batch: 4, negatives: 4, shared: true, subsampling: true, steps: 60, seed: 3 };
            let mut trainer = Trainer::new(&*model, parameters.clone(), adam, window, 0.5, &device).unwrap();
            for batch in Sampler::new(&graph, &known, options, 0) {
                trainer.step(&batch, false).unwrap();
            }
            trainer.into_parameters().unwrap()
        };
        for schedule in [KgeSchedule::Constant, KgeSchedule::Published] {
            let expected = trained(60, schedule);
            for window in [4, 15] {
                let found = trained(window, schedule);
                for (found, expected) in
                    [(&found.entities, &expected.entities), (&found.relations, &expected.relations)]
                {
                    let off = found.values.iter().zip(&expected.values).filter(|(a, b)| (*a - *b).abs() > 1e-3).count();
                    assert!(off * 50 <= expected.values.len(), "window {window}, {schedule:?}: {off}");
                    assert_eq!(found.last, expected.last);
                }
            }
        }
    }

    // TransE on whole numbers, so that scores are the same on every device, and many are equal.
    #[test]
    fn ranks_as_on_the_cpu() {
        let (graph, device) = (graph(), test_device());
        let known = Known::new(&graph.train);
        let model = TranseOptions { dim: 4, gamma: 6.0 }.build().unwrap();
        let mut parameters = Parameters::new(&*model, 60, 4, 5);
        for (i, x) in parameters.entities.values.iter_mut().enumerate() {
            *x = (i * i % 3) as f32;
        }
        parameters.relations.values.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 2) as f32);
        let trained = Trained { model: &*model, parameters: &parameters };
        let triples: Vec<Triple> = graph.train.iter().copied().step_by(2).collect();
        let expected = ranks(&trained, 60, &triples, &known, &Silent);
        assert!(expected.iter().any(|rank| rank.equal > 1 && rank.equal_before > 0 && rank.candidates < 60));
        assert_eq!(ranks_on(&device, &trained, &triples, &known, &Silent).unwrap(), expected);
        // What is no number counts against the answer on every device.
        let mut damaged = parameters.clone();
        damaged.entities.values[4 * 7] = f32::NAN;
        let trained = Trained { model: &*model, parameters: &damaged };
        let expected = ranks(&trained, 60, &triples, &known, &Silent);
        assert_eq!(ranks_on(&device, &trained, &triples, &known, &Silent).unwrap(), expected);
    }
}
