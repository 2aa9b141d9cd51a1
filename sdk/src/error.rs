//! Errors that say where, what was found, what is accepted and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose mistake it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Input, manifest, command line or environment: exit code 2.
    User,
    /// A defect of this program or of a plugin: exit code 1.
    Program,
    /// Nobody's: a signal of this number asked to stop. Exit code 128 and that number.
    Signal(u8),
}

/// Where the mistake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A key of the manifest, dotted, such as `model.graph_encoder.heads`.
    Key(String),
    /// A file, with line and column counted from 1 when they are known.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: Option<usize>,
        /// Column, from 1.
        column: Option<usize>,
    },
    /// A setting of the command line: what stands behind `--set`.
    Setting(String),
}

/// An error with a place and a remedy.
///
/// ```
/// use dualk_sdk::Error;
/// let e = Error::user("expected at least 1, found 0").at_key("model.graph_encoder.heads").help("write heads = 1");
/// assert_eq!(e.exit_code(), 2);
/// assert!(e.to_string().contains("model.graph_encoder.heads"));
/// ```
#[derive(Debug)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    blame: Blame,
    message: String,
    places: Vec<Place>,
    help: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Other mistakes that were found with this one.
    others: Vec<Error>,
}

impl Error {
    fn new(blame: Blame, message: impl Into<String>) -> Self {
        let inner = Inner {
            blame,
            message: message.into(),
            places: Vec::new(),
            help: Vec::new(),
            source: None,
            others: Vec::new(),
        };
        Self { inner: Box::new(inner) }
    }

    /// A mistake in the input.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Blame::User, message)
    }

    /// A defect of the program or of a plugin.
    pub fn program(message: impl Into<String>) -> Self {
        Self::new(Blame::Program, message)
    }

    /// The end of work that a signal asked for.
    pub fn stopped(signal: u8, message: impl Into<String>) -> Self {
        Self::new(Blame::Signal(signal), message)
    }

    /// A file that could not be read or written.
    pub fn io(action: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let reason = match source.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => source.to_string(),
        };
        Self::user(format!("cannot {action}: {reason}")).at_file(path).because(source)
    }

    /// Changes this mistake and those that were found with it.
    fn each(&mut self, change: &dyn Fn(&mut Inner)) {
        change(&mut self.inner);
        self.inner.others.iter_mut().for_each(|other| other.each(change));
    }

    /// Adds a manifest key; the manifest's loader turns it into file and line.
    pub fn at_key(mut self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.each(&|inner| inner.places.push(Place::Key(key.clone())));
        self
    }

    /// Puts `prefix.` before the manifest keys already named, or names `prefix` where no key is.
    pub fn within_key(mut self, prefix: &str) -> Self {
        self.each(&|inner| {
            let mut found = false;
            for place in &mut inner.places {
                if let Place::Key(key) = place {
                    *key = if key.is_empty() { prefix.to_owned() } else { format!("{prefix}.{key}") };
                    found = true;
                }
            }
            if !found {
                inner.places.push(Place::Key(prefix.to_owned()));
            }
        });
        self
    }

    /// Puts the key that it names into its message, as one of another manifest than that whose keys are named around it.
    pub(crate) fn of_other_manifest(mut self) -> Self {
        self.each(&|inner| {
            let places = std::mem::take(&mut inner.places).into_iter();
            let (keys, files): (Vec<Place>, Vec<Place>) = places.partition(|place| matches!(place, Place::Key(_)));
            inner.places = files;
            if let Some(Place::Key(key)) = keys.first() {
                inner.message = format!("`{key}`: {}", inner.message);
            }
        });
        self
    }

    /// Puts before its message, and those of the mistakes that were found with it, in what they are, such as a row of a sweep.
    pub(crate) fn of(mut self, what: &str) -> Self {
        self.each(&|inner| inner.message = format!("{what}: {}", inner.message));
        self
    }

    /// Adds a file.
    pub fn at_file(mut self, path: impl AsRef<Path>) -> Self {
        self.inner.places.push(Place::File { path: path.as_ref().to_owned(), line: None, column: None });
        self
    }

    /// Adds a line of a file, from 1.
    pub fn at_line(mut self, path: impl AsRef<Path>, line: usize) -> Self {
        self.inner.places.push(Place::File { path: path.as_ref().to_owned(), line: Some(line), column: None });
        self
    }

    /// Adds a column of a line of a file, both from 1.
    pub fn at_column(mut self, path: impl AsRef<Path>, line: usize, column: usize) -> Self {
        let path = path.as_ref().to_owned();
        self.inner.places.push(Place::File { path, line: Some(line), column: Some(column) });
        self
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.inner.help.push(help.into());
        self
    }

    /// Adds another mistake, which is shown below this one.
    pub fn and(mut self, other: Error) -> Self {
        self.inner.others.push(other);
        self
    }

    /// Keeps the error underneath.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Adds "did you mean …" for a name that is not among `known`, and lists what is, up to a dozen.
    pub fn suggest<S: AsRef<str>>(self, found: &str, known: impl IntoIterator<Item = S>) -> Self {
        self.suggest_with(found, known, "")
    }

    /// The same; `all` is the command that shows them where there are more, such as `` `dualk schema` ``.
    pub(crate) fn suggest_with<S: AsRef<str>>(
        self,
        found: &str,
        known: impl IntoIterator<Item = S>,
        all: &str,
    ) -> Self {
        let known: Vec<String> = known.into_iter().map(|k| k.as_ref().to_owned()).collect();
        let this = match nearest(found, known.iter().map(String::as_str)) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        };
        match known.is_empty() {
            true => this,
            false => this.help(format!("accepted: {}", listed(&known, all))),
        }
    }

    /// Whose mistake it is.
    pub fn blame(&self) -> Blame {
        self.inner.blame
    }

    /// The message without places and help.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The first manifest key that it names.
    pub fn key(&self) -> Option<&str> {
        self.inner.places.iter().find_map(|place| match place {
            Place::Key(key) => Some(key.as_str()),
            Place::File { .. } | Place::Setting(_) => None,
        })
    }

    /// The places, innermost first.
    pub fn places(&self) -> &[Place] {
        &self.inner.places
    }

    /// Replaces every place, for instance manifest keys by file and line.
    pub fn map_places(mut self, f: impl Fn(Place) -> Vec<Place>) -> Self {
        self.inner.places = std::mem::take(&mut self.inner.places).into_iter().flat_map(&f).collect();
        let others = std::mem::take(&mut self.inner.others);
        let moved: Vec<Error> =
            others.into_iter().map(|other| other.map_places(&f as &dyn Fn(Place) -> Vec<Place>)).collect();
        self.inner.others = moved;
        self
    }

    /// 2 for the user's mistake, 1 for ours, 128 and its number for a signal.
    pub fn exit_code(&self) -> u8 {
        match self.inner.blame {
            Blame::User => 2,
            Blame::Program => 1,
            Blame::Signal(number) => 128 + (number & 127),
        }
    }
}

