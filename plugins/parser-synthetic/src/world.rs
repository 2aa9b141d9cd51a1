//! The diseases that there are: clusters, their codes and the laboratory items that they change.

use crate::draw::Draw;
use crate::generate::Sizes;

/// Names of the categories and the share of items that each gets.
pub const CATEGORIES: [(&str, f64); 3] = [("hematology", 0.45), ("chemistry", 0.4), ("blood gas", 0.15)];

/// A condition: its code and the items that it changes.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The code.
    pub code: u32,
    /// The items.
    pub labs: Vec<u32>,
}

/// What a visit is about.
#[derive(Debug, Clone)]
pub struct Episode {
    /// Its codes.
    pub codes: Vec<u32>,
    /// The items that it changes.
    pub labs: Vec<u32>,
}

/// Diseases that come together.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// What patients keep.
    pub chronic: Vec<Condition>,
    /// What visits are about.
    pub episodes: Vec<Episode>,
    /// What happens now and then.
    pub rare: Vec<u32>,
}

/// Everything that patients are made from.
#[derive(Debug, Clone)]
pub struct World {
    /// The clusters, the most common first.
    pub clusters: Vec<Cluster>,
    /// Code texts.
    pub codes: Vec<String>,
    /// Per item its category.
    pub labs: Vec<u8>,
}

/// Codes of one episode.
const EPISODE: usize = 5;

impl World {
    /// A world by its sizes.
    pub fn new(options: &Sizes, draw: &mut Draw) -> Self {
        let labs = categories(options.labs);
        let mut codes = Vec::new();
        let mut clusters = Vec::new();
        for k in 0..options.clusters {
            let end = options.codes * (k + 1) / options.clusters;
            let text = if options.clusters <= CLUSTERS_WITH_OWN_NUMBERS { code } else { code_of_many };
            clusters.push(cluster(k, end - codes.len(), labs.len(), text, &mut codes, draw));
        }
        Self { clusters, codes, labs }
    }
}

/// Per item its category.
pub fn categories(labs: usize) -> Vec<u8> {
    let mut bounds = Vec::new();
    let mut sum = 0.0;
    for (_, share) in CATEGORIES {
        sum += share;
        bounds.push(((sum * labs as f64).round() as usize).max(bounds.len() + 1));
    }
    (0..labs).map(|i| bounds.iter().position(|&b| i < b).unwrap_or(CATEGORIES.len() - 1) as u8).collect()
}

/// A cluster of `n` codes: about a third chronic, a fifth rare, the rest in episodes. Each of these has its own family of
/// codes, so that the hierarchy of codes says something too.
fn cluster(
    k: usize,
    n: usize,
    labs: usize,
    text: fn(usize, usize, usize) -> String,
    codes: &mut Vec<String>,
    draw: &mut Draw,
) -> Cluster {
    let (chronic, rare) = (n * 3 / 10, n / 5);
    let mut family = 0;
    let mut take = |number: usize| -> Vec<u32> {
        let first = codes.len() as u32;
        codes.extend((0..number).map(|i| text(k, family, i)));
        family += 1;
        (first..first + number as u32).collect()
    };
    let chronic = take(chronic);
    let mut left = n - chronic.len() - rare;
    let mut episodes = Vec::new();
    while left > 0 {
        // The last episode takes what would be too little for another.
        let number = if left < 2 * EPISODE { left } else { EPISODE };
        episodes.push(take(number));
        left -= number;
    }
    let rare = take(rare);
    let mut items = |number: usize| (0..number).map(|_| draw.below(labs) as u32).collect::<Vec<_>>();
    Cluster {
        chronic: chronic.into_iter().map(|code| Condition { code, labs: items(1) }).collect(),
        episodes: episodes.into_iter().map(|codes| Episode { codes, labs: items(4) }).collect(),
        rare,
    }
}

/// Clusters up to which every family of codes has a number of three digits for itself.
const CLUSTERS_WITH_OWN_NUMBERS: usize = 99;

/// The same for more clusters: ten families share a number, each with one digit after the point for itself.
fn code_of_many(cluster: usize, family: usize, i: usize) -> String {
    let family = cluster * 8 + family;
    format!("{:03}.{}{}", family * 53 % 792 + 1, family / 792, i)
}

/// The `i`-th code of a family of a cluster, dotted as ICD-9. The chronic family of the first cluster is heart failure.
fn code(cluster: usize, family: usize, i: usize) -> String {
    // Eight families a cluster; 53 is prime to 792, so that clusters are spread over the chapters.
    let number = match (cluster * 8 + family) * 53 % 792 + 1 {
        _ if (cluster, family) == (0, 0) => 428,
        428 => 799,
        number => number,
    };
    match i % 3 {
        0 => format!("{number:03}.{}", i % 10),
        1 => format!("{number:03}.{}{}", i % 10, i * 7 % 10),
        _ => format!("{number:03}.{}{}", i % 10, i / 10 + 1),
    }
}
