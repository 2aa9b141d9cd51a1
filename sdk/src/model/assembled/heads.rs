//! The heads of a model: those of the stage, and those that are kept for later ones.

use super::Model;
use crate::component::{Head, HeadModule, HeadSpec};
use crate::model::History;
use crate::model::tensors::{constants, indices};
use crate::{Error, Result};

impl Model {
    /// Replaces the heads of the stage by new ones, made by `make` for vectors of a width.
    ///
    /// # Errors
    /// When a head cannot be made, or wants kept ones and there are none.
    pub fn with_new_heads(
        mut self,
        specs: Vec<HeadSpec>,
        make: impl FnMut(&HeadSpec, usize) -> Result<HeadModule>,
    ) -> Result<Self> {
        self.heads = self.made(&specs, make)?;
        self.head_specs = specs;
        self.histories = Vec::new();
        self.codes = Vec::new();
        self.priors = Vec::new();
        Ok(self)
    }

    /// Tells heads that look at codes which nodes their logits ask for; `None` for those that ask for something else.
    pub fn with_codes(mut self, nodes: &[Option<Vec<u32>>]) -> Self {
        let (device, heads) = (self.device(), self.heads.iter().zip(nodes));
        let codes = |(head, nodes): (&HeadModule, &Option<Vec<u32>>)| {
            let nodes = nodes.as_ref().filter(|_| head.looks_at_codes())?;
            Some(indices(nodes, &device))
        };
        self.codes = heads.map(codes).collect();
        self
    }

    /// Gives the model untrained heads in place of kept ones, for experiments whose stages keep none.
    ///
    /// # Errors
    /// When a head cannot be made.
    pub fn with_untrained(
        mut self,
        specs: Vec<HeadSpec>,
        make: impl FnMut(&HeadSpec, usize) -> Result<HeadModule>,
    ) -> Result<Self> {
        self.decoders = self.made(&specs, make)?;
        self.decoder_specs = specs;
        Ok(self)
    }

    fn made(
        &self,
        specs: &[HeadSpec],
        mut make: impl FnMut(&HeadSpec, usize) -> Result<HeadModule>,
    ) -> Result<Vec<HeadModule>> {
        specs.iter().map(|spec| make(spec, self.width_of(spec)?)).collect()
    }

    /// Gives every head of the stage a copy path.
    ///
    /// # Errors
    /// When they are not as many as the heads.
    pub fn with_histories(mut self, histories: Vec<History>) -> Result<Self> {
        match histories.len() == self.heads.len() {
            true => self.histories = histories,
            false => return Err(Error::program("every head or none has a copy path")),
        }
        Ok(self)
    }

    /// Adds to the logits of every head of the stage where they are to begin: of each output the same for all patients.
    ///
    /// # Errors
    /// When they are not as many as the heads and their outputs.
    pub fn with_priors(mut self, priors: &[Vec<f32>]) -> Result<Self> {
        if !priors.iter().map(Vec::len).eq(self.head_specs.iter().map(|spec| spec.outputs)) {
            return Err(Error::program("every output of every head has a prior, or none has"));
        }
        let device = self.device();
        self.priors = priors.iter().map(|prior| constants(prior, &device)).collect();
        Ok(self)
    }

    /// Whether heads look at the codes of a batch beside the patient vector.
    pub fn looks_at_history(&self) -> bool {
        !self.histories.is_empty() || self.tells_visits_apart()
    }

    /// Whether heads look at codes and laboratory items of a batch by visit, with a lab encoder or without.
    pub fn tells_visits_apart(&self) -> bool {
        self.heads.iter().any(Head::looks_at_histories)
    }

    /// Keeps heads of the stage for later ones, where their specification says so.
    pub fn keep_heads(mut self) -> Self {
        self.histories = Vec::new();
        self.codes = Vec::new();
        self.priors = Vec::new();
        let heads = std::mem::take(&mut self.heads).into_iter().zip(std::mem::take(&mut self.head_specs));
        let kept: (Vec<HeadModule>, Vec<HeadSpec>) = heads.filter(|(_, spec)| spec.keep).unzip();
        if !kept.0.is_empty() {
            (self.decoders, self.decoder_specs) = kept;
        }
        self
    }

    /// Turns the kept heads back into heads of the stage, to train them further.
    pub fn kept_as_heads(mut self) -> Self {
        self.histories = Vec::new();
        self.codes = Vec::new();
        self.priors = Vec::new();
        self.heads = std::mem::take(&mut self.decoders);
        self.head_specs = std::mem::take(&mut self.decoder_specs);
        self
    }

    /// The heads of the stage.
    pub fn head_specs(&self) -> &[HeadSpec] {
        &self.head_specs
    }

    /// The heads that were kept.
    pub fn kept_specs(&self) -> &[HeadSpec] {
        &self.decoder_specs
    }

    /// Whether a head looks at embeddings of codes.
    pub fn looks_at_codes(&self) -> bool {
        self.codes.iter().any(Option::is_some)
    }
}
