//! The codes of patients side by side, padded to the longest history of a batch.

use dualk_sdk::ops::{elapsed, sinusoid};
use dualk_sdk::prelude::*;

/// A code in a history.
#[derive(Clone, Copy)]
struct Token {
    code: u32,
    /// Visits between its visit and the last.
    order: usize,
    /// Days between its visit and the last.
    days: f32,
}

/// The codes of each patient, in time order.
pub struct Tokens {
    patients: Vec<Vec<Token>>,
}

impl Tokens {
    /// Numbers that describe a time: sine and cosine of four frequencies.
    pub const TIMES: usize = 8;

    /// The last `most` codes of each patient of a batch.
    pub fn new(batch: &Batch, most: usize) -> Self {
        let (codes, days) = (batch.codes.members(), batch.visits.days_ago());
        let mut place = 0;
        let patient = |visits: &[u32]| {
            let mut tokens = Vec::new();
            for (i, &visit) in visits.iter().enumerate() {
                let days = days.get(place).copied().unwrap_or(0.0);
                let order = visits.len() - 1 - i;
                tokens.extend(codes.row(visit as usize).iter().map(|&code| Token { code, order, days }));
                place += 1;
            }
            tokens.split_off(tokens.len().saturating_sub(most))
        };
        Self { patients: batch.visits.members().rows().map(patient).collect() }
    }

    /// Codes of the patient who has most.
    pub fn longest(&self) -> usize {
        self.patients.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// What `of` says of each code, row by row, zeros where a history is shorter.
    fn padded(&self, width: usize, mut of: impl FnMut(Token, &mut [f32])) -> Vec<f32> {
        let longest = self.longest();
        let mut values = vec![0f32; self.patients.len() * longest * width];
        for (p, tokens) in self.patients.iter().enumerate() {
            for (t, &token) in tokens.iter().enumerate() {
                of(token, &mut values[(p * longest + t) * width..][..width]);
            }
        }
        values
    }

    /// Rows of the table of embeddings; 0, the padding node, where a history is shorter.
    ///
    /// # Shapes
    /// - output: `[patients · longest]`
    pub fn codes(&self, device: &Device) -> Tensor<1, Int> {
        let longest = self.longest();
        let mut rows = vec![0i32; self.patients.len() * longest];
        for (p, tokens) in self.patients.iter().enumerate() {
            tokens.iter().enumerate().for_each(|(t, token)| rows[p * longest + t] = token.code as i32);
        }
        let count = rows.len();
        Tensor::from_data(TensorData::new(rows, [count]), device)
    }

    /// 1 for codes, 0 for padding.
    ///
    /// # Shapes
    /// - output: `[patients, longest, 1]`
    pub fn mask(&self, device: &Device) -> Tensor<3> {
        let values = self.padded(1, |_, row| row[0] = 1.0);
        Tensor::from_data(TensorData::new(values, [self.patients.len(), self.longest(), 1]), device)
    }

    /// The [elapsed] time.
    ///
    /// # Shapes
    /// - output: `[patients · longest, TIMES]`
    pub fn times(&self, device: &Device) -> Tensor<2> {
        let values = self.padded(Self::TIMES, |token, row| elapsed(token.days, row));
        Tensor::from_data(TensorData::new(values, [self.patients.len() * self.longest(), Self::TIMES]), device)
    }

    /// The [sinusoid] of the visits between a visit and the last.
    ///
    /// # Shapes
    /// - output: `[patients, longest, dim]`
    pub fn orders(&self, dim: usize, device: &Device) -> Tensor<3> {
        let values = self.padded(dim, |token, row| sinusoid(token.order as f32, row));
        Tensor::from_data(TensorData::new(values, [self.patients.len(), self.longest(), dim]), device)
    }
}
