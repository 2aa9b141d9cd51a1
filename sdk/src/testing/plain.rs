//! Losses, node initialisers and recipes.

use super::gradients::{Function, repeatable, values};
use super::inputs::{bits, codes, numbers};
use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::error::Blame;
use crate::model::{KEYS, PARTS};
use crate::recipe::{BuildRecipe, Recipe, Stage, completed};
use crate::{Error, Result, slots};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeSet;
use toml::Table;

/// A module without parameters, for what only has an input.
#[derive(Module, Debug)]
struct Nothing {}

/// Logits and targets to try a loss on.
type LossCase = (&'static str, TensorData, TensorData);

/// Logits of many sizes beside targets that are `times` to an event, or else labels.
fn loss_cases(times: bool) -> [LossCase; 7] {
    const ROWS: usize = 4;
    const COLUMNS: usize = 6;
    let full = |value: f32, rows: usize| TensorData::new(vec![value; rows * COLUMNS], [rows, COLUMNS]);
    let some = |seed, rows| if times { numbers(seed, rows, COLUMNS) } else { bits(seed, rows, COLUMNS) };
    [
        ("rows of both kinds", numbers(1, ROWS, COLUMNS), some(2, ROWS)),
        ("one row", numbers(3, 1, COLUMNS), some(4, 1)),
        ("one number", numbers(5, 1, 1), TensorData::new(vec![1f32], [1, 1])),
        ("no label", numbers(6, ROWS, COLUMNS), full(0.0, ROWS)),
        ("all labels", numbers(7, ROWS, COLUMNS), full(1.0, ROWS)),
        ("large logits", full(1e4, ROWS), some(8, ROWS)),
        ("large negative logits", full(-1e4, ROWS), some(9, ROWS)),
    ]
}

/// Logits that are `sign` times right for targets that are `times` to an event, or else labels.
fn answers(targets: &TensorData, times: bool, sign: f32) -> TensorData {
    let right = |y: f32| if times { -y.abs() } else { 6.0 * (y - 0.5) };
    let values: Vec<f32> = targets.iter::<f32>().map(|y| sign * right(y)).collect();
    TensorData::new(values, targets.shape().clone())
}

fn made_loss(subject: &Subject<'_>) -> Result<Box<dyn Loss>> {
    subject.registry.make::<slots::loss>(subject.name, subject.options.clone())
}

fn loss_of(subject: &Subject<'_>, options: Table, logits: &TensorData, targets: &TensorData) -> Result<Vec<f32>> {
    let device = Device::flex();
    let loss = subject.registry.make::<slots::loss>(subject.name, options)?;
    let value = loss.forward(Tensor::from_data(logits.clone(), &device), Tensor::from_data(targets.clone(), &device));
    Ok(value.into_data().iter().collect())
}

/// Notes what is wrong with the gradient that reaches the logits.
fn check_gradient(loss: &dyn Loss, logits: &TensorData, targets: &TensorData, findings: &mut Vec<String>) {
    let device = Device::flex().autodiff();
    let input = Tensor::<2>::from_data(logits.clone(), &device).require_grad();
    let gradients = loss.forward(input.clone(), Tensor::from_data(targets.clone(), &device)).backward();
    match input.grad(&gradients).map(values) {
        Some(slopes) if slopes.iter().all(|g| g.is_finite()) => (),
        Some(_) => findings.push("a gradient is not finite".to_owned()),
        None => findings.push("no gradient reaches the logits".to_owned()),
    }
}

/// Checks a loss: finite for logits of any size and labels of one kind alone, lower for right answers than for wrong
/// ones.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_loss<C: BuildLoss>(options: C) {
    check::<slots::loss, C>(options);
}

