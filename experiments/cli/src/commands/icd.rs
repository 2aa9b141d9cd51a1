use clap::Args;
use dualk_sdk::data::hierarchy::{self, Icd};
use dualk_sdk::data::icd::{self, Via};
use dualk_sdk::{Error, Result};

/// Arguments of `dualk icd`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct IcdCommand {
    /// Codes of ICD-9-CM or ICD-10-CM, or what codes begin with.
    #[arg(required = true)]
    codes: Vec<String>,
    /// Edition, where both have it.
    #[arg(long, value_name = "EDITION", value_parser = ["9", "10"])]
    edition: Option<String>,
}

const EXAMPLES: &str = "Examples:
  dualk icd I48.91
  dualk icd 42731 E849.0 --edition 9
  dualk icd I50";

/// Codes below a heading that are shown.
const SHOWN: usize = 20;

impl IcdCommand {
    pub fn run(self) -> Result<()> {
        let editions: &[Icd] = match self.edition.as_deref() {
            Some("9") => &[Icd::Icd9],
            Some(_) => &[Icd::Icd10],
            None => &[Icd::Icd9, Icd::Icd10],
        };
        for (i, code) in self.codes.iter().enumerate() {
            if i > 0 {
                println!();
            }
            let mut known = false;
            for &edition in editions {
                known |= show(edition, code);
            }
            if !known {
                let error = Error::user(format!("neither edition has a code that begins with `{}`", code.trim()));
                return Err(match editions {
                    [one] => Error::user(format!("{} has no code that begins with `{}`", name(*one), code.trim())),
                    _ => error,
                }
                .help("titles are those of ICD-10-CM 2024 and ICD-9-CM version 32"));
            }
        }
        Ok(())
    }
}

fn name(edition: Icd) -> &'static str {
    match edition {
        Icd::Icd9 => "ICD-9-CM",
        Icd::Icd10 => "ICD-10-CM",
    }
}

fn other(edition: Icd) -> Icd {
    match edition {
        Icd::Icd9 => Icd::Icd10,
        Icd::Icd10 => Icd::Icd9,
    }
}

/// Shows what an edition knows of a code; whether that is anything.
fn show(edition: Icd, written: &str) -> bool {
    let code = icd::dotted(edition, written);
    let below = icd::below(edition, &code);
    let title = icd::title(edition, &code);
    if code.is_empty() || (title.is_none() && below.is_empty()) {
        return false;
    }
    println!("{code}  {}  {}", name(edition), title.unwrap_or("(a heading)"));
    if let Some((range, title)) = hierarchy::chapter(&code, edition) {
        println!("  chapter      {range}  {title}");
    }
    // The chapter has a line of its own, and what is filled up with X has no title.
    for ancestor in hierarchy::ancestors(&code, edition) {
        if let Some(title) = icd::title(edition, &ancestor) {
            println!("  under        {ancestor}  {title}");
        }
    }
    if let (Icd::Icd10, Some(category)) = (edition, icd::category(&code)) {
        println!("  CCSR         {category}  {}", icd::category_title(category).unwrap_or_default());
    }
    equivalents(edition, &code);
    let below: Vec<_> = below.into_iter().filter(|(c, _)| *c != code).collect();
    if !below.is_empty() {
        println!("  {} codes below it", codes_among(&below));
        for (code, title) in below.iter().take(SHOWN) {
            println!("    {code:9} {title}");
        }
        if below.len() > SHOWN {
            println!("    … {} more", below.len() - SHOWN);
        }
    }
    true
}

/// How many of these are codes, in ascending order: a heading comes right before what is below it.
fn codes_among(entries: &[(String, &'static str)]) -> usize {
    let headings = entries.windows(2).filter(|two| two[1].0.starts_with(&two[0].0)).count();
    entries.len() - headings
}

/// The ways to write a code in the other edition, the one that parsers take first.
fn equivalents(edition: Icd, code: &str) {
    let to = other(edition);
    let Some(found) = icd::equivalents(edition, code) else {
        let what = match icd::below(edition, code).iter().any(|(below, _)| below != code) {
            true => "none that the codes below it have in common",
            false => "unknown to the General Equivalence Mappings of 2018",
        };
        println!("  {:12} {what}", name(to));
        return;
    };
    let via = match &found.via {
        Via::Itself => String::new(),
        Via::Shorter(shorter) => format!(", as {}, which it was divided from", icd::dotted(edition, shorter)),
        Via::Below => ", as all codes below it".to_owned(),
    };
    if found.choices.is_empty() {
        println!("  {:12} no equivalent{via}", name(to));
    }
    for (i, choice) in found.choices.iter().enumerate() {
        let what = match (i, choice.approximate) {
            (0, true) => format!(" (taken, approximate{via})"),
            (0, false) => format!(" (taken{via})"),
            (_, true) => " (approximate)".to_owned(),
            (_, false) => String::new(),
        };
        for (j, code) in choice.codes.iter().enumerate() {
            let lead = if j == 0 { name(to) } else { "  and" };
            let what = if j == 0 { what.as_str() } else { "" };
            println!("  {lead:12} {}  {}{what}", icd::dotted(to, code), icd::title(to, code).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_no_codes() {
        // I48 has I48.0, .11, .19, .20, .21, .3, .4, .91 and .92; 428 has 428.0, .1, .20 to .23, .30 to .33, .40 to .43, .9.
        let below = |edition, code| codes_among(&icd::below(edition, code));
        assert_eq!([below(Icd::Icd10, "I48"), below(Icd::Icd9, "428"), below(Icd::Icd10, "I48.91")], [9, 15, 1]);
    }
}