/// The most names that an error lists.
pub(crate) const MOST_LISTED: usize = 12;

/// Names for an error: a dozen at most, then how many more there are, and the command that shows `all`, where there is one.
pub(crate) fn listed(names: &[String], all: &str) -> String {
    let shown = names.iter().take(MOST_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (names.len().saturating_sub(MOST_LISTED), all) {
        (0, _) => shown,
        (more, "") => format!("{shown}, and {more} more"),
        (more, all) => format!("{shown}, and {more} more: {all} shows all"),
    }
}

/// A number with what it counts: the noun as one of it is called, with an ending where there are more or none.
///
/// ```
/// use dualk_sdk::error::counted;
/// assert_eq!([counted(1, "relation"), counted(2, "relation"), counted(0, "entity")], ["1 relation", "2 relations", "0 entities"]);
/// ```
pub fn counted(number: impl fmt::Display, noun: &str) -> String {
    let number = number.to_string();
    if number == "1" {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        Some(stem) => format!("{number} {stem}ies"),
        None if ["s", "x", "tch", "sh"].iter().any(|end| noun.ends_with(end)) => format!("{number} {noun}es"),
        None => format!("{number} {noun}s"),
    }
}

/// A number with what it counts, and the verb after it: `1 run is`, `2 runs are`.
pub(crate) fn are(number: usize, noun: &str) -> String {
    format!("{} {}", counted(number, noun), if number == 1 { "is" } else { "are" })
}

/// The name among `known` that is written almost as `found`.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|name| (strsim::damerau_levenshtein(name, found), name)).min();
    near.filter(|(distance, name)| *distance <= 2.max(name.len() / 3)).map(|(_, name)| name)
}

/// Mistakes that are collected, so that all can be shown at once.
#[derive(Debug, Default)]
pub struct Mistakes {
    found: Vec<Error>,
}