impl Examined for slots::loss {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let of = |logits: &TensorData, targets: &TensorData| loss_of(subject, subject.options.clone(), logits, targets);
        let times = made_loss(subject).is_ok_and(|loss| loss.link() == Some(Link::LogHazard));
        let cases = loss_cases(times);
        for (what, logits, targets) in &cases {
            report.check(format!("one finite number: {what}"), |findings| {
                let value = of(logits, targets)?;
                if value.len() != 1 || !value[0].is_finite() {
                    findings.push(format!("the loss is {value:?}"));
                }
                check_gradient(made_loss(subject)?.as_ref(), logits, targets, findings);
                Ok(())
            });
        }
        let (_, logits, targets) = &cases[0];
        report.check("gradients against finite differences", |findings| {
            let device = Device::flex().autodiff();
            let loss = made_loss(subject)?;
            let output = |_: &Nothing, x: Tensor<2>| {
                let value = loss.forward(x, Tensor::from_data(targets.clone(), &device));
                value.unsqueeze_dim::<2>(0) // [1, 1]
            };
            Function { module: Nothing {}, input: logits.clone(), output: &output, input_gradient: true }
                .compare(&device, findings)
        });
        report.check("right answers cost less than wrong ones", |findings| {
            let cost = |sign: f32| of(&answers(targets, times, sign), targets);
            let (right, wrong) = (cost(1.0)?, cost(-1.0)?);
            if right[0].partial_cmp(&wrong[0]) != Some(std::cmp::Ordering::Less) {
                findings.push(format!("right answers cost {}, wrong ones {}", right[0], wrong[0]));
            }
            Ok(())
        });
        report.check("the same number twice", |findings| {
            if of(logits, targets)? != of(logits, targets)? {
                findings.push("two passes differ".to_owned());
            }
            Ok(())
        });
        check_options(subject, report, |options| loss_of(subject, options, logits, targets));
    }
}

/// Checks a node initialiser on known, unknown and no codes.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_node_init<C: BuildNodeInit>(options: C) {
    check::<slots::node_init, C>(options);
}

impl Examined for slots::node_init {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
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
            repeatable(&device, || features(subject.options.clone(), &codes(9)).map(values).map_err(|e| e.to_string()))
                .map(drop)
        });
        check_options(subject, report, |options| features(options, &codes(9)).map(values));
    }
}

/// Checks a recipe: stages of all its types complete, in order and each by itself, and twice gives the same; what they name is
/// said before the recipe runs.
///
/// # Panics
/// With everything that was found.
#[track_caller]
pub fn check_recipe<C: BuildRecipe>(options: C) {
    check::<slots::recipe, C>(options);
}

impl Examined for slots::recipe {
    fn examine(subject: &Subject<'_>, report: &mut Report) {
        let paths: Vec<&str> = PARTS.iter().filter(|part| part.of.is_none()).map(|part| part.path).collect();
        let build = |options: Table| subject.registry.make::<slots::recipe>(subject.name, options);
        report.check("types of stages", |findings| {
            let types = build(subject.options.clone())?.types();
            let names: BTreeSet<&str> = types.iter().map(|(name, _)| *name).collect();
            if types.is_empty() || names.len() != types.len() {
                findings.push(format!("{} types of {} names", types.len(), names.len()));
            }
            findings
                .extend(types.iter().filter(|t| t.1.is_empty()).map(|t| format!("nothing says what `{}` is for", t.0)));
            Ok(())
        });
        for (what, compat) in [("all stages complete", false), ("all stages complete with compat = \"dualk\"", true)] {
            report.check(what, |findings| {
                let recipe = build(subject.options.clone())?;
                let types = recipe.types();
                let stages = || types.iter().map(|(name, _)| stage(name)).collect::<Result<Vec<Stage>>>();
                let once = completed(recipe.as_ref(), stages()?, compat, &paths)?;
                if once != completed(recipe.as_ref(), stages()?, compat, &paths)? {
                    findings.push("two completions of the same stages differ".to_owned());
                }
                if once != completed(recipe.as_ref(), once.clone(), compat, &paths)? {
                    findings.push("a completed stage is completed to another".to_owned());
                }
                for (one, (name, _)) in once.iter().zip(&types) {
                    completed(recipe.as_ref(), vec![stage(name)?], compat, &paths)?;
                    let unknown = one.freeze().iter().filter(|path| !paths.contains(&path.as_str()));
                    findings.extend(unknown.map(|path| format!("`{name}` freezes `{path}`, which no model has")));
                }
                Ok(())
            });
        }
        check_needs(subject, &paths, report);
        check_options(subject, report, |options| build(options).map(|_| Vec::new()));
    }
}

/// A stage of which a manifest says nothing but its type.
fn stage(name: &str) -> Result<Stage> {
    let table = Table::from_iter([("type".to_owned(), name.into())]);
    table.try_into::<Stage>().map_err(|e| Error::program(e.to_string()))
}

/// Whether a recipe says what it names, so that plugins are known before any of their code runs.
fn check_needs(subject: &Subject<'_>, paths: &[&'static str], report: &mut Report) {
    report.check("NEEDS says what it names", |findings| {
        let recipe = subject.registry.make::<slots::recipe>(subject.name, subject.options.clone())?;
        let stages = recipe.types().iter().map(|(name, _)| stage(name)).collect::<Result<Vec<Stage>>>()?;
        let stages = completed(recipe.as_ref(), stages, false, paths)?;
        let needs: Vec<&str> = subject.registry.info(Slot::Recipe, subject.name)?.needs.lines().collect();
        let named = named_by(recipe.as_ref(), &stages).into_iter();
        let missing = named.filter(|(slot, name)| !needs.contains(&format!("+{slot} {name}").as_str()));
        findings.extend(missing.map(|(slot, name)| format!("there is no line `+{slot} {name}`")));
        Ok(())
    });
}

