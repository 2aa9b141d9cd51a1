//! `dualk bench machine`: what this machine can do at best.

use super::report::{Format, Report, Times};
use super::setup::{set_threads, wait};
use super::{check_room, size};
use clap::Args;
use dualk_sdk::Result;
use dualk_sdk::burn::tensor::{Device, Distribution, Tensor};
use dualk_sdk::memory;
pub use dualk_sdk::memory::forget_peak as forget_peak_memory;
use dualk_sdk::serde_json::{Value, json};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Floats in a buffer far beyond every cache: 256 MiB.
const BEYOND_CACHE: usize = 64 << 20;
/// Floats that a thread takes at a time.
const CHUNK: usize = 1 << 16;
/// Side of the matrices that are multiplied.
const SIDE: usize = 1536;
const REPEATS: usize = 5;

/// Arguments of `dualk bench machine`.
#[derive(Args)]
pub struct Machine {
    /// Rows of the table that is read again and again.
    #[arg(long, default_value_t = 7946, value_parser = size)]
    rows: usize,
    /// Width of the table, in floats.
    #[arg(long, default_value_t = 256, value_parser = size)]
    width: usize,
    /// Threads of the CPU. Default: all.
    #[arg(long, value_parser = size)]
    threads: Option<usize>,
    #[command(flatten)]
    format: Format,
}

impl Machine {
    pub fn run(self) -> Result<()> {
        set_threads(self.threads)?;
        check_room("the rows of the table", self.rows as f64 * self.width as f64)?;
        let mut report = Report::new(self.format);
        report.add(Limits::measure(self.rows.max(1), self.width.max(1))?.to_json());
        report.finish();
        Ok(())
    }
}

/// Highest rates of the CPU with all threads of the pool; GB and GFLOP are 10⁹.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Reading memory beyond the caches, GB/s.
    pub read: f64,
    /// Copying it, bytes read and written, GB/s.
    pub copy: f64,
    /// a = b + s·c, bytes read and written, GB/s.
    pub triad: f64,
    /// Reading a table that may be in cache, GB/s.
    pub table: f64,
    /// Product of square matrices of 32-bit floats, GFLOP/s.
    pub matmul: f64,
}

impl Limits {
    /// Measures, with a table of `rows` × `width`.
    pub fn measure(rows: usize, width: usize) -> Result<Self> {
        let (matmul, memory) = (matmul(&Device::flex())?, Memory::new());
        Ok(Self { read: memory.read(), copy: memory.copy(), triad: memory.triad(), table: table(rows, width), matmul })
    }

    fn to_json(self) -> Value {
        json!({
            "bench": "machine",
            "threads": rayon::current_num_threads(),
            "read_gb_per_s": self.read,
            "copy_gb_per_s": self.copy,
            "triad_gb_per_s": self.triad,
            "table_gb_per_s": self.table,
            "matmul_gflop_per_s": self.matmul,
        })
    }
}

/// The shortest time of a few runs, in seconds.
fn fastest(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    Times::new((0..REPEATS).map(once).collect()).min()
}

/// Two buffers to read.
struct Memory {
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Memory {
    fn new() -> Self {
        let filled = |value: f32| (0..BEYOND_CACHE).into_par_iter().map(|_| value).collect();
        Self { b: filled(1.0), c: filled(2.0) }
    }

    fn read(&self) -> f64 {
        let seconds = fastest(|| {
            self.b.par_chunks(CHUNK).for_each(|b| {
                black_box(add(Lanes::default(), b));
            });
        });
        (BEYOND_CACHE * 4) as f64 / seconds / 1e9
    }

    fn copy(&self) -> f64 {
        let mut a = vec![0f32; BEYOND_CACHE];
        let seconds = fastest(|| {
            a.par_chunks_mut(CHUNK).zip(self.b.par_chunks(CHUNK)).for_each(|(a, b)| a.copy_from_slice(b));
            black_box(&a);
        });
        (BEYOND_CACHE * 8) as f64 / seconds / 1e9
    }

    fn triad(&self) -> f64 {
        let mut a = vec![0f32; BEYOND_CACHE];
        let seconds = fastest(|| {
            let inputs = self.b.par_chunks(CHUNK).zip(self.c.par_chunks(CHUNK));
            a.par_chunks_mut(CHUNK).zip(inputs).for_each(|(a, (b, c))| {
                a.iter_mut().zip(b.iter().zip(c)).for_each(|(a, (b, c))| *a = b + 3.0 * c);
            });
            black_box(&a);
        });
        (BEYOND_CACHE * 12) as f64 / seconds / 1e9
    }
}

/// Sums in so many lanes that additions need not wait for each other.
type Lanes = [f32; 32];

/// Adds values, lane by lane; what does not fill all lanes goes to the first ones.
#[inline]
fn add(mut lanes: Lanes, values: &[f32]) -> Lanes {
    let chunks = values.chunks_exact(lanes.len());
    lanes.iter_mut().zip(chunks.remainder()).for_each(|(lane, v)| *lane += v);
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, v)| *lane += v);
    }
    lanes
}

/// Reads a table again and again, every thread all of it; GB/s. Rows that a graph points at come from the same cache,
/// not in order and so not faster.
fn table(rows: usize, width: usize) -> f64 {
    let values = vec![1f32; rows * width];
    let readings = (BEYOND_CACHE / values.len()).max(rayon::current_num_threads() * 8);
    let seconds = fastest(|| {
        (0..readings).into_par_iter().for_each(|_| {
            black_box(add(Lanes::default(), black_box(&values)));
        });
    });
    (readings * values.len() * 4) as f64 / seconds / 1e9
}

/// Adds up the rows of a table of `width` columns that `members` name, in their order; GB/s. No kernel that reads a row
/// for every member does so faster, unless it reads parts of rows in another order.
pub fn gather(members: &[u32], rows: usize, width: usize) -> f64 {
    let values = vec![1f32; rows * width];
    let seconds = fastest(|| {
        members.par_chunks(CHUNK).for_each(|members| {
            let row = |&member: &u32| &values[member as usize * width..][..width];
            black_box(members.iter().map(row).fold(Lanes::default(), add));
        });
    });
    (members.len() * width * 4) as f64 / seconds / 1e9
}

/// Product of two square matrices, GFLOP/s.
fn matmul(device: &Device) -> Result<f64> {
    let random = || Tensor::<2>::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (random(), random());
    let mut outcome = Ok(());
    let seconds = fastest(|| {
        black_box(a.clone().matmul(b.clone()));
        outcome = wait(device);
    });
    outcome.map(|()| 2.0 * (SIDE as f64).powi(3) / seconds / 1e9)
}

/// Most memory that this process held since [`forget_peak_memory`], in GiB; `None` where the system does not say.
pub fn peak_memory_gib() -> Option<f64> {
    memory::peak().map(|bytes| bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read() {
        let values: Vec<f32> = (0..100).map(|i| i as f32).collect();
        assert_eq!(add(Lanes::default(), &values).iter().sum::<f32>(), 4950.0);
    }

    #[test]
    fn gathering_takes_some_time() {
        let rate = gather(&[3, 1, 1, 0], 4, 40);
        assert!(rate > 0.0 && rate.is_finite(), "{rate}");
    }

    #[test]
    fn the_peak_is_at_least_what_is_held() {
        let held = vec![1u8; 64 << 20];
        if let Some(peak) = peak_memory_gib() {
            assert!(peak > 64.0 / 1024.0, "{peak}");
        }
        black_box(held);
    }
}