impl Mistakes {
    /// What went well, or nothing, and the mistake is kept; one that is found again is shown once.
    pub fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.keep(error)).ok()
    }

    fn keep(&mut self, mut error: Error) {
        let others = std::mem::take(&mut error.inner.others);
        let text = error.to_string();
        if self.found.iter().all(|known| known.to_string() != text) {
            self.found.push(error);
        }
        others.into_iter().for_each(|other| self.keep(other));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Nothing, or the first mistake with all others below it.
    ///
    /// # Errors
    /// When there was a mistake.
    pub fn done(self) -> Result<()> {
        match self.found.into_iter().reduce(Error::and) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What was made, when there was no mistake.
    ///
    /// ```
    /// use dualk_sdk::{Error, error::Mistakes};
    /// let mut mistakes = Mistakes::default();
    /// let (one, two) = (mistakes.note(Ok(1)), mistakes.note::<u8>(Err(Error::user("no second"))));
    /// assert_eq!(mistakes.finish(one.zip(two)).unwrap_err().message(), "no second");
    /// ```
    ///
    /// # Errors
    /// The first mistake with all others below it.
    pub fn finish<T>(self, made: Option<T>) -> Result<T> {
        self.done()?;
        made.ok_or_else(|| Error::program("nothing was made, and no mistake was found"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => write!(f, "`{key}`: {}", self.inner.message)?,
            None => f.write_str(&self.inner.message)?,
        }
        for place in &self.inner.places {
            match place {
                Place::Key(_) => {}
                Place::Setting(text) => write!(f, "\n  --> --set {}", without_passwords(text))?,
                Place::File { path, line, column } => {
                    write!(f, "\n  --> {}", path.display())?;
                    line.iter().chain(column).try_for_each(|number| write!(f, ":{number}"))?;
                }
            }
        }
        for help in &self.inner.help {
            write!(f, "\n  = {help}")?;
        }
        self.inner.others.iter().try_for_each(|other| write!(f, "\nerror: {other}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_ref().map(|s| s.as_ref() as _)
    }
}

/// Whether errors may show what stands in tables.
static SHOW_VALUES: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on, errors of this process show values of cells and identifiers of patients and admissions: `--show-values`.
pub fn show_values() {
    SHOW_VALUES.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Whether [`show_values`] was called.
pub(crate) fn shows_values() -> bool {
    SHOW_VALUES.load(std::sync::atomic::Ordering::Relaxed)
}

/// A value of a table, or an identifier, for an error: hidden unless the user wants to [see it](show_values).
pub fn value(text: impl fmt::Display) -> String {
    match shows_values() {
        true => format!("`{text}`"),
        false => "(--show-values shows it)".to_owned(),
    }
}

/// Stands for who a server is told to let in.
pub(crate) const HIDDEN: &str = "***";

/// A text, such as a word of a command or a setting, in which addresses of servers have neither users nor passwords.
///
/// ```
/// use dualk_sdk::error::without_passwords;
/// assert_eq!(without_passwords("a.b='http://me:secret@host:5000'"), "a.b='http://***@host:5000'");
/// assert_eq!(without_passwords("output.mlflow=me:secret@host"), "output.mlflow=***@host");
/// assert_eq!(without_passwords("https://host/a runs/R@10"), "https://host/a runs/R@10");
/// ```
pub fn without_passwords(text: &str) -> String {
    let names_server = text.contains("output.mlflow");
    let is_end = |c: char| c.is_whitespace() || c == '"' || c == '\'';
    let shown = |word: &str| {
        // An address without its `http://` is none, and yet it may say a password.
        let value = || names_server.then(|| word.find('=').map_or(0, |at| at + 1));
        let start = word.find("://").map(|at| at + 3).or_else(value);
        start.map_or_else(|| word.to_owned(), |start| hidden_from(word, start))
    };
    text.split_inclusive(is_end).map(shown).collect()
}

/// The address of a server without user and password.
pub(crate) fn server(address: &str) -> String {
    hidden_from(address, address.find("://").map_or(0, |at| at + 3))
}

fn hidden_from(text: &str, start: usize) -> String {
    let end = text[start..].rfind('@').map(|at| start + at);
    end.map_or_else(|| text.to_owned(), |end| format!("{}{HIDDEN}{}", &text[..start], &text[end..]))
}

/// The most letters of a cell that an error shows.
const LONGEST_CELL: usize = 80;

/// What a cell of a table holds, for an error: nothing, or a [`value`], of a long one its beginning.
///
/// ```
/// use dualk_sdk::error::cell;
/// assert_eq!([cell(None), cell(Some(" ")), cell(Some("7"))], ["nothing", "nothing", "(--show-values shows it)"]);
/// ```
pub fn cell(text: Option<&str>) -> String {
    let text = text.map(str::trim).unwrap_or_default();
    match text.char_indices().nth(LONGEST_CELL) {
        _ if text.is_empty() => "nothing".to_owned(),
        Some((end, _)) => value(format_args!("{}…", &text[..end])),
        None => value(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let near = Error::user("unknown type `gta`").suggest("gta", ["gat", "gcn"]).to_string();
        assert!(near.contains("did you mean `gat`?") && near.contains("accepted: gat, gcn"), "{near}");
        let far = Error::user("unknown type `transformer`").suggest("transformer", ["gat", "gcn"]).to_string();
        assert!(!far.contains("did you mean"), "{far}");
    }

    #[test]
    fn a_dozen_names_are_listed() {
        let names: Vec<String> = (0..20).map(|i| format!("n{i}")).collect();
        let of = |count: usize, all: &str| Error::user("x").suggest_with("n199", &names[..count], all).to_string();
        let twelve = "accepted: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11";
        assert_eq!(of(12, "`dualk schema`").lines().last(), Some(&*format!("  = {twelve}")));
        let more = of(20, "`dualk schema`");
        assert!(more.ends_with(&format!("{twelve}, and 8 more: `dualk schema` shows all")), "{more}");
        assert!(more.contains("did you mean `n19`?"), "all are looked at: {more}");
        assert!(of(13, "").ends_with("n11, and 1 more"));
    }

    #[test]
    fn nouns_go_with_their_numbers() {
        for (noun, one, more) in [
            ("relation", "1 relation", "3 relations"),
            ("other entity", "1 other entity", "3 other entities"),
            ("day", "1 day", "3 days"),
            ("batch", "1 batch", "3 batches"),
            ("epoch", "1 epoch", "3 epochs"),
        ] {
            assert_eq!([counted(1, noun), counted(3_u64, noun)], [one, more]);
        }
        assert_eq!(
            [counted(0, "step"), counted(21, "step"), counted("1,000", "step")],
            ["0 steps", "21 steps", "1,000 steps"]
        );
    }

    #[test]
    fn mistakes_are_shown_together() {
        let mut mistakes = Mistakes::default();
        assert_eq!(mistakes.note(Ok(3)), Some(3));
        for key in ["a", "b", "c"] {
            assert_eq!(mistakes.note::<()>(Err(Error::user("wrong").at_key(key).help("mend it"))), None);
        }
        assert_eq!((mistakes.len(), mistakes.is_empty()), (3, false));
        let place = |_| vec![Place::File { path: "m.toml".into(), line: Some(1), column: None }];
        let error = mistakes.done().unwrap_err().map_places(place).to_string();
        let one = "wrong\n  --> m.toml:1\n  = mend it";
        assert_eq!(error, [one; 3].join("\nerror: "));
        assert!(Mistakes::default().done().is_ok());
        let mut mistakes = Mistakes::default();
        let wrong = |text: &str| Error::user(text);
        mistakes.note::<()>(Err(wrong("a").and(wrong("b"))));
        mistakes.note::<()>(Err(wrong("b").and(wrong("a").and(wrong("c")))));
        assert_eq!(mistakes.finish(Some(3)).unwrap_err().to_string(), "a\nerror: b\nerror: c", "each is said once");
        assert_eq!(Mistakes::default().finish(Some(3)).unwrap(), 3);
    }

    #[test]
    fn keys_of_another_manifest_are_said_before_those_around_it() {
        let inner = |key: &str| Error::user("too small").at_key(key).at_line("x.toml", 3);
        let error = inner("train.lr").and(inner("seed")).of_other_manifest().at_key("model.node_init.kge");
        let one = |key: &str| format!("`model.node_init.kge`: `{key}`: too small\n  --> x.toml:3");
        assert_eq!(error.to_string(), format!("{}\nerror: {}", one("train.lr"), one("seed")));
    }

    #[test]
    fn keys_nest() {
        let e = Error::user("too small").at_key("heads").within_key("model.graph_encoder");
        assert!(e.to_string().starts_with("`model.graph_encoder.heads`: too small"));
        let both = Error::user("too small").at_key("heads").and(Error::user("missing"));
        assert_eq!(both.within_key("model").to_string(), "`model.heads`: too small\nerror: `model`: missing");
        let e = Error::user("too small").within_key("model");
        assert!(e.to_string().starts_with("`model`: too small"));
    }
}
