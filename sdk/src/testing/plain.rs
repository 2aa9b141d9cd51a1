//! Losses, node initialisers and recipes.

use super::gradients::{Function, undisturbed, values};
use super::inputs::{bits, codes, numbers};
use super::options::check_options;
use super::{Report, Subject};
use crate::component::*;
use crate::error::Blame;
use crate::recipe::{Stage, completed};
use crate::{Error, Result, slots};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeSet;
use toml::Table;

/// A module without parameters, for what only has an input.
#[derive(Module, Debug)]
struct Nothing {}

fn loss_of(subject: &Subject<'_>, options: Table, logits: &TensorData, targets: &TensorData) -> Result<Vec<f32>> {
    let device = Device::flex();
    let loss = subject.registry.make::<slots::loss>(subject.name, options)?;
    let value = loss.forward(Tensor::from_data(logits.clone(), &device), Tensor::from_data(targets.clone(), &device));
    Ok(value.into_data().iter().collect())
}

pub(super) fn loss(subject: &Subject<'_>, report: &mut Report) {
    const ROWS: usize = 4;
    const COLUMNS: usize = 6;
    let of = |logits: &TensorData, targets: &TensorData| loss_of(subject, subject.options.clone(), logits, targets);
    let full = |value: f32, rows: usize| TensorData::new(vec![value; rows * COLUMNS], [rows, COLUMNS]);
    let made = subject.registry.make::<slots::loss>(subject.name, subject.options.clone());
    let times = made.is_ok_and(|loss| loss.link() == Some(Link::LogHazard));
    let some = |seed, rows| if times { numbers(seed, rows, COLUMNS) } else { bits(seed, rows, COLUMNS) };
    let cases = [
        ("rows of both kinds", numbers(1, ROWS, COLUMNS), some(2, ROWS)),
        ("one row", numbers(3, 1, COLUMNS), some(4, 1)),
        ("one number", numbers(5, 1, 1), TensorData::new(vec![1f32], [1, 1])),
        ("no label", numbers(6, ROWS, COLUMNS), full(0.0, ROWS)),
        ("all labels", numbers(7, ROWS, COLUMNS), full(1.0, ROWS)),
        ("large logits", full(1e4, ROWS), some(8, ROWS)),
        ("large negative logits", full(-1e4, ROWS), some(9, ROWS)),
    ];
    for (what, logits, targets) in &cases {
        report.check(format!("one finite number: {what}"), |findings| {
            let value = of(logits, targets)?;
            if value.len() != 1 || !value[0].is_finite() {
                findings.push(format!("the loss is {value:?}"));
            }
            let device = Device::flex().autodiff();
            let input = Tensor::<2>::from_data(logits.clone(), &device).require_grad();
            let loss = subject.registry.make::<slots::loss>(subject.name, subject.options.clone())?;
            let gradients = loss.forward(input.clone(), Tensor::from_data(targets.clone(), &device)).backward();
            match input.grad(&gradients).map(values) {
                Some(slopes) if slopes.iter().all(|g| g.is_finite()) => (),
                Some(_) => findings.push("a gradient is not finite".to_owned()),
                None => findings.push("no gradient reaches the logits".to_owned()),
            }
            Ok(())
        });
    }
    report.check("gradients against finite differences", |findings| {
        let device = Device::flex().autodiff();
        let (_, logits, targets) = &cases[0];
        let loss = subject.registry.make::<slots::loss>(subject.name, subject.options.clone())?;
        let output = |_: &Nothing, x: Tensor<2>| {
            let value = loss.forward(x, Tensor::from_data(targets.clone(), &device));
            value.unsqueeze_dim::<2>(0) // [1, 1]
        };
        Function { module: Nothing {}, input: logits.clone(), output: &output, input_slope: true }
            .compare(&device, findings)
    });
    report.check("right answers cost less than wrong ones", |findings| {
        let targets = some(2, ROWS);
        let logits = |sign: f32| {
            let right = |y: f32| if times { -y.abs() } else { 6.0 * (y - 0.5) };
            let values: Vec<f32> = targets.iter::<f32>().map(|y| sign * right(y)).collect();
            TensorData::new(values, [ROWS, COLUMNS])
        };
        let (right, wrong) = (of(&logits(1.0), &targets)?, of(&logits(-1.0), &targets)?);
        if right[0].partial_cmp(&wrong[0]) != Some(std::cmp::Ordering::Less) {
            findings.push(format!("right answers cost {}, wrong ones {}", right[0], wrong[0]));
        }
        Ok(())
    });
    report.check("the same number twice", |findings| {
        if of(&cases[0].1, &cases[0].2)? != of(&cases[0].1, &cases[0].2)? {
            findings.push("two passes differ".to_owned());
        }
        Ok(())
    });
    check_options(subject, report, |options| loss_of(subject, options, &cases[0].1, &cases[0].2));
}

