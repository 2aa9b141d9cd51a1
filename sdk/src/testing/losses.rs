//! Losses.

use super::gradients::{Function, values};
use super::inputs::{bits, numbers};
use super::options::check_options;
use super::{Examined, Report, Subject, check};
use crate::component::*;
use crate::{Result, slots};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
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
        Some(gradient) if gradient.iter().all(|g| g.is_finite()) => (),
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

#[cfg(test)]
mod tests {
    use super::super::tests::{Wrong, finds};
    use super::*;

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
}