/// The components that a recipe names where a manifest names none.
fn named_by(recipe: &dyn Recipe, stages: &[Stage]) -> BTreeSet<(Slot, String)> {
    let parts = KEYS.iter().filter_map(|&(key, slot)| Some((slot, recipe.part(key)?.to_owned())));
    let of_stage = |stage: &Stage| [(Slot::Objective, stage.objective().1), (Slot::Loss, stage.loss())];
    let of_stages = stages.iter().flat_map(of_stage).map(|(slot, component)| (slot, component.r#type));
    parts.chain(of_stages).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Wrong, finds};
    use super::*;
    use crate::recipe::StageContext;

    impl BuildLoss for Wrong {
        fn build(self) -> Result<Box<dyn Loss>> {
            self.width()?;
            Ok(Box::new(self))
        }
    }

    impl Loss for Wrong {
        fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
            let p = burn::tensor::activation::sigmoid(logits);
            let error = match self.defect.as_str() {
                "naive" => return (targets * p.log()).neg().mean(),
                "backwards" => (targets + p - 1.0).powi_scalar(2),
                "blind" => (p - targets).detach().powi_scalar(2),
                _ => (p - targets).powi_scalar(2),
            };
            match self.is("rows") {
                true => error.mean_dim(1).squeeze_dim(1),
                false => error.mean(),
            }
        }
    }

    #[test]
    fn of_a_loss() {
        finds(
            Slot::Loss,
            |r| r.add::<slots::loss, Wrong>(),
            &[
                ("naive", "large negative logits", "NaN"),
                ("backwards", "right answers cost less", "right answers cost"),
                ("rows", "one finite number: rows of both kinds", "the loss is ["),
                ("blind", "one finite number", "tracked"),
            ],
        );
    }

    crate::options! {
        /// Options without a word.
        struct Silent {
            dim: usize = 4,
        }
    }

    impl Component for Silent {
        const NAME: &'static str = "Not A Name";
        const ABOUT: &'static str = "";
    }

    impl BuildLoss for Silent {
        fn build(self) -> Result<Box<dyn Loss>> {
            BuildLoss::build(Wrong::default())
        }
    }

    #[test]
    #[should_panic(expected = "the option `dim` has no documentation")]
    fn of_what_is_not_documented() {
        check_loss(Silent::default());
    }

    impl BuildNodeInit for Wrong {
        fn build(self) -> Result<Box<dyn NodeInit>> {
            self.width()?;
            Ok(Box::new(self))
        }
    }

    impl NodeInit for Wrong {
        fn init(&self, context: &NodeInitContext<'_>) -> Result<NodeFeatures> {
            let rows = context.codes.len() - usize::from(self.is("padding"));
            Ok(NodeFeatures { features: Tensor::ones([rows, self.dim], context.device), notes: Vec::new() })
        }
    }

    #[test]
    fn of_a_node_initialiser() {
        finds(
            Slot::NodeInit,
            |r| r.add::<slots::node_init, Wrong>(),
            &[("padding", "shapes: codes", "[8, 4] for 9 codes")],
        );
    }

    impl BuildRecipe for Wrong {
        fn build(self) -> Result<Box<dyn Recipe>> {
            self.width()?;
            Ok(Box::new(self))
        }
    }

    impl Recipe for Wrong {
        fn types(&self) -> Vec<(&'static str, &'static str)> {
            vec![("fit", "learns")]
        }

        fn part(&self, key: &str) -> Option<&'static str> {
            match key {
                "lab" => self.is("secretive").then_some("linear"),
                _ => None,
            }
        }

        fn complete(&self, stage: Stage, _: &StageContext<'_>) -> Result<Stage> {
            let (objective, loss) = (Some(ComponentRef::named("what")), Some(ComponentRef::named("how")));
            Ok(Stage { objective, loss, ..stage })
        }
    }

    #[test]
    fn of_a_recipe() {
        let words = "there is no line `+lab linear`";
        finds(Slot::Recipe, |r| r.add::<slots::recipe, Wrong>(), &[("secretive", "NEEDS says what it names", words)]);
    }
}