pub(super) fn node_init(subject: &Subject<'_>, report: &mut Report) {
    let device = Device::flex();
    let features = |options: Table, codes: &[String]| -> Result<Tensor<2>> {
        let init = subject.registry.make::<slots::node_init>(subject.name, options)?;
        Ok(init.init(&NodeInitContext { codes, device: &device })?.features)
    };
    let mut unknown = codes(5);
    unknown[3] = "no code".to_owned();
    unknown[4] = "é".to_owned();
    for (what, codes) in [("codes", codes(9)), ("the padding node alone", codes(1)), ("unknown codes", unknown)] {
        report.check(format!("shapes: {what}"), |findings| {
            let features = match features(subject.options.clone(), &codes) {
                // A component may need known codes, if it says so.
                Err(error) if codes.len() == 1 && error.blame() == Blame::User => return Ok(()),
                features => features?,
            };
            let [rows, width] = features.dims();
            if rows != codes.len() || width == 0 {
                findings.push(format!("the features are [{rows}, {width}] for {} codes", codes.len()));
            }
            if values(features).iter().any(|x| !x.is_finite()) {
                findings.push("a feature is not finite".to_owned());
            }
            Ok(())
        });
    }
    report.check("the same features from the same seed", |_| {
        undisturbed(&device, || features(subject.options.clone(), &codes(9)).map(values).map_err(|e| e.to_string()))
            .map(drop)
    });
    check_options(subject, report, |options| features(options, &codes(9)).map(values));
}

pub(super) fn recipe(subject: &Subject<'_>, report: &mut Report) {
    const PATHS: [&str; 4] = ["nodes", "encoder", "patient_encoder", "lab"];
    let build = |options: Table| subject.registry.make::<slots::recipe>(subject.name, options);
    let stage = |name: &str| {
        let table = Table::from_iter([("type".to_owned(), name.into())]);
        table.try_into::<Stage>().map_err(|e| Error::program(e.to_string()))
    };
    report.check("types of stages", |findings| {
        let types = build(subject.options.clone())?.types();
        let names: BTreeSet<&str> = types.iter().map(|(name, _)| *name).collect();
        if types.is_empty() || names.len() != types.len() {
            findings.push(format!("{} types of {} names", types.len(), names.len()));
        }
        findings.extend(types.iter().filter(|t| t.1.is_empty()).map(|t| format!("nothing says what `{}` is for", t.0)));
        Ok(())
    });
    for (what, compat) in [("all stages complete", false), ("all stages complete with compat = \"dualk\"", true)] {
        report.check(what, |findings| {
            let recipe = build(subject.options.clone())?;
            let types = recipe.types();
            let stages = || types.iter().map(|(name, _)| stage(name)).collect::<Result<Vec<Stage>>>();
            let once = completed(recipe.as_ref(), stages()?, compat, &PATHS)?;
            if once != completed(recipe.as_ref(), stages()?, compat, &PATHS)? {
                findings.push("two completions of the same stages differ".to_owned());
            }
            if once != completed(recipe.as_ref(), once.clone(), compat, &PATHS)? {
                findings.push("a completed stage is completed to another".to_owned());
            }
            for (one, (name, _)) in once.iter().zip(&types) {
                completed(recipe.as_ref(), vec![stage(name)?], compat, &PATHS)?;
                let paths = one.freeze().iter().filter(|path| !PATHS.contains(&path.as_str()));
                findings.extend(paths.map(|path| format!("`{name}` freezes `{path}`, which no model has")));
            }
            Ok(())
        });
    }
    check_options(subject, report, |options| build(options).map(|_| Vec::new()));
}
