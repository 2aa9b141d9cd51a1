//! How many threads the program may have.

use dualk_sdk::{Error, Result};

/// The most members of a sweep or threads at once: a computer that is asked for more begins them and does nothing else.
pub const MOST: usize = 1024;

/// What asks for a number of threads; rayon reads it, at the first loop that is run by several.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Refuses a number of threads in the environment that no computer has.
///
/// # Errors
/// Name the variable.
pub fn check() -> Result<()> {
    let number = std::env::var(VARIABLE).ok().and_then(|text| text.parse::<usize>().ok());
    match number {
        Some(number) if number > MOST => {
            Err(Error::user(format!("the environment has {VARIABLE}={number}, and at most {MOST} threads can be had"))
                .help("leave it out for as many as there are cores"))
        }
        _ => Ok(()),
    }
}
