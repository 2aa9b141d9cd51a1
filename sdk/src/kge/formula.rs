//! The equations of the models that kernels for GPUs know.

/// Which equations a model's scores follow. In each dimension an entity has (x, y), a relation (r₀, r₁, r₂) and a query
/// (q₀, q₁, q₂), as far as the model has them. A row holds the first component of all dimensions, then the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Equation {
    /// γ − w₀ Σ|sin π(x s + q₀)| − w₁ ‖q₁ y − q₂‖₂; both weights are trained.
    Hake,
    /// γ − Σ|q₀ x − q₁|.
    Mode,
    /// γ − Σ√((x − q₀)² + (y − q₁)²), relations being angles r₀ s.
    Rotate,
    /// γ − Σ|x − q₀|.
    Transe,
    /// Σ(x q₀ + y q₁).
    Complex,
}

impl Equation {
    /// Components of an entity in a dimension.
    pub fn of_entity(self) -> usize {
        match self {
            Self::Hake | Self::Rotate | Self::Complex => 2,
            Self::Mode | Self::Transe => 1,
        }
    }

    /// Components of a relation in a dimension.
    pub fn of_relation(self) -> usize {
        match self {
            Self::Hake => 3,
            Self::Complex => 2,
            Self::Mode | Self::Rotate | Self::Transe => 1,
        }
    }

    /// Components of a query in a dimension.
    pub fn of_query(self) -> usize {
        match self {
            Self::Hake => 3,
            Self::Mode | Self::Rotate | Self::Complex => 2,
            Self::Transe => 1,
        }
    }
}

/// How much there is of an embedding and of its training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Entities.
    pub entities: usize,
    /// Relations.
    pub relations: usize,
    /// Triples of a step.
    pub triples: usize,
    /// Candidates of a triple, the true one included.
    pub candidates: usize,
    /// Whether triples are ranked.
    pub ranks: bool,
}

/// What kernels for GPUs must know of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Formula {
    /// Its equations.
    pub equation: Equation,
    /// Its dimensions.
    pub dim: usize,
    /// γ.
    pub gamma: f32,
    /// s.
    pub scale: f32,
}
