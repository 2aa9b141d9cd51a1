//! Age and sex as inputs.

use crate::data::{Demographics, Sex};
use crate::ops::matmul;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

/// A linear map of age and sex that is added to the patient vector. It starts at 0, so that an untrained model is the one
/// without it.
#[derive(Module, Debug)]
pub(super) struct AgeAndSex {
    weight: Param<Tensor<2>>,
}

impl AgeAndSex {
    /// The map to patient vectors of a width.
    pub fn new(width: usize, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::zeros([INPUTS, width], device)) }
    }

    /// Adds what `known` says to patient vectors; patients that it does not list are unknown.
    ///
    /// # Shapes
    /// - `patients`, output: `[batch, width]`
    pub fn add(&self, patients: Tensor<2>, known: &[Demographics]) -> Tensor<2> {
        let [batch, _] = patients.dims();
        let values: Vec<f32> = (0..batch).flat_map(|p| inputs(known.get(p).copied().unwrap_or_default())).collect();
        let device = patients.device().without_autodiff();
        let known = Tensor::<2>::from_data(TensorData::new(values, [batch, INPUTS]), &device);
        patients + matmul(known, self.weight.val()) // [batch, width]
    }
}

/// Number of inputs of a patient.
const INPUTS: usize = 5;

/// Age / 100 and whether it is unknown; whether the patient is female, is male, or the sex unknown.
fn inputs(known: Demographics) -> [f32; INPUTS] {
    let is = |holds: bool| f32::from(u8::from(holds));
    let sex = |sex: Option<Sex>| is(known.sex == sex);
    [
        known.age.map_or(0.0, |age| age / 100.0),
        is(known.age.is_none()),
        sex(Some(Sex::Female)),
        sex(Some(Sex::Male)),
        sex(None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Demographics; 3] = [
        Demographics { age: Some(50.0), sex: Some(Sex::Female) },
        Demographics { age: None, sex: Some(Sex::Male) },
        Demographics { age: Some(90.0), sex: None },
    ];

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    #[test]
    fn unknown_is_an_input_of_its_own() {
        assert_eq!(
            KNOWN.map(inputs),
            [[0.5, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0, 0.0], [0.9, 0.0, 0.0, 0.0, 1.0]]
        );
        assert_eq!(inputs(Demographics::default()), [0.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn it_starts_as_nothing_and_every_weight_receives_a_gradient() {
        let device = crate::device::tested().unwrap().device.autodiff();
        let patients = Tensor::<2>::from_data([[1.0, -2.0], [0.25, 3.0], [-0.5, 4.0]], &device);
        let mut map = AgeAndSex::new(2, &device);
        assert_eq!(numbers(map.add(patients.clone(), &KNOWN)), numbers(patients.clone()));
        let weights = Tensor::<2>::from_data([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]], &device);
        let gradients = (map.add(patients.clone(), &KNOWN) * weights).sum().backward();
        let ours = numbers(map.weight.val().grad(&gradients).unwrap());
        // The inputs, transposed, times the weights.
        let expected = [0.5 * 1.0 + 0.9 * 4.0, 0.5 * 10.0 + 0.9 * 40.0, 2.0, 20.0, 1.0, 10.0, 2.0, 20.0, 4.0, 40.0];
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours - expected).abs() < 1e-4, "{ours} and {expected}");
        }
        let rows = [[1.0, 0.0], [0.0, 2.0], [4.0, 0.0], [0.0, 8.0], [16.0, 16.0]];
        map.weight = Param::from_tensor(Tensor::from_data(rows, &device));
        // The last patient is not listed: neither age nor sex is known.
        let added = [0.5 + 4.0, 0.0, 0.0, 2.0 + 8.0, 16.0, 2.0 + 16.0];
        let found = numbers(map.add(patients.clone(), &KNOWN[..2]));
        for (found, (patient, added)) in found.iter().zip(numbers(patients).iter().zip(added)) {
            assert!((found - patient - added).abs() < 1e-5, "{found} and {patient} + {added}");
        }
    }
}
